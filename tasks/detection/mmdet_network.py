"""Any detector of mmdet as a network of the task, and the settings that say which one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from mmengine.structures import InstanceData
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from torch import Tensor

from models.networks import mmdet_detector, ssd, weights
from models.networks.mmdet_config import DetectorError, as_data, blueprint
from models.networks.mmdet_heads import Empty, Heads, rows_correspond
from models.output import Output
from models.process.seeding import seeded
from models.process.text import nearest
from tasks.base import Batch
from tasks.detection.counted import counted
from tasks.detection.found import BOXES, GIVEN, Found, std_of, with_boxes
from tasks.detection.pipelines import Canvas

# after models.networks.ssd, which installs the operators that mmdet needs
from mmdet.models.detectors import BaseDetector  # isort: skip

Side = Annotated[int, Ge(32)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class MmdetSettings:
    """What a config may say of a detector of mmdet.

    Args:
        config: a name among the configs that mmdet brings, the path of one, or a model as a dict;
            see `models.networks.mmdet_config.blueprint`.
        size: (width, height) of the input in pixels; None takes the config's own.
        train_on: what training minimises: ``"batch"``, mmdet's own loss of a batch, so that the
            detector is trained as mmdet trains it; or ``"images"``, the mean of the images' own
            losses, which the loss-prediction module learns in both cases.
        empty_loss: what an image without boxes loses: by mmdet's function (``"own"``: nothing with
            SSD, much with YOLOX; see docs/detectors.md), or nothing (``"zero"``).
    """

    config: str | dict[str, Any]
    size: tuple[Side, Side] | None = None
    train_on: Literal["batch", "images"] = "batch"
    empty_loss: Empty = "own"


def settings_of(given: Mapping[str, Any]) -> MmdetSettings:
    """Check the settings of a network by their names and types.

    Raises:
        ValueError: with every problem.
    """
    known = tuple(field.name for field in fields(MmdetSettings))
    if given.get("type") != "mmdet":
        raise ValueError(f"network.type: expected 'mmdet', but got {given.get('type')!r}")
    settings = {key: value for key, value in given.items() if key != "type"}
    others = [str(key) for key in settings if key not in known]
    problems = [f"network.{key}: unknown; {nearest(key, known)}" for key in others]
    if "config" not in settings:
        problems.append('network.config: missing, such as "retinanet/retinanet_r50_fpn_1x_coco.py"')
    try:
        made = TypeAdapter(MmdetSettings).validate_python(settings)
    except ValidationError as error:
        for one in error.errors():
            name = str(one["loc"][0])
            if name in known and one["type"] != "missing":
                problems.append(f"network.{name}: {one['msg']}, but got {one['input']!r}")
    if problems:
        raise ValueError("; ".join(dict.fromkeys(problems)))
    return made


class MmdetNetwork:
    """Any detector of boxes that mmdet has a config of; see `tasks.detection.networks.Network`.

    Args:
        settings: of the config.
        num_classes: without background.
        pretrained: ``"backbone"``, ``"detector"``, an address, a path or None; see
            `models.networks.mmdet_detector.build`.

    Raises:
        ValueError: if there is no such detector, or its input's size is not known.
    """

    def __init__(
        self, settings: MmdetSettings, num_classes: int, pretrained: str | None = None
    ) -> None:
        self.settings = settings
        self.num_classes = num_classes
        self.pretrained = pretrained
        try:
            self.plan = blueprint(settings.config)
            size = settings.size or self.plan.size
            if size is None:
                raise DetectorError(
                    f"{self.plan.name} does not say how large its images are; set "
                    "network.size=[width, height]"
                )
            with seeded(0):
                trial = mmdet_detector.build(self.plan, num_classes)
            self.taps = mmdet_detector.declare_taps(self.plan, trial)
        except DetectorError as error:
            raise ValueError(f"network.config: {error}") from error
        self.canvas = Canvas(*size, self.plan.keep_ratio, self.plan.pad)
        self.most = _most(trial)
        self.fields = GIVEN
        if settings.train_on == "batch":
            self.fields |= {"objective"}
        self.no_committee = ""
        if not rows_correspond(trial):
            self.no_committee = (
                f"{self.plan.name} gives one distribution a predicted box, and two passes predict "
                "different boxes, so that their answers cannot be compared"
            )

    def findings(self) -> tuple[list[str], list[str]]:
        """See `Network`: also whether the detector can be trained with the operators here."""
        try:
            mmdet_detector.try_out(self.plan, self.num_classes)
        except DetectorError as error:
            return [f"task.network: {error}"], []
        return mmdet_detector.weight_findings(self.plan, self.num_classes, self.pretrained)

    def pinned(self) -> dict[str, Any]:
        """What the config's file and those that it builds on say, and weights; see `Network`."""
        found = {}
        if isinstance(self.settings.config, str):
            found["task.network.config"] = as_data(self.plan)
        named = mmdet_detector.weights_of(self.plan, self.pretrained)
        return found | weights.hashes("task.pretrained", named)

    def build(self) -> BaseDetector:
        """See `Network`: mmdet's own detector."""
        return mmdet_detector.build(self.plan, self.num_classes, self.pretrained)

    def output(self, network: BaseDetector, batch: Batch, want: frozenset[str]) -> Output:
        """Return the neck's maps as taps, and the wanted fields.

        The images' own losses hold a graph if training minimises their mean.
        """
        data = network.data_preprocessor(batch)
        maps = mmdet_detector.features(network, data["inputs"])
        if not want & self.fields:
            return Output(maps)
        heads = Heads(network, maps, data["data_samples"])
        objective = loss = probs = weight = counts = None
        if "objective" in want:
            objective = heads.batch_loss()
        if "loss" in want:
            with_graph = torch.is_grad_enabled() and "objective" not in want
            with torch.set_grad_enabled(with_graph):
                loss = heads.image_losses(self.settings.empty_loss)
        if "probs" in want:
            probs, weight = heads.distributions()
        if "counts" in want:
            counts = counted(heads.boxes(), self.num_classes)
        output = Output(maps, loss, probs, weight, objective=objective, counts=counts)
        if not want & BOXES:
            return output

        def again(images: Tensor) -> list[InstanceData]:
            """Predict the boxes of other images."""
            others = mmdet_detector.features(network, images)
            return Heads(network, others, data["data_samples"]).boxes(rescale=False)

        boxes, std = heads.boxes(rescale=False), std_of(network.data_preprocessor)
        return with_boxes(output, Found(boxes, data, again, std, self.num_classes), want)

    def boxes(self, network: BaseDetector, batch: Batch) -> list[InstanceData]:
        """See `Network`."""
        data = network.data_preprocessor(batch)
        maps = mmdet_detector.features(network, data["inputs"])
        return Heads(network, maps, data["data_samples"]).boxes()


def _most(detector: BaseDetector) -> int:
    """Boxes of an image that a detector hands out at most, by its settings for tests."""
    config = detector.test_cfg or {}
    config = config.get("rcnn") or config
    return int(config.get("max_per_img") or getattr(detector, "num_queries", None) or ssd.MOST)
