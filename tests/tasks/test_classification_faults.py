"""The check of classification data: each fault alone, several at once, none on good data,
and nothing ever raised.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10

from tasks.classification import cifar as cifar_files
from tasks.classification import faults as room
from tests import imagekit
from tests.imagekit import classification, pixels, write_image


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:600])


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


# what is done to the data -> the one line that says so, below the data's folder
SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no data": (
        shutil.rmtree,
        ": expected data_root (a folder), but got nothing at this path; the layout is",
    ),
    "no train": (
        lambda d: shutil.rmtree(d / "train"),
        "/train: expected train folder (a folder), but got nothing",
    ),
    "no test": (
        lambda d: shutil.rmtree(d / "test"),
        "/test: expected test folder (a folder), but got nothing",
    ),
    "no image to test on": (
        lambda d: [empty(d / f"test/{name}") for name in ("bird", "cat", "dog")],
        "/test: expected an image at least to test on, but got none in 3 class folders; the layout "
        "is",
    ),
    "class missing in train": (
        lambda d: shutil.rmtree(d / "train/bird"),
        "/test/bird: expected a folder named after a class of train, but got 'bird'; known are "
        "cat, dog. Rename it",
    ),
    "another name in test": (
        lambda d: write_image(d / "test/dogs/0.png", pixels(1)),
        "/test/dogs: expected a folder named after a class of train, but got 'dogs'; did you mean "
        "'dog'? Rename it",
    ),
    "empty class": (
        lambda d: empty(d / "train/cat"),
        "/train/cat: expected something in the class folder, but got an empty folder; put images "
        "there",
    ),
    "class without a visible file": (
        lambda d: (empty(d / "train/cat"), (d / "train/cat/.DS_Store").write_text("x")),
        "/train/cat: expected something in the class folder, but got an empty folder",
    ),
    "file among the classes": (
        lambda d: (d / "train/readme.txt").write_text("x"),
        "/train/readme.txt: expected class folders alone, but got a file; move it into its class's "
        "folder, or take",
    ),
    "folder among the images": (
        lambda d: (d / "train/dog/more").mkdir(),
        "/train/dog/more: expected image (a file), but got something that is not a file",
    ),
    "no image": (
        lambda d: (d / "train/dog/notes.txt").write_text("x"),
        "/train/dog/notes.txt: expected the header of one of",
    ),
    "empty file": (
        lambda d: (d / "test/dog/000.png").write_bytes(b""),
        "/test/dog/000.png: expected the header of",
    ),
    "dangling link": (
        lambda d: (d / "train/dog/link.png").symlink_to(d / "nowhere.png"),
        "/train/dog/link.png: expected image (a file), but got nothing at this path",
    ),
    "another size": (
        lambda d: write_image(d / "train/dog/big.png", pixels(1, 40, 32)),
        "/train/dog/big.png: expected 32 x 32 pixels, but got 40 x 32; resize the images, set "
        "task.input_size, or",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_each_fault_alone(own_image_folder: Path, name: str):
    spoil, expected = SPOILED[name]
    spoil(own_image_folder)
    for full in (False, True):
        (line,) = classification(own_image_folder).check(full)
        assert line.startswith(f"{own_image_folder}{expected}"), line
        assert "; " in line and "\n" not in line  # what to do, in one line


def test_pixels_that_cannot_be_decoded_are_found_by_the_full_check(own_image_folder: Path):
    truncate(own_image_folder / "train/cat/003.png")
    assert classification(own_image_folder).check() == []
    (line,) = classification(own_image_folder).check(full=True)
    assert line.startswith(
        f"{own_image_folder}/train/cat/003.png: expected a whole image, but got pixels that OpenCV cannot"
    )
    assert "get the file anew" in line and "take the file away" in line


def test_several_faults_are_all_reported(own_image_folder: Path):
    for spoil in ("another name in test", "empty class", "no image", "another size"):
        SPOILED[spoil][0](own_image_folder)
    lines = classification(own_image_folder).check()
    assert len(lines) == 4
    assert all(
        any(SPOILED[name][1] in line for line in lines)
        for name in ("another name in test", "no image")
    )


def test_good_data_has_no_fault(own_image_folder: Path):
    (own_image_folder / "hard.txt").write_text("beside the splits anything may be")
    (own_image_folder / "train/.hidden").write_text("")
    (own_image_folder / "train/cat/.DS_Store").write_text("")
    task = classification(own_image_folder)
    assert task.check(full=True) == [] and len(task.dataset("pool")) == 12


def test_classes_of_the_setting_are_what_folders_must_be(own_image_folder: Path):
    lines = classification(own_image_folder, classes=["bird", "cat", "dig"]).check()
    named = (
        "dog: expected a folder named after a class of the setting task.classes, but got "
        "'dog'; did you mean 'dig'?"
    )
    lost = (
        "dig: expected a folder of images of a class of the setting task.classes, but got "
        "nothing at this path"
    )
    expected = [
        f"{own_image_folder}/{rest}"
        for rest in (f"train/{named}", f"test/{named}", f"train/{lost}")
    ]
    assert len(lines) == 3 and all(a.startswith(b) for a, b in zip(lines, expected, strict=True)), (
        lines
    )
    assert classification(own_image_folder, classes=["dog", "cat", "bird"]).check() == []


@pytest.mark.parametrize(
    "name", ["a b.png", "\u00e4\u65e5.png", "a..b.png", " a", "a\tb", "[a]%s.png", "x" * 250]
)
def test_names_that_are_right_everywhere(own_image_folder: Path, name: str):
    write_image(own_image_folder / "train/cat/000.png", pixels(7))
    (own_image_folder / "train/cat/000.png").rename(own_image_folder / "train/cat" / name)
    task = classification(own_image_folder)
    assert task.check(full=True) == []
    names = [task.name(i) for i in range(12)]
    assert f"train/cat/{name}" in names and "\n".join(names).encode().decode().splitlines() == names
    assert np.array_equal(
        task.dataset("pool")[names.index(f"train/cat/{name}")][0].permute(1, 2, 0), pixels(7)
    )


@pytest.mark.parametrize("name", [b"a\nb", b"a\n", b"a\rb", "a\u2028b".encode(), b"\xff", b"a\x0b"])
def test_a_name_that_is_no_line_of_text_is_a_fault(own_image_folder: Path, name: bytes):
    """Of images and of classes: `samples.txt` has a line for each."""
    image = os.path.join(os.fsencode(own_image_folder / "train/cat"), name)
    shutil.copy(own_image_folder / "train/cat/000.png", image)
    (line,) = classification(own_image_folder).check()
    assert (
        "expected a name in one line of UTF-8, but got" in line
        and line.isprintable()
        and line.isascii()
    )
    os.unlink(image)
    for split in ("train", "test"):
        os.rename(
            own_image_folder / split / "cat",
            os.path.join(os.fsencode(own_image_folder / split), name),
        )
    lines = classification(own_image_folder).check()
    assert len(lines) == 2 and all("expected a name in one line of UTF-8" in line for line in lines)


def link(path: Path, target: Path | str) -> None:
    path.symlink_to(target)


LOOPS = {
    "to itself": lambda path: link(path, path),
    "to its folder": lambda path: link(path, path.parent),
    "to a device": lambda path: link(path, "/dev/zero"),
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("place", ["train/cat/x.png", "train/x", "test/x", "train"])
@pytest.mark.parametrize("name", LOOPS)
def test_loops_and_what_is_no_file_end_in_faults(own_image_folder: Path, place: str, name: str):
    if place == "train":
        (own_image_folder / "train").rename(own_image_folder / "moved")
    LOOPS[name](own_image_folder / place)
    lines = classification(own_image_folder).check(full=True)
    assert lines and any(line.startswith(str(own_image_folder / place)) for line in lines), lines


def test_one_class_is_none(own_image_folder: Path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            shutil.rmtree(own_image_folder / split / name)
    (line,) = classification(own_image_folder).check()
    assert line.startswith(
        f"{own_image_folder}/train: expected at least 2 class folders, but got ['bird']"
    )


def test_where_all_images_have_another_size_one_line_says_so(tmp_path: Path):
    folder = imagekit.make_folder(tmp_path, width=48, height=48)
    train, test = classification(folder).check()
    assert train.startswith(
        f"{folder}/train: expected images of 32 x 32 pixels, but got none of 12 such images, 12 of"
    )
    assert "48 x 48; resize the images, set task.input_size" in train and f"{folder}/test: " in test
    assert classification(folder, input_size=48).check() == []
    assert classification(folder, augmentation="resized_crop").check() == []


def test_a_picture_on_its_side_has_the_size_that_training_sees(own_image_folder: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels(3, 40, 32)).save(own_image_folder / "train/dog/turned.jpg", exif=exif)
    (line,) = classification(own_image_folder).check()
    (decoded,) = classification(own_image_folder).check(full=True)
    assert "but got 32 x 40" in line and line == decoded


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(own_image_folder: Path):
    (own_image_folder / "train/dog").chmod(0)
    try:
        (line,) = classification(own_image_folder).check()
    finally:
        (own_image_folder / "train/dog").chmod(0o755)
    assert line.startswith(
        f"{own_image_folder}/train/dog: expected a class folder that can be read, but got Permission denied"
    )


def test_listing_that_fails_is_a_fault(own_image_folder: Path, monkeypatch):
    def failing(path: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(room, "listing", failing)
    lines = classification(own_image_folder).check()
    assert [line.partition(";")[0] for line in lines] == [
        f"{own_image_folder}/{split}: expected a {split} folder that can be read, but got Permission denied"
        for split in ("train", "test")
    ]


# ---------------------------------------------------------------- CIFAR


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch) -> Path:
    return imagekit.make_cifar10(tmp_path / "cifar", monkeypatch)


def test_cifar_that_is_missing(tmp_path: Path):
    (line,) = classification(tmp_path, format="cifar10").check()
    assert line.startswith(
        f"{tmp_path}/cifar-10-batches-py: expected the files of 'cifar10' with torchvision's MD5, "
        "but"
    )
    assert (
        "data_batch_1 missing" in line
        and "test_batch missing" in line
        and "batches.meta missing" in line
    )
    for way in (
        "task.download=True",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "task.format=folder",
    ):
        assert way in line
    (line,) = classification(tmp_path, format="cifar100").check()
    assert f"{tmp_path}/cifar-100-python: " in line and "cifar-100-python.tar.gz" in line


def test_cifar_that_is_damaged_is_named(cifar: Path):
    (cifar / "cifar-10-batches-py/data_batch_4").write_bytes(b"other")
    (cifar / "cifar-10-batches-py/test_batch").unlink()
    (line,) = classification(cifar, format="cifar10").check()
    assert "but got data_batch_4 damaged, test_batch missing; set task.download=True" in line


def test_cifar_that_cannot_be_read_is_named(cifar: Path, monkeypatch):
    def failing(path: str, md5: str) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cifar_files, "check_integrity", failing)
    (line,) = classification(cifar, format="cifar10").check()
    assert "data_batch_1 unreadable (Permission denied)" in line


def test_cifar_has_one_size(cifar: Path):
    (line,) = classification(cifar, format="cifar10", input_size=64).check()
    assert line.startswith("task.input_size: expected 32 for 'cifar10', but got 64")
    assert (
        classification(cifar, format="cifar10", input_size=64, augmentation="resized_crop").check()
        == []
    )


@pytest.fixture
def server(cifar: Path, monkeypatch) -> Iterator[str]:
    """The archive of the tiny CIFAR-10 on the loopback, under the address that torchvision asks."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(cifar))
    monkeypatch.setattr(handler.func, "log_message", lambda *_: None)
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{site.server_port}/{CIFAR10.filename}"
    monkeypatch.setattr(CIFAR10, "url", address)
    yield address
    site.shutdown()
    site.server_close()


def test_cifar_is_downloaded_once(server: str, tmp_path: Path, cifar: Path, monkeypatch):
    task = classification(tmp_path / "new", format="cifar10", download=True)
    assert task.check() == []
    there = classification(cifar, format="cifar10")
    assert len(task.dataset("pool")) == 20
    assert np.array_equal(task.dataset("pool")[7][0], there.dataset("pool")[7][0])
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/nowhere")
    assert classification(tmp_path / "new", format="cifar10", download=True).check() == []


def test_a_download_that_is_damaged_is_a_fault(server: str, tmp_path: Path, cifar: Path):
    (cifar / CIFAR10.filename).write_bytes(b"not the archive")
    (line,) = classification(tmp_path / "new", format="cifar10", download=True).check()
    assert f"the download of {server} failed (RuntimeError: File not found or corrupted" in line
    assert (
        "by other means" in line
        and "task.format=folder" in line
        and "task.download=True" not in line
    )


def test_an_address_that_cannot_be_reached_is_a_fault(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    (line,) = classification(tmp_path, format="cifar10", download=True).check()
    assert "the download of http://127.0.0.1:9/cifar-10-python.tar.gz failed (URLError: " in line
    assert (
        "put http://127.0.0.1:9/cifar-10-python.tar.gz there by other means" in line
        and "\n" not in line
    )
