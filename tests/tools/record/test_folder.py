"""The run folder: killed anywhere it is whole, damaged it says which file, and full disks
leave the old files alone.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from acquisition.pool import Pool
from acquisition.query import Query
from models.process import files as files_module
from tools.record import facts
from tools.record.facts import Facts
from tools.record.folder import RunFolder, RunFolderError, write_whole
from tools.record.receipt import receipt_digest

CONFIG = {
    "task": {
        "type": "tests.toy.Toy",
        "size": 30,
        "classes": ["a", "b'\"\\"],
        "root": "/data/with space/ü",
    },
    "training": {
        "epochs": 4,
        "optimizer": {"type": "torch.optim.Adam", "lr": 1e-3, "betas": (0.9, 0.999)},
        "x": None,
    },
    "module": {},
    "seed": 0,
    "amp": False,
}
POOL = Pool(30, (4, 17, 2))
RECEIPT = {"weights": "ab12"}
NAMES = [f"images/{i}.jpg" for i in range(30)]


class Killed(BaseException):
    """No error handling sees it, as none sees a kill."""


def query(picked: list[int]) -> Query:
    candidates = np.array([9, 29, 5, 11, *picked])
    scores = np.linspace(0, 1, len(candidates), dtype=np.float32)
    signals, own = (
        {"predicted_loss": scores, "v": np.eye(len(candidates))},
        {"v": np.array([[1.0, 2.0]])},
    )
    return Query(candidates, signals, np.array(picked), own)


def row(cycle: int, **more) -> dict:
    return {"cycle": cycle, "labeled": 3 + 2 * cycle, "mAP": 0.1 * cycle, **more}


def two_cycles(path: Path) -> tuple[RunFolder, Pool]:
    """A run with cycles 0 and 1 committed, its pool at cycle 2."""
    folder = RunFolder(path)
    folder.open(CONFIG, NAMES)
    pool = POOL
    for cycle, picked in enumerate(([7, 3], [20, 1])):
        pool = pool.label(picked)
        folder.commit(row(cycle), query(picked), pool, RECEIPT)
    return folder, pool


def files(path: Path) -> dict[str, bytes]:
    """Everything in a folder, hidden files too."""
    return {
        str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()
    }


# ---------------------------------------------------------------- commit and resume


def test_an_empty_folder_has_no_state(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert folder.resume(30) is None
    assert folder.rows(0) == []
    assert not folder.done
    assert not (tmp_path / "run").exists()  # asking makes nothing


def test_what_is_committed_comes_back(tmp_path):
    _, pool = two_cycles(tmp_path / "run")
    again = RunFolder(tmp_path / "run")
    assert again.resume(30) == pool == Pool(30, (4, 17, 2, 7, 3, 20, 1), cycle=2)
    assert again.rows(2) == [row(0), row(1)]
    assert again.rows(1) == [row(0)]
    assert json.loads((tmp_path / "run" / "state.json").read_text()) == {
        "cycle": 2,
        "size": 30,
        "labeled": [4, 17, 2, 7, 3, 20, 1],
        "receipt": receipt_digest(again.receipt(1)),
    }


def test_receipts_are_a_chain_over_rows_without_their_times(tmp_path):
    """The hashes by hand."""
    folder, _ = two_cycles(tmp_path)
    first, second = (
        json.dumps({"cycle": c, "labeled": 3 + 2 * c, "mAP": 0.1 * c}, sort_keys=True)
        for c in (0, 1)
    )
    one = {"weights": "ab12", "row": hashlib.sha256(first.encode()).hexdigest()}
    assert folder.receipt(0) == one
    before = hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()
    assert folder.receipt(1) == RECEIPT | {
        "row": hashlib.sha256(second.encode()).hexdigest(),
        "before": before,
    }
    timed = RunFolder(tmp_path / "timed")
    timed.commit(row(0, **{"seconds/train": 2.5}), query([7, 3]), POOL.label([7, 3]), RECEIPT)
    assert timed.receipt(0) == one, "the machine's load has no part in it"
    times = hashlib.sha256(json.dumps(["", {"seconds/train": 2.5}]).encode()).hexdigest()
    assert timed.times(1) == [times] and folder.times(2)[0] != times
    assert timed.times(3) == [times, "-", "-"] and RunFolder(tmp_path / "none").times(2) == [
        "-",
        "-",
    ]


def test_commit_returns_the_row_as_it_is_in_the_file(tmp_path):
    folder = RunFolder(tmp_path)
    first = folder.commit(row(0), None, POOL.label([7]))
    rows = [first, folder.commit(row(1, extra=np.float32(0.5)), None, POOL.label([7]).label([3]))]
    assert rows == [row(0), row(1, extra=0.5)]
    assert [
        json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()
    ] == rows


def test_a_query_is_kept_as_it_was(tmp_path):
    two_cycles(tmp_path)
    assert sorted(p.name for p in (tmp_path / "queries").iterdir()) == ["00.npz", "01.npz"]
    with np.load(tmp_path / "queries" / "01.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == [
            "candidates",
            "labeled/v",
            "picked",
            "receipt/before",
            "receipt/row",
            "receipt/weights",
            "signal/predicted_loss",
            "signal/v",
        ]
        assert arrays["candidates"].tolist() == [9, 29, 5, 11, 20, 1]
        assert arrays["picked"].tolist() == [20, 1]
        np.testing.assert_array_equal(
            arrays["signal/predicted_loss"], np.linspace(0, 1, 6, dtype=np.float32)
        )
        np.testing.assert_array_equal(arrays["signal/v"], np.eye(6))
        np.testing.assert_array_equal(arrays["labeled/v"], [[1.0, 2.0]])


def test_the_last_cycle_has_no_query(tmp_path):
    folder, pool = two_cycles(tmp_path)
    folder.commit(row(2), None, pool.label(()))
    assert not (tmp_path / "queries" / "02.npz").exists()
    assert folder.resume(30) == Pool(30, pool.labeled, cycle=3)


def test_numbers_are_written_as_json_has_them(tmp_path):
    values = {
        "nan": float("nan"),
        "inf": -np.inf,
        "np_nan": np.float32("nan"),
        "f32": np.float32(0.25),
        "i64": np.int64(7),
        "flag": np.bool_(True),
        "none": None,
    }
    written = RunFolder(tmp_path).commit({"cycle": 0, **values}, None, POOL.label(()))
    expected = {
        "cycle": 0,
        "nan": None,
        "inf": None,
        "np_nan": None,
        "f32": 0.25,
        "i64": 7,
        "flag": True,
        "none": None,
    }
    assert written == expected
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert RunFolder(tmp_path).rows(1) == [expected]


def test_only_the_newest_weights_stay(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.cycle_folder(3) == tmp_path / "cycles" / "03"
    for cycle in range(3):
        folder.cycle_folder(cycle).mkdir(parents=True)
        (folder.cycle_folder(cycle) / "checkpoint.pth").write_bytes(b"weights")
        folder.commit(row(cycle), None, Pool(30, (1, 2), cycle + 1))
        kept = sorted(p.name for p in (tmp_path / "cycles").iterdir())
        assert kept == [f"{cycle:02d}"]  # a warm start goes on from them


def test_weights_that_a_killed_commit_left_are_cleared_when_the_run_goes_on(tmp_path, monkeypatch):
    folder, pool = two_cycles(tmp_path)
    for cycle in range(3):
        folder.cycle_folder(cycle).mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(Killed):
            folder.commit(row(2), None, pool.label([]))
    assert sorted(p.name for p in (tmp_path / "cycles").iterdir()) == ["00", "01", "02"]
    RunFolder(tmp_path).open(CONFIG, NAMES)
    assert sorted(p.name for p in (tmp_path / "cycles").iterdir()) == ["02"]


def killed(*arguments, **options) -> None:
    raise Killed


def test_done_is_a_mark(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.done is False
    folder.finish()
    assert folder.done is False  # a file of that name in a folder that holds no run
    two_cycles(tmp_path)
    assert folder.done is True
    assert RunFolder(tmp_path).done is True


# ---------------------------------------------------------------- killed


@pytest.mark.parametrize("k", [0, 1, 2, 3])
@pytest.mark.parametrize("how", [Killed, KeyboardInterrupt, OSError])
def test_killed_before_the_kth_rename_the_cycle_is_not_done_and_comes_out_the_same(
    tmp_path, monkeypatch, k, how
):
    calm, pool = two_cycles(tmp_path / "calm")
    after = pool.label([8, 6])
    calm.commit(row(2), query([8, 6]), after, RECEIPT)

    folder, _ = two_cycles(tmp_path / "killed")
    calls = []

    def replace(source, target):
        calls.append(Path(target).name)
        if len(calls) == k + 1:
            raise how("killed here")
        os.rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files_module.os, "replace", replace)
        with pytest.raises(RunFolderError if how is OSError else how, match="killed here"):
            folder.commit(row(2, mAP=0.77), query([6, 8]), pool.label([6, 8]), {"weights": "cd34"})
    # state.json comes last
    assert calls == ["02.npz", "metrics.jsonl", "seconds.txt", "state.json"][: k + 1]

    again = RunFolder(tmp_path / "killed")
    assert again.resume(30) == pool
    assert again.rows(2) == [row(0), row(1)]
    again.commit(row(2), query([8, 6]), after, RECEIPT)
    assert files(tmp_path / "killed") == files(tmp_path / "calm")


def test_killed_in_the_first_cycle_there_is_no_state(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.open(CONFIG, NAMES)

    def replace(source, target):
        if Path(target).name == "state.json":
            raise Killed("killed here")
        os.rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files_module.os, "replace", replace)
        with pytest.raises(Killed, match="killed here"):
            folder.commit(row(0), query([7, 3]), POOL.label([7, 3]))
    again = RunFolder(tmp_path)
    again.open(CONFIG, NAMES)
    assert again.resume(30) is None
    assert again.commit(row(0), query([7, 3]), POOL.label([7, 3])) == row(0)


# ---------------------------------------------------------------- config


def test_the_same_config_is_accepted_after_a_reload(tmp_path):
    folder = RunFolder(tmp_path / "a" / "b")
    folder.open(CONFIG, NAMES)
    before = files(tmp_path)
    assert sorted(before) == ["a/b/config.json", "a/b/config.py", "a/b/samples.txt"]
    folder.open(CONFIG, NAMES)
    RunFolder(tmp_path / "a" / "b").open(CONFIG, NAMES)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "names, shown",
    [
        (NAMES[::-1], r"sample 0 is 'images/0.jpg' there, and 'images/29.jpg' now"),
        (NAMES[:-1], r"sample 29 is 'images/29.jpg' there, and '\(missing\)' now"),
        ([*NAMES, "new"], r"sample 30 is '\(missing\)' there, and 'new' now"),
    ],
)
def test_other_data_is_refused_naming_the_first_sample_that_differs(tmp_path, names, shown):
    two_cycles(tmp_path)
    before = files(tmp_path)
    with pytest.raises(RunFolderError, match=f"samples.txt is of other data: {shown}"):
        RunFolder(tmp_path).open(CONFIG, names)
    assert files(tmp_path) == before


def test_a_query_is_read_back(tmp_path):
    folder, _ = two_cycles(tmp_path)
    again, asked = folder.query(1), query([20, 1])
    assert (
        again.picked.tolist() == asked.picked.tolist()
        and again.candidates.tolist() == asked.candidates.tolist()
    )
    for there, expected in ((again.signals, asked.signals), (again.labeled, asked.labeled)):
        assert sorted(there) == sorted(expected) and len(there) > 0
        assert all(np.array_equal(there[name], values) for name, values in expected.items())
    assert folder.query(2) is None


def test_a_query_without_vectors_keeps_the_numbers():
    kept = query([20, 1]).without_vectors()
    assert (list(kept.signals), list(kept.labeled), kept.picked.tolist()) == (
        ["predicted_loss"],
        [],
        [20, 1],
    )


def test_the_last_cycle_leaves_a_receipt_and_no_query(tmp_path):
    folder, pool = two_cycles(tmp_path)
    folder.commit(row(2), None, pool.label(()), RECEIPT)
    assert folder.query(2) is None
    assert folder.saved(2) == (None, folder.receipt(2)) and folder.receipt(2)["weights"] == "ab12"
    assert folder.saved(3) == (None, {})


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b[: len(b) // 2],
        lambda b: b.replace(b"\x93NUMPY", b"\x93NOMPY"),
        lambda b: b"x",
    ],
    ids=["empty", "half", "other bytes", "no zip"],
)
def test_a_damaged_query_is_an_error_that_names_the_file(tmp_path, damage):
    folder, _ = two_cycles(tmp_path)
    path = folder.query_file(1)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunFolderError, match=r"queries/01\.npz is damaged \(\w+: .+\); restore it"):
        folder.query(1)
    assert folder.query(0) is not None


def test_another_config_is_refused_naming_keys_and_both_values(tmp_path):
    folder = RunFolder(tmp_path)
    folder.open(CONFIG, NAMES)
    other = {**CONFIG, "seed": 1, "task": {**CONFIG["task"], "classes": ["a"]}, "subset": 9}
    del other["amp"]
    with pytest.raises(RunFolderError, match="was made with another config") as error:
        folder.open(other, NAMES)
    assert str(error.value).splitlines()[1:] == [
        "  amp: False there, '(missing)' now",
        "  seed: 0 there, 1 now",
        "  subset: '(missing)' there, 9 now",
        """  task.classes: ['a', 'b\\'"\\\\'] there, ['a'] now""",
    ]
    assert str(tmp_path) in str(error.value)
    folder.open(CONFIG, NAMES)  # the refused one left no trace


def test_a_difference_deep_inside_is_named_by_its_path(tmp_path):
    folder = RunFolder(tmp_path)
    folder.open(CONFIG, NAMES)
    training = {**CONFIG["training"], "optimizer": {**CONFIG["training"]["optimizer"], "lr": 2e-3}}
    with pytest.raises(
        RunFolderError, match=r"training\.optimizer\.lr: 0\.001 there, 0\.002 now"
    ) as error:
        folder.open({**CONFIG, "training": training}, NAMES)
    assert len(str(error.value).splitlines()) == 2


def test_a_run_without_its_config_is_refused(tmp_path):
    two_cycles(tmp_path)
    for name in ("config.json", "config.py"):
        (tmp_path / name).unlink()
    with pytest.raises(
        RunFolderError,
        match=r"holds a run \(cycle 01 is there\) without its config\.py; restore what is lost",
    ):
        RunFolder(tmp_path).open(CONFIG, NAMES)
    assert not (tmp_path / "config.json").exists() and not (tmp_path / "config.py").exists()


@pytest.mark.parametrize("name", ["config.py", "config.json"])
@pytest.mark.parametrize(
    "content", [b"task = dict(", b"raise ValueError('x')", b"\xff\xfe\x00", b"[1]", b"'"]
)
def test_a_damaged_config_is_named(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        RunFolderError, match=rf"{name} (is damaged|cannot be read) \(.*\); restore it"
    ):
        RunFolder(tmp_path).open(CONFIG, NAMES)


def test_a_folder_of_before_has_config_py_alone_and_is_the_same_run(tmp_path):
    """Its tuples are those of the config; a list in the place of a tuple is no other setting."""
    folder, pool = two_cycles(tmp_path)
    (tmp_path / "config.json").unlink()
    assert "betas=(" in (tmp_path / "config.py").read_text()
    listed = {
        **CONFIG["training"],
        "optimizer": {**CONFIG["training"]["optimizer"], "betas": [0.9, 0.999]},
    }
    for config in (CONFIG, {**CONFIG, "training": listed}):
        RunFolder(tmp_path).open(config, NAMES)
    assert RunFolder(tmp_path).resume(30) == pool
    with pytest.raises(RunFolderError, match="seed: 0 there, 1 now"):
        RunFolder(tmp_path).open({**CONFIG, "seed": 1}, NAMES)


def test_settings_come_back_whatever_their_keys_are(tmp_path):
    odd = {
        **CONFIG,
        "task": {**CONFIG["task"], "colors": {0: "red", None: {"a": 1}}, "rate": float("inf")},
    }
    RunFolder(tmp_path).open(odd, NAMES)
    back = facts.settings(tmp_path)
    assert back["task"]["colors"] == {0: "red", None: {"a": 1}} and back["task"]["rate"] == float(
        "inf"
    )
    assert facts.shown_differs(tmp_path) == ""
    RunFolder(tmp_path).open(odd, NAMES)


def test_a_run_goes_on_with_the_task_that_it_was_made_with(tmp_path):
    first = Facts("score", False, {"mine.Task": "/a"})
    RunFolder(tmp_path).open(CONFIG, NAMES, told=first)
    # it was moved
    RunFolder(tmp_path).open(CONFIG, NAMES, told=Facts("score", False, {"mine.Task": "/b"}))
    assert facts.facts(tmp_path).code == {"mine.Task": "/b"}
    for other in (
        Facts("error", False, {"mine.Task": "/b"}),
        Facts("score", True, {"mine.Task": "/b"}),
    ):
        with pytest.raises(
            RunFolderError, match="was made with other code: .*'score'.* there, .* now"
        ):
            RunFolder(tmp_path).open(CONFIG, NAMES, told=other)


def test_a_run_keeps_the_labels_and_goes_on_where_an_earlier_version_kept_none(tmp_path):
    before, now = Facts("score"), Facts("score", labels=("cat", "d\udce9r"))
    assert before.digest == now.digest and b"labels" not in facts.facts_json(before)
    RunFolder(tmp_path).open(CONFIG, NAMES, told=before)
    assert facts.facts(tmp_path) == before
    RunFolder(tmp_path).open(CONFIG, NAMES, told=now)
    assert facts.facts(tmp_path) == now
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": [1]}))
    with pytest.raises(RunFolderError, match=r"facts\.json is damaged .*expected texts as labels"):
        facts.facts(tmp_path)


# ---------------------------------------------------------------- damage

STATES = {
    "empty": b"",
    "cut": b'{"cycle": 2, "size": 30, "labe',
    "no json": b"\xff\xfe\x00",
    "a list": b"[1, 2]",
    "a number": b"3",
    "without a key": b'{"cycle": 2, "size": 30}',
    "without a value": b'{"cycle": 2, "size": 30, "labeled": null}',
    "ids twice": b'{"cycle": 2, "size": 30, "labeled": [4, 4]}',
    "ids outside": b'{"cycle": 2, "size": 30, "labeled": [4, 30]}',
}


@pytest.mark.parametrize("state", STATES)
def test_a_damaged_state_is_named(tmp_path, state):
    folder, _ = two_cycles(tmp_path)
    (tmp_path / "state.json").write_bytes(STATES[state])
    with pytest.raises(
        RunFolderError, match=r"state\.json is damaged \(.+\); restore it from a backup"
    ) as error:
        folder.resume(30)
    assert str(tmp_path / "state.json") in str(error.value)


def test_the_state_of_another_pool_is_refused(tmp_path):
    folder, _ = two_cycles(tmp_path)
    with pytest.raises(
        RunFolderError, match=r"state\.json is of a pool of 30 samples, but the data set has 31 now"
    ):
        folder.resume(31)


@pytest.mark.parametrize("text", ['{"cycle": 1, "labe', "null", "3", "", "\ufffd", "[1]"])
def test_a_damaged_line_is_named(tmp_path, text):
    folder, _ = two_cycles(tmp_path)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    (tmp_path / "metrics.jsonl").write_text(f"{lines[0]}\n{text}\n")
    with pytest.raises(RunFolderError, match=r"metrics\.jsonl, line 2 is damaged"):
        folder.rows(2)
    assert folder.rows(1) == [row(0)]  # what is before it can be read


def test_bytes_that_are_no_text_are_a_damaged_line(tmp_path):
    folder, _ = two_cycles(tmp_path)
    (tmp_path / "metrics.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(RunFolderError, match=r"metrics\.jsonl, line 1 is damaged"):
        folder.rows(2)


def test_a_missing_row_is_named(tmp_path):
    folder, _ = two_cycles(tmp_path)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    for kept in (lines[:1], lines[1:], lines[::-1], []):
        (tmp_path / "metrics.jsonl").write_text("".join(text + "\n" for text in kept))
        with pytest.raises(
            RunFolderError, match=rf"row for each cycle before 2, but got {len(kept)} rows"
        ):
            folder.rows(2)
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.raises(
        RunFolderError,
        match=r"metrics\.jsonl: expected a row for each cycle before 2, but got 0 rows",
    ):
        folder.rows(2)


# ---------------------------------------------------------------- disks


def no_room(patch: pytest.MonkeyPatch, place: Path) -> None:
    """The disk is full where something is written beside its place."""
    clear = files_module._clear

    def full(beside: Path) -> None:
        clear(beside)
        if beside == place:
            beside.symlink_to("/dev/full")  # a device whose every write fails for want of room

    patch.setattr(files_module, "_clear", full)


def test_a_full_disk_leaves_the_old_files_and_nothing_else(tmp_path, monkeypatch):
    folder, pool = two_cycles(tmp_path)
    before = files(tmp_path)
    for name in (
        "queries/.02.tmp.npz",
        ".metrics.tmp.jsonl",
        ".seconds.tmp.txt",
        ".state.tmp.json",
    ):
        file = r"(02\.npz|metrics\.jsonl|seconds\.txt|state\.json)"
        message = rf"Could not write .*{file}: .*No space left on device; earlier cycles"
        with pytest.raises(RunFolderError, match=message), monkeypatch.context() as patch:
            no_room(patch, tmp_path / name)
            folder.commit(row(2), query([8, 6]), pool.label([8, 6]))
        assert folder.resume(30) == pool and folder.rows(2) == [row(0), row(1)]
    after = files(tmp_path)
    assert after.keys() - before.keys() == {"queries/02.npz"}, "whole, and written again"
    assert after["state.json"] == before["state.json"]
    folder.commit(row(2), query([8, 6]), pool.label([8, 6]))
    assert folder.resume(30) == pool.label([8, 6])


def test_a_flush_that_fails_is_an_error_too(tmp_path, monkeypatch):
    folder, pool = two_cycles(tmp_path)
    before = files(tmp_path)

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files_module.os, "fsync", no_space)
        with pytest.raises(
            RunFolderError, match=r"Could not write .*02\.npz: .*No space left on device"
        ):
            folder.commit(row(2), query([8, 6]), pool.label([8, 6]))
    assert files(tmp_path) == before


def test_a_file_size_limit_is_an_error_and_loses_nothing(tmp_path):
    folder, pool = two_cycles(tmp_path)
    before = files(tmp_path)

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python itself does when it starts
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        with pytest.raises(
            RunFolderError, match=r"Could not write .*02\.npz: .*File too large; earlier"
        ):
            folder.commit(row(2), query([8, 6]), pool.label([8, 6]))

    assert in_child(limited) == ""
    assert files(tmp_path) == before


def in_child(job: Callable[[], None]) -> str:
    """What went wrong in a process of its own."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            job()
        except BaseException as error:
            os.write(writer, repr(error).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as file:
        return file.read()


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        RunFolderError, match=r"Could not write .*file/run/config\.py: .*Not a directory"
    ):
        RunFolder(tmp_path / "file" / "run").open(CONFIG, NAMES)

    def read_only(self, *args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(
        RunFolderError, match=r"Could not write .*config\.py: .*Read-only file system"
    ):
        RunFolder(tmp_path / "run").open(CONFIG, NAMES)
    assert files(tmp_path) == {"file": b"in the way"}


def test_a_folder_that_may_not_be_written_is_an_error():
    with tempfile.TemporaryDirectory() as where:  # not pytest's, which is its user's alone
        os.chmod(where, 0o755)
        folder, pool = two_cycles(Path(where) / "run")
        before = files(folder.path)
        for path in (folder.path / "queries", folder.path):
            path.chmod(0o555)

        def as_nobody() -> None:
            if os.geteuid() == 0:  # who may write anywhere
                os.setgroups([]), os.setgid(65534), os.setuid(65534)
            assert folder.resume(30) == pool
            with pytest.raises(
                RunFolderError, match=r"Could not write .*metrics\.jsonl: .*Permission denied"
            ):
                folder.commit(row(2), None, pool.label([]))
            with (
                pytest.raises(
                    RunFolderError, match=r"Could not write to .*run: .*Permission denied"
                ),
                folder.locked(),
            ):
                pass

        try:
            assert in_child(as_nobody) == ""
            assert files(folder.path) == before
        finally:
            for path in (folder.path, folder.path / "queries"):
                path.chmod(0o755)


def test_write_whole_makes_folders_and_replaces_a_file(tmp_path):
    path = tmp_path / "a" / "b" / "x.bin"
    write_whole(path, b"one")
    write_whole(path, b"second")
    assert files(tmp_path) == {"a/b/x.bin": b"second"}
    write_whole(path, b"")
    assert files(tmp_path) == {"a/b/x.bin": b""}


def test_write_whole_flushes_before_it_renames_and_the_name_after_it(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace

    def flushed(descriptor):
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        order.append(
            "flush the folder" if folder else f"flush {os.fstat(descriptor).st_size} bytes"
        )
        fsync(descriptor)

    monkeypatch.setattr(files_module.os, "fsync", flushed)
    monkeypatch.setattr(
        files_module.os, "replace", lambda a, b: order.append("rename") or replace(a, b)
    )
    write_whole(tmp_path / "x", b"12345")
    assert order == ["flush 5 bytes", "rename", "flush the folder"]


# ---------------------------------------------------------------- two at once


def test_a_second_process_is_refused_by_name_and_a_killed_one_lets_go(tmp_path):
    folder = RunFolder(tmp_path / "run")
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        with folder.locked():
            os.write(writer, b"locked")
            time.sleep(60)
        os._exit(0)
    os.read(reader, 6)
    try:
        message = rf"run is in use by process {child} on \S+; wait, or take another --work-dir"
        with pytest.raises(RunFolderError, match=message), folder.locked():
            pass
        grandchild = in_child(lambda: folder.locked().__enter__())
        assert "is in use by process" in grandchild
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with folder.locked():
        assert (folder.path / ".lock").read_text().startswith(f"process {os.getpid()} on ")


def test_the_lock_ends_with_the_block_also_where_a_forked_child_lives_on(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        if (child := os.fork()) == 0:  # a data-loading process
            time.sleep(60)
            os._exit(0)
    try:
        assert in_child(lambda: folder.locked().__enter__()) == ""
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_errors_of_the_block_are_its_own(tmp_path):
    with pytest.raises(BlockingIOError, match="of the block"), RunFolder(tmp_path).locked():
        raise BlockingIOError("of the block")
