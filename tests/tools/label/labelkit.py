"""A small pool with what is easily lost on the way to a labeling tool and back."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.labelable import Labeling
from tools.label.labels import Entry, Joint, Outgoing, Pick, PoolImage, Shape

BOXES = Labeling("boxes", ("cat", "dog", "traffic light"))
POSES = Labeling(
    "poses",
    ("person",),
    ("nose", "left_wrist", "right_wrist"),
    ((0, 1), (0, 2)),
    (0, 2, 1),
)
CLASSES = Labeling("classes", ("bird", "cat", "dog"))
LABELINGS = {labeling.kind: labeling for labeling in (BOXES, POSES, CLASSES)}

# stored sizes; the second is turned by its EXIF
SIZES = {"a.jpg": (40, 30), "sub/turned.jpg": (64, 48), "sub/größe 1 #2.png": (31, 17)}
DRAWN = {
    "boxes": {
        "a.jpg": (
            Shape("dog", (1.25, 2.5, 10.125, 20.0625), id="s1"),
            Shape("cat", (0.0, 0.0, 39.0, 29.0), id="s2"),
            Shape("traffic light", (5.1, 6.2, 7.3, 8.4), id="s3"),
        ),
        "sub/turned.jpg": (Shape("cat", (20.5, 30.25, 10.0, 33.3), id="s4"),),
        "sub/größe 1 #2.png": (),
    },
    "poses": {
        "a.jpg": (
            Shape(
                "person",
                (1.25, 2.5, 30.0, 20.0),
                (Joint(3.3, 4.4, 2), Joint(0.0, 0.0, 0), Joint(30.1, 20.2, 1)),
                id="p1",
            ),
            Shape(
                "person",
                (5.0, 5.0, 10.0, 10.0),
                (Joint(6.0, 7.0, 1), Joint(8.5, 9.5, 2), Joint(10.25, 11.75, 2)),
                id="p2",
            ),
        ),
        "sub/turned.jpg": (
            Shape(
                "person",
                (20.5, 30.25, 10.0, 33.3),
                (Joint(25.0, 60.5, 2), Joint(24.0, 61.0, 1), Joint(0.0, 0.0, 0)),
                id="p3",
            ),
        ),
        "sub/größe 1 #2.png": (),
    },
    "classes": {
        "a.jpg": (Shape("dog", id="c1"),),
        "sub/turned.jpg": (Shape("bird", id="c2"),),
        "sub/größe 1 #2.png": (),
    },
}


def pool(root: Path) -> dict[str, PoolImage]:
    """The images on disk and as the pool knows them."""
    images = {}
    for key, stored in SIZES.items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((stored[1], stored[0], 3), len(images) + 50, np.uint8)
        picture = Image.fromarray(pixels)
        turned = "turned" in key
        exif = Image.Exif()
        if turned:
            exif[0x0112] = 6
        picture.save(path, exif=exif)
        size = stored[::-1] if turned else stored
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        images[key] = PoolImage(key, path, size, sha, turned)
    return images


def batch(images: dict[str, PoolImage], root: Path, kind: str, score: float | None) -> Outgoing:
    """A batch of all images; with a score the shapes are drafts, without people drew them."""
    picks = []
    for rank, (key, shapes) in enumerate(DRAWN[kind].items(), 1):
        drafts = tuple(replace(shape, score=score) for shape in shapes)
        reason = f"rank {rank} of 3: predicted loss above 99% of the pool"
        signals = {"predicted_loss": 1.5 / rank, "entropy": float("nan")}
        picks.append(Pick(images[key], rank, reason, signals, drafts))
    return Outgoing(3, LABELINGS[kind], tuple(picks), root, "ssd, cycle 2")


def by_name(entries: list[Entry]) -> dict[str, Entry]:
    found = {entry.name: entry for entry in entries}
    assert len(found) == len(entries)
    return found


def submitted(tasks: list[dict], **fields) -> list[dict]:
    """Label Studio's export of tasks in which a person submitted each prediction as it was."""
    done = []
    for number, task in enumerate(tasks, 1):
        results = task["predictions"][0]["result"]
        kept = [{key: value for key, value in one.items() if key != "score"} for one in results]
        annotation = {
            "id": 100 + number,
            "completed_by": 1,
            "result": kept,
            "was_cancelled": False,
            "lead_time": 12.5,
            "created_at": "2026-01-02T03:04:05.678901Z",
            "updated_at": "2026-01-02T03:05:05.678901Z",
        }
        done.append({"id": number, "data": task["data"], "annotations": [annotation | fields]})
    return done
