"""A trained pose network outside of its run: joints of persons in any images, and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from tasks.base import Batch
from tasks.data import read_image
from tasks.deployable import Box, Export, Record, Subject
from tasks.deployment import WEIGHTS, canvas, source_of
from tasks.pose import heatmaps as maps
from tasks.pose.drawing import OTHER, RIGHT
from tasks.pose.networks import Network
from tasks.pose.people import MARGIN, MPII_BONES, MPII_JOINTS
from tasks.pose.views import crop_matrix

LABELED_AND_VISIBLE = 2  # COCO's v


class Poser(Protocol):
    """What is asked of the adapter; none of it reads data."""

    given: tuple[str, ...] | None
    size: tuple[int, int]
    stride: int

    def collate(self, samples: Sequence[Any]) -> Batch:
        """A batch of persons."""
        ...

    def heatmaps(
        self, network: nn.Module, batch: Batch, joints: Sequence[str] | None = None
    ) -> Tensor:
        """(B, J, H, W) of these joints."""
        ...


class Persons(Dataset):
    """Sample i is a person as in `views.View`, without joints, and its `box` (4,).

    The crop is `MARGIN` times the box, made as wide or as high as the network's input is.

    Args:
        subjects: persons; one without a box is the whole image.
        size: of the crops: width and height in pixels.
    """

    def __init__(self, subjects: Sequence[Subject], size: tuple[int, int]) -> None:
        self.subjects = subjects
        self.size = size

    def __len__(self) -> int:
        return len(self.subjects)

    def __getitem__(self, index: int) -> dict[str, Any]:
        subject = self.subjects[index]
        pixels = read_image(subject.path)
        height, width = pixels.shape[:2]
        box: Box = subject.box or (0.0, 0.0, float(width), float(height))
        x, y, w, h = box
        centre = np.array([x + w / 2, y + h / 2])
        side = max(w, h * self.size[0] / self.size[1])
        matrix = crop_matrix(centre, MARGIN * side, self.size)
        crop = cv2.warpAffine(pixels, matrix, self.size, flags=cv2.INTER_LINEAR)
        return {
            "image": torch.from_numpy(crop).permute(2, 0, 1).contiguous(),
            "inverse": torch.from_numpy(cv2.invertAffineTransform(matrix).astype(np.float32)),
            "box": torch.tensor(box, dtype=torch.float64),
        }


class JointDeployment:
    """See `tasks.deployable.Deployment`: an annotation of COCO's for each person.

    Args:
        task: the adapter; its data are not read.
        labels: the joints in the network's order.
        network: the task's.
    """

    form: ClassVar[Literal["coco", "csv"]] = "coco"
    crops = True

    def __init__(self, task: Poser, labels: Sequence[str], network: Network) -> None:
        if task.given is not None and tuple(labels) != task.given:
            raise ValueError(f"expected the joints {list(task.given)}, but got {list(labels)}")
        self.task = task
        self.network = network
        self.labels = tuple(labels)
        self.bones = MPII_BONES if self.labels == MPII_JOINTS else ()
        skeleton = [[a + 1, b + 1] for a, b in self.bones]
        joints = list(self.labels)
        self.categories = [{"id": 1, "name": "person", "keypoints": joints, "skeleton": skeleton}]

    def build(self) -> nn.Module:
        """A network of the right shape."""
        return self.network.bare(len(self.labels))

    def images(self, subjects: Sequence[Subject]) -> Persons:
        """Crops without joints, from images as their EXIF turns them."""
        return Persons(subjects, self.task.size)

    def collate(self, samples: Sequence[Any]) -> Batch:
        """As the task's."""
        return self.task.collate(samples)

    def records(self, network: nn.Module, batch: Batch) -> list[list[Record]]:
        """The joints of each person, in pixels of the image.

        A joint's score is the highest value of its heatmap, cut to [0, 1] (1 is the target's peak);
        the person's is their mean.
        """
        heatmaps = self.task.heatmaps(network, batch, self.labels)
        joints = maps.to_image(maps.decode(heatmaps), self.task.stride, batch["inverse"]).tolist()
        scores = heatmaps.amax(dim=(2, 3)).clamp(0, 1).tolist()
        boxes = batch["box"].tolist()
        return [[_record(*one)] for one in zip(joints, scores, boxes, strict=True)]

    def picture(self, path: Path, records: Sequence[Record], threshold: float) -> Image.Image:
        """The image with the joints of all persons, and bones where both ends are drawn."""
        image, zoom = canvas(path)
        sheet = np.array(image)
        for record in records:
            self._draw(sheet, record, zoom, threshold)
        return Image.fromarray(sheet)

    def _draw(self, sheet: np.ndarray, record: Record, zoom: float, threshold: float) -> None:
        spots = np.array(record["keypoints"]).reshape(-1, 3)[:, :2] * zoom
        points = [(round(x), round(y)) for x, y in spots.tolist()]
        sure = [score >= threshold for score in record["keypoint_scores"]]
        right = [name.startswith("right") for name in self.labels]
        for a, b in self.bones:
            if sure[a] and sure[b]:
                colour = RIGHT if right[a] or right[b] else OTHER
                cv2.line(sheet, points[a], points[b], colour, 2, cv2.LINE_AA)
        for joint in np.flatnonzero(sure).tolist():
            colour = RIGHT if right[joint] else OTHER
            cv2.circle(sheet, points[joint], 4, colour, -1, cv2.LINE_AA)

    def exported(self, network: nn.Module) -> Export:
        """The weights beside the network's code, which needs torch, or torch and timm, alone.

        Raises:
            ValueError: if the network is not the task's.
        """
        task = self.task
        own = self.network.loading(len(self.labels))
        if type(network).__name__ != own.title:
            raise ValueError(f"expected a {own.title}, but got {type(network).__name__}")
        width, height = task.size
        meta = {
            "joints": list(self.labels),
            "input": f"RGB in [0, 1], minus mean, over std, a crop of {width} x {height} around a "
            f"person, {MARGIN} times its box",
            "mean": list(self.network.mean),
            "std": list(self.network.std),
            "stride": task.stride,
        }
        libraries = "torch" if own.library == "torch" else "torch and timm"
        imports = [f"import {name}" for name in dict.fromkeys((own.library, "torch"))]
        lines = [
            f'"""Loads a network for poses by {libraries} alone."""',
            "",
            "from pathlib import Path",
            "",
            *imports,
            f"from network import {own.title}",
            "",
            f'kept = torch.load(Path(__file__).with_name("{WEIGHTS}"), weights_only=True)',
            *own.lines,
            'network.load_state_dict(kept["state_dict"])',
            'network.eval()  # of crops as kept["meta"] says; gives taps, and heatmaps last',
            "",
        ]
        files = {"network.py": source_of(*own.parts, imports=own.imports)}
        return Export(network.state_dict(), meta, "\n".join(lines), files)


def _record(joints: list[list[float]], scores: list[float], box: list[float]) -> Record:
    keypoints = [number for x, y in joints for number in (x, y, LABELED_AND_VISIBLE)]
    return {
        "category_id": 1,
        "bbox": box,
        "score": sum(scores) / len(scores),
        "keypoints": keypoints,
        "num_keypoints": len(joints),
        "keypoint_scores": scores,
    }
