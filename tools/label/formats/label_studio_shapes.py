"""Label Studio's regions as shapes in pixels."""

from __future__ import annotations

from typing import Any

from models.process.text import nearest, shown
from tasks.faults import Fault, finite
from tasks.labelable import Labeling
from tools.label.formats import kinds
from tools.label.formats.geometry import all_finite, is_rotated, joint, rotated
from tools.label.formats.label_studio_regions import CLASS, HIDDEN
from tools.label.labels import Joint, PoolImage, Shape

FITTING = {
    "boxes": ("rectanglelabels",),
    "poses": ("rectanglelabels", "keypointlabels"),
    "classes": (),
}
DRAWN = "draw it as the labeling configuration says"


class Regions:
    """One annotation's regions while they are read.

    Args:
        labeling: what was to be drawn.
        where: the annotation's place.
        image: of the pool, if it is known: its size stands in for one that is not given.

    Attributes:
        size: (width, height) that the regions declare.
        faults: of the regions so far.
    """

    def __init__(self, labeling: Labeling, where: str, image: PoolImage | None) -> None:
        self.labeling = labeling
        self.where = where
        self.size: tuple[float, float] | None = None
        self.faults: list[Fault] = []
        self._pixels = image.size if image is not None else None
        self._hidden: set[str] = set()

    def shapes(self, result: list[object]) -> list[Shape]:
        """The shapes of an annotation's `result`; arrows between them are left out."""
        regions: list[tuple[str, dict[str, Any]]] = []
        for place, region in enumerate(result):
            where = f"{self.where}, result[{place}]"
            if isinstance(region, dict) and region.get("type") == "relation":
                continue  # an arrow between two regions: it has no value, and says nothing of them
            if not isinstance(region, dict) or not isinstance(region.get("value"), dict):
                self._fault(
                    kinds.BROKEN_RECORD, where, "a region with a `value`", region, "export it anew"
                )
            elif self._measured(region, where):
                regions.append((where, region))
        if self.labeling.kind == "classes":
            return self._classes(regions)
        drawn = self._drawn(regions)
        boxes = [one for one in drawn if one[1]["type"] == "rectanglelabels"]
        shapes = [(str(region.get("id", "")), self._box(where, region)) for where, region in boxes]
        kept = [(name, shape) for name, shape in shapes if shape is not None]
        if self.labeling.kind == "boxes":
            return [shape for _, shape in kept]
        points = [one for one in drawn if one[1]["type"] == "keypointlabels"]
        return self._persons(kept, points, len(boxes))

    def _fault(self, kind: str, where: str, expected: str, came: object, remedy: str) -> None:
        self.faults.append(Fault(kind, where, expected, shown(came), remedy))

    def _measured(self, region: dict[str, Any], where: str) -> bool:
        """Take the size that a region declares; False if it cannot be in pixels."""
        turned = region.get("image_rotation", 0)
        if turned not in (0, None):
            expected = "an image that was not turned by hand (image_rotation 0)"
            self._fault(kinds.TURNED_IMAGE, where, expected, turned, "turn it back and draw anew")
            return False
        width, height = region.get("original_width"), region.get("original_height")
        if width is None or height is None:
            return True
        if not (finite(width) and finite(height) and width > 0 and height > 0):
            came = (width, height)
            self._fault(kinds.WRONG_SIZE, where, "the image's size", came, "export it anew")
            return False
        size = (float(width), float(height))
        if self.size is not None and self.size != size:
            expected = f"the size {self.size} that the regions before it have"
            self._fault(kinds.WRONG_SIZE, where, expected, size, "draw on one image, anew")
            return False
        self.size = size
        return True

    def _classes(self, regions: list[tuple[str, dict[str, Any]]]) -> list[Shape]:
        shapes = []
        for where, region in regions:
            chosen = region["value"].get("choices")
            if region.get("type") != "choices" or region.get("from_name", CLASS) == HIDDEN:
                self._misfit(where, region)
            elif not isinstance(chosen, list) or not all(isinstance(one, str) for one in chosen):
                self._fault(kinds.NO_CLASS, where, "a list as `choices`", chosen, "choose anew")
            else:
                shapes += [Shape(one, id=str(region.get("id", ""))) for one in chosen]
        return shapes

    def _misfit(self, where: str, region: dict[str, Any]) -> None:
        fitting = FITTING[self.labeling.kind] or ("choices",)
        expected = f"a region of the type {' or '.join(fitting)}"
        self._fault(kinds.SHAPE, where, expected, region.get("type"), DRAWN)

    def _drawn(self, regions: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
        """The regions with coordinates; which joints are hidden is kept aside."""
        drawn = []
        for where, region in regions:
            kind = region.get("type")
            chosen = region["value"].get("choices")
            if kind == "choices" and self.labeling.kind == "poses" and chosen in ([], [HIDDEN]):
                if chosen:
                    self._hidden.add(str(region.get("id", "")))
            elif kind not in FITTING[self.labeling.kind]:
                self._misfit(where, region)
            else:
                drawn.append((where, region))
        return drawn

    def _label(self, where: str, region: dict[str, Any]) -> str | None:
        labels = region["value"].get(region["type"])
        if isinstance(labels, list) and len(labels) == 1 and isinstance(labels[0], str):
            return labels[0]
        expected = f"one label in `{region['type']}`"
        kind = kinds.SEVERAL_CLASSES if isinstance(labels, list) and labels else kinds.NO_CLASS
        self._fault(kind, where, expected, labels, "choose one")
        return None

    def _lengths(
        self, where: str, region: dict[str, Any], fields: tuple[str, ...]
    ) -> list[float] | None:
        """Percent as pixels: the first, third, ... field of the width, the others of the height."""
        size = self.size or self._pixels
        if size is None:
            remedy = "export it as JSON of Label Studio's own"
            self._fault(kinds.WRONG_SIZE, where, "original_width and _height", None, remedy)
            return None
        values = [region["value"].get(field) for field in fields]
        if not all(finite(value) for value in values):
            expected = f"finite numbers as {', '.join(fields)}"
            self._fault(kinds.COORDINATE, where, expected, values, "draw it anew")
            return None
        for field, value, length in zip(fields, values, (*size, *size), strict=False):
            spare = 100 / length  # a pixel
            if not -spare <= value <= 100 + spare:
                expected = f"{field} from 0 to 100: percent of the image"
                self._fault(kinds.SCALE, where, expected, value, "draw it inside the image")
                return None
        pixels = [value * side / 100 for value, side in zip(values, (*size, *size), strict=False)]
        if not all_finite(pixels):
            self._fault(kinds.COORDINATE, where, "pixels of an image", pixels, "export it anew")
            return None
        return pixels

    def _box(self, where: str, region: dict[str, Any]) -> Shape | None:
        label = self._label(where, region)
        lengths = self._lengths(where, region, ("x", "y", "width", "height"))
        degrees = region["value"].get("rotation", 0) or 0
        if not finite(degrees):
            self._fault(kinds.COORDINATE, where, "a number as rotation", degrees, "draw it anew")
            return None
        if label is None or lengths is None:
            return None
        box = (lengths[0], lengths[1], lengths[2], lengths[3])
        if is_rotated(degrees):
            self._fault(kinds.ROTATED, where, "an upright box", degrees, "draw it upright")
            box = rotated(box, degrees, box[:2])
        return Shape(label, box, id=str(region.get("id", "")))

    def _persons(
        self,
        boxes: list[tuple[str, Shape]],
        points: list[tuple[str, dict[str, Any]]],
        drawn: int,
    ) -> list[Shape]:
        found: dict[str, dict[str, Joint]] = {name: {} for name, _ in boxes}
        if len(found) < len(boxes):
            ids = [name for name, _ in boxes]
            remedy = "export it anew, or draw the persons anew"
            self._fault(kinds.BROKEN_RECORD, self.where, "an id of its own a box", ids, remedy)
            return []
        for where, region in points:
            label = self._label(where, region)
            place = self._lengths(where, region, ("x", "y"))
            if label is None or place is None:
                continue
            parent = region.get("parentID")
            if parent is None and drawn == len(boxes) == 1:
                parent = boxes[0][0]
            if not isinstance(parent, str) or parent not in found:
                expected = "the id of a person's box as parentID"
                remedy = "drag the joint below its person in the list of regions"
                self._fault(kinds.JOINT_ALONE, where, expected, parent, remedy)
            elif label not in self.labeling.joints:
                remedy = nearest(label, self.labeling.joints)
                self._fault(kinds.JOINT_NAME, where, "a joint's name", label, remedy)
            elif label in found[parent]:
                remedy = "delete one, or move it to the other person"
                self._fault(kinds.JOINT_TWICE, where, "each joint once a person", label, remedy)
            else:
                seen = 1 if str(region.get("id", "")) in self._hidden else 2
                found[parent][label] = joint(place[0], place[1], seen)
        none = Joint(0.0, 0.0, 0)
        return [
            Shape(
                shape.label,
                shape.box,
                tuple(found[name].get(one, none) for one in self.labeling.joints),
                id=shape.id,
            )
            for name, shape in boxes
        ]
