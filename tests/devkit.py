"""A tiny devkit and its twin in COCO's json, for tests that need files in the real layout."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from tasks.detection import Detection

CLASSES = ("cat", "dog", "person")
# image -> (width, height), objects as (class, xmin, ymin, xmax, ymax, difficult); corners 1-based
# and inclusive
SCENES = {
    "000012": ((120, 90), [("dog", 11, 11, 60, 60, 0), ("cat", 70, 20, 110, 80, 0)]),
    "000005": ((90, 120), []),
    "000007": ((64, 64), [("person", 5, 5, 60, 60, 1)]),
    "000003": (
        (100, 100),
        [("person", 1, 1, 100, 100, 0), ("dog", 30, 30, 70, 75, 1), ("cat", 10, 50, 40, 90, 0)],
    ),
    "000021": ((30, 20), [("cat", 2, 2, 12, 12, 0)]),
    "000001": ((128, 128), [("dog", 40, 40, 100, 100, 0)]),
}
ORDER = tuple(SCENES)  # not sorted: the pool must keep the list's order


def detection(root: Path, **settings) -> Detection:
    """The adapter on the devkit at `root`, with the small network."""
    usual = dict(
        train=["VOC2007/trainval"], test=["VOC2007/test"], classes=CLASSES, network="small_ssd"
    )
    return Detection(str(root), **(usual | dict(pretrained=None, augmentation="flip") | settings))


def make_voc(root: Path) -> Path:
    """Write the scenes as `root`/VOC2007; trainval holds all, test the first four."""
    home = root / "VOC2007"
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (home / folder).mkdir(parents=True)
    for seed, (name, (size, objects)) in enumerate(SCENES.items()):
        cv2.imwrite(str(home / "JPEGImages" / f"{name}.jpg"), _pixels(seed, size, objects))
        boxes = "".join(
            f"<object><name>{c}</name><difficult>{d}</difficult><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
            f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
            for c, x1, y1, x2, y2, d in objects
        )
        width, height = size
        shape = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        (home / "Annotations" / f"{name}.xml").write_text(
            f"<annotation>{shape}{boxes}</annotation>"
        )
    (home / "ImageSets/Main/trainval.txt").write_text("\n".join(ORDER) + "\n")
    (home / "ImageSets/Main/test.txt").write_text("\n".join(ORDER[:4]) + "\n")
    return root


def make_coco(root: Path) -> Path:
    """Write the scenes as COCO: `root`/images, `root`/train.json and `root`/test.json,
    difficult boxes as crowds.
    """
    (root / "images").mkdir(parents=True)
    images, annotations = [], []
    for number, (name, (size, objects)) in enumerate(SCENES.items(), 1):
        cv2.imwrite(str(root / "images" / f"{name}.jpg"), _pixels(number - 1, size, objects))
        images.append(
            {"id": number, "file_name": f"{name}.jpg", "width": size[0], "height": size[1]}
        )
        for c, x1, y1, x2, y2, d in objects:
            box = [x1 - 1, y1 - 1, x2 - x1, y2 - y1]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 10 * (1 + CLASSES.index(c)),
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": d,
                }
            )
    categories = [{"id": 10 * (i + 1), "name": c} for i, c in enumerate(CLASSES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    for split in ("train", "test"):
        (root / f"{split}.json").write_text(json.dumps(content))
    return root


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


def write_json(path: Path, data: dict) -> None:
    path.write_text(json.dumps(data))


def _pixels(seed: int, size: tuple[int, int], objects: list) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    for _, x1, y1, x2, y2, _ in objects:
        image[y1:y2, x1:x2] //= 2
    return image
