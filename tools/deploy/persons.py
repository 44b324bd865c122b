"""The parts of images that a network is to look at, such as persons, from a COCO json of boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from models.process.text import shown
from tasks.base import DataError
from tasks.coco_records import Id, whole
from tasks.data import first_fault_raised
from tasks.deployable import Box, Subject
from tasks.faults import finite, read_json
from tools.deploy.images import ImageFile
from tools.deploy.trained import DeployError

BYTES = 1 << 30
PERSON = "person"
REMEDIES = ("give a COCO json", "export it as COCO 'instances', or take the json of al_predict.py")


def persons(
    path: Path, files: Sequence[ImageFile], threshold: float
) -> tuple[list[Subject], list[str]]:
    """The boxes of a json, in the order of the images.

    Where the json has a category `person`, its boxes alone are taken; of boxes with a `score`,
    those of at least `threshold`. What is left out is not looked at, and counted in a note.

    Args:
        path: of the json; its `file_name`s are relative to the images' folder.
        files: the images.
        threshold: of scores.

    Returns:
        The subjects, and notes on boxes that are left out and images without any.

    Raises:
        DeployError: if it is no such json, or a box is none.
    """
    try:
        data = first_fault_raised(read_json(path, dict, "an object at the top", REMEDIES, BYTES))
    except DataError as error:
        raise DeployError(f"--boxes: {error}") from error
    missing = [k for k in ("images", "annotations") if not isinstance(data.get(k), list)]
    if missing:
        raise DeployError(f"--boxes: {path}: expected a list as {missing[0]!r}; {REMEDIES[1]}")
    known = {file.name: file for file in files}
    names = {
        whole(one["id"]): _slashed(str(one["file_name"]), known)
        for one in _dicts(data["images"], "id", "file_name")
    }
    wanted = _wanted(data)
    left: Counter[str] = Counter()
    found: dict[str, list[Box]] = {}
    for index, one in enumerate(data["annotations"]):
        where = f"{path}, annotations[{index}]"
        name = names.get(_image(where, one), "")
        file = known.get(name)
        if wanted and whole(one.get("category_id")) not in wanted:
            left["others"] += 1
        elif one.get("iscrowd") in (1, "1"):
            left["crowds"] += 1
        elif finite(one.get("score")) and one["score"] < threshold:
            left["low"] += 1
        elif file is None:
            left["elsewhere"] += 1
        elif _beside(box := _box(where, one), file.size):
            left["outside"] += 1
        else:
            found.setdefault(name, []).append(box)
    subjects = [Subject(file.path, box) for file in files for box in found.get(file.name, ())]
    return subjects, list(_notes(path, left, threshold, len(files) - len(found)))


def _slashed(name: str, known: Collection[str]) -> str:
    """A name with Windows' separators as one with "/", unless an image has it as it is."""
    return name if name in known else name.replace("\\", "/")


def _dicts(values: Sequence[Any], *keys: str) -> Iterator[dict[str, Any]]:
    for one in values:
        if not isinstance(one, dict) or not all(isinstance(one.get(k), int | str) for k in keys):
            raise DeployError(f"--boxes: expected images with {list(keys)}, but got {shown(one)}")
        yield one


def _wanted(data: dict[str, Any]) -> set[Id | None]:
    """The ids of the categories `person`: of two of that name Roboflow uses one."""
    categories = data.get("categories")
    if not isinstance(categories, list):
        return set()
    return {whole(c["id"]) for c in _dicts(categories, "id", "name") if c["name"] == PERSON}


def _image(where: str, one: object) -> Id:
    number = whole(one.get("image_id")) if isinstance(one, dict) else None
    if number is None:
        came = shown(one.get("image_id") if isinstance(one, dict) else one)
        raise DeployError(
            f"--boxes: {where}: expected an object with the id of an image as 'image_id', but got "
            f"{came}; correct it"
        )
    return number


def _beside(box: Box, size: tuple[int, int]) -> bool:
    """Whether no part of a box is in its image."""
    x, y, width, height = box
    return x + width <= 0 or y + height <= 0 or x >= size[0] or y >= size[1]


def _box(where: str, one: dict[str, Any]) -> Box:
    box: Any = one.get("bbox")
    sound = isinstance(box, list) and len(box) == 4 and all(finite(value) for value in box)
    if not sound or box[2] <= 0 or box[3] <= 0:
        raise DeployError(
            f"--boxes: {where}: expected a 'bbox' [x, y, width, height] in pixels, but got "
            f"{shown(box)}; correct it"
        )
    x, y, width, height = (float(value) for value in box)
    return x, y, width, height


def _notes(path: Path, left: Counter[str], threshold: float, bare: int) -> Iterator[str]:
    words = {
        "others": f"are of other categories than {PERSON!r}",
        "crowds": "are around crowds (iscrowd 1), not one person",
        "low": f"have a score below {threshold}",
        "elsewhere": "are of images that are not among those of --images",
        "outside": "lie outside of their image",
    }
    for key, text in words.items():
        if left[key]:
            yield f"{path}: {left[key]:,} boxes {text}: left out"
    if bare:
        yield f"{path}: {bare:,} images have no box, and no prediction then"
