"""The records of COCO's json as entries."""

from __future__ import annotations

from typing import Any

from models.process.text import nearest, shown
from tasks.faults import Fault, finite
from tasks.labelable import Labeling
from tools.label.formats import kinds
from tools.label.formats.geometry import all_finite, center, is_rotated, joint, rotated
from tools.label.formats.sources import damaged
from tools.label.labels import Box, Entry, Joint, Shape, State

AS_COCO = "export as COCO (instances, or person keypoints)"
AGAIN = "export it anew"
Found = tuple[list[Shape], list[Fault]]


class Records:
    """One json of COCO's form.

    Args:
        data: of the json.
        where: the file, for messages.
        labeling: what was to be drawn.

    Raises:
        Damaged: if its lists are missing, or a category of which there are persons names no
            keypoints.
    """

    def __init__(self, data: dict[str, Any], where: str, labeling: Labeling) -> None:
        self.where = where
        self.labeling = labeling
        lists: dict[str, list[Any]] = {}
        for name in ("images", "annotations", "categories"):
            value = data.get(name)
            if not isinstance(value, list):
                raise damaged(kinds.WRONG_FORM, where, f"a list {name!r}", shown(value), AS_COCO)
            lists[name] = value
        self._images = lists["images"]
        self._annotations = lists["annotations"]
        self._classes: dict[str, str] = {}
        self._joints: dict[str, list[str]] = {}
        records = [record for record in self._annotations if isinstance(record, dict)]
        self._used = {_id(record.get("category_id")) for record in records}
        for place, category in enumerate(lists["categories"]):
            self._category(category, f"{where}, categories[{place}]")

    def _category(self, category: object, where: str) -> None:
        name = category.get("name") if isinstance(category, dict) else None
        if not isinstance(category, dict) or not isinstance(name, str):
            raise damaged(kinds.WRONG_FORM, where, "a category's name", shown(category), AS_COCO)
        number = _id(category.get("id"))
        if number is None or number in self._classes:
            came = shown(category.get("id"))
            raise damaged(kinds.WRONG_FORM, where, "an id of its own", came, AS_COCO)
        self._classes[number] = name
        if self.labeling.kind != "poses" or name not in self.labeling.classes:
            return
        if number not in self._used:
            return  # as the group of the same name that Roboflow writes: it needs no joints
        joints = category.get("keypoints")
        if not isinstance(joints, list) or not all(isinstance(one, str) for one in joints):
            expected = f"the names of the joints as `keypoints` of {shown(name)}"
            raise damaged(kinds.NO_NAMES, where, expected, shown(joints), AS_COCO)
        unknown = [one for one in joints if one not in self.labeling.joints]
        if unknown or len(set(joints)) < len(joints):
            expected = f"each of {shown(list(self.labeling.joints))} once at most"
            remedy = "name the joints as the config does"
            if unknown:
                remedy = nearest(unknown[0], self.labeling.joints)
            raise damaged(kinds.JOINT_NAME, where, expected, shown(joints), remedy)
        self._joints[number] = joints

    def entries(self) -> list[Entry]:
        """An entry for each image record; one more for each annotation without an image."""
        found: dict[str, Found] = {}
        lost: list[Entry] = []
        known = {_id(record.get("id")) for record in self._images if isinstance(record, dict)}
        for place, record in enumerate(self._annotations):
            where = f"{self.where}, annotations[{place}]"
            image = _id(record.get("image_id")) if isinstance(record, dict) else None
            if not isinstance(record, dict) or image is None or image not in known:
                came = shown(record)
                if isinstance(record, dict):
                    came = shown(record.get("image_id"))
                expected = "the id of an image as image_id"
                fault = Fault(kinds.BROKEN_RECORD, where, expected, came, AGAIN)
                lost.append(Entry("", where, None, faults=(fault,)))
                continue
            shapes, faults = found.setdefault(image, ([], []))
            shape = self._shape(record, where, faults)
            if shape is not None:
                shapes.append(shape)
        seen: set[str] = set()
        taken = [
            self._entry(place, record, found, seen) for place, record in enumerate(self._images)
        ]
        return [*taken, *lost]

    def _entry(self, place: int, record: object, found: dict[str, Found], seen: set[str]) -> Entry:
        where = f"{self.where}, images[{place}]"
        name = record.get("file_name") if isinstance(record, dict) else None
        if not isinstance(record, dict) or not isinstance(name, str) or not name:
            fault = Fault(kinds.NO_IMAGE, where, "a file_name", shown(record), AGAIN)
            return Entry("", where, None, faults=(fault,))
        number = _id(record.get("id"))
        if number is None or number in seen:
            came = shown(record.get("id"))
            fault = Fault(kinds.BROKEN_RECORD, where, "an id of its own", came, AGAIN)
            return Entry(name, where, None, faults=(fault,))
        seen.add(number)
        shapes, faults = found.get(number, ([], []))
        sides: tuple[Any, Any] = record.get("width"), record.get("height")
        size: tuple[float, float] | None = None
        if sides not in ((None, None), (0, 0)):
            if all(map(finite, sides)):
                size = float(sides[0]), float(sides[1])
            else:
                expected = "width and height in pixels"
                faults = [*faults, Fault(kinds.WRONG_SIZE, where, expected, shown(sides), AGAIN)]
        state: State | None = "labeled" if shapes or faults else None
        if shapes and all(shape.score is not None for shape in shapes):
            state = None  # drafts as they went out
        return Entry(name, where, state, tuple(shapes), size, faults=tuple(faults))

    def _shape(self, record: dict[str, Any], where: str, faults: list[Fault]) -> Shape | None:
        number = _id(record.get("category_id"))
        if number is None or number not in self._classes:
            came = shown(record.get("category_id"))
            expected = "the id of a category as category_id"
            faults.append(Fault(kinds.NO_CLASS, where, expected, came, AGAIN))
            return None
        label = self._classes[number]
        if record.get("iscrowd") not in (None, 0, False):
            remedy = "draw its objects one by one"
            came = shown(record.get("iscrowd"))
            faults.append(Fault(kinds.CROWD, where, "iscrowd 0", came, remedy))
            return None
        if record.get("ignore") not in (None, 0, False):
            came = shown(record.get("ignore"))
            remedy = "take the mark away, or delete the box"
            faults.append(Fault(kinds.CROWD, where, "ignore 0", came, remedy))
            return None
        box = self._box(record, where, faults)
        joints: tuple[Joint, ...] | None = ()
        if self.labeling.kind == "poses" and label in self.labeling.classes:
            joints = self._person(record, self._joints[number], where, faults)
        if box is None or joints is None:
            return None
        score: Any = record.get("score")
        drafted = record.get("draft")
        name = drafted if isinstance(drafted, str) and drafted else str(record.get("id", ""))
        return Shape(label, box, joints, float(score) if finite(score) else None, name)

    def _box(self, record: dict[str, Any], where: str, faults: list[Fault]) -> Box | None:
        values = record.get("bbox")
        if not values and record.get("segmentation"):
            came = "a segmentation without one"
            faults.append(Fault(kinds.SHAPE, where, "a bbox", came, "draw a box in its place"))
            return None
        if not isinstance(values, list) or len(values) != 4 or not all(map(finite, values)):
            expected = "four finite numbers as bbox"
            faults.append(Fault(kinds.COORDINATE, where, expected, shown(values), "draw it anew"))
            return None
        box = float(values[0]), float(values[1]), float(values[2]), float(values[3])
        attributes = record.get("attributes")  # CVAT's
        degrees = attributes.get("rotation", 0) if isinstance(attributes, dict) else 0
        if finite(degrees) and is_rotated(degrees):
            came = f"rotation {shown(degrees)}"
            faults.append(Fault(kinds.ROTATED, where, "an upright box", came, "draw it upright"))
            box = rotated(box, degrees, center(box))
        return box

    def _person(
        self, record: dict[str, Any], names: list[str], where: str, faults: list[Fault]
    ) -> tuple[Joint, ...] | None:
        values = record.get("keypoints")
        if values is None:
            came = "an annotation without any"
            remedy = "draw the joints, too"
            faults.append(Fault(kinds.SHAPE, where, "keypoints", came, remedy))
            return None
        if not isinstance(values, list) or len(values) != 3 * len(names):
            came = f"{len(values)} numbers" if isinstance(values, list) else shown(values)
            expected = f"3 numbers for each of {len(names)} joints"
            faults.append(Fault(kinds.JOINT_COUNT, where, expected, came, "draw it anew"))
            return None
        if not all(map(finite, values)) or not all_finite(list(map(float, values))):
            expected = "finite numbers as keypoints"
            faults.append(Fault(kinds.COORDINATE, where, expected, shown(values), "draw it anew"))
            return None
        wrong = [value for value in values[2::3] if value not in (0, 1, 2)]
        if wrong:
            remedy = "export COCO's v: 0 not annotated, 1 hidden, 2 visible"
            faults.append(Fault(kinds.VISIBILITY, where, "v 0, 1 or 2", shown(wrong[0]), remedy))
            return None
        found = {
            name: joint(float(values[3 * k]), float(values[3 * k + 1]), int(values[3 * k + 2]))
            for k, name in enumerate(names)
        }
        none = Joint(0.0, 0.0, 0)
        return tuple(found.get(name, none) for name in self.labeling.joints)


def _id(value: object) -> str | None:
    """An id as a key: 7, 7.0 and "7" are the same one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    return shown(value) if isinstance(value, int) else value
