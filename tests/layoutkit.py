"""Whole data sets of drawn shapes in layouts that were not made here: as labelImg and
Roboflow leave them on disk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

CLASSES = ("bolt", "nut")
Box = tuple[str, int, int, int, int]  # class, x, y, width, height; from 0

OBJECT = """
	<object>
		<name>{0}</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>0</difficult>
		<bndbox>
			<xmin>{1}</xmin>
			<ymin>{2}</ymin>
			<xmax>{3}</xmax>
			<ymax>{4}</ymax>
		</bndbox>
	</object>"""
LABELIMG = """<annotation{verified}>
	<folder>images</folder>
	<filename>{file}</filename>
	<path>C:\\Users\\me\\My Pictures\\images\\{file}</path>
	<source>
		<database>Unknown</database>
	</source>
	<size>
		<width>{width}</width>
		<height>{height}</height>
		<depth>3</depth>
	</size>
	<segmented>0</segmented>{objects}
</annotation>
"""


def scenes(seed: int, count: int) -> Iterator[tuple[np.ndarray, list[Box]]]:
    """Images (H, W, 3) of 64 to 120 pixels a side with up to three shapes: a bolt is long,
    a nut round.
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        width, height = (int(side) for side in rng.integers(64, 121, 2))
        image = rng.integers(90, 160, (height, width, 3), dtype=np.uint8)
        boxes: list[Box] = []
        for _ in range(number % 4):
            name, side = CLASSES[int(rng.integers(2))], int(rng.integers(16, 30))
            w, h = (side, side // 2) if name == "bolt" else (side, side)
            x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
            colour = [int(value) for value in rng.integers(0, 60, 3)]
            if name == "bolt":
                cv2.rectangle(image, (x, y), (x + w - 1, y + h - 1), colour, -1)
            else:
                cv2.circle(
                    image, (x + w // 2, y + h // 2), w // 2, [255 - value for value in colour], -1
                )
            boxes.append((name, x, y, w, h))
        yield image, boxes


def labelimg(root: Path, count: int = 40) -> Path:
    """`root`/images and `root`/annotations, without any list; names with blanks, jpg and png."""
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    for number, (image, boxes) in enumerate(scenes(0, count)):
        stem = f"IMG {number + 1}"
        file = f"{stem}.{('jpg', 'JPG', 'png', 'jpeg')[number % 4]}"
        (root / "images" / file).write_bytes(
            cv2.imencode(Path(file).suffix.lower(), image)[1].tobytes()
        )
        objects = "".join(
            OBJECT.format(name, x + 1, y + 1, x + w, y + h) for name, x, y, w, h in boxes
        )
        text = LABELIMG.format(
            file=file if number % 2 else stem,
            width=image.shape[1],
            height=image.shape[0],
            objects=objects,
            verified=' verified="yes"' if number % 3 == 0 else "",
        )
        (root / "annotations" / f"{stem}.xml").write_text(text, encoding="utf-8")
    (root / "annotations/classes.txt").write_text("\n".join(CLASSES))
    (root / "images/Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    return root


def roboflow_coco(root: Path, counts: tuple[int, int, int] = (28, 8, 6)) -> Path:
    """`root`/{train,valid,test}, each with `_annotations.coco.json` beside its images.

    Every number is from 0.
    """
    for seed, (split, count) in enumerate(zip(("train", "valid", "test"), counts, strict=True), 1):
        folder = root / split
        folder.mkdir(parents=True)
        categories = [{"id": 0, "name": "parts", "supercategory": "none"}]
        categories += [
            {"id": i, "name": name, "supercategory": "parts"} for i, name in enumerate(CLASSES, 1)
        ]
        images: list[dict] = []
        annotations: list[dict] = []
        for number, (image, boxes) in enumerate(scenes(seed, count)):
            content = cv2.imencode(".jpg", image)[1].tobytes()
            file = f"{number + 1}_jpg.rf.{hashlib.md5(content).hexdigest()}.jpg"
            (folder / file).write_bytes(content)
            size = {"height": image.shape[0], "width": image.shape[1]}
            images.append({"id": number, "license": 1, "file_name": file, **size,
                           "date_captured": "2024-01-01T00:00:00+00:00"})  # fmt: skip
            for name, x, y, w, h in boxes:
                annotations.append(
                    {
                        "id": len(annotations),
                        "image_id": number,
                        "category_id": 1 + CLASSES.index(name),
                        "bbox": [x, y, w, h],
                        "area": w * h,
                        "segmentation": [],
                        "iscrowd": 0,
                    }
                )
        info = {
            "year": "2024",
            "version": "1",
            "description": "Exported from roboflow.com",
            "contributor": "",
        }
        data = {
            "info": info,
            "licenses": [],
            "categories": categories,
            "images": images,
            "annotations": annotations,
        }
        (folder / "_annotations.coco.json").write_text(json.dumps(data))
    for name in ("README.dataset.txt", "README.roboflow.txt"):
        (root / name).write_text("parts - v1\n")
    return root


def digests(root: Path) -> dict[str, str]:
    """Of every file below `root`."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
