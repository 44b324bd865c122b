"""Image files that are cut short, too large, of other kinds or no files at all: a fault,
or the right pixels.
"""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from PIL import Image

from tasks.base import DataError
from tasks.data import read_image
from tasks.faults import Fault
from tasks.images import IMAGE_PIXELS, image_size
from tests import devkit, imagekit, posekit
from tests.conftest import REPOSITORY
from tests.fuzzkit import fuzz, mutated

MEGABYTE = 1 << 20
# MB of address space that decoding may take: 16 bytes for each of `IMAGE_PIXELS`, and room to spare
BOUND = 1500
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "bmp": ("BMP", {}),
    "ppm": ("PPM", {}),
    "tiff": ("TIFF", {}),
    "lzw tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {"lossless": True}),
    "gif": ("GIF", {}),
    "jpeg 2000": ("JPEG2000", {}),
}


def content(form: str, size: tuple[int, int] = (24, 18), **options: Any) -> bytes:
    rng, out = np.random.default_rng(0), io.BytesIO()
    small = Image.fromarray(rng.integers(0, 255, (5, 6, 3), dtype=np.uint8))
    small.resize(size).save(out, form, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def black_png(width: int, height: int, rows: int | None = None) -> bytes:
    """A whole PNG of black pixels, a two-hundredth of their size.

    With `rows` only so many are in it.
    """
    packer, row = zlib.compressobj(1), bytes(3 * width + 1)
    data = (
        b"".join(packer.compress(row) for _ in range(height if rows is None else rows))
        + packer.flush()
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def looked_at(path: Path, full: bool) -> tuple[tuple[float, float] | None, list[Fault]]:
    """What `image_size` returns, and the faults on its way."""
    reading, faults = image_size(path, full), []
    while True:
        try:
            faults.append(next(reading))
        except StopIteration as end:
            return end.value, faults


# ---------------------------------------------------------------- cut, changed, of another kind


@pytest.mark.parametrize("name", FORMATS)
def test_an_image_cut_anywhere_is_a_fault_and_is_not_read(tmp_path: Path, name: str) -> None:
    form, options = FORMATS[name]
    whole, path = content(form, **options), tmp_path / "image"
    path.write_bytes(whole)
    assert looked_at(path, full=True) == ((24, 18), []) and read_image(path).shape == (18, 24, 3)
    lengths = sorted(
        {*range(0, 64), *range(64, len(whole), max(1, len(whole) // 40)), len(whole) - 1}
    )
    for length in lengths:
        path.write_bytes(whole[:length])
        (fault,) = looked_at(path, full=True)[1]
        assert str(fault).startswith(f"{path}: expected ")
        with pytest.raises(DataError, match=str(path)):
            read_image(path)


@pytest.mark.parametrize("name", ["jpeg", "png", "bmp", "webp", "gif", "lzw tiff"])
def test_changed_bytes_are_a_fault_or_pixels(tmp_path: Path, name: str) -> None:
    """Of the size that was found, and what the check lets pass is read."""
    form, options = FORMATS[name]
    path = tmp_path / "image"

    @fuzz(30)
    @given(
        mutated(
            content(form, **options), (b"", b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f"), cut=True
        )
    )
    def check(changed: bytes) -> None:
        path.write_bytes(changed)
        size, faults = looked_at(path, full=True)
        assert (size is None) == bool(faults)
        if size is None:
            with pytest.raises(DataError, match=str(path)):
                read_image(path)
        else:
            assert read_image(path).shape == (size[1], size[0], 3)

    check()


@pytest.mark.parametrize(
    "text", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.4", b"text", b"\0" * 100]
)
def test_what_is_no_image_of_pixels_is_a_fault(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(text)
    (fault,) = looked_at(path, full=False)[1]
    assert "expected the header of one of ('JPEG', 'PNG'" in str(fault)
    with pytest.raises(DataError, match=r"image\.jpg: expected the header of one of"):
        read_image(path)


# ---------------------------------------------------------------- too large


@pytest.mark.parametrize("width, height", [(100_000, 100_000), (8193, 8192), (IMAGE_PIXELS + 1, 1)])
@pytest.mark.parametrize("full", [False, True])
def test_too_many_pixels_are_known_by_the_header(
    tmp_path: Path, width: int, height: int, full: bool
) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(black_png(width, height, rows=1))
    (fault,) = looked_at(path, full)[1]
    assert f"{path}: expected at most 67,108,864 pixels, but got " in str(fault)
    assert f"{width} x {height}" in str(fault) or str(width * height) in str(fault)
    with pytest.raises(DataError, match=r"image\.png: expected at most 67,108,864 pixels"):
        read_image(path)


READ = """
import resource, sys
from pathlib import Path
from tasks.base import DataError
from tasks.data import read_image
from tasks.images import image_size
there = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
for path, room in zip(sys.argv[1::2], sys.argv[2::2]):
    resource.setrlimit(resource.RLIMIT_AS, (there + int(room), hard))
    print([fault.kind for fault in image_size(Path(path), True)])
    try:
        print(read_image(Path(path)).shape)
    except DataError as error:
        print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
@pytest.mark.slow
def test_memory_stays_within_its_bound(tmp_path: Path) -> None:
    """A bomb of 2 MB that unpacks to 432 MB is refused with 100 MB at hand; the largest image has
    enough in `BOUND`.

    Where that much is not there after all, it is an error of the project's own.
    """
    bomb, largest = tmp_path / "bomb.png", tmp_path / "largest.png"
    bomb.write_bytes(black_png(12_000, 12_000))  # PIL's own limit would let it pass
    largest.write_bytes(black_png(8192, 8192))
    assert bomb.stat().st_size < 2 * MEGABYTE
    rooms = [str(bomb), 100, str(largest), 100, str(largest), BOUND]
    given = [str(a * MEGABYTE if isinstance(a, int) else a) for a in rooms]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READ, *given]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == "['large image']" and f"{bomb}: expected at most 67,108,864 pixels" in said[1]
    assert said[2] == "['undecodable image']" and f"{largest} cannot be decoded" in said[3]
    assert said[4:] == ["[]", "(8192, 8192, 3)"]


# ---------------------------------------------------------------- the tasks


def classification(root: Path) -> tuple[Any, Path]:
    return imagekit.classification(
        imagekit.make_folder(root / "cls")
    ), root / "cls/train/bird/000.png"


def voc(root: Path) -> tuple[Any, Path]:
    image = root / "voc/VOC2007/JPEGImages/000012.jpg"
    return devkit.detection(devkit.make_voc(root / "voc")), image


def coco(root: Path) -> tuple[Any, Path]:
    made = devkit.make_coco(root / "coco")
    lists = {"train": ["images:train.json"], "test": ["images:test.json"]}
    return devkit.detection(made, format="coco", **lists), made / "images/000012.jpg"


def pose(root: Path) -> tuple[Any, Path]:
    made = posekit.make_mpii(root / "pose")
    return posekit.pose(made), made / "images/train000.jpg"


TASKS = {"classification": classification, "voc": voc, "coco": coco, "pose": pose}


def instead(make: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda path: (path.unlink(), make(path))


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "bomb": (
        lambda path: path.write_bytes(black_png(100_000, 100_000, 1)),
        "expected at most 67,108,864 pixels",
    ),
    "svg": (lambda path: path.write_bytes(b"<svg/>"), "expected the header of one of"),
    "empty": (lambda path: path.write_bytes(b""), "expected the header of one of"),
    "pipe": (instead(os.mkfifo), "something that is not a file"),
    "device": (instead(lambda path: path.symlink_to("/dev/zero")), "something that is not a file"),
    "folder": (instead(Path.mkdir), "something that is not a file"),
    "loop": (instead(lambda path: path.symlink_to(path)), "Too many levels of symbolic links"),
    "gone": (Path.unlink, "nothing at this path"),
}


@pytest.mark.parametrize("task", TASKS)
def test_each_task_says_so_before_and_in_a_run(tmp_path: Path, task: str) -> None:
    adapter, path = TASKS[task](tmp_path)
    assert adapter.check(full=True) == []
    pool, whole = adapter.dataset("pool"), path.read_bytes()
    for name, (spoil, said) in SPOILED.items():
        spoil(path)
        # there the folder is the list
        for full in (False, True) if (task, name) != ("classification", "gone") else ():
            faults = adapter.check(full)
            assert faults and all(said in fault and str(path) in fault for fault in faults), faults
        # of classification they are in memory by now
        reads = [lambda: pool[0], lambda: adapter.thumbnail(0)]
        for read in reads if task != "classification" else [lambda: read_image(path)]:
            with pytest.raises(DataError, match=said):
                read()
        shutil.rmtree(path) if name == "folder" else path.unlink(missing_ok=True)
        path.write_bytes(whole)
    assert adapter.check(full=True) == []


@pytest.mark.parametrize("task", TASKS)
def test_other_formats_under_the_old_name_are_read(tmp_path: Path, task: str) -> None:
    adapter, path = TASKS[task](tmp_path)
    image = Image.open(path).convert("RGB")
    for form in ("GIF", "WEBP"):
        image.save(path, form)
        assert adapter.check(full=True) == []
        adapter.collate([adapter.dataset("pool")[0]])
        assert adapter.thumbnail(0).mode == "RGB"


@pytest.mark.parametrize("task, said", [
    ("classification", "expected 32 x 32 pixels, but got 40 x 36"),
    ("voc", "expected the image's size (40, 36) (width, height), but got <size> (120, 90)"),
    ("coco", "expected the image's size (40, 36) (width, height), but got the json's size (120, 90)"),
])  # fmt: skip
@pytest.mark.parametrize("full", [False, True])
def test_an_image_of_another_size_than_annotated_is_a_fault(
    tmp_path: Path, task: str, said: str, full: bool
) -> None:
    """Of MPII's form it is not told, as its json holds no sizes; what leaves the image then is."""
    adapter, path = TASKS[task](tmp_path)
    path.write_bytes(content("PNG", (40, 36)))
    assert any(said in fault and path.stem in fault for fault in adapter.check(full))


def test_a_person_far_outside_of_another_image_is_a_fault(tmp_path: Path) -> None:
    adapter, path = pose(tmp_path)
    path.write_bytes(content("PNG", (8, 6)))
    assert any("but got" in fault and path.name in fault for fault in adapter.check())


def test_a_thumbnail_is_turned_as_the_boxes_are(tmp_path: Path) -> None:
    adapter, path = voc(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(path) as image:  # 120 x 90, to be seen as such
        image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    assert adapter.check(full=True) == []
    assert adapter.thumbnail(0).size == (256, 192)


def test_a_large_image_is_refused_before_opencv_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(cv2, "imdecode", never)
    path = tmp_path / "image.png"
    path.write_bytes(black_png(9000, 8000, rows=1))
    with pytest.raises(DataError, match="9000 x 8000; make it smaller, or take it off the list"):
        read_image(path)
