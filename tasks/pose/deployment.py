"""A trained pose network outside of its run: joints of persons in any images, and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

from models.networks import hourglass
from models.networks.hourglass import STRIDE, StackedHourglass
from tasks.base import Batch
from tasks.data import read_image
from tasks.deployment import WEIGHTS, Box, Export, Record, Subject, canvas, source_of
from tasks.pose import heatmaps as maps
from tasks.pose.drawing import OTHER, RIGHT
from tasks.pose.people import MARGIN, MPII_BONES, MPII_JOINTS
from tasks.pose.views import crop_matrix

if TYPE_CHECKING:
    from tasks.pose.adapter import Pose

LABELED_AND_VISIBLE = 2  # COCO's v
IMPORTS = """
from torch import Tensor, nn
from torch.nn import functional as F
"""


class Persons(Dataset):
    """Sample i is a person as in `views.View`, without joints, and its `box` (4,).

    The crop is a square around the box, `MARGIN` times its longer side, as mmpose cuts it.

    Args:
        subjects: persons; one without a box is the whole image.
        size: of the crops in pixels.
    """

    def __init__(self, subjects: Sequence[Subject], size: int) -> None:
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
        matrix = crop_matrix(centre, MARGIN * max(w, h), self.size)
        crop = cv2.warpAffine(pixels, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR)
        return {
            "image": torch.from_numpy(crop).permute(2, 0, 1).contiguous(),
            "inverse": torch.from_numpy(cv2.invertAffineTransform(matrix).astype(np.float32)),
            "box": torch.tensor(box, dtype=torch.float64),
        }


class JointDeployment:
    """See `tasks.deployment.Deployment`: an annotation of COCO's for each person.

    Args:
        task: the adapter; its data are not read.
        labels: the joints in the network's order.
        mean: of the red, green and blue values in [0, 1], as the task normalises them.
        std: their standard deviations.
    """

    form: ClassVar[Literal["coco", "csv"]] = "coco"
    crops = True

    def __init__(
        self, task: Pose, labels: Sequence[str], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        if tuple(labels) != task.joints:
            raise ValueError(f"expected the joints {list(task.joints)}, but got {list(labels)}")
        self.task = task
        self.mean = mean
        self.std = std
        self.bones = MPII_BONES if task.joints == MPII_JOINTS else ()
        skeleton = [[a + 1, b + 1] for a, b in self.bones]
        joints = list(task.joints)
        self.categories = [{"id": 1, "name": "person", "keypoints": joints, "skeleton": skeleton}]

    def build(self) -> nn.Module:
        """A network of the right shape."""
        return self.task.build()

    def images(self, subjects: Sequence[Subject]) -> Persons:
        """Crops without joints, from images as their EXIF turns them."""
        return Persons(subjects, self.task.input_size)

    def collate(self, samples: Sequence[Any]) -> Batch:
        """As the task's."""
        return self.task.collate(samples)

    def records(self, network: nn.Module, batch: Batch) -> list[list[Record]]:
        """The joints of each person, in pixels of the image.

        A joint's score is the highest value of its heatmap, cut to [0, 1] (1 is the target's peak);
        the person's is their mean.
        """
        heatmaps = self.task.heatmaps(network, batch)  # type: ignore[arg-type]
        joints = maps.to_image(maps.decode(heatmaps), STRIDE, batch["inverse"]).tolist()
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
        right = [name.startswith("right") for name in self.task.joints]
        for a, b in self.bones:
            if sure[a] and sure[b]:
                colour = RIGHT if right[a] or right[b] else OTHER
                cv2.line(sheet, points[a], points[b], colour, 2, cv2.LINE_AA)
        for joint in np.flatnonzero(sure).tolist():
            colour = RIGHT if right[joint] else OTHER
            cv2.circle(sheet, points[joint], 4, colour, -1, cv2.LINE_AA)

    def exported(self, network: nn.Module) -> Export:
        """The weights beside the network's code, which needs torch alone.

        Raises:
            ValueError: if the network is no stacked hourglass.
        """
        if not isinstance(network, StackedHourglass):
            raise ValueError(f"expected a stacked hourglass, but got {type(network).__name__}")
        task = self.task
        meta = {
            "joints": list(task.joints),
            "input": f"RGB in [0, 1], minus mean, over std, a crop of {task.input_size} x "
            f"{task.input_size} around a person, {MARGIN} times its box",
            "mean": list(self.mean),
            "std": list(self.std),
            "stride": STRIDE,
        }
        settings = ", ".join(f"{key}={value}" for key, value in task.settings.items())
        parts = (
            hourglass.Residual,
            hourglass._residuals,
            hourglass.Hourglass,
            StackedHourglass,
        )
        load = f'''"""Loads a stacked hourglass by torch alone."""

from pathlib import Path

import torch
from network import StackedHourglass

kept = torch.load(Path(__file__).with_name("{WEIGHTS}"), weights_only=True)
network = StackedHourglass({len(task.joints)}, {settings})
network.load_state_dict(kept["state_dict"])
network.eval()  # of crops as kept["meta"] says; [1][-1] of what it gives are the heatmaps
'''
        files = {"network.py": source_of(*parts, imports=IMPORTS)}
        return Export(network.state_dict(), meta, load, files)


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
