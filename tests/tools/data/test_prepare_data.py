"""Preparing data from a publisher on the loopback: what breaks there, on the disk or in an
archive spoils nothing.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import lzma
import multiprocessing
import os
import re
import shutil
import signal
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchvision.datasets import CIFAR10
from torchvision.datasets.voc import DATASET_YEAR_DICT

from tests import publisher
from tests.fuzzkit import fuzz, mutated
from tests.publisher import Publisher
from tools.data.published import download, prepare, unpack
from tools.data.published import sets as published
from tools.data.published.download import PrepareError, fetch
from tools.data.published.faults import BATCHES, CIFAR, _truth_faults, cifar_faults
from tools.prepare_data import main

CONTENT = publisher.padding(0) * 5  # 1 MB
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
VOC07, VOC07_TEST, VOC12 = (archive.name for archive in published.SETS["voc"].archives)
WHEEL = published.WHEEL


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAITS", (0, 0, 0))
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Publisher]:
    with publisher.publish({"a.tar": CONTENT}) as served:
        yield served


@pytest.fixture
def small(monkeypatch) -> Iterator[tuple[Publisher, dict]]:
    """A publisher of all three data sets, and the sets as they then are."""
    files, sets = publisher.small(monkeypatch)
    with publisher.publish(files) as served:
        yield served, sets


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }


def get(server: Publisher, folder: Path, checksum: str = MD5, unpacked: float = 0) -> bytes:
    fetch(f"{server.address}/a.tar", folder / "a.tar", checksum, unpacked)
    assert os.listdir(folder) == ["a.tar"]
    return (folder / "a.tar").read_bytes()


def run(name: str, root: Path, small: tuple[Publisher, dict], *more: str) -> int:
    return main([name, "--root", str(root), "--mirror", small[0].address + "/", *more], small[1])


# ---------------------------------------------------------------- downloads


@pytest.mark.parametrize(
    "plan, ranges",
    [
        ([], [None]),
        (["cut 300000"], [None, "bytes=300000-"]),
        (["cut 300000", "cut 200000"], [None, "bytes=300000-", "bytes=500000-"]),
        (["cut 300000", "whole"], [None, "bytes=300000-"]),
        (["cut 300000", "shifted"], [None, "bytes=300000-", None]),
        (["stall 300000"], [None, "bytes=300000-"]),
        (["503", "429", "cut 0"], [None, None, None, None]),
        (["endless"], [None]),
        # tries count anew
        (["503", "503", "503", "cut 300000", "503", "503"], [None] * 4 + ["bytes=300000-"] * 3),
    ],
)
def test_a_download_survives(server, tmp_path, plan, ranges):
    server.plan = list(plan)
    assert get(server, tmp_path) == CONTENT
    assert [span for _, span in server.asked] == ranges


def test_a_silent_connection_is_broken_off(server, tmp_path, capsys):
    server.plan = ["stall 300000"]
    assert get(server, tmp_path) == CONTENT
    assert "the connection broke (timed out); trying again in 0 s" in capsys.readouterr().out


def test_the_next_call_goes_on_where_the_last_one_gave_up(server, tmp_path):
    server.plan = ["cut 300000", "503", "503", "503"]
    with pytest.raises(
        PrepareError, match=r"503 Service Unavailable, 4 times in a row; 300,000 bytes are kept"
    ):
        get(server, tmp_path)
    assert tree(tmp_path) == {"a.tar.part": CONTENT[:300_000]}
    server.asked.clear()
    assert get(server, tmp_path) == CONTENT
    assert server.asked == [("a.tar", "bytes=300000-")]


def test_a_server_that_sends_the_same_beginning_again_and_again_is_given_up(server, tmp_path):
    server.plan = ["cut 1000"] + ["whole 1000"] * 9
    with pytest.raises(
        PrepareError, match=r"the connection ended after 1,000 of 1,000,000 bytes, 4 times in a row"
    ):
        get(server, tmp_path)
    assert len(server.asked) == 4


@pytest.mark.parametrize("size, requests", [(1_000_000, 1), (1_000_001, 2)])
def test_a_part_that_is_whole_or_longer_than_the_file(server, tmp_path, size, requests):
    (tmp_path / "a.tar.part").write_bytes((CONTENT + b"x")[:size])
    assert get(server, tmp_path) == CONTENT
    assert len(server.asked) == requests


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_wrong_checksum_names_both_and_the_next_call_starts_anew(server, tmp_path, kind):
    server.plan = ["wrong"]
    expected, came = (
        f"{kind}:{hashlib.new(kind, data).hexdigest()}" for data in (CONTENT, bytes(1_000_000))
    )
    with pytest.raises(
        PrepareError,
        match=rf"http://127.*/a.tar: expected a file with {expected}, but got 1,000,000 bytes with "
        rf"{came}",
    ):
        get(server, tmp_path, expected)
    assert tree(tmp_path) == {}
    assert get(server, tmp_path, expected) == CONTENT


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_is_not_there_is_said_at_once(server, tmp_path, status):
    server.plan = [str(status)]
    with pytest.raises(PrepareError, match=rf"/a.tar: the server answers {status} .*--mirror"):
        get(server, tmp_path)
    assert len(server.asked) == 1


def test_nobody_listens(tmp_path, capsys):
    with publisher.publish({}) as gone:
        pass
    with pytest.raises(
        PrepareError, match=r"no connection \(.*refused\), 4 times in a row; try later, or"
    ):
        get(gone, tmp_path)
    assert len(re.findall("trying again in 0 s", capsys.readouterr().out)) == 3


# ---------------------------------------------------------------- disks


class Full:
    """A file on a disk that has room for `room` more bytes in all files."""

    room = 0

    def __init__(self, *args) -> None:
        self.file = open(*args)  # noqa: SIM115

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str):
        return getattr(self.file, name)

    def write(self, block: bytes) -> int:
        self.file.write(block[: Full.room])
        if len(block) > Full.room:
            Full.room = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        Full.room -= len(block)
        return len(block)


def test_a_disk_that_fills_up_keeps_what_came(server, tmp_path, monkeypatch):
    monkeypatch.setattr(Full, "room", 400_000)
    monkeypatch.setattr(download, "open", Full, raising=False)
    with pytest.raises(
        PrepareError, match=r"Could not write .*a.tar.part: No space left on device; make room"
    ):
        get(server, tmp_path)
    assert tree(tmp_path) == {"a.tar.part": CONTENT[:400_000]}
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert get(server, tmp_path) == CONTENT
    assert server.asked[-1] == ("a.tar", "bytes=400000-")


@pytest.mark.parametrize("free, fits", [(2_099_999, False), (2_100_000, True)])
def test_room_for_archive_and_content_is_asked_for_first(server, tmp_path, monkeypatch, free, fits):
    monkeypatch.setattr(
        download.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free)
    )
    if fits:
        assert get(server, tmp_path, unpacked=1.1) == CONTENT
        return
    with pytest.raises(
        PrepareError,
        match=r"expected 0.0021 GB free for a.tar and what is in it, but there are 0.0021",
    ):
        get(server, tmp_path, unpacked=1.1)
    assert tree(tmp_path) == {}


def test_what_is_there_already_needs_no_room(server, tmp_path, monkeypatch):
    (tmp_path / "a.tar.part").write_bytes(CONTENT[:600_000])
    monkeypatch.setattr(
        download.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 1_500_000)
    )
    assert get(server, tmp_path, unpacked=1.1) == CONTENT


def test_room_is_asked_for_before_an_archive_that_is_there_is_unpacked(
    tmp_path, small, monkeypatch, capsys
):
    (tmp_path / VOC07).write_bytes(small[0].files[VOC07])
    monkeypatch.setattr(
        download.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 1000)
    )
    assert run("voc", tmp_path, small) == 1
    assert f"free for what is in {VOC07}, but there are 1e-06 GB" in capsys.readouterr().err
    assert list(tree(tmp_path)) == [VOC07]


def test_a_disk_that_fills_up_while_unpacking_leaves_the_archive(
    tmp_path, small, monkeypatch, capsys
):
    monkeypatch.setattr(Full, "room", 250_000)
    monkeypatch.setattr(unpack, "open", Full, raising=False)
    assert run("voc", tmp_path, small) == 1
    said = capsys.readouterr().err
    assert re.search(
        rf"error: Could not unpack .*{VOC07} below .*: No space left on device; make room", said
    )
    assert list(tree(tmp_path)) == [VOC07]
    monkeypatch.setattr(unpack, "open", open, raising=False)
    small[0].asked.clear()
    assert run("voc", tmp_path, small) == 0
    assert [name for name, _ in small[0].asked] == [VOC07_TEST, VOC12]


@pytest.mark.parametrize("below", ["file", "file/folder"])
def test_a_root_that_is_no_folder(tmp_path, small, capsys, below):
    (tmp_path / "file").write_text("x")
    assert run("voc", tmp_path / below, small) == 1
    assert re.search(
        r"error: --root .*: expected a folder that can be written, but: (File exists|Not a "
        r"directory)",
        capsys.readouterr().err,
    )
    assert small[0].asked == []


def test_a_root_that_cannot_be_written(tmp_path, small, capsys, monkeypatch):
    def read_only(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(prepare.tempfile, "TemporaryFile", read_only)
    assert run("voc", tmp_path, small) == 1
    assert "can be written, but: Read-only file system; give another one" in capsys.readouterr().err


# ---------------------------------------------------------------- archives


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "evil, said",
    [
        ({"../evil": b"x"}, r"'../evil', a path out of it"),
        ({"a/../../evil": b"x"}, r"'a/../../evil', a path out of it"),
        ({"/tmp/evil": b"x"}, r"'/tmp/evil', a path out of it"),
        (link("a", "/etc"), r"'a', a link to '/etc'"),
        (link("a", "../evil"), r"'a', a link to '../evil'"),
        (link("a", "/etc/passwd", tarfile.LNKTYPE), r"'a', a link to '/etc/passwd'"),
        (link("a", "", tarfile.CHRTYPE), r"'a', a device or pipe"),
        (link("a", "", tarfile.FIFOTYPE), r"'a', a device or pipe"),
    ],
)
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_that_reaches_out_of_its_folder_is_refused_whole(tmp_path, evil, said, mode):
    members = () if isinstance(evil, dict) else (evil,)
    content = publisher.tar(
        {"good": b"x"} | (evil if isinstance(evil, dict) else {}), mode, members
    )
    root = tmp_path / "root"
    root.mkdir()
    (root / "evil.tar").write_bytes(content)
    with pytest.raises(
        PrepareError, match=rf"evil.tar: expected files and folders .*, but got {said}; nothing was"
    ):
        unpack.unpack(root / "evil.tar", root, lambda path: path)
    assert list(tree(tmp_path)) == ["root/evil.tar"]
    assert os.listdir(root) == ["evil.tar"]


def test_files_come_whole_with_folders_between_and_over_old_ones(tmp_path):
    files = {"./a/b/c": b"new", "a/d": b"", "skip": b"x"}
    (tmp_path / "x.tar").write_bytes(publisher.tar(files))
    (tmp_path / "a").mkdir()
    (tmp_path / "a/d").write_bytes(b"old")
    (tmp_path / "a/mine").write_bytes(b"mine")
    (tmp_path / ".x.tar.unpacking").mkdir()
    (tmp_path / ".x.tar.unpacking/half").write_bytes(b"of a killed call")
    unpack.unpack(tmp_path / "x.tar", tmp_path, lambda path: None if path.name == "skip" else path)
    (tmp_path / "x.tar").unlink()
    assert tree(tmp_path) == {"a/b/c": b"new", "a/d": b"", "a/mine": b"mine"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>moved</html>",
        publisher.mpii_archives()[1][:700_000],
        publisher.voc_tar("VOC2007", "test", ["1"])[:1000],
    ],
    ids=["empty", "html", "cut gzip", "cut tar"],
)
def test_what_is_no_whole_archive_is_said(tmp_path, content):
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(
        PrepareError,
        match=r"x.tar: expected a whole tar archive, but .*; delete .*x.tar and run the",
    ):
        unpack.unpack(tmp_path / "x.tar", tmp_path, lambda path: path)
    assert list(tree(tmp_path)) == ["x.tar"]


TAR = publisher.tar({"a/b": b"x" * 700, "a/c d": b"y", "l" * 150: b"z"})
PIECES = (b"", b"\0", b"/", b"../", b"\xff", b"7", b"9999999", b"x", b"L", b"=")


@pytest.mark.parametrize(
    "compress", [bytes, partial(gzip.compress, mtime=0), lzma.compress]
)  # the same bytes each time
def test_a_changed_archive_is_unpacked_below_its_root_or_refused(tmp_path, compress):
    """The pages of a tar, inside of its compression; and the compressed file itself."""
    refused = []

    @fuzz(60)
    @given(mutated(TAR[:4096], PIECES), mutated(compress(TAR), PIECES, cut=True), st.booleans())
    def check(inside, outside, within):
        root = Path(tempfile.mkdtemp(dir=tmp_path)) / "root"
        root.mkdir()
        (root / "x.tar").write_bytes(compress(inside) if within else outside)
        try:
            unpack.unpack(root / "x.tar", root, lambda path: path)
            refused.append(False)
        except PrepareError as error:
            assert str(root / "x.tar") in str(error)
            refused.append(True)
        assert [path.name for path in root.parent.iterdir()] == ["root"]
        assert not any(path.is_symlink() for path in root.rglob("*")) and not list(root.glob(".*"))

    check()
    assert sum(refused) > 5
    (tmp_path / "x.tar").write_bytes(compress(TAR))
    unpack.unpack(tmp_path / "x.tar", tmp_path / "whole", lambda path: path)
    assert len([path for path in (tmp_path / "whole").rglob("*") if path.is_file()]) == 3, (
        "unchanged it is unpacked"
    )


def test_a_name_with_a_nul_is_refused(tmp_path):
    member = tarfile.TarInfo("a")
    member.pax_headers = {"path": "a\0b"}
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member)
    with pytest.raises(
        PrepareError, match=r"x.tar: expected a whole tar archive, but ValueError: embedded null"
    ):
        unpack.unpack(tmp_path / "x.tar", tmp_path, lambda path: path)
    assert list(tree(tmp_path)) == ["x.tar"]


@pytest.mark.parametrize(
    "path, place", [("VOCdevkit/VOC2007/JPEGImages/1.jpg", "VOC2007/JPEGImages/1.jpg"), ("x", None)]
)
def test_the_devkits_own_folder_is_taken_off(path, place):
    assert published.strip_devkit(PurePosixPath(path)) == (place and PurePosixPath(place))


# ---------------------------------------------------------------- the command

WHOLE = {  # samples to train on, to test on, and all files
    "cifar10": (
        3,
        2,
        [f"cifar-10-batches-py/{name}" for name in ("batches.meta", "data_batch_1", "test_batch")],
    ),
    "voc": (
        5,
        1,
        [f"VOC2007/Annotations/{i}.xml" for i in ("000001", "000005", "000007")]
        + ["VOC2007/ImageSets/Main/test.txt", "VOC2007/ImageSets/Main/trainval.txt"]
        + [f"VOC2007/JPEGImages/{i}.jpg" for i in ("000001", "000005", "000007")]
        + [f"VOC2012/Annotations/{i}.xml" for i in (2008, 2009, 2010)]
        + ["VOC2012/ImageSets/Main/trainval.txt"]
        + [f"VOC2012/JPEGImages/{i}.jpg" for i in (2008, 2009, 2010)],
    ),
    "mpii": (
        5,
        2,
        [
            "annot/gt_valid.mat",
            "annot/train.json",
            "annot/valid.json",
            *[f"images/{i}.jpg" for i in range(1, 8)],
        ],
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_data_set_is_prepared_and_a_second_run_only_checks(tmp_path, small, capsys, name):
    server, sets = small
    root = tmp_path / "new" / name
    train, test, files = WHOLE[name]
    assert run(name, root, small, "--check") == 1
    assert not root.exists()  # only looks
    assert run(name, root, small) == 0
    assert (
        f"{root}: {train} samples to train on and {test} to test on; all there"
        in capsys.readouterr().out
    )
    assert list(tree(root)) == files
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    server.asked.clear()
    assert run(name, root, small) == run(name, root, small, "--check") == 0
    assert server.asked == []
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before


def test_the_official_address_is_asked_without_a_mirror(tmp_path, small):
    server, sets = small
    (archive,) = sets["cifar10"].archives
    sets["cifar10"] = replace(
        sets["cifar10"], archives=(replace(archive, address=f"{server.address}/x/{archive.name}"),)
    )
    assert main(["cifar10", "--root", str(tmp_path)], sets) == 0


def test_archives_are_kept_where_asked_and_where_they_were_there_before(tmp_path, small, capsys):
    server, _ = small
    assert run("voc", tmp_path / "kept", small, "--keep-archives") == 0
    assert {VOC07, VOC07_TEST, VOC12} < set(os.listdir(tmp_path / "kept"))
    assert f"{VOC12} (0.000614 GB) is no longer needed" in capsys.readouterr().out
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / VOC07).write_bytes(server.files[VOC07])
    (tmp_path / "there" / VOC12).write_bytes(b"broken")
    server.asked.clear()
    assert run("voc", tmp_path / "there", small) == 0
    assert [name for name, _ in server.asked] == [VOC07_TEST, VOC12]
    assert (tmp_path / "there" / VOC07).read_bytes() == server.files[VOC07]
    assert not (tmp_path / "there" / VOC12).exists()
    assert f"{VOC12}: expected md5:" in capsys.readouterr().out


def test_only_the_archive_of_what_is_missing_is_fetched(tmp_path, small, capsys):
    assert run("voc", tmp_path, small) == 0
    (tmp_path / "VOC2007/Annotations/000001.xml").unlink()
    (tmp_path / "VOC2007/mine.txt").write_text("mine")
    small[0].asked.clear()
    assert run("voc", tmp_path, small) == 0
    assert [name for name, _ in small[0].asked] == [VOC07_TEST]
    assert (tmp_path / "VOC2007/mine.txt").read_text() == "mine"
    assert "to do: " in capsys.readouterr().out


def test_an_archive_with_other_counts_is_said_and_kept(tmp_path, small, capsys):
    server, sets = small
    first, *rest = sets["voc"].archives
    sets["voc"] = replace(
        sets["voc"], archives=(replace(first, counts={"VOC2007/trainval": 5_011}), *rest)
    )
    assert run("voc", tmp_path, small) == 1
    said = capsys.readouterr().err
    assert f"{VOC07} is unpacked, but not all is there" in said
    assert "trainval.txt: expected 5,011 images, but got 2" in said
    assert (tmp_path / VOC07).exists()


def test_ctrl_c_says_that_the_same_command_goes_on(tmp_path, small, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(unpack, "_write", interrupt)
        assert run("voc", tmp_path, small) == 130
    assert "stopped; the same command goes on from here" in capsys.readouterr().err
    assert list(tree(tmp_path)) == [VOC07]
    assert run("voc", tmp_path, small) == 0


@pytest.mark.parametrize(
    "name, archive, renames", [("voc", VOC07, 3), ("mpii", WHEEL, 0), ("mpii", WHEEL, 2)]
)
def test_killed_between_two_renames_the_same_command_goes_on(
    tmp_path, small, monkeypatch, name, archive, renames
):
    class Killed(BaseException):
        pass

    moves = []

    def replace_some(source, target):
        if len(moves) == renames:
            raise Killed
        moves.append(os.rename(source, target))

    with monkeypatch.context() as patch:
        patch.setattr(unpack.os, "replace", replace_some)
        patch.setattr(unpack.shutil, "rmtree", lambda *_, **__: None)  # a kill cleans nothing
        (tmp_path / archive).write_bytes(small[0].files[archive])
        with pytest.raises(Killed):
            run(name, tmp_path, small)
    assert (tmp_path / f".{archive}.unpacking").is_dir()
    assert run(name, tmp_path, small, "--check") == 1
    assert run(name, tmp_path, small) == 0
    assert not (tmp_path / f".{archive}.unpacking").exists()
    assert sorted({*tree(tmp_path)} - {archive}) == WHOLE[name][2]


def test_a_process_that_is_killed_in_a_download_goes_on(server, tmp_path):
    server.plan = ["stall 300000"]
    arguments = (f"{server.address}/a.tar", tmp_path / "a.tar", MD5, 0)
    process = multiprocessing.get_context("fork").Process(target=fetch, args=arguments)
    process.start()
    part = tmp_path / "a.tar.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.join()
    kept = part.stat().st_size
    assert process.exitcode == -signal.SIGKILL and 0 < kept <= 300_000
    assert get(server, tmp_path) == CONTENT
    assert server.asked == [("a.tar", None), ("a.tar", f"bytes={kept}-")]


# ---------------------------------------------------------------- what is wrong with what is there


def test_voc_lists_all_that_is_wrong_at_once(tmp_path, small, capsys):
    assert run("voc", tmp_path, small) == 0
    (tmp_path / "VOC2007/ImageSets/Main/test.txt").unlink()
    (tmp_path / "VOC2007/JPEGImages/000005.jpg").write_bytes(b"")
    (tmp_path / "VOC2012/ImageSets/Main/trainval.txt").write_text("2008\n2009\n2010\n2011\n")
    assert run("voc", tmp_path, small, "--check") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"error: 5 wrong in {tmp_path}; run this without --check, which gets what is missing:",
        f"  {tmp_path}/VOC2007/JPEGImages: expected 2 files, but 1 are missing or empty: "
        "'000005.jpg'",
        f"  {tmp_path}/VOC2007/ImageSets/Main/test.txt: expected a list of 1 images, but got No "
        "such file or directory",
        f"  {tmp_path}/VOC2012/ImageSets/Main/trainval.txt: expected 3 images, but got 4",
        f"  {tmp_path}/VOC2012/JPEGImages: expected 4 files, but 1 are missing or empty: "
        "'2011.jpg'",
        f"  {tmp_path}/VOC2012/Annotations: expected 4 files, but 1 are missing or empty: "
        "'2011.xml'",
    ]


def test_many_missing_files_are_one_line(tmp_path, small, capsys):
    assert run("mpii", tmp_path, small) == 0
    shutil.rmtree(tmp_path / "images")
    assert run("mpii", tmp_path, small, "--check") == 1
    assert (
        "images: expected 6 files, but 6 are missing or empty: '1.jpg', '2.jpg', '3.jpg', ..."
        in capsys.readouterr().err
    )


def test_cifar_names_each_file(tmp_path, small, capsys):
    assert run("cifar10", tmp_path, small) == 0
    folder = tmp_path / "cifar-10-batches-py"
    (folder / "data_batch_1").write_bytes(b"x")
    (folder / "batches.meta").unlink()
    assert run("cifar10", tmp_path, small, "--check") == 1
    said = capsys.readouterr().err
    assert (
        f"{folder}/data_batch_1: expected the MD5 {BATCHES['train']['data_batch_1']}, but the file has "
        "another one" in said
    )
    assert f"{folder}/batches.meta: expected a file, but there is none" in said


def test_cifar_is_counted(tmp_path, small):
    assert run("cifar10", tmp_path, small) == 0
    faults = cifar_faults(tmp_path, {"train": 50_000, "test": 2})
    assert faults == [f"{tmp_path}/cifar-10-batches-py: expected 50,000 train images, but got 3"]


@pytest.mark.parametrize(
    "file, content, said",
    [
        ("train.json", b"[]", "train.json: expected 5 persons, but got 0"),
        (
            "train.json",
            b"[1]",
            "train.json: expected a json list of 5 persons, but got something else",
        ),
        (
            "valid.json",
            b'[{"joints": 1}]',
            "valid.json: expected a json list of 2 persons, but got something else",
        ),
        (
            "valid.json",
            b"\xff",
            "valid.json: expected a json list of 2 persons, but got something else",
        ),
        ("valid.json", None, "valid.json: expected a json list of 2 persons, but got No such file"),
        ("gt_valid.mat", b"x", "gt_valid.mat: expected MATLAB's format, but got"),
        ("gt_valid.mat", None, "gt_valid.mat: expected MATLAB's format, but got"),
    ],
)
def test_broken_annotations_of_mpii_are_said_and_repaired(
    tmp_path, small, capsys, file, content, said
):
    assert run("mpii", tmp_path, small) == 0
    path = tmp_path / "annot" / file
    path.unlink() if content is None else path.write_bytes(content)
    assert run("mpii", tmp_path, small, "--check") == 1
    assert said in capsys.readouterr().err
    small[0].asked.clear()
    assert run("mpii", tmp_path, small) == 0
    assert [name for name, _ in small[0].asked] == [WHEEL]


def test_head_boxes_of_other_persons_are_said(tmp_path):
    from scipy.io import savemat

    path = tmp_path / "gt_valid.mat"
    savemat(path, {"headboxes_src": [[[0.0] * 3] * 2] * 2, "jnt_missing": [[0.0] * 2] * 16})
    assert _truth_faults(path, 2) == [
        f"{path}: expected the shape (2, 2, 2) as 'headboxes_src', but got (2, 2, 3)",
        f"{path}: expected the shape (16, 2, 2) as 'pos_gt_src', but got nothing",
    ]


def test_mpii_without_annotations_and_images_says_both(tmp_path):
    data = published.SETS["mpii"]
    faults = data.faults(tmp_path)
    assert len(faults) == 4
    assert faults[-1] == f"{tmp_path}/images: expected a folder of images, but there is none"


# ---------------------------------------------------------------- what is published


def test_counts_and_checksums_are_the_published_ones():
    """Paper, section 4.1 to 4.3; the sums are those of the issue."""
    assert {name: data.sizes() for name, data in published.SETS.items()} == {
        "cifar10": (50_000, 10_000),
        "voc": (16_551, 4_952),
        "mpii": (22_246, 2_958),
    }
    known = {
        a.name: (a.address, a.checksum) for data in published.SETS.values() for a in data.archives
    }
    assert len(known) == 6
    assert known["cifar-10-python.tar.gz"] == (CIFAR10.url, "md5:c58f30108f718f92721af3b95e74349a")
    assert CIFAR10.base_folder == CIFAR
    assert {
        "train": dict(CIFAR10.train_list),
        "test": dict(CIFAR10.test_list),
        "": {CIFAR10.meta["filename"]: CIFAR10.meta["md5"]},
    } == BATCHES
    for key in ("2007", "2007-test", "2012"):
        voc = DATASET_YEAR_DICT[key]
        assert known[voc["filename"]] == (voc["url"], f"md5:{voc['md5']}")
    for address, checksum in known.values():
        assert re.fullmatch(r"https?://\S+\.(tar|tar\.gz|whl)", address)
        assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", checksum)


def test_a_mirror_that_is_no_address_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["voc", "--root", str(tmp_path), "--mirror", "/some/folder"])
    assert (
        "expected an address such as http://host/folder, but got '/some/folder'"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "address", ["http://", "ftp://host/x", "http://host/\u00fc", "http://" + "a" * 70, "http://[x"]
)
def test_addresses_that_no_server_can_have_are_refused(address, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["voc", "--root", str(tmp_path), "--mirror", address])
    assert "expected an address such as http://host/folder, but got" in capsys.readouterr().err


def test_the_real_data_are_counted(real_data, capsys):
    """A part of VOC2007 and of MPII: what is there is counted and found too little, images
    are all found.
    """
    faults = published.SETS["voc"].faults(real_data / "VOCdevkit")
    main_lists = real_data / "VOCdevkit/VOC2007/ImageSets/Main"
    assert faults[:2] == [
        f"{main_lists}/trainval.txt: expected 5,011 images, but got 1200",
        f"{main_lists}/test.txt: expected 4,952 images, but got 400",
    ]
    assert all("VOC2012" in fault for fault in faults[2:])
    persons = len(json.loads((real_data / "mpii/annot/train.json").read_bytes()))
    assert published.SETS["mpii"].faults(real_data / "mpii") == [
        f"{real_data}/mpii/annot/train.json: expected 22,246 persons, but got {persons}",
        f"{real_data}/mpii/annot/valid.json: expected 2,958 persons, but got 160",
        *(
            f"{real_data}/mpii/annot/gt_valid.mat: expected the shape {want} as {name!r}, but got "
            f"{came}"
            for name, want, came in (
                ("headboxes_src", (2, 2, 2958), (2, 2, 160)),
                ("jnt_missing", (16, 2958), (16, 160)),
                ("pos_gt_src", (16, 2, 2958), (16, 2, 160)),
            )
        ),
    ]
