"""What is wrong with the files of a published data set: missing, damaged, or of another number.

The MD5 of CIFAR-10's files are torchvision's, as in `sets.py`.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Collection, Mapping
from pathlib import Path

from models.process.text import reason, shown
from tasks.mat import read_arrays
from tools.data.published.download import digest

Counts = Mapping[str, int]
NAMED = 3  # missing files that a message names
CIFAR = "cifar-10-batches-py"
BATCHES = {
    "train": {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    "test": {"test_batch": "40351d587109b95175f43aff81a1287e"},
    "": {"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
}
NUMBERS = 3 * 32 * 32  # of an image
# in gt_valid.mat: shapes without the last axis, which is the person
TRUTH = {"headboxes_src": (2, 2), "jnt_missing": (16,), "pos_gt_src": (16, 2)}


def cifar_faults(root: Path, counts: Counts) -> list[str]:
    """Return the files that differ from the published ones by MD5, or wrong numbers of images."""
    folder = root / CIFAR
    files = {name: md5 for part in BATCHES.values() for name, md5 in part.items()}
    faults = []
    for name, md5 in files.items():
        if not (folder / name).is_file():
            faults.append(f"{folder / name}: expected a file, but there is none")
        elif digest(folder / name, "md5") != f"md5:{md5}":
            faults.append(f"{folder / name}: expected the MD5 {md5}, but the file has another one")
    if faults:
        return faults
    for split, count in counts.items():
        actual = sum(_cifar_images(folder / name) for name in BATCHES[split])
        if actual != count:
            faults.append(_wrong_count(folder, count, f"{split} images", actual))
    return faults


def _cifar_images(path: Path) -> int:
    """Return the number of images of a batch; its MD5 must be right, as a pickle may run code."""
    with open(path, "rb") as file:
        return pickle.load(file, encoding="latin1")["data"].size // NUMBERS


def voc_faults(root: Path, counts: Counts) -> list[str]:
    """Return faults of each list ("VOC2007/test"): its length, missing images or annotations."""
    faults = []
    for name, count in counts.items():
        year, _, split = name.partition("/")
        path = root / year / "ImageSets/Main" / f"{split}.txt"
        try:
            ids = path.read_text(encoding="utf-8", errors="replace").split()
        except OSError as error:
            faults.append(f"{path}: expected a list of {count:,} images, but got {reason(error)}")
            continue
        if len(ids) != count:
            faults.append(_wrong_count(path, count, "images", len(ids)))
        faults += _missing(root / year / "JPEGImages", [f"{i}.jpg" for i in ids])
        faults += _missing(root / year / "Annotations", [f"{i}.xml" for i in ids])
    return faults


def annotation_faults(root: Path, counts: Counts) -> list[str]:
    """Return the faults of annot/train.json, annot/valid.json and annot/gt_valid.mat.

    The first two must have `counts` persons, and the last as many as the second.
    """
    faults = []
    for split, count in counts.items():
        path = root / "annot" / f"{split}.json"
        persons = _persons(path)
        if isinstance(persons, str):
            faults.append(f"{path}: expected a json list of {count:,} persons, but got {persons}")
        elif len(persons) != count:
            faults.append(_wrong_count(path, count, "persons", len(persons)))
    return faults + _truth_faults(root / "annot/gt_valid.mat", counts["valid"])


def _truth_faults(path: Path, count: int) -> list[str]:
    try:
        arrays = read_arrays(path.read_bytes())
    except (OSError, ValueError, MemoryError) as error:
        return [f"{path}: expected MATLAB's format, but got {reason(error)}"]
    faults = []
    for name, shape in TRUTH.items():
        expected = (*shape, count)
        actual = arrays[name].shape if name in arrays else "nothing"
        if actual != expected:
            faults.append(f"{path}: expected the shape {expected} as {name!r}, but got {actual}")
    return faults


def _persons(path: Path) -> list[str] | str:
    """Return the image of each person in an annotation file, or the reason why there are none."""
    try:
        return [str(person["image"]) for person in json.loads(path.read_bytes())]
    except OSError as error:
        return reason(error)
    # ValueError: json's and unicode's
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return f"something else ({reason(error)})"


def image_faults(root: Path, counts: Counts) -> list[str]:
    """Return the images that the annotations name and that are missing."""
    lists = [_persons(root / "annot" / f"{split}.json") for split in ("train", "valid")]
    names = {name for persons in lists if not isinstance(persons, str) for name in persons}
    if not names and not (root / "images").is_dir():
        return [f"{root / 'images'}: expected a folder of images, but there is none"]
    return _missing(root / "images", names)


def _wrong_count(where: Path, expected: int, what: str, actual: object) -> str:
    return f"{where}: expected {expected:,} {what}, but got {actual}"


def _missing(folder: Path, names: Collection[str]) -> list[str]:
    """Return one sentence if files are missing or empty, naming the first."""
    try:
        with os.scandir(folder) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    except OSError:
        sizes = {}
    missing = sorted(name for name in names if not sizes.get(name))
    if not missing:
        return []
    some = ", ".join(shown(name) for name in missing[:NAMED])
    if len(missing) > NAMED:
        some += ", ..."
    return [
        f"{folder}: expected {len(names):,} files, but {len(missing):,} are missing or empty: "
        f"{some}"
    ]
