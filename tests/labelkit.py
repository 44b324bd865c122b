"""Label files as a labeling project writes them: labeled, empty and unlabeled images."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tasks.labelable import LabelFiles, Labeling

SIZE = (96, 64)  # width and height in pixels
Boxes = Mapping[str, Sequence[tuple[str, tuple[float, float, float, float]]]]
# an image's persons: the box of each, and its joints x, y, v; none where nobody has labeled it
People = Mapping[str, Sequence[tuple[tuple[float, ...], Sequence[tuple[float, float, int]]]]]


def make_images(folder: Path, names: Sequence[str], size: tuple[int, int] = SIZE) -> Path:
    """Images of chance in no two alike."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
        assert cv2.imwrite(str(path), cv2.resize(coarse, size))
    return folder


def files(root: Path) -> LabelFiles:
    """The paths of a project: the labels lie outside of the folder of images."""
    project = root / "project"
    project.mkdir(parents=True, exist_ok=True)
    return LabelFiles(root / "photos", project / "pool.json", project / "validation.json")


def write_boxes(path: Path, labeling: Labeling, boxes: Boxes) -> None:
    """COCO's json of images and boxes, with every class."""
    number = {name: k for k, name in enumerate(labeling.classes, 1)}
    annotations = [
        _annotation(image, number[name], box) for image, own in _each(boxes) for name, box in own
    ]
    categories = [{"id": k, "name": name} for name, k in number.items()]
    _write(path, list(boxes), annotations, categories)


def write_people(path: Path, labeling: Labeling, people: People) -> None:
    """COCO's json of persons with joints."""
    annotations = []
    for image, own in _each(people):
        for box, joints in own:
            points = joints or [(0, 0, 0)] * len(labeling.joints)
            given = {
                "keypoints": [value for joint in points for value in joint],
                "num_keypoints": sum(joint[2] > 0 for joint in points),
            }
            annotations.append(_annotation(image, 1, box) | given)
    category = {"id": 1, "name": labeling.classes[0], "keypoints": list(labeling.joints)}
    _write(path, list(people), annotations, [category])


def write_classes(path: Path, classes: Mapping[str, str]) -> None:
    """A csv with one column more than is read."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["seconds", "file", "class"])
        rows.writerows([k, name, value] for k, (name, value) in enumerate(classes.items()))


def _each(labels: Mapping[str, Sequence[Any]]) -> list[tuple[int, Sequence[Any]]]:
    return list(enumerate(labels.values(), 1))


def _annotation(image: int, category: int, box: Sequence[float]) -> dict[str, Any]:
    area = box[2] * box[3]
    return dict(image_id=image, category_id=category, bbox=list(box), area=area, iscrowd=0)


def _write(path: Path, names: list[str], annotations: list, categories: list) -> None:
    width, height = SIZE
    images = [
        dict(id=k, file_name=name, width=width, height=height) for k, name in enumerate(names, 1)
    ]
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number
    content = dict(images=images, annotations=annotations, categories=categories)
    path.write_text(json.dumps(content), encoding="utf-8")
