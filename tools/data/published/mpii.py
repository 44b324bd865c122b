"""MPII's annotations in the form that HRNet and mmpose read, from a wheel on PyPI.

The package pytorch-stacked-hourglass (A. Nibali) has, as data, every annotated person with the
split of Tompson et al. (22,246 to train on and 2,958 to validate) and, for the latter in the same
order, the .mat with the head boxes that PCKh is computed with. None of its code is run.

In the json a joint at (0, 0) is not annotated; the third number says whether it is visible, and an
occluded joint, with 0 there, has a place nevertheless. Read like this, the joints of the validation
split agree with the .mat (`jnt_missing`): 44,240 are annotated, and 3,088 are not.
"""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from tools.data.published.unpack import broken, staged

PERSONS = "stacked_hourglass/res/mpii_annotations.json.gz"
TRUTH = "stacked_hourglass/res/detections_our_format.mat"
MOST = 100 << 20  # bytes of a file that is read; the json has 33 MB
# OSError: of gzip, and of offsets before the file's beginning
NO_FILES = (zipfile.BadZipFile, zlib.error, EOFError, OSError)
# RuntimeError: too many brackets in brackets, or an unknown kind of zip
NO_PERSONS = (KeyError, TypeError, ValueError, RuntimeError)


def unpack_wheel(wheel: Path, root: Path) -> None:
    """Write annot/train.json, annot/valid.json and annot/gt_valid.mat below `root`.

    Files of the same names are written over. Killed anywhere, a further call does it again.

    Raises:
        PrepareError: if it is not that wheel, or the disk is full; nothing is then changed below
            `root`.
    """
    try:
        files = _convert(wheel)
    except (*NO_FILES, *NO_PERSONS) as error:
        raise broken(wheel, f"a wheel with {PERSONS} and {TRUTH}", error) from error
    with staged(wheel, root) as staging:
        (staging / "annot").mkdir(parents=True)
        for name, content in files.items():
            (staging / "annot" / name).write_bytes(content)


def records(persons: Iterable[Mapping[str, Any]], validation: bool) -> list[dict[str, Any]]:
    """Return the persons of one split in HRNet's form, in the order of the source.

    Args:
        persons: of both splits, with `isValidation`, `img_paths`, `objpos` [x, y], `scale_provided`
            (of 200 px) and `joint_self`, J times [x, y, visible]; 1-based pixels, (0, 0) for a
            joint that is not annotated.
        validation: which split.

    Returns:
        Records with `image`, `center`, `scale`, `joints` (J, 2), where [-1, -1] is a joint that is
        not annotated, and `joints_vis` (J,), which is 1 for one that is, visible or occluded.
    """
    return [_record(person) for person in persons if bool(person["isValidation"]) == validation]


def _record(person: Mapping[str, Any]) -> dict[str, Any]:
    joints = []
    annotated = []
    for x, y, _ in person["joint_self"]:
        is_annotated = [x, y] != [0, 0]
        joints.append([x, y] if is_annotated else [-1.0, -1.0])
        annotated.append(int(is_annotated))
    return {
        "image": person["img_paths"],
        "center": person["objpos"],
        "scale": person["scale_provided"],
        "joints": joints,
        "joints_vis": annotated,
    }


def _convert(wheel: Path) -> dict[str, bytes]:
    """Return the files of annot/ by name.

    The .mat is copied as it is, with Tompson's own predictions, which are not used.
    """
    with zipfile.ZipFile(wheel) as members:
        with members.open(PERSONS) as packed, gzip.open(packed) as text:
            persons = json.loads(_read(text, PERSONS))
        with members.open(TRUTH) as file:
            truth = _read(file, TRUTH)
    return {
        "train.json": json.dumps(records(persons, False)).encode(),
        "valid.json": json.dumps(records(persons, True)).encode(),
        "gt_valid.mat": truth,
    }


def _read(source: IO[bytes] | gzip.GzipFile, name: str) -> bytes:
    content = source.read(MOST + 1)
    if len(content) > MOST:
        raise ValueError(f"{name} has more than {MOST:,} bytes")
    return content
