"""A trained detector outside of its run: boxes in any images, and weights that mmdet loads."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from PIL import Image, ImageDraw
from torch import nn
from torch.utils.data import Dataset

from models.networks import ssd
from models.networks.mmdet_config import of_classes, parts
from tasks.base import Batch
from tasks.deployable import Export, Record, Subject
from tasks.deployment import WEIGHTS, canvas, corners, source_of
from tasks.detection import pipelines
from tasks.detection.mmdet_network import MmdetNetwork
from tasks.detection.networks import Network, SSDNetwork
from tasks.drawing import caption_height, write

COLOUR = "lime"
MODEL = "model.py"
IMPORTS = """
from collections.abc import Sequence

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
"""


class Files(Dataset):
    """Sample i is an image as the test set's are, without a box.

    Args:
        subjects: whole images.
        canvas: the network's input.
    """

    def __init__(self, subjects: Sequence[Subject], canvas: pipelines.Canvas) -> None:
        self.subjects = subjects
        with DefaultScope.overwrite_default_scope("mmdet"):
            self.pipeline = Compose(pipelines.test_pipeline(canvas, "ignore"))

    def __len__(self) -> int:
        return len(self.subjects)

    def __getitem__(self, index: int) -> Any:
        path = str(self.subjects[index].path)
        return self.pipeline(dict(img_path=path, img_id=index, instances=[]))


class BoxDeployment:
    """See `tasks.deployable.Deployment`: annotations of COCO's, a box each.

    Args:
        network: the task's.
        classes: the task's.
        labels: the classes as the run's folder has them.
    """

    form: ClassVar[Literal["coco", "csv"]] = "coco"
    crops = False

    def __init__(self, network: Network, classes: Sequence[str], labels: Sequence[str]) -> None:
        if tuple(labels) != tuple(classes):
            raise ValueError(f"expected the classes {list(classes)}, but got {list(labels)}")
        self.classes = tuple(classes)
        self.network = copy.copy(network)
        self.network.pretrained = None  # type: ignore[attr-defined]  # both kinds have it
        self.categories = [{"id": k, "name": name} for k, name in enumerate(classes, 1)]

    def build(self) -> nn.Module:
        """A detector of the right shape; no weights are downloaded."""
        return self.network.build()

    def images(self, subjects: Sequence[Subject]) -> Files:
        """Samples without boxes."""
        return Files(subjects, self.network.canvas)

    def collate(self, samples: Sequence[Any]) -> Batch:
        """As the task's."""
        return pseudo_collate(samples)

    def records(self, network: nn.Module, batch: Batch) -> list[list[Record]]:
        """All boxes that the detector hands out, the surest first."""
        found = self.network.boxes(network, batch)
        return [
            [
                _record(*one)
                for one in zip(
                    boxes.bboxes.tolist(), boxes.labels.tolist(), boxes.scores.tolist(), strict=True
                )
            ]
            for boxes in found
        ]

    def picture(self, path: Path, records: Sequence[Record], threshold: float) -> Image.Image:
        """The image with boxes, their classes and scores."""
        image, zoom = canvas(path)
        draw = ImageDraw.Draw(image)
        sure = [record for record in records if record["score"] >= threshold]
        sure.reverse()  # the surest are drawn last, over the others
        places = [corners(record["bbox"], zoom) for record in sure]
        for place in places:
            draw.rectangle(place, outline=COLOUR, width=2)
        for record, (left, top, *_) in zip(sure, places, strict=True):
            word = f"{self.classes[record['category_id'] - 1]} {record['score']:.2f}"
            write(image, (left, top - caption_height()), word, COLOUR)
        return image

    def exported(self, network: nn.Module) -> Export:
        """A checkpoint and a config of mmdet's, for `mmdet.apis.init_detector`."""
        canvas = self.network.canvas
        model = self._model()
        text = Config(_config(model, canvas)).pretty_text
        meta = {"dataset_meta": {"classes": list(self.classes)}}
        files = {MODEL: text}
        lines = []
        if model["backbone"]["type"] == ssd.PlainBackbone.__name__:
            code = source_of(ssd.PlainBackbone, imports=IMPORTS)
            files["network.py"] = code + "\n\nMODELS.register_module(module=PlainBackbone)\n"
            lines = [
                "import network  # noqa: F401  # which puts its backbone into mmdet's registry"
            ]
        last = ""
        if model.get("bbox_head", {}).get("type") == "SSDHead":
            last = "model.bbox_head.loss_cls = None  # mmdet 3 asks its SSD head for one\n"
        return Export(network.state_dict(), meta, _script(lines, last), files)

    def _model(self) -> Mapping[str, Any]:
        """The model's config, with mmdet's own classes by name, and without addresses of weights.

        Raises:
            ValueError: if the network is of no kind that mmdet builds.
        """
        if isinstance(self.network, SSDNetwork):
            return ssd.mmdet_config(self.network.name, len(self.classes))
        if not isinstance(self.network, MmdetNetwork):
            raise ValueError(f"expected a detector of mmdet, but got {type(self.network).__name__}")
        model = of_classes(self.network.plan.model, len(self.classes))
        for part in parts(model):
            own = part.get("init_cfg")
            if isinstance(own, dict) and own.get("type") == "Pretrained":
                part["init_cfg"] = None
        return model


def _record(box: list[float], label: int, score: float) -> Record:
    left, top, right, bottom = box
    bbox = [left, top, right - left, bottom - top]
    return {"category_id": label + 1, "bbox": bbox, "score": score}


def _config(model: Mapping[str, Any], canvas: pipelines.Canvas) -> dict[str, Any]:
    """What `init_detector` and `inference_detector` read."""
    size = (canvas.width, canvas.height)
    steps: list[dict[str, Any]] = [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=size, keep_ratio=canvas.keep_ratio),
    ]
    if canvas.keep_ratio:
        steps.append(dict(type="Pad", size=size, pad_val=dict(img=canvas.pad)))
    keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    steps.append(dict(type="PackDetInputs", meta_keys=keys))
    return dict(
        default_scope="mmdet",
        model=model,
        test_pipeline=steps,
        test_dataloader=dict(dataset=dict(type="CocoDataset", pipeline=steps)),
    )


def _script(lines: Sequence[str], last: str) -> str:
    before = "".join(f"{line}\n" for line in lines)
    return f'''"""Loads a detector by mmdet alone."""

from pathlib import Path

{before}from mmdet.apis import inference_detector, init_detector  # noqa: F401

here = Path(__file__).parent
config, weights = str(here / "{MODEL}"), str(here / "{WEIGHTS}")
model = init_detector(config, weights, palette="random", device="cpu")
{last}# boxes, labels and scores: inference_detector(model, "image.jpg").pred_instances
'''
