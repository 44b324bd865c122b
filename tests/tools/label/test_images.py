"""The folder of images: what was moved, renamed, changed, copied or added is told apart."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from tests import labelkit
from tools.label.images import Index, index_of, scan
from tools.label.labels import LabelError

NAMES = ("a.png", "b.png", "deep/er/c.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return labelkit.make_images(tmp_path / "photos", NAMES)


def looked(photos: Path, before: Index | None = None) -> tuple[Index, str]:
    """What a look finds, through the text that is kept of it, and all notes."""
    found = scan(before or Index(photos))
    assert index_of(found.index.text()) == found.index
    return found.index, "\n".join(found.notes)


def keys(index: Index) -> dict[str, str]:
    return {image.sha256: image.key for image in index.present}


def test_a_second_look_reads_nothing_and_finds_the_same(photos: Path, monkeypatch):
    first, notes = looked(photos)
    assert notes == "" and sorted(keys(first).values()) == sorted(NAMES)
    monkeypatch.setattr("tools.label.images.digest", lambda path: pytest.fail(f"reads {path}"))
    assert looked(photos, first) == (first, "")


def test_a_moved_image_is_the_same_one(photos: Path):
    first, _ = looked(photos)
    (photos / "other").mkdir()
    (photos / "a.png").rename(photos / "other/new name.png")
    second, notes = looked(photos, first)
    assert keys(second).keys() == keys(first).keys() and not second.absent
    assert "1 images were moved: a.png -> other/new name.png" in notes
    assert [one.image.sha256 for one in second.known] == [one.image.sha256 for one in first.known]


@pytest.mark.parametrize("same_time", [False, True])
def test_names_that_were_swapped_are_seen(photos: Path, same_time: bool):
    """Also where size and time are the same, as of what was unpacked from an archive."""
    for seed, name in enumerate(("a.png", "b.png")):
        Image.new("RGB", (16, 16), (seed, 0, 0)).save(photos / name, "BMP")
        if same_time:
            os.utime(photos / name, ns=(10**18, 10**18))
    first, _ = looked(photos)
    (photos / "a.png").rename(photos / "aside")
    (photos / "b.png").rename(photos / "a.png")
    (photos / "aside").rename(photos / "b.png")
    second, notes = looked(photos, first)
    swapped = {"a.png": "b.png", "b.png": "a.png"}
    assert keys(second) == {sha: swapped.get(key, key) for sha, key in keys(first).items()}
    assert "2 images were moved: a.png -> b.png, b.png -> a.png" in notes


def test_changed_bytes_are_a_new_image(photos: Path):
    first, _ = looked(photos)
    before = {key: sha for sha, key in keys(first).items()}
    Image.new("RGB", (20, 10)).save(photos / "a.png")
    second, notes = looked(photos, first)
    now = {key: sha for sha, key in keys(second).items()}
    assert now["a.png"] != before["a.png"] and now["b.png"] == before["b.png"]
    assert [image.sha256 for image in second.absent] == [before["a.png"]]
    assert "1 images have other bytes than before: they are new ones: a.png" in notes
    assert "gone" not in notes and "join" not in notes
    labelkit.make_images(photos, ["a.png"])  # the former bytes are put back
    third, _ = looked(photos, second)
    assert {key: sha for sha, key in keys(third).items()} == before


def test_copies_are_one_image_and_a_copy_takes_the_place_of_a_lost_one(photos: Path):
    shutil.copy(photos / "a.png", photos / "0 copy.png")  # comes first by name
    first, notes = looked(photos)
    assert len(first.present) == 3
    assert "1 copies of another image, which are labeled once: a.png = 0 copy.png" in notes
    assert {key: image.key for key, image in first.copies.items()} == {"a.png": "0 copy.png"}
    (photos / "0 copy.png").unlink()
    second, notes = looked(photos, first)
    assert keys(second).keys() == keys(first).keys()
    assert "0 copy.png -> a.png" in notes and second.copies == {}
    shutil.copy(photos / "a.png", photos / "0 copy.png")  # a known name stays the image's
    third, _ = looked(photos, second)
    assert keys(third) == keys(second)


def test_links_to_images_and_folders_are_followed_once(photos: Path, tmp_path: Path):
    outside = labelkit.make_images(tmp_path / "outside", [f"{k}.png" for k in range(5)])
    (photos / "link.png").symlink_to(outside / "4.png")
    (photos / "linked").symlink_to(outside)
    (photos / "deep/round").symlink_to(photos)
    (photos / "broken.png").symlink_to(tmp_path / "nothing.png")
    index, notes = looked(photos)
    found = set(keys(index).values())
    assert {"linked/3.png", "deep/er/c.png"} <= found
    assert len(found) == 5 and "4 copies of another image" in notes  # 0, 1, 2 are a, b, c
    assert "broken.png" in notes


def test_odd_names_are_images_all_the_same(photos: Path):
    umlaut = "gr\u00fc\u00df.png"
    odd = [
        "with space.png",
        "#1 50%20off.png",
        'comma, "quote".png',
        "it's.png",
        "a+b&c=d;e.png",
        umlaut,
        unicodedata.normalize("NFD", umlaut),
        "UPPER.PNG",
        "no suffix",
        "tab\\back.png",
    ]
    for k, name in enumerate(odd):
        Image.new("RGB", (16, 16), (k, 9, 9)).save(photos / name, "PNG")
    index, _ = looked(photos)
    assert set(keys(index).values()) == {*NAMES, *odd}
    (photos / "two\nlines.png").write_bytes((photos / "a.png").read_bytes())
    with pytest.raises(LabelError, match=r"names of files in one line.*'two\\nlines.png'.*rename"):
        scan(index)


def test_what_cannot_be_read_is_named(photos: Path):
    (photos / "bad.jpg").write_bytes(b"\xff\xd8 no more")
    (photos / "notes.txt").write_text("hello")
    index, notes = looked(photos)
    assert len(index.present) == 3
    assert "bad.jpg" in notes and "1 files are no images: 1 '.txt'" in notes
    with pytest.raises(LabelError, match="expected the folder of images, but there is none; put"):
        shutil.rmtree(photos)
        scan(index)


def test_gone_images_are_named_and_found_again(photos: Path, tmp_path: Path):
    first, _ = looked(photos)
    (photos / "b.png").rename(tmp_path / "b.png")
    second, notes = looked(photos, first)
    assert [image.key for image in second.absent] == ["b.png"]
    assert "1 images are gone: their labels are kept, and not trained on: b.png" in notes
    Image.new("RGB", (16, 16)).save(photos / "z.png")
    third, notes = looked(photos, second)
    assert "1 new images join the pool: z.png" in notes
    (tmp_path / "b.png").rename(photos / "back.png")
    fourth, notes = looked(photos, third)
    assert not fourth.absent and len(fourth.present) == 4
    assert [one.image.key for one in fourth.known] == [
        "a.png",
        "back.png",
        "deep/er/c.png",
        "z.png",
    ]


def test_sizes_are_those_of_the_turned_image(photos: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(photos / "turned.jpg", exif=exif)
    index, _ = looked(photos)
    (turned,) = [image for image in index.present if image.key == "turned.jpg"]
    assert turned.size == (30, 40) and turned.turned


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_listed_is_named(photos: Path):
    (photos / "deep").chmod(0)
    try:
        index, notes = looked(photos)
    finally:
        (photos / "deep").chmod(0o755)
    assert len(index.present) == 2 and "deep" in notes
