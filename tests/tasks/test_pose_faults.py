"""The check of MPII's files: each fault alone, several at once, none on good data, and
nothing ever raised.
"""

from __future__ import annotations

import io
import json
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.io import loadmat, savemat

from tasks.faults import Fault
from tasks.mat import MOST_BYTES, read_arrays
from tasks.pose.faults import MAT_BYTES, mpii_faults
from tasks.pose.people import read_people
from tests.fuzzkit import VALUES, fuzz, mutated

LISTS = {"train": "annot/train.json", "test": "annot/valid.json"}
TRAIN, TEST, MAT, JPG = LISTS["train"], LISTS["test"], "annot/gt_valid.mat", "images/a.jpg"
NAN, INF = float("nan"), float("inf")
# of four; the second is outside of the image, as MPII has it
JOINTS = [[11, 21.5], [-3, 10], [-1, -1], [30, 31]]
BOX = [[10, 10], [16, 18]]  # MPII's head size is then .6 * 10 = 6 px


def person(image: str, dx: float = 0, **fields: Any) -> dict[str, Any]:
    joints = [[x + dx, y] if x != -1 else [-1, -1] for x, y in JOINTS]
    record = {
        "image": image,
        "center": [20, 15],
        "scale": 0.15,
        "joints": joints,
        "joints_vis": [1, 1, 0, 1.0],
    }
    return {**record, **fields}


# two persons share an image in either list, and one of the test persons has no annotated joint
PERSONS = {
    TRAIN: [person("a.jpg"), person("a.jpg", 4), person("sub/b.png")],
    TEST: [person("c.jpg"), person("c.jpg", 12), person("d.jpg", 24, joints_vis=[0, 0, 0, 0])],
}


def mat_content(**changes: Any) -> bytes:
    """The head boxes of PERSONS[TEST]; `...` deletes an array."""
    arrays = {
        "headboxes_src": np.stack([np.array(BOX, float)] * 3, -1),
        # differs from joints_vis
        "jnt_missing": np.array([[0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]], float).T,
        "pos_gt_src": np.stack([np.array(p["joints"], float) for p in PERSONS[TEST]], -1),
        "dataset_joints": np.array([["rank", "rkne", "rhip", "lhip"]], object),
    }
    content = io.BytesIO()
    savemat(content, {k: v for k, v in {**arrays, **changes}.items() if v is not ...})
    return b"MATLAB 5.0 MAT-file".ljust(116) + content.getvalue()[116:]  # without the time


def make_mpii(root: Path) -> Path:
    (root / "images/sub").mkdir(parents=True)
    (root / "annot").mkdir()
    for seed, name in enumerate(("a.jpg", "sub/b.png", "c.jpg", "d.jpg")):
        pixels = np.random.default_rng(seed).integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / name)
    for file, persons in PERSONS.items():
        (root / file).write_text(json.dumps(persons))
    (root / MAT).write_bytes(mat_content())
    return root


def find(root: Path, heads: str | None = MAT, **options: Any) -> list[Fault]:
    return mpii_faults(root, LISTS, 4, heads, **options)


def alone(faults: list[Fault], kind: str, where: object, texts: Iterable[str] = ()) -> None:
    assert [fault.kind for fault in faults] == [kind], [str(f) for f in faults]
    assert str(faults[0]).startswith(f"{where}")
    assert "; " in str(faults[0]) and "\n" not in str(faults[0])  # what to do, in one line
    for text in texts:
        assert text in str(faults[0]), str(faults[0])


class Progress:
    """Counts as tqdm does."""

    total = seen = 0

    def __call__(self, items: Iterable) -> Iterator:
        self.total += len(list(items))
        for item in items:
            self.seen += 1
            yield item


# Good data
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full", [False, True])
def test_clean_data_has_no_fault(tmp_path: Path, full: bool) -> None:
    progress = Progress()
    assert find(make_mpii(tmp_path), full=full, progress=progress) == []
    assert (progress.total, progress.seen) == (6, 6)


def test_without_heads_the_mat_file_may_be_missing(tmp_path: Path) -> None:
    (make_mpii(tmp_path) / MAT).unlink()
    assert find(tmp_path, heads=None) == []


def test_each_image_is_looked_at_once(tmp_path: Path) -> None:
    (make_mpii(tmp_path) / JPG).write_bytes(b"BM")
    alone(
        find(tmp_path),
        "unreadable image",
        tmp_path / JPG,
        (f"take {tmp_path / TRAIN}, persons[0] (image a.jpg)",),
    )


def test_the_sandbox_has_no_fault(tmp_path: Path) -> None:
    from tools.data.sandbox.pose import make_pose

    root = make_pose(tmp_path, 30, 20, 0, 0.5)
    assert mpii_faults(root, LISTS, 16, MAT, full=True) == []


@pytest.mark.skipif(
    "AL_DATA" not in os.environ, reason="AL_DATA, the folder that holds mpii, is not set"
)
@pytest.mark.parametrize("full", [False, True])
def test_real_mpii_has_no_fault(full: bool) -> None:
    progress, start = Progress(), time.process_time()
    faults = mpii_faults(
        Path(os.environ["AL_DATA"]) / "mpii", LISTS, 16, MAT, full=full, progress=progress
    )
    assert faults == [], [str(f) for f in faults[:5]]
    assert progress.seen == 800
    assert full or time.process_time() - start < 2


# One fault at a time
# ---------------------------------------------------------------------------------------------

Damage = Callable[[Path], object]


def write(file: str, content: bytes | str) -> Damage:
    return lambda root: (root / file).write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


def delete(file: str) -> Damage:
    return lambda root: (root / file).unlink()


def folder(file: str) -> Damage:
    return lambda root: ((root / file).unlink(), (root / file).mkdir())


def record(**fields: Any) -> Damage:
    """Other fields in the last person of the train list; `...` deletes one."""

    def damage(root: Path) -> None:
        persons = json.loads((root / TRAIN).read_text())
        persons[2] = {k: v for k, v in {**persons[2], **fields}.items() if v is not ...}
        (root / TRAIN).write_text(json.dumps(persons))

    return damage


def joint(value: Any) -> list:
    return [[11, 21.5], [15, 10], value, [30, 31]]


LAST = f"{TRAIN}, persons[2] (image sub/b.png)"
LACKING = (
    "with the arrays of numbers ('headboxes_src', 'jnt_missing', 'pos_gt_src'), but got none "
    "of ['headboxes_src']"
)
FILES: list[tuple[str, Damage, str, str, tuple[str, ...]]] = [
    ("json missing", delete(TRAIN), "missing json", TRAIN, ("relative to data_root",)),
    ("json a folder", folder(TRAIN), "unreadable json", TRAIN, ("not a file",)),
    (
        "json cut",
        lambda r: write(TRAIN, (r / TRAIN).read_bytes()[:-9])(r),
        "broken json",
        TRAIN,
        ("JSONDecodeError",),
    ),
    ("json empty", write(TRAIN, ""), "broken json", TRAIN, ("Expecting value",)),
    ("json in Latin-1", write(TRAIN, '["é"]'.encode("latin-1")), "broken json", TRAIN, ("codec",)),
    ("json deep", write(TRAIN, "[" * 100_000), "broken json", TRAIN, ("RecursionError",)),
    ("json long number", write(TRAIN, "9" * 10_000), "broken json", TRAIN, ("ValueError",)),
    (
        "json an object",
        write(TRAIN, '{"images": []}'),
        "broken json",
        TRAIN,
        ("a list of persons", "{'images': []}"),
    ),
    ("json no person", write(TRAIN, "[]"), "broken json", TRAIN, ("a list of persons", "got []")),
    (
        "image missing",
        delete("images/sub/b.png"),
        "missing image",
        "images/sub/b.png",
        (f"{LAST} off the list",),
    ),
    (
        "image a folder",
        folder("images/sub/b.png"),
        "unreadable image",
        "images/sub/b.png",
        ("not a file",),
    ),
    (
        "image no image",
        write("images/sub/b.png", b"x"),
        "unreadable image",
        "images/sub/b.png",
        ("Unidentified",),
    ),
    ("mat missing", delete(MAT), "missing head sizes", MAT, ("put MPII's gt_valid.mat there",)),
    ("mat empty", write(MAT, b""), "unreadable head sizes", MAT, ("version 5",)),
    (
        "mat of version 4",
        write(MAT, bytes(400)),
        "unreadable head sizes",
        MAT,
        ("no header of a MAT-file",),
    ),
    (
        "mat of version 7.3",
        write(MAT, b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + b"x" * 400),
        "unreadable head sizes",
        MAT,
        ("7.3 (HDF5)", "'-v7'"),
    ),
    ("mat text", write(MAT, b"x" * 300), "unreadable head sizes", MAT, ("version 5", "ValueError")),
    ("mat cut", write(MAT, mat_content()[:700]), "unreadable head sizes", MAT, ("version 5",)),
    (
        "mat without",
        write(MAT, mat_content(jnt_missing=...)),
        "head sizes",
        MAT,
        ("none of ['jnt_missing']",),
    ),
    (
        "mat of others",
        write(MAT, mat_content(pos_gt_src=np.zeros((4, 2, 2)))),
        "head sizes",
        MAT,
        ("(4, 2, 3) as 'pos_gt_src'", "for the 3 persons of", "got the shape (4, 2, 2)"),
    ),
    (
        "mat of more joints",
        write(MAT, mat_content(jnt_missing=np.zeros((16, 3)))),
        "head sizes",
        MAT,
        ("(4, 3) as 'jnt_missing'", "got the shape (16, 3)"),
    ),
    ("mat with text", write(MAT, mat_content(headboxes_src="no")), "head sizes", MAT, (LACKING,)),
    (
        "mat with a struct",
        write(MAT, mat_content(headboxes_src={"a": 1})),
        "head sizes",
        MAT,
        (LACKING,),
    ),
    (
        "mat with complex numbers",
        write(MAT, mat_content(headboxes_src=np.full((2, 2, 3), 1j))),
        "head sizes",
        MAT,
        (LACKING,),
    ),
]
RECORDS: list[tuple[str, dict[str, Any], str, tuple[str, ...]]] = [
    ("center missing", {"center": ...}, "missing field", ("none of ['center']",)),
    (
        "two missing",
        {"scale": ..., "joints": ...},
        "missing field",
        ("none of ['scale', 'joints']",),
    ),
    ("joints_vis missing", {"joints_vis": ...}, "missing field", ("none of ['joints_vis']",)),
    ("image a list", {"image": ["a.jpg"]}, "image name", ("['a.jpg']",)),
    ("image empty", {"image": ""}, "image name", ("got ''",)),
    ("image above", {"image": "../a.jpg"}, "image name", ("'../a.jpg'",)),
    ("image absolute", {"image": "/a.jpg"}, "image name", ("'/a.jpg'",)),
    (
        "three joints",
        {"joints": JOINTS[:3]},
        "joints",
        ("a list of 4 joints as 'joints', but got 3",),
    ),
    ("joints an object", {"joints": {}}, "joints", ("4 joints", "got {}")),
    ("joint null", {"joints": joint(None)}, "joints", ("None as joints[2];",)),
    ("joint of three", {"joints": joint([1, 2, 3])}, "joints", ("[1, 2, 3] as joints[2]",)),
    ("joint with text", {"joints": joint([1, "2"])}, "joints", ("[1, '2']",)),
    ("joint with a boolean", {"joints": joint([1, True])}, "joints", ("[1, True]",)),
    # not annotated, but 0 * NaN is NaN
    ("joint with NaN", {"joints": joint([NAN, 1])}, "joints", ("[nan, 1]",)),
    ("joint infinite", {"joints": joint([1, -INF])}, "joints", ("[1, -inf]",)),
    ("joint past floats", {"joints": joint([1, 10**400])}, "joints", ("as joints[2]",)),
    (
        "several joints",
        {"joints": [[1, 2], [1], [2], [3]]},
        "joints",
        ("[1] as joints[1] and 2 more such",),
    ),
    (
        "joint far away",
        {"joints": [[81.5, 9], *JOINTS[1:]]},
        "joint far outside",
        ("[81.5, 9.0]", "(40, 30)"),
    ),
    (
        "joint far above",
        {"joints": [[9, -41], *JOINTS[1:]]},
        "joint far outside",
        ("[9.0, -41.0]",),
    ),
    (
        "joint past integers",
        {"joints": [[9, 10**200], *JOINTS[1:]]},
        "joint far outside",
        ("1e+200",),
    ),
    (
        "five flags",
        {"joints_vis": [1] * 5},
        "joints_vis",
        ("a list of 4 joints as 'joints_vis', but got 5",),
    ),
    (
        "flag 2",
        {"joints_vis": [1, 2, 1, 1]},
        "joints_vis",
        ("0 (not annotated) or 1", "2 as joints_vis[1]"),
    ),
    ("flag a boolean", {"joints_vis": [1, True, 1, 1]}, "joints_vis", ("True as joints_vis[1]",)),
    ("flag a half", {"joints_vis": [1, 0.5, 1, 1]}, "joints_vis", ("0.5",)),
    (
        "flag a pair",
        {"joints_vis": [[1, 1]] * 4},
        "joints_vis",
        ("[1, 1] as joints_vis[0] and 3 more such",),
    ),
    ("center a number", {"center": 3}, "center", ("got 3",)),
    ("center of three", {"center": [1, 2, 3]}, "center", ("[1, 2, 3]",)),
    ("center NaN", {"center": [1, NAN]}, "center", ("[1, nan]",)),
    ("center null", {"center": None}, "center", ("got None",)),
    (
        "scale nil",
        {"scale": 0},
        "scale",
        ("a finite number above 0 as 'scale'", "got 0", "divided by 200 pixels"),
    ),
    ("scale negative", {"scale": -0.2}, "scale", ("got -0.2",)),
    ("scale infinite", {"scale": INF}, "scale", ("got inf",)),
    ("scale NaN", {"scale": NAN}, "scale", ("got nan",)),
    ("scale text", {"scale": "1"}, "scale", ("got '1'",)),
    ("scale a boolean", {"scale": True}, "scale", ("got True",)),
    ("scale null", {"scale": None}, "scale", ("got None",)),
    ("scale in pixels", {"scale": 30}, "scale", ("250 times as large, has 1 to 800 px", "got 30")),
    ("scale past floats", {"scale": 10**308}, "scale", ("has 1 to 800 px",)),
    ("scale tiny", {"scale": 0.0039}, "scale", ("has 1 to 800 px", "0.0039")),
    # the crop of 37.5 px is 2.25 px below the centre, and pixels count from 1: 59.75, -17.75;
    # -17.9; 47.4, -20
    (
        "crop to the right",
        {"center": [59.8, 15]},
        "crop outside the image",
        ("(40, 30)", "38 px around [59.8, 15]"),
    ),
    ("crop to the left", {"center": [-17.8, 15]}, "crop outside the image", ("[-17.8, 15]",)),
    ("crop below", {"center": [20, 47.6]}, "crop outside the image", ("[20, 47.6]",)),
    ("crop above", {"center": [20, -20.1]}, "crop outside the image", ("[20, -20.1]",)),
    ("center past integers", {"center": [10**300, 0]}, "crop outside the image", ("38 px around",)),
]


@pytest.mark.parametrize(
    "damage, kind, file, texts", [pytest.param(*case[1:], id=case[0]) for case in FILES]
)
def test_a_file_that_is_wrong_is_found_alone(
    tmp_path: Path, damage: Damage, kind: str, file: str, texts: tuple[str, ...]
) -> None:
    damage(make_mpii(tmp_path))
    alone(
        find(tmp_path),
        kind,
        tmp_path / file,
        [t.replace(LAST, f"{tmp_path}/{LAST}") for t in texts],
    )


@pytest.mark.parametrize(
    "fields, kind, texts", [pytest.param(*case[1:], id=case[0]) for case in RECORDS]
)
def test_a_record_that_is_wrong_is_found_alone(
    tmp_path: Path, fields: dict[str, Any], kind: str, texts: tuple[str, ...]
) -> None:
    record(**fields)(make_mpii(tmp_path))
    named = isinstance(fields.get("image", ""), str)
    where = f"{tmp_path}/{TRAIN}, persons[2]" + (
        f" (image {fields.get('image', 'sub/b.png')})" if named else ""
    )
    alone(find(tmp_path), kind, where + ": ", texts)


@pytest.mark.parametrize("value", [None, 3, "person", [1]])
def test_a_record_that_is_no_object(tmp_path: Path, value: object) -> None:
    write(TRAIN, json.dumps([person("a.jpg"), value]))(make_mpii(tmp_path))
    alone(
        find(tmp_path),
        "broken record",
        f"{tmp_path / TRAIN}, persons[1]: ",
        (f"an object, but got {value!r}",),
    )


@pytest.mark.parametrize("center", [[59.7, 15], [-17.7, 15], [20, 47.4], [20, -19.9]])
def test_a_crop_that_meets_the_image_is_good(tmp_path: Path, center: list[float]) -> None:
    """The borders of the cases above, by hand: 40 + 1 + 18.75, 1 - 18.75, 30 + 1 + 18.75 -
    2.25, 1 - 18.75 - 2.25.
    """
    # of joints far from it more would be said
    record(center=center, joints_vis=[0, 0, 0, 0])(make_mpii(tmp_path))
    assert find(tmp_path) == []


@pytest.mark.parametrize(
    "name, kind, text",
    [("a" * 5000, "unreadable image", "too long"), ("a\0", "unreadable image", r"a\x00"),
     ("é\u202e.jpg", "missing image", r"\u202e")],
)  # fmt: skip
def test_odd_image_names(tmp_path: Path, name: str, kind: str, text: str) -> None:
    record(image=name)(make_mpii(tmp_path))
    alone(find(tmp_path), kind, tmp_path / "images", (text, "persons[2]"))
    assert len(str(find(tmp_path)[0])) < 6000


def test_roots(tmp_path: Path) -> None:
    alone(find(tmp_path / "no"), "missing data_root", tmp_path / "no", ("data_root holds images/",))
    (tmp_path / "file").write_text("")
    alone(find(tmp_path / "file"), "unreadable data_root", tmp_path / "file", ("not a folder",))


def test_a_missing_images_folder_is_one_fault_beside_those_of_the_records(tmp_path: Path) -> None:
    record(scale=0)(make_mpii(tmp_path))
    (tmp_path / "images").rename(tmp_path / "pictures")
    faults = find(tmp_path)
    assert [fault.kind for fault in faults] == ["missing images folder", "scale"]
    assert str(faults[0]).startswith(
        f"{tmp_path}/images: expected images folder (a folder), but got nothing"
    )


@pytest.mark.parametrize("name", ["../train.json", "/train.json"])
def test_names_that_lead_out_of_the_data(tmp_path: Path, name: str) -> None:
    make_mpii(tmp_path)
    alone(mpii_faults(tmp_path, {"train": name}, 4, None), "list name", tmp_path, (repr(name),))
    alone(find(tmp_path, heads=name), "head sizes name", tmp_path, (repr(name),))


def test_a_list_without_an_annotated_joint(tmp_path: Path) -> None:
    make_mpii(tmp_path)
    for file in (TEST, TRAIN):
        write(file, json.dumps([{**p, "joints_vis": [0, 0, 0, 0]} for p in PERSONS[file]]))(
            tmp_path
        )
    train, test = find(tmp_path)
    alone([train], "no annotated joint", tmp_path / TRAIN, ("none in 3 persons",))
    alone([test], "no annotated joint", tmp_path / TEST, ("none in 3 persons",))


@pytest.mark.parametrize("box", [[[5, 5], [5, 5]], [[5, NAN], [9, 9]], [[5, 5], [INF, 9]]])
def test_head_boxes(tmp_path: Path, box: list) -> None:
    boxes = np.stack([np.array(BOX, float), np.array(box, float), np.array(BOX, float)], -1)
    write(MAT, mat_content(headboxes_src=boxes))(make_mpii(tmp_path))
    texts = (f"{tmp_path / TEST}, persons[1] (image c.jpg)", str(np.array(box, float).tolist()))
    alone(find(tmp_path), "head box", f"{tmp_path / MAT}, headboxes_src[:, :, 1]", texts)


def positions(*moved: float) -> np.ndarray:
    """`pos_gt_src`, each person moved to the right."""
    return np.stack(
        [
            np.array(p["joints"], float) + [dx, 0]
            for p, dx in zip(PERSONS[TEST], moved, strict=True)
        ],
        -1,
    )


def test_heads_in_another_order_are_one_fault(tmp_path: Path) -> None:
    """The first two persons are 12 px apart, the head size is 6 px."""
    make_mpii(tmp_path)
    write(MAT, mat_content(pos_gt_src=positions(12, -12, 0)))(tmp_path)
    texts = (
        f"2 elsewhere, the first of them 12.0 px from {tmp_path / TEST}, persons[0] (image c.jpg)",
    )
    alone(find(tmp_path), "order of heads", tmp_path / MAT, texts)
    write(MAT, mat_content(pos_gt_src=positions(6, -6, 0)))(tmp_path)
    assert find(tmp_path) == []
    write(MAT, mat_content(pos_gt_src=positions(6.01, 0, 0)))(tmp_path)
    alone(
        find(tmp_path), "order of heads", tmp_path / MAT, ("1 elsewhere, the first of them 6.0 px",)
    )
    # nothing of the third person is annotated
    write(MAT, mat_content(pos_gt_src=positions(0, 0, 999)))(tmp_path)
    assert find(tmp_path) == []


def test_positions_count_where_both_have_the_joint(tmp_path: Path) -> None:
    """The fourth joint of person 0 is missing in the mat file alone, the third of all
    persons in the json alone.
    """
    make_mpii(tmp_path)
    moved = positions(0, 0, 0)
    moved[3, :, 0] = moved[2, :, 0] = NAN
    write(MAT, mat_content(pos_gt_src=moved))(tmp_path)
    assert find(tmp_path) == []
    moved[1, 0, 0] = NAN
    write(MAT, mat_content(pos_gt_src=moved))(tmp_path)
    alone(find(tmp_path), "order of heads", tmp_path / MAT, ("1 elsewhere", "nan px"))


def test_a_broken_test_record_leaves_the_others_heads_to_be_compared(tmp_path: Path) -> None:
    broken = [{**PERSONS[TEST][0], "joints": None}, *PERSONS[TEST][1:]]
    write(TEST, json.dumps(broken))(make_mpii(tmp_path))
    assert [f.kind for f in find(tmp_path)] == ["joints"]
    write(MAT, mat_content(pos_gt_src=positions(0, 7, 0)))(tmp_path)
    assert [f.kind for f in find(tmp_path)] == ["joints", "order of heads"]


def test_a_mat_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (make_mpii(tmp_path) / MAT).open("r+b") as file:
        file.truncate(MAT_BYTES + 1)
    alone(find(tmp_path), "unreadable head sizes", tmp_path / MAT, (f"at most {MAT_BYTES} bytes",))


def test_full_decodes_every_image(tmp_path: Path) -> None:
    path = make_mpii(tmp_path) / JPG
    path.write_bytes(path.read_bytes()[:-300])
    assert find(tmp_path) == []
    alone(
        find(tmp_path, full=True),
        "undecodable image",
        path,
        ("cannot decode", "persons[0] (image a.jpg)"),
    )


def test_all_faults_are_listed(tmp_path: Path) -> None:
    bad = person("no.jpg", joints=[[1, 2]], joints_vis=[3] * 4, center=[0], scale=-1)
    write(
        TRAIN,
        json.dumps([*PERSONS[TRAIN], bad, 5, person("c.jpg", scale=...)], default=lambda _: None),
    )(make_mpii(tmp_path))
    write(MAT, mat_content(headboxes_src=np.zeros((2, 2, 3))))(tmp_path)
    kinds = ["missing image", "center", "scale", "joints", "joints_vis", "broken record", "scale"]
    assert [f.kind for f in find(tmp_path)] == [*kinds, *["head box"] * 3]


# The reader of mat files
# -----------------------------------------------------------------------------------------


KINDS = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?")


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_are_those_that_scipy_reads(compressed: bool) -> None:
    """Of all kinds and some shapes, among things that are no arrays of numbers."""
    rng, content = np.random.default_rng(0), io.BytesIO()
    shapes = [
        (2, 2, 3),
        (1, 1),
        (16, 2, 5),
        (0, 3),
        (3, 1),
        (1, 4),
        (5, 7),
        (2, 2, 1),
        (1, 3),
        (1, 2),
        (4, 4),
    ]
    arrays = {f"a{k}" * (k + 1): rng.uniform(0, 100, shape).astype(kind)
              for k, (kind, shape) in enumerate(zip(KINDS, shapes, strict=True))}  # fmt: skip
    others = {
        "text": "abc",
        "cell": np.array([["x", 1]], object),
        "struct": {"a": 1},
        "complex": np.array([[1j]]),
    }
    savemat(content, {**others, **arrays}, do_compression=compressed)
    found, expected = read_arrays(content.getvalue()), loadmat(io.BytesIO(content.getvalue()))
    assert sorted(found) == sorted(arrays)
    for name, array in found.items():
        assert array.dtype == np.float64 and np.array_equal(array, expected[name])


def test_arrays_of_the_other_byte_order() -> None:
    """By hand: a 1 x 2 double array "ab" of the values 1 and 2, held as bytes, as MATLAB
    does with small numbers.
    """
    parts = struct.pack(">IIII", 6, 8, 6, 0) + struct.pack(">IIii", 5, 8, 1, 2)
    parts += struct.pack(">HH4s", 2, 1, b"ab") + struct.pack(">HH4s", 2, 2, b"\1\2")
    content = b"MATLAB 5.0".ljust(124) + b"\1\0MI" + struct.pack(">II", 14, len(parts)) + parts
    assert {k: v.tolist() for k, v in read_arrays(content).items()} == {"ab": [[1.0, 2.0]]}
    with pytest.raises(ValueError, match="expected 48 bytes in an element, got 46"):
        read_arrays(content[:-2])


def test_a_compressed_array_that_grows_without_end_is_refused() -> None:
    """A kilobyte for each megabyte."""
    bomb = zlib.compress(struct.pack("<II", 14, 100 << 20) + bytes(100 << 20))
    with pytest.raises(
        ValueError, match=f"expected arrays of at most {MOST_BYTES} bytes in all, got more"
    ):
        read_arrays(b"MATLAB 5.0".ljust(124) + b"\0\1IM" + struct.pack("<II", 15, len(bomb)) + bomb)


def element(name: bytes, count: int, value: int = 0, kind: int = 6, pack: bool = True) -> bytes:
    """An array of `count` bytes; kind 4 is text, which is not handed out."""
    head = struct.pack("<IIII", 6, 8, kind, 0) + struct.pack("<IIii", 5, 8, 1, count)
    inside = (
        head
        + struct.pack("<HH4s", 1, len(name), name)
        + struct.pack("<II", 2, count)
        + bytes([value]) * count
    )
    whole = struct.pack("<II", 14, len(inside)) + inside
    data = zlib.compress(whole)
    return struct.pack("<II", 15, len(data)) + data if pack else whole


@pytest.mark.parametrize(
    "count, one",
    [
        (2, element(b"a", MOST_BYTES // 2)),
        (1, element(b"a", MOST_BYTES // 8 + 8)),
        (100, element(b"a", MOST_BYTES // 800)),
        (60, element(b"a", MOST_BYTES // 50, kind=4)),
        (11, element(b"a", MOST_BYTES // 80 // 8 * 8, pack=False)),
    ],
    ids=["two large ones", "large as floats", "many", "text", "many bytes"],
)
def test_arrays_that_are_too_large_together_are_refused(count: int, one: bytes) -> None:
    """Small files would fill the memory array by array, each of them below the bound."""
    head = b"MATLAB 5.0".ljust(124) + b"\0\1IM"
    assert len(one) * count < 10 << 20
    with pytest.raises(
        ValueError, match=f"expected arrays of at most {MOST_BYTES} bytes in all, got more"
    ):
        read_arrays(head + one * count)
    assert read_arrays(head + element(b"a", MOST_BYTES // 16, 3))["a"].max() == 3


def test_a_person_that_is_twice_in_a_list_is_a_fault(tmp_path: Path) -> None:
    again = person("./a.jpg")
    write(TRAIN, json.dumps([*PERSONS[TRAIN], {**again, "image": "a.jpg", "scale": 0.16}]))(
        make_mpii(tmp_path)
    )
    texts = ("'a.jpg' with the same center and joints again", "persons[0]")
    alone(find(tmp_path), "person twice", f"{tmp_path / TRAIN}, persons[3]", texts)


@pytest.mark.parametrize("away, found", [(56, []), (70, ["head elsewhere"])])
def test_a_head_that_is_far_from_its_person_is_a_fault(
    tmp_path: Path, away: float, found: list[str]
) -> None:
    """Heads are 6 px large, the nearest joint of this person is at (42, 31): 60 px below
    is the farthest.
    """
    joint, middle = np.array([42, 31]), np.array([3, 4])
    box = np.array([joint - middle, joint + middle]) + [0, away]
    boxes = np.stack([np.array(BOX, float), box, np.array(BOX, float)], -1)
    write(MAT, mat_content(headboxes_src=boxes))(make_mpii(tmp_path))
    faults = find(tmp_path)
    assert [f.kind for f in faults] == found
    assert all("headboxes_src[:, :, 1]" in str(f) and "70 px away" in str(f) for f in faults)


def test_a_key_that_is_twice_in_a_person_is_a_fault(tmp_path: Path) -> None:
    text = json.dumps(PERSONS[TRAIN]).replace('"scale": 0.15', '"scale": 0.15, "scale": 0.3', 1)
    write(TRAIN, text)(make_mpii(tmp_path))
    alone(find(tmp_path), "broken json", tmp_path / TRAIN, ("the key 'scale' twice in one object",))


# Anything at all in the files
# ------------------------------------------------------------------------------------

FUZZ = fuzz(150)
PIECES = (
    b"",
    b"{",
    b"]",
    b"[",
    b",",
    b"0",
    b"-1",
    b"NaN",
    b"Infinity",
    b"1e999",
    b"\0",
    b"\xff",
    b"true",
    b"null",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mpii(tmp_path_factory.mktemp("mpii"))


def read_as_hrnet_does(root: Path, file: str) -> None:
    """What HRNet's reader computes of a json: all of it is finite, in float32, too."""
    for p in json.loads((root / file).read_text()):
        centre, scale = np.array(p["center"], float), np.array([p["scale"], p["scale"]], float)
        centre[1] += 15 * scale[1]
        joints, flags = np.array(p["joints"], float) - 1, np.array(p["joints_vis"], float)
        assert joints.shape == (4, 2) and flags.shape == (4,) and set(flags) <= {0, 1}
        crop = (joints[flags == 1] - centre) / (1.25 * 200 * scale)
        assert np.isfinite(crop.astype(np.float32)).all() and (scale > 0).all()
        assert Image.open(root / "images" / p["image"]).size


def check(root: Path, file: str, content: bytes) -> bool:
    """Nothing is raised; where nothing is reported, other readers read the file.

    Returns whether that was asked.
    """
    original = (root / file).read_bytes()
    (root / file).write_bytes(content)
    try:
        faults = find(root, full=file == JPG)
        "\n".join(str(f) for f in faults).encode()
        asked = not faults and content != original
        if asked and file == TRAIN:
            read_as_hrnet_does(root, file)
        return asked
    finally:
        (root / file).write_bytes(original)


@pytest.mark.parametrize("file", [TRAIN, TEST, MAT, JPG])
def test_fuzzed_bytes(root: Path, file: str) -> None:
    original, asked = (root / file).read_bytes(), []

    @FUZZ
    @given(mutated(original, PIECES, cut=True))
    def fuzz(content: bytes) -> None:
        asked.append(check(root, file, content))

    fuzz()
    assert len(asked) - sum(asked) > 20  # faults were found in the rest


def test_fuzzed_values(root: Path) -> None:
    asked = []

    @FUZZ
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        persons = json.loads(json.dumps(PERSONS[TRAIN]))
        item: Any = data.draw(st.sampled_from(persons))
        key: Any = data.draw(st.sampled_from(sorted(item)))
        if isinstance(item[key], list) and data.draw(st.booleans()):
            item, key = item[key], data.draw(st.integers(0, len(item[key]) - 1))
        near = (
            st.lists(st.integers(0, 40), min_size=2, max_size=2)
            | st.floats(0.0, 2.0)
            | st.integers(0, 1)
        )
        item[key] = data.draw(near | VALUES)
        asked.append(check(root, TRAIN, json.dumps(persons).encode()))

    fuzz()
    assert 5 < sum(asked) < len(asked) - 20  # both verdicts were put to the test


ARRAYS = ("headboxes_src", "jnt_missing", "pos_gt_src")


@FUZZ
@given(
    st.sampled_from(ARRAYS),
    st.lists(st.integers(0, 4), max_size=4),
    st.sampled_from("fiubcOU"),
    st.floats(),
)
def test_fuzzed_arrays(root: Path, key: str, shape: list[int], kind: str, value: float) -> None:
    with np.errstate(all="ignore"):
        array = np.full(shape, value).astype(
            {"f": "f4", "i": "i2", "u": "u1", "b": "?", "c": "c8"}.get(kind, kind)
        )
    check(root, MAT, mat_content(**{key: array}))


@FUZZ
@given(st.binary(max_size=300), st.booleans(), st.sampled_from([TRAIN, TEST, MAT, JPG]))
def test_random_bytes_are_a_fault(root: Path, content: bytes, headed: bool, file: str) -> None:
    content = (mat_content()[:128] if headed and file == MAT else b"") + content
    original = (root / file).read_bytes()
    (root / file).write_bytes(content)
    try:
        assert find(root, full=True)
    finally:
        (root / file).write_bytes(original)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_json_is_read_in_the_encodings_of_windows_tools_too(
    tmp_path: Path, encoding: str
) -> None:
    root = make_mpii(tmp_path)
    before = read_people(root, TRAIN)
    (root / TRAIN).write_bytes((root / TRAIN).read_text().encode(encoding))
    assert find(root) == []
    assert read_people(root, TRAIN).names == before.names


def test_windows_separators_in_the_names_of_images(tmp_path: Path) -> None:
    root, notes = make_mpii(tmp_path), []
    before = read_people(root, TRAIN)
    persons = [{**p, "image": p["image"].replace("/", "\\")} for p in PERSONS[TRAIN]]
    (root / TRAIN).write_text(json.dumps(persons))
    assert persons[2]["image"] == "sub\\b.png"
    assert find(root, notes=notes) == []
    assert notes == [
        rf"{root / TRAIN}: 1 names of image files have Windows' separators: '\' is taken as '/'"
    ]
    after = read_people(root, TRAIN)
    assert (after.paths, after.names) == (before.paths, before.names)
