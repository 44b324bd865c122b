"""What datumaro and Label Studio's own library say, run by the Python of the lane's environment.

    python second_opinion.py read FORMAT PATH > found.json
    python second_opinion.py write FORMAT FOLDER < wanted.json
    python second_opinion.py check CONFIG TASKS > errors.json

Nothing of losstap is imported here. Shapes go through json as they are in `Shape`: label, box as x,
y, width and height, joints as x, y and visibility.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def read(form: str, path: str) -> dict[str, Any]:
    """Images by their ids: size, and shapes in datumaro's order."""
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    dataset = Dataset.import_from(path, form)
    names = [label.name for label in dataset.categories()[AnnotationType.label].items]
    found = {}
    for item in dataset:
        height, width = item.media.size if item.media is not None else (None, None)
        shapes = [shape_of(annotation, names) for annotation in item.annotations]
        found[item.id] = {"size": [width, height], "subset": item.subset, "shapes": shapes}
    return found


def shape_of(annotation: Any, names: list[str]) -> dict[str, Any]:
    """An annotation as json."""
    kind = annotation.type.name
    shape: dict[str, Any] = {
        "kind": kind,
        "label": names[annotation.label] if annotation.label is not None else None,
        "group": annotation.group,
        "attributes": {name: str(value) for name, value in annotation.attributes.items()},
    }
    if kind == "bbox":
        shape["box"] = [float(value) for value in annotation.get_bbox()]
    elif kind == "points":
        flat, seen = [float(value) for value in annotation.points], annotation.visibility
        shape["joints"] = [[*flat[2 * i : 2 * i + 2], v.value] for i, v in enumerate(seen)]
    return shape


def write(form: str, folder: str, wanted: dict[str, Any]) -> None:
    """Write images and shapes.

    Args:
        form: datumaro's name of a format.
        folder: that does not exist yet.
        wanted: `classes`, `joints`, `bones`, and `images` by id: `path`, `subset` and `shapes`.
    """
    from datumaro.components.annotation import (
        AnnotationType,
        LabelCategories,
        PointsCategories,
    )
    from datumaro.components.dataset import Dataset
    from datumaro.components.dataset_base import DatasetItem
    from datumaro.components.media import Image

    categories = {AnnotationType.label: LabelCategories.from_iterable(wanted["classes"])}
    if wanted["joints"]:
        points = PointsCategories()
        points.add(0, wanted["joints"], {(a + 1, b + 1) for a, b in wanted["bones"]})
        categories[AnnotationType.points] = points
    items = []
    for name, image in wanted["images"].items():
        annotations = []
        for group, shape in enumerate(image["shapes"], 1):
            annotations += annotations_of(shape, wanted["classes"], group)
        media = Image.from_file(path=image["path"])
        items.append(
            DatasetItem(name, subset=image["subset"], media=media, annotations=annotations)
        )
    Dataset.from_iterable(items, categories=categories).export(folder, form, save_media=True)


def annotations_of(shape: dict[str, Any], classes: list[str], group: int) -> list[Any]:
    """A box, and the joints that belong to it."""
    from datumaro.components.annotation import Bbox, Points

    label = classes.index(shape["label"])
    made: list[Any] = [Bbox(*shape["box"], label=label, group=group, id=group)]
    if shape["joints"]:
        flat = [value for joint in shape["joints"] for value in joint[:2]]
        seen = [joint[2] for joint in shape["joints"]]
        made.append(Points(flat, seen, label=label, group=group, id=group))
    return made


def check(config: str, tasks: str) -> list[str]:
    """What Label Studio's own library finds wrong with predictions under a configuration."""
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface(Path(config).read_text(encoding="utf-8"))
    interface.validate()
    errors = []
    for task in json.loads(Path(tasks).read_text(encoding="utf-8")):
        for prediction in task.get("predictions", []):
            errors += interface.validate_prediction(prediction, return_errors=True)
    return errors


if __name__ == "__main__":
    what, first, second = sys.argv[1:]
    if what == "write":
        write(first, second, json.load(sys.stdin))
    else:
        print(json.dumps({"read": read, "check": check}[what](first, second)))
