"""Made images, and what a person's browser makes of shapes drawn on them: written by Label
Studio's documentation of regions, not by losstap's own writer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageOps

from tasks.labelable import Labeling
from tools.label.labels import Box, Joint, Outgoing, Pick, PoolImage, Shape

TURN = 6  # EXIF: shown turned by a quarter


def make_image(root: Path, key: str, size: tuple[int, int], turned: bool = False) -> PoolImage:
    """An image of noise at `root`/`key`; a turned one is shown with width and height swapped."""
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    exif = Image.Exif()
    if turned:
        exif[274] = TURN
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as stored:
        shown = ImageOps.exif_transpose(stored).size
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return PoolImage(key, path, shown, digest, turned)


def batch_of(
    images: Sequence[PoolImage],
    labeling: Labeling,
    root: Path,
    drafts: Mapping[str, tuple[Shape, ...]],
    number: int = 0,
) -> Outgoing:
    """A batch in the order of the images; one that is not in `drafts` is blind."""
    picks = [
        Pick(
            image,
            rank,
            f"rank {rank} of {len(images)}",
            {"entropy": 1 / rank},
            drafts.get(image.key),
        )
        for rank, image in enumerate(images, 1)
    ]
    return Outgoing(number, labeling, tuple(picks), root, "the network of cycle 0")


@dataclass(frozen=True)
class Hand:
    """A person's hand on one image: regions as the browser sends them.

    Args:
        size: (width, height) of the image as it is shown.
        config: the labeling configuration, which names the controls.
    """

    size: tuple[int, int]
    config: str

    def box(
        self, name: str, shape: Shape, rotation: float = 0, origin: str = "manual"
    ) -> dict[str, Any]:
        """A rectangle."""
        assert shape.box is not None
        x, y, width, height = shape.box
        value = {
            "x": x / self.size[0] * 100,
            "y": y / self.size[1] * 100,
            "width": width / self.size[0] * 100,
            "height": height / self.size[1] * 100,
            "rotation": rotation,
            "rectanglelabels": [shape.label],
        }
        region = self._region(name, "rectanglelabels", self._control("RectangleLabels"), value)
        return {**region, "origin": origin}

    def person(
        self, name: str, shape: Shape, joints: Sequence[str], origin: str = "manual"
    ) -> list[dict[str, Any]]:
        """A rectangle with the joints below it in the list of regions."""
        made = [self.box(name, shape, origin=origin)]
        for label, joint in zip(joints, shape.joints, strict=True):
            if joint.visibility:
                made += self._joint(name, f"{name}_{label}", label, joint, origin)
        return made

    def _joint(
        self, parent: str, name: str, label: str, joint: Joint, origin: str
    ) -> list[dict[str, Any]]:
        place = {
            "x": joint.x / self.size[0] * 100,
            "y": joint.y / self.size[1] * 100,
            "width": 0.4,
        }
        control = self._control("KeyPointLabels")
        value = {**place, "keypointlabels": [label]}
        region = self._region(name, "keypointlabels", control, value)
        made = [{**region, "parentID": parent, "origin": origin}]
        if joint.visibility == 1:
            control = self._control("Choices")
            value = {**place, "choices": ["hidden"]}
            region = self._region(name, "choices", control, value)
            made.append({**region, "parentID": parent, "origin": origin})
        return made

    def _region(self, name: str, kind: str, control: str, value: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": name,
            "type": kind,
            "from_name": control,
            "to_name": "image",
            "original_width": self.size[0],
            "original_height": self.size[1],
            "image_rotation": 0,
            "value": value,
        }

    def _control(self, tag: str) -> str:
        (control,) = ElementTree.fromstring(self.config).iter(tag)
        return control.attrib["name"]


def boxes(*rows: tuple[str, Box]) -> tuple[Shape, ...]:
    """Shapes of classes and boxes."""
    return tuple(Shape(label, box) for label, box in rows)


def pose(box: Box, *joints: tuple[float, float, int]) -> Shape:
    """A person with a box."""
    return Shape("person", box, tuple(Joint(*joint) for joint in joints))
