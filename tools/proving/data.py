"""A few samples of a data set as a data set of their own: what is learned is what is tested."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tasks.data import even
from tasks.mat import read_arrays

LIST = "proof"  # name of the list of a devkit
HEADS = ("headboxes_src", "jnt_missing", "pos_gt_src")  # what MPII's evaluation reads


class LackingError(Exception):
    """Data that are not there, or hold too little; the message says where they were looked for."""


def written(folder: Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a folder that is renamed when it is whole; one that is there is kept."""
    if not folder.exists():
        beside = folder.with_name(f"{folder.name}.tmp")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        write(beside)
        beside.rename(folder)
    return folder


def voc(source: Path, target: Path, count: int) -> None:
    """Copy images of a devkit with their annotations, evenly spread over VOC2007's trainval.

    Args:
        source: the devkit, which holds VOC2007.
        target: a devkit, whose VOC2007 gets the list `LIST`.
        count: of images.
    """
    names = (
        _file(source / "VOC2007/ImageSets/Main/trainval.txt").read_text(encoding="utf-8").split()
    )
    chosen = _spread(names, count, source)
    for folder, ending in (("JPEGImages", "jpg"), ("Annotations", "xml")):
        (target / "VOC2007" / folder).mkdir(parents=True)
        for name in chosen:
            part = Path("VOC2007", folder, f"{name}.{ending}")
            shutil.copyfile(_file(source / part), target / part)
    lists = target / "VOC2007/ImageSets/Main"
    lists.mkdir(parents=True)
    text = "".join(f"{name}\n" for name in chosen)
    (lists / f"{LIST}.txt").write_text(text, encoding="utf-8")


def mpii(source: Path, target: Path, count: int) -> None:
    """Copy persons, evenly spread over MPII's valid: the only ones whose heads are published.

    They are both `annot/train.json` and `annot/valid.json` of the target.
    """
    from scipy.io import savemat  # takes a while to import

    persons = json.loads(_file(source / "annot/valid.json").read_text(encoding="utf-8"))
    kept = _spread(range(len(persons)), count, source)
    (target / "images").mkdir(parents=True)
    for name in {persons[i]["image"] for i in kept}:
        shutil.copyfile(_file(source / "images" / name), target / "images" / name)
    (target / "annot").mkdir()
    for split in ("train", "valid"):
        text = json.dumps([persons[i] for i in kept])
        (target / f"annot/{split}.json").write_text(text, encoding="utf-8")
    arrays = read_arrays(_file(source / "annot/gt_valid.mat").read_bytes())
    savemat(target / "annot/gt_valid.mat", {name: arrays[name][..., kept] for name in HEADS})


def folders(source: Path, target: Path, count: int) -> None:
    """Copy the first images of each class of `source`/train, `count` in all, as train and test."""
    classes = sorted(path for path in _file(source / "train").iterdir() if path.is_dir())
    if not classes or count % len(classes):
        raise LackingError(f"{source}/train: expected classes that divide {count}, "
                           f"but got {len(classes)}")  # fmt: skip
    each = count // len(classes)
    for folder in classes:
        images = sorted(folder.iterdir())[:each]
        if len(images) < each:
            raise LackingError(f"{folder}: expected {each} images, but got {len(images)}")
        for split in ("train", "test"):
            (target / split / folder.name).mkdir(parents=True)
            for image in images:
                shutil.copyfile(image, target / split / folder.name / image.name)


def _spread(items: Sequence, count: int, where: Path) -> list:
    if len(items) < count:
        raise LackingError(f"{where}: expected at least {count} samples, but got {len(items)}")
    return [items[i] for i in np.asarray(even(len(items), count))]


def _file(path: Path) -> Path:
    if not path.exists():
        raise LackingError(f"{path} is not there; see --data, and tools/prepare_data.py --help")
    return path
