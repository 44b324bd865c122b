"""The files of predictions: COCO's json, a table, and pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.process.files import replacing
from tasks.base import DataError
from tasks.deployable import Deployment, Record
from tools.deploy.images import ImageFile

JSON, TABLE, PICTURES = "predictions.json", "predictions.csv", "pictures"
QUALITY = 90  # of JPEG


def text_of(
    deployment: Deployment,
    files: Sequence[ImageFile],
    records: Mapping[Path, Sequence[Record]],
    about: str,
) -> tuple[str, str]:
    """The name of the file of predictions, and its content.

    Args:
        deployment: says which form it has.
        files: the images that predictions were made of.
        records: of each image.
        about: which network made them.
    """
    if deployment.form == "csv":
        return TABLE, table(files, records)
    return JSON, json.dumps(coco(deployment.categories, files, records, about)) + "\n"


def coco(
    categories: Sequence[Record],
    files: Sequence[ImageFile],
    records: Mapping[Path, Sequence[Record]],
    about: str,
) -> dict[str, Any]:
    """Predictions as COCO's json, which holds each image, with and without predictions.

    Annotations have `score` beside what annotations have that people made.
    """
    images = [
        {"id": k, "file_name": file.name, "width": file.size[0], "height": file.size[1]}
        for k, file in enumerate(files, 1)
    ]
    annotations = [
        {"image_id": k, **record, "area": record["bbox"][2] * record["bbox"][3], "iscrowd": 0}
        for k, file in enumerate(files, 1)
        for record in records[file.path]
    ]
    return {
        "info": {"description": about},
        "images": images,
        "annotations": [{"id": k, **one} for k, one in enumerate(annotations, 1)],
        "categories": list(categories),
    }


def table(files: Sequence[ImageFile], records: Mapping[Path, Sequence[Record]]) -> str:
    """Predictions as csv: `file` and what its record holds, in a line for each image.

    Numbers have all their digits.
    """
    rows = [{"file": file.name, **record} for file in files for record in records[file.path]]
    text = io.StringIO()
    columns = list(rows[0]) if rows else ["file"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write(path: Path, text: str) -> None:
    """Write a text whole or not at all; names that are no UTF-8 come out as they are on disk."""
    with replacing(path) as beside:
        beside.write_bytes(text.encode("utf-8", "surrogateescape"))


def draw(
    deployment: Deployment,
    files: Iterable[ImageFile],
    records: Mapping[Path, Sequence[Record]],
    threshold: float,
    out: Path,
) -> list[str]:
    """Write a picture of each image: `<its name>.jpg`, in folders as the images lie.

    Returns:
        Why an image has none: one without a subject is read here for the first time.
    """
    unreadable = []
    for file in files:
        try:
            picture = deployment.picture(file.path, records[file.path], threshold)
        except DataError as error:
            unreadable.append(str(error))
            continue
        with replacing(out / f"{file.name}.jpg") as beside:
            picture.save(beside, quality=QUALITY)
    return unreadable
