"""Read COCO's keypoints, as any tool writes them, into one form.

Training, evaluation and the check of the data use the same form. What holds of every json of COCO's
(ids, files, boxes) is read as detection reads it, see `tasks.coco_json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.process.text import shown
from tasks.coco_json import FORM, Progress, opened, read_images
from tasks.coco_records import Id, Json, whole
from tasks.faults import Fault, Reading, path_fault
from tasks.images import ImageCheck
from tasks.pose import keypoint_records
from tasks.pose.fit import ASTRAY
from tasks.pose.keypoint_records import OTHER_CATEGORIES

EXAMPLE = "'val2017:annotations/person_keypoints_val2017.json'"


@dataclass
class Keypoints:
    """The persons of a split's json files, with one numbering, in the parts of a COCO json.

    Attributes:
        joints: their names; empty where no json has a category of persons.
        bones: pairs of joints between which a line is drawn.
        images: dicts with `id` (from 1 on), `file_name` below the data's root, `width`, `height`.
        annotations: dicts with `id` (from 1 on), `image_id`, `category_id` 1, `bbox` (x, y, width,
            height in pixels), `area`, `iscrowd`, `keypoints`, `num_keypoints`, and `place`,
            its number among the category's annotations of its image, from 1 on.
        notes: what was taken in another way than it is written, a line each, with its count.
    """

    joints: tuple[str, ...] = ()
    bones: tuple[tuple[int, int], ...] = ()
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def counts(annotation: dict[str, Any]) -> bool:
    """Whether a person is one to learn from and to be judged by."""
    return not annotation["iscrowd"] and annotation["num_keypoints"] > 0


def read_keypoints(
    root: Path,
    lists: Sequence[str],
    category: str | None = None,
    look: ImageCheck | None = None,
    progress: Progress = iter,
) -> Reading[Keypoints]:
    """Read the persons of a split; what is at fault is left out.

    Args:
        root: the data set's folder, `data_root`.
        lists: "<image folder>:<json>", see `tasks.coco_json.opened`; the folder may be "".
        category: what the persons' category is called; None takes the one that has joints.
        look: looks at every image; without, only at those whose size the json does not give.
        progress: wraps the list of image records of each json, as tqdm does.
    """
    root = Path(root).absolute()
    found = Keypoints()
    fault = path_fault(
        root, "data_root", "data_root is the folder that holds the images' folder and the json"
    )
    if fault is None and not lists:
        fault = Fault("list name", str(root), FORM, "none", f"name a json at least, as {EXAMPLE}")
    if fault is not None:
        yield fault
        return found
    files: dict[Path, str] = {}  # image files are unique over the split: they name the samples
    for entry in lists:
        json = yield from opened(root, entry, look)
        if json is not None:
            yield from _read(json, found, files, category, progress)
    return found


def _read(
    json: Json,
    found: Keypoints,
    files: dict[Path, str],
    wanted: str | None,
    progress: Progress,
) -> Reading[None]:
    """Add a json to `found`."""
    images = yield from read_images(json, files, progress)
    ordered = sorted(images, key=lambda key: (isinstance(key, str), key))
    for place, key in enumerate(ordered, len(found.images) + 1):
        images[key]["id"] = place
    found.images += images.values()
    category = yield from keypoint_records.category(json, wanted)
    if category is None:
        return
    if not found.joints:
        found.joints, found.bones = category.joints, category.bones
    if category.joints != found.joints:
        expected = f"the joints of the split's first json, {shown(list(found.joints))}"
        came = shown(list(category.joints))
        yield Fault("other joints", str(json.path), expected, came, "export both alike")
        return
    seen: Counter[Id | None] = Counter()
    astray: list[Fault] = []
    kept = 0
    for index, record in enumerate(json.data["annotations"]):
        known = whole(record.get("category_id")) if isinstance(record, dict) else None
        if known in category.names and known != category.id:
            json.odd[OTHER_CATEGORIES] += 1
            continue
        image = whole(record.get("image_id")) if isinstance(record, dict) else None
        seen[image] += 1
        annotation = yield from keypoint_records.person(json, index, images, category)
        if annotation is None:
            continue
        kept += 1
        number = {"id": len(found.annotations) + 1, "category_id": 1, "place": seen[image]}
        found.annotations.append(annotation | number)
        astray += keypoint_records.outside(annotation, f"{json.path}, annotations[{index}]")
    yield from json.many_tiny()
    found.notes += json.notes()
    if len(astray) > ASTRAY * kept:
        yield from astray
    elif astray:
        found.notes.append(
            f"{json.path}: {len(astray):,} of {kept:,} persons with most joints outside of their "
            f"box; {astray[0]}"
        )
