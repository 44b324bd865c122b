"""The parts of images that a network is to look at, such as persons, from a COCO json of boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from models.process.text import shown
from tasks.base import DataError
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
    those of at least `threshold`.

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
    names = {one["id"]: one["file_name"] for one in _dicts(data["images"], "id", "file_name")}
    known = {file.name: file for file in files}
    wanted = _category(data)
    left = dict.fromkeys(("low", "others", "elsewhere"), 0)
    found: dict[str, list[Box]] = {}
    for index, one in enumerate(data["annotations"]):
        box = _box(f"{path}, annotations[{index}]", one)
        name = names.get(one.get("image_id"))
        if wanted is not None and one.get("category_id") != wanted:
            left["others"] += 1
        elif finite(one.get("score")) and one["score"] < threshold:
            left["low"] += 1
        elif name not in known:
            left["elsewhere"] += 1
        else:
            found.setdefault(name, []).append(box)
    subjects = [Subject(file.path, box) for file in files for box in found.get(file.name, ())]
    return subjects, list(_notes(path, left, threshold, len(files) - len(found)))


def _dicts(values: Sequence[Any], *keys: str) -> Iterator[dict[str, Any]]:
    for one in values:
        if not isinstance(one, dict) or not all(isinstance(one.get(k), int | str) for k in keys):
            raise DeployError(f"--boxes: expected images with {list(keys)}, but got {shown(one)}")
        yield one


def _category(data: dict[str, Any]) -> object:
    """The id of the category `person`; None if there is none."""
    categories = data.get("categories")
    if not isinstance(categories, list):
        return None
    return next((c["id"] for c in _dicts(categories, "id", "name") if c["name"] == PERSON), None)


def _box(where: str, one: object) -> Box:
    box = one.get("bbox") if isinstance(one, dict) else None
    sound = isinstance(box, list) and len(box) == 4 and all(finite(value) for value in box)
    if not sound or box[2] <= 0 or box[3] <= 0:  # type: ignore[index]  # a list then
        raise DeployError(
            f"--boxes: {where}: expected a 'bbox' [x, y, width, height] in pixels, but got "
            f"{shown(box)}; correct it"
        )
    x, y, width, height = (float(value) for value in box)  # type: ignore[union-attr]
    return x, y, width, height


def _notes(path: Path, left: dict[str, int], threshold: float, bare: int) -> Iterator[str]:
    words = {
        "others": f"are of other categories than {PERSON!r}",
        "low": f"have a score below {threshold}",
        "elsewhere": "are of images that are not among those of --images",
    }
    for key, count in left.items():
        if count:
            yield f"{path}: {count:,} boxes {words[key]}: left out"
    if bare:
        yield f"{path}: {bare:,} images have no box, and no prediction then"
