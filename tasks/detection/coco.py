"""Read COCO's json, as any tool writes it, into one form.

Training, evaluation and the check of the data use the same form.

Categories are known by name and records by their place: ids may be of any kind, repeat from json to
json, start from 0 and stand in any order. A value in another form than in COCO's own json is
accepted and counted (`Coco.notes`); one that contradicts others, the images or the settings is a
fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.process.text import nearest, shown
from tasks import coco_records as records
from tasks.coco_json import FORM, Progress, opened, read_images
from tasks.coco_records import Json, whole
from tasks.detection.others import ADVICE, Others, left_out
from tasks.faults import Fault, Reading, path_fault
from tasks.images import ImageCheck


@dataclass
class Coco:
    """The content of a split's json files, with one numbering, in the parts of a COCO json.

    Attributes:
        images: dicts with `id` (from 1 on, in the order of the jsons and, inside each, of its own
            ids), `file_name` below the data's root, `width` and `height`; in the order of the
            jsons.
        annotations: dicts with `id` (from 1 on), `image_id`, `category_id` (1 for the first class),
            `bbox` (x, y, width, height in pixels), `area` of the box, and `iscrowd`; in the order
            of the jsons.
        categories: dicts with `id` and `name`, in the order of the classes.
        notes: what was taken in another way than it is written, or left out; a line each, with its
            count.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    categories: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def coco_faults(
    root: Path,
    lists: Sequence[str],
    classes: Sequence[str],
    *,
    others: Others = "fault",
    look: ImageCheck | None = None,
    progress: Progress = iter,
) -> list[Fault]:
    """All faults of one split; see `read_coco`. Without `look` the images' headers are read."""
    look = look or ImageCheck(full=False)
    return [*read_coco(root, lists, classes, others, look, progress), *look.together()]


def read_coco(
    root: Path,
    lists: Sequence[str],
    classes: Sequence[str],
    others: Others = "fault",
    look: ImageCheck | None = None,
    progress: Progress = iter,
) -> Reading[Coco]:
    """Read the boxes of a split; what is at fault is left out.

    Args:
        root: the data set's folder, `data_root`.
        lists: "<image folder>:<json>", see `tasks.coco_json.opened`, such as
            "train2017:annotations/instances_train2017.json"; the folder may be "".
        classes: the class names of the setting.
        others: boxes of categories that `classes` lacks are a fault, or are left out.
        look: looks at every image; without, only at those whose size the json does not give.
        progress: wraps the list of image records of each json, as tqdm does.
    """
    root = Path(root).absolute()
    coco = Coco()
    coco.categories = [{"id": place, "name": name} for place, name in enumerate(classes, 1)]
    fault = path_fault(
        root, "data_root", "data_root is the folder that holds the images' folder and the json"
    )
    if fault is None and not lists:
        fault = Fault("list name", str(root), FORM, shown(lists), "name a json at least")
    if fault is not None:
        yield fault
        return coco
    # image files are unique over the split: they name the pool's samples
    files: dict[Path, str] = {}
    known: dict[Path, set[str]] = {}
    for entry in lists:
        json = yield from opened(root, entry, look)
        if json is not None:
            known[json.path] = yield from _read(json, coco, files, tuple(classes), others, progress)
    yield from _missing_classes(root, known, classes)
    return coco


def _read(
    json: Json,
    coco: Coco,
    files: dict[Path, str],
    classes: tuple[str, ...],
    others: Others,
    progress: Progress,
) -> Reading[set[str]]:
    """Add a json to `coco`; return the names of its categories."""
    images = yield from read_images(json, files, progress)
    ordered = sorted(
        images, key=lambda key: (isinstance(images[key]["id"], str), images[key]["id"])
    )
    # in the order in which pycocotools judges them
    for place, key in enumerate(ordered, len(coco.images) + 1):
        images[key]["id"] = place
    coco.images += images.values()
    names = yield from records.category_names(json)
    labels = {key: classes.index(name) + 1 for key, name in names.items() if name in classes}
    left: Counter[str] = Counter()
    for index, record in enumerate(json.data["annotations"]):
        category = whole(record.get("category_id")) if isinstance(record, dict) else None
        if category in names and category not in labels:
            left[names[category]] += 1
            if others == "drop":
                continue
        annotation = yield from records.annotation(json, index, images, names)
        if annotation is not None and category in labels:
            number = {"id": len(coco.annotations) + 1, "category_id": labels[category]}
            coco.annotations.append(annotation | number)
    yield from json.many_tiny()
    coco.notes += json.notes()
    if others == "drop":
        coco.notes += left_out(json.path, left)
    else:
        yield from _other_classes(json.path, left, classes)
    return set(names.values())


def _other_classes(path: Path, left: Counter[str], classes: tuple[str, ...]) -> Iterator[Fault]:
    for name, count in sorted(left.items()):
        value = f"{count} of {name!r}"
        remedy = f"{nearest(name, classes)} Or {ADVICE}"
        yield Fault(
            "category not in classes", str(path), "annotations of `classes` alone", value, remedy
        )


def _missing_classes(
    root: Path, known: dict[Path, set[str]], classes: Sequence[str]
) -> Iterator[Fault]:
    """Report classes that no json of the split has: misspelt, or of other data."""
    if not known:
        return
    where = f"{root}, all {len(known)} jsons of the split"
    if len(known) == 1:
        where = str(next(iter(known)))
    names = tuple(sorted(set().union(*known.values())))
    for name in classes:
        if name not in names:
            remedy = f"{nearest(name, names)} Correct `classes` or the json"
            yield Fault(
                "missing category", where, f"a category for {name!r} of `classes`", "none", remedy
            )
