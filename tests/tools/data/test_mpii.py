"""MPII's annotations from the wheel: records as in HRNet's own files, whole or not at all."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from tasks.pose.faults import mpii_faults
from tasks.pose.people import read_heads, read_people
from tests.fuzzkit import fuzz, mutated
from tests.publisher import mpii_person, mpii_wheel
from tools.data.published import mpii
from tools.data.published.download import PrepareError

# The first person of the published json, and of HRNet's train.json (as quoted in UniPose's
# documentation), which has a digit more. Joints 3 and 6 are occluded.
FIRST = {
    "dataset": "MPI",
    "isValidation": 0.0,
    "img_paths": "015601864.jpg",
    "img_width": 1280.0,
    "img_height": 720.0,
    "objpos": [594.0, 257.0],
    "scale_provided": 3.021,
    "annolist_index": 5.0,
    "people_index": 1.0,
    "joint_self": [
        [620.0, 394.0, 1.0],
        [616.0, 269.0, 1.0],
        [573.0, 185.0, 1.0],
        [647.0, 188.0, 0.0],
        [661.0, 221.0, 1.0],
        [656.0, 231.0, 1.0],
        [610.0, 187.0, 0.0],
        [647.0, 176.0, 1.0],
        [637.02, 189.818, 1.0],
        [695.98, 108.182, 1.0],
        [606.0, 217.0, 1.0],
        [553.0, 161.0, 1.0],
        [601.0, 167.0, 1.0],
        [692.0, 185.0, 1.0],
        [693.0, 240.0, 1.0],
        [688.0, 313.0, 1.0],
    ],
}
HRNET = {
    "joints_vis": [1] * 16,
    "image": "015601864.jpg",
    "scale": 3.021046,
    "center": [594.0, 257.0],
    "joints": [
        [620.0, 394.0],
        [616.0, 269.0],
        [573.0, 185.0],
        [647.0, 188.0],
        [661.0, 221.0],
        [656.0, 231.0],
        [610.0, 187.0],
        [647.0, 176.0],
        [637.0201, 189.8183],
        [695.9799, 108.1817],
        [606.0, 217.0],
        [553.0, 161.0],
        [601.0, 167.0],
        [692.0, 185.0],
        [693.0, 240.0],
        [688.0, 313.0],
    ],
}


def person(image: str, validation: bool, **joints: list[float]) -> dict:
    """A person, some of whose joints ("j3") are put elsewhere."""
    made = mpii_person(image, validation)
    for name, joint in joints.items():
        made["joint_self"][int(name[1:])] = joint
    return made


PERSONS = [
    person("a.jpg", False),
    person("d.jpg", True, j2=[0.0, 0.0, 0.0]),
    person(
        "a.jpg",
        False,
        j0=[0.0, 0.0, 0.0],
        j1=[30.0, 0.0, 1.0],
        j2=[0.0, 7.5, 0.0],
        j15=[0.0, 0.0, 0.0],
    ),
    person("c.jpg", True),
    person("b.jpg", False),
]


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def wheel(tmp_path) -> Path:
    (tmp_path / "x.whl").write_bytes(mpii_wheel(PERSONS))
    return tmp_path / "x.whl"


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_record_is_hrnets_own():
    (record,) = mpii.records([FIRST], validation=False)
    assert record.keys() == HRNET.keys()
    assert {key: record[key] for key in ("image", "center", "joints_vis")} == {
        key: HRNET[key] for key in ("image", "center", "joints_vis")
    }
    np.testing.assert_allclose(record["joints"], HRNET["joints"], rtol=0, atol=5e-4)
    assert record["scale"] == pytest.approx(HRNET["scale"], abs=5e-4)


def test_only_a_joint_whose_coordinates_are_both_zero_is_not_annotated():
    record = mpii.records(PERSONS, validation=False)[1]
    assert record["joints"][:4] == [[-1, -1], [30, 0], [0, 7.5], [13, 13]]
    assert record["joints"][15] == [-1, -1]
    assert record["joints_vis"] == [0] + [1] * 14 + [0]


@pytest.mark.parametrize(
    "validation, images", [(False, ["a.jpg", "a.jpg", "b.jpg"]), (True, ["d.jpg", "c.jpg"])]
)
def test_the_splits_keep_the_order_of_the_source(validation, images):
    assert [record["image"] for record in mpii.records(PERSONS, validation)] == images
    assert mpii.records([], validation) == []


def test_the_task_reads_what_is_written(wheel, tmp_path):
    (tmp_path / "images").mkdir()
    mpii.unpack_wheel(wheel, tmp_path)
    assert files(tmp_path) == [
        "annot/gt_valid.mat",
        "annot/train.json",
        "annot/valid.json",
        "x.whl",
    ]
    train, test = (read_people(tmp_path, f"annot/{name}.json") for name in ("train", "valid"))
    assert test.names == ("images/d.jpg person 1", "images/c.jpg person 1")
    assert train.annotated.sum(axis=1).tolist() == [16, 14, 16]
    joints, annotated, sizes = read_heads(tmp_path / "annot/gt_valid.mat")
    assert (annotated == test.annotated).all() and annotated.sum() == 31
    assert (joints[annotated] == test.joints[annotated]).all()
    assert sizes == pytest.approx([0.6 * 40 * 2**0.5] * 2)
    lists = {"train": "annot/train.json", "test": "annot/valid.json"}
    faults = mpii_faults(tmp_path, lists, 16, "annot/gt_valid.mat")
    assert [fault.kind for fault in faults] == ["missing image"] * 4


ZIP = mpii_wheel(PERSONS)
NOTHING = gzip.compress(b"[]")


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "File is not a zip file"),
        (ZIP[:-100], "File is not a zip file"),
        (
            zipped({mpii.PERSONS: NOTHING, mpii.TRUTH: b"truth"}).replace(b"truth", b"other"),
            "Bad CRC-32 for file",
        ),
        (zipped({mpii.TRUTH: b"x"}), f"There is no item named '{mpii.PERSONS}'"),
        (zipped({mpii.PERSONS: NOTHING}), f"There is no item named '{mpii.TRUTH}'"),
        (zipped({mpii.PERSONS: b"[]", mpii.TRUTH: b"x"}), "Not a gzipped file"),
        (zipped({mpii.PERSONS: NOTHING[:-3], mpii.TRUTH: b"x"}), "Compressed file ended before"),
        (zipped({mpii.PERSONS: gzip.compress(b"[{"), mpii.TRUTH: b"x"}), "Expecting property name"),
        (zipped({mpii.PERSONS: gzip.compress(b"[1]"), mpii.TRUTH: b"x"}), "not subscriptable"),
        (zipped({mpii.PERSONS: gzip.compress(b"[{}]"), mpii.TRUTH: b"x"}), "isValidation"),
        (
            zipped({mpii.PERSONS: gzip.compress(bytes(1001)), mpii.TRUTH: b"x"}),
            "json.gz has more than 1,000 bytes",
        ),
        (
            zipped({mpii.PERSONS: NOTHING, mpii.TRUTH: bytes(1001)}),
            "our_format.mat has more than 1,000 bytes",
        ),
    ],
)
def test_what_is_not_that_wheel_is_said_and_changes_nothing(tmp_path, monkeypatch, content, said):
    monkeypatch.setattr(mpii, "MOST", 1000)
    (tmp_path / "x.whl").write_bytes(content)
    expected = r"x.whl: expected a wheel with stacked_hourglass/res/mpii_annotations.json.gz and "
    with pytest.raises(
        PrepareError,
        match=rf"{expected}.*, but .*{said}.*; delete .*x.whl and run the same command",
    ):
        mpii.unpack_wheel(tmp_path / "x.whl", tmp_path)
    assert os.listdir(tmp_path) == ["x.whl"]


def test_a_full_disk_leaves_what_was_there(wheel, tmp_path, monkeypatch):
    (tmp_path / "annot").mkdir()
    (tmp_path / "annot/train.json").write_text("mine")
    written = []

    def write(path: Path, content: bytes) -> None:
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        with open(path, "wb") as file:
            file.write(content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write)
        with pytest.raises(
            PrepareError, match=r"Could not unpack .*x.whl below .*: No space left on device; make"
        ):
            mpii.unpack_wheel(wheel, tmp_path)
    assert files(tmp_path) == ["annot/train.json", "x.whl"]
    assert (tmp_path / "annot/train.json").read_text() == "mine"
    mpii.unpack_wheel(wheel, tmp_path)
    assert len(json.loads((tmp_path / "annot/train.json").read_text())) == 3


def test_brackets_in_brackets_are_no_persons(tmp_path):
    (tmp_path / "x.whl").write_bytes(
        zipped({mpii.PERSONS: gzip.compress(b"[" * 100_000), mpii.TRUTH: b"x"})
    )
    with pytest.raises(
        PrepareError,
        match=r"x.whl: expected a wheel with .*, but RecursionError: maximum recursion",
    ):
        mpii.unpack_wheel(tmp_path / "x.whl", tmp_path)


def test_a_zip_whose_members_begin_before_it_is_said(tmp_path):
    """The place of its directory is too far on; zipfile then seeks before the file's first byte."""
    (tmp_path / "x.whl").write_bytes(ZIP[:-5] + b"\xff" + ZIP[-4:])
    with pytest.raises(
        PrepareError, match=r"x.whl: expected a wheel with .*, but Invalid argument; delete"
    ):
        mpii.unpack_wheel(tmp_path / "x.whl", tmp_path)


@fuzz(120)
@given(
    mutated(ZIP[:200], (b"", b"\0", b"\xff", b"PK", b"\x08")),
    mutated(ZIP[-300:], (b"", b"\0", b"\xff", b"PK")),
)
def test_a_changed_wheel_is_unpacked_or_refused(tmp_path, start, end):
    (tmp_path / "x.whl").write_bytes(start + ZIP[200:-300] + end)
    try:
        mpii.unpack_wheel(tmp_path / "x.whl", tmp_path)
    except PrepareError as error:
        assert f"{tmp_path / 'x.whl'}: expected a wheel with" in str(error)
    assert {path.split("/")[0] for path in files(tmp_path)} <= {"annot", "x.whl"}
