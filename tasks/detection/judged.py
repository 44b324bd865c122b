"""Whether the boxes of a data set, each valid alone, are enough to train on and to judge by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.data import few
from tasks.faults import Fault

HANDED_OUT = "the detector hands out the {} surest boxes of an image"
JUDGED = "COCO's evaluation takes the {} surest detections of a class in an image"
AGAIN = (
    "are the same as another one of their class in their image: each counts, to be labeled and "
    "to be found"
)
MOST = 0.5  # share of the pool's images that may have no box before a note reports it


@dataclass(frozen=True)
class Boxes:
    """The boxes of a split, counted.

    Attributes:
        images: how many.
        bare: those without any box.
        all: boxes.
        counted: boxes of each label that are trained on, or that the evaluation counts.
        again: boxes that their image has before, with the same label.
    """

    images: int
    bare: int
    all: int
    counted: Counter[int]
    again: int


def boxes_of(infos: Iterable[dict], ignored: bool) -> Boxes:
    """Count the boxes of a split as mmdet read it.

    Boxes marked difficult (or crowds) do not count where they are `ignored`.
    """
    sizes = []
    counted: Counter[int] = Counter()
    again = 0
    for info in infos:
        boxes = info["instances"]
        sizes.append(len(boxes))
        again += len(boxes) - len({(box["bbox_label"], *box["bbox"]) for box in boxes})
        counted.update(box["bbox_label"] for box in boxes if not (ignored and box["ignore_flag"]))
    return Boxes(len(sizes), sizes.count(0), sum(sizes), counted, again)


def box_faults(
    pool: Boxes, test: Boxes, limit: int | None, share: float | None = None
) -> list[Fault]:
    """Report a pool or a test set without a single box that counts.

    `limit` and `share` made the test set.
    """
    faults = []
    if not pool.counted:
        remedy = "name lists with annotations as task.train"
        if pool.all:
            remedy += ", or set task.difficult=train"
        expected = "a box to train on in the pool"
        faults.append(Fault("no labels", "task.train", expected, _counted(pool), remedy))
    if not test.counted:
        remedy = "name a list with annotations as task.test"
        if share is not None:
            remedy = f"raise task.test_share ({share}), or draw by another task.split_seed"
        if limit is not None:
            remedy += f", or raise task.test_limit ({limit})"
        expected = "a box in the test set that its evaluation counts"
        faults.append(Fault("nothing to judge by", "task.test", expected, _counted(test), remedy))
    return faults


def _counted(split: Boxes) -> str:
    where = f"in {split.images:,} images"
    if split.all:
        return f"{split.all:,} {where}, all of them difficult or crowds"
    return f"none {where}"


def box_notes(pool: Boxes, test: Boxes, classes: Sequence[str]) -> list[str]:
    """Notes on classes without a box, pools of mostly empty images, and duplicate boxes."""
    notes = []
    if pool.bare > MOST * pool.images:
        notes.append(f"pool: {pool.bare:,} of {pool.images:,} images have no box")
    splits: tuple[tuple[Literal["pool", "test"], Boxes, str], ...] = (
        ("pool", pool, "nothing of them can be learned"),
        ("test", test, "their AP is not a number and not in mAP"),
    )
    for split, boxes, what in splits:
        if boxes.again:
            notes.append(f"{split}: {boxes.again:,} boxes {AGAIN}")
        lacking = [name for label, name in enumerate(classes) if not boxes.counted[label]]
        if lacking:
            notes.append(
                f"{split}: no box of {len(lacking)} of {len(classes)} classes: {few(lacking)}; "
                f"{what}"
            )
    return notes


def crowded(infos: Iterable[dict], limits: Mapping[str, int]) -> list[str]:
    """Notes on test images with more boxes than are handed out or judged.

    No detector's AP can reach 1 there.

    Args:
        infos: what mmdet read of each image.
        limits: of boxes in an image, under the words that say whose limit it is; of one class where
            these say so.
    """
    counts = [
        Counter(box["bbox_label"] for box in info["instances"] if not box["ignore_flag"])
        for info in infos
    ]
    notes = []
    for words, most in limits.items():
        if "class" in words:
            what = "boxes of one class"
            sizes = [max(count.values(), default=0) for count in counts]
        else:
            what = "boxes"
            sizes = [count.total() for count in counts]
        above = [size for size in sizes if size > most]
        if above:
            text = (
                f"task.test: {len(above):,} images have more than {most} {what} (up to "
                f"{max(above):,})"
            )
            notes.append(f"{text}; {words.format(most)}, so that AP cannot reach 1")
    return notes
