"""What holds of every json in COCO's form, whatever is annotated: its lists, and its images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import Any

from models.process.text import shown
from tasks import coco_records as records
from tasks.coco_records import Id, Json
from tasks.faults import Fault, Reading, escapes, read_json
from tasks.images import ImageCheck
from tasks.labelable import LabelFiles

JSON_BYTES = 4 << 30
FORM = "'<image folder>:<json>', both below data_root (or the json by its absolute path)"
Progress = Callable[[Iterable], Iterable]


def settings_on(files: LabelFiles) -> dict[str, Any]:
    """The settings of a task that reads COCO's form with which it reads what people label."""
    return dict(
        data_root=str(files.images),
        format="coco",
        train=[f":{files.pool}"],
        test=[f":{files.validation}"],
        test_limit=None,
        test_share=None,
        split_seed=0,
        unlabeled="kept",
    )


def opened(root: Path, entry: str, look: ImageCheck | None) -> Reading[Json | None]:
    """Read the json of a list, "<image folder>:<json>"; None where a fault says why not.

    The folder lies below the root; the json does, too, or is named by its absolute path.
    """
    folder, colon, name = entry.partition(":")
    away = escapes(name) and not PurePath(name).is_absolute()
    if not colon or not name or escapes(folder) or away:
        remedy = "write 'train2017:annotations/train.json'"
        yield Fault("list name", str(root), FORM, shown(entry), remedy)
        return None
    path = root / name
    remedies = f"lists are relative to data_root, here {root}", "export it as COCO 'instances'"
    data = yield from read_json(path, dict, "an object at the top", remedies, JSON_BYTES)
    if data is None:
        return None
    missing = [
        key
        for key in ("images", "annotations", "categories")
        if not isinstance(data.get(key), list)
    ]
    for key in missing:
        yield Fault(
            "broken json",
            str(path),
            f"a list as {key!r}",
            shown(data.get(key)),
            "export it as 'instances'",
        )
    return None if missing else Json(path, root, folder, data, look)


def read_images(
    json: Json, files: dict[Path, str], progress: Progress
) -> Reading[dict[Id, dict[str, Any]]]:
    """The image record of each id; its own `id` is as written in the json."""
    if not json.data["images"]:
        yield Fault(
            "no images", str(json.path), "an image at least", "none", "export the file anew"
        )
    images: dict[Id, dict[str, Any]] = {}
    places: dict[Id, str] = {}
    for index, record in enumerate(progress(json.data["images"])):
        where = f"{json.path}, images[{index}]"
        if not isinstance(record, dict):
            yield Fault(
                "broken image record", where, "an object", shown(record), "export the file anew"
            )
            continue
        image = yield from records.image(json, where, record, files)
        key = json.id(record.get("id"))
        if key is None:
            yield Fault(
                "image id",
                where,
                "a number or a text as 'id'",
                shown(record.get("id")),
                "number the images",
            )
        elif key in places:
            remedy = f"see {places[key]}; number the images anew, or export them apart"
            yield Fault("image id", where, "every id once in a json", f"{shown(key)} again", remedy)
        else:
            places[key] = where
            images[key] = image
    return images
