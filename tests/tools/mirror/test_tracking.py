"""The W&B mirror: what an offline run holds, resumes, failures, and uploads to a stub
server on the loopback.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.wandb_reader import RunFile, fragments, read_run
from tests.wandb_stub import KEY, Stub
from tools.mirror import fragments as fragments_of
from tools.mirror.modes import PROJECT, resolve_mode
from tools.mirror.tracking import SETTINGS, Identity, Tracker

wandb = pytest.importorskip("wandb")
pytestmark = pytest.mark.usefixtures("home")

ROOT = Path(__file__).parents[3]
CONFIG = {
    "task": "detection",
    "network": "ssd300",
    "strategy": "learning_loss",
    "seed": 3,
    "budget": [10, 5],
}
WHO = Identity(
    PROJECT, "det_ssd_voc", "learning_loss", 3, ("detection", "voc", "learning_loss"), CONFIG
)
ROWS: list[dict[str, Any]] = [
    {
        "cycle": 0,
        "labeled": 10,
        "effort": 31,
        "mAP": 0.125,
        "AP/cat": 0.25,
        "seconds/train": 4.5,
        "pairs": None,
    },
    {
        "cycle": 1,
        "labeled": 15,
        "effort": 44,
        "mAP": 0.250,
        "AP/cat": 0.50,
        "seconds/train": 5.5,
        "pairs": 0.75,
    },
    {
        "cycle": 2,
        "labeled": 20,
        "effort": 60,
        "mAP": 0.500,
        "AP/cat": 0.75,
        "seconds/train": 6.5,
        "pairs": 0.875,
    },
]
CURVE = [(10, 0.125), (15, 0.25), (20, 0.5)]


@pytest.fixture
def said() -> list[str]:
    return []


def kept(folder: Path) -> str:
    """The id of the folder's W&B run."""
    found = fragments_of.kept_id(folder)
    assert found is not None
    return found


def written(folder: Path) -> list[Path]:
    """The fragments in `folder`, once wandb's service has written all it holds (`finish`
    returns before).
    """
    wandb.teardown()
    return fragments(folder)


def record(
    folder: Path, said: list[str], identity: Identity = WHO, mode: str = "offline"
) -> RunFile:
    """A whole run: the first row back-filled, the others logged; then what its only file holds."""
    tracker = Tracker(folder, identity, mode, ROWS[:1], said.append)
    for row in ROWS[1:]:
        tracker.cycle(row)
    tracker.finish({"final/mAP": 0.5, "aulc": 0.28125, "missing": None})
    (directory,) = written(folder)
    return read_run(directory)


# ---------------------------------------------------------------- what an offline run holds


def test_offline_file_holds_curve_config_and_summary(
    tmp_path: Path, home: Path, said: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    out = record(tmp_path / "run", said)
    assert out.curve("mAP") == CURVE
    assert out.curve("AP/cat") == [(10, 0.25), (15, 0.5), (20, 0.75)]
    assert out.curve("pairs") == [(15, 0.75), (20, 0.875)]  # None was left out
    assert out.metrics == {"labeled": "", "*": "labeled"}
    assert out.config == CONFIG
    assert (out.run.run_id, out.run.project, out.run.run_group) == (
        kept(tmp_path / "run"),
        "losstap",
        "det_ssd_voc",
    )
    assert (out.run.job_type, out.run.display_name) == (
        "learning_loss",
        "det_ssd_voc/learning_loss/s3",
    )
    assert list(out.run.tags) == ["detection", "voc", "learning_loss"]
    assert out.run.resume  # so that `wandb sync` of a later fragment continues the run
    assert (out.summary["final/mAP"], out.summary["aulc"], out.summary["cycle"]) == (
        0.5,
        0.28125,
        2,
    )
    assert "missing" not in out.summary
    assert out.exit_code == 0
    assert [*home.iterdir()] == []
    assert capfd.readouterr() == ("", "")  # wandb itself is silent


def test_one_line_says_how_to_upload(tmp_path: Path, said: list[str]) -> None:
    record(tmp_path / "a run", said)
    (directory,) = written(tmp_path / "a run")
    assert said == [f"W&B: offline; to upload: wandb sync '{directory}'"]  # quoted for the shell


def test_leet_reads_the_same(tmp_path: Path, said: list[str]) -> None:
    own = record(tmp_path, said)
    (directory,) = written(tmp_path)
    command = [wandb.util.get_core_path(), "leet", "inspect", "--no-observability", "--json"]
    file = directory / f"run-{kept(tmp_path)}.wandb"
    text = subprocess.run(
        [*command, "--run-file", file, directory], capture_output=True, check=True, text=True
    ).stdout
    records = [json.loads(line) for line in text.splitlines()]
    history = [entry["history"]["item"] for entry in records if entry["type"] == "history"]
    assert len(history) == 3
    assert history == own.history
    (run,) = [entry["run"] for entry in records if entry["type"] == "run"]
    assert {
        key: value for key, value in run["config"]["update"].items() if key != "_wandb"
    } == own.config
    assert (run["run_group"], run["job_type"]) == (own.run.run_group, own.run.job_type)
    metrics = [entry["metric"] for entry in records if entry["type"] == "metric"]
    assert [metric.get("step_metric") for metric in metrics if metric.get("glob_name") == "*"] == [
        "labeled"
    ]


def test_images_are_small_jpgs_with_captions(
    tmp_path: Path, said: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    images = {
        0: [(Image.new("RGB", (640, 480), "red"), "cat 0.9"), (Image.new("L", (30, 90)), "no box")]
    }
    tracker = Tracker(tmp_path, WHO, "offline", [], said.append, images.__getitem__)
    tracker.cycle(ROWS[0])
    tracker.finish({})
    (directory,) = written(tmp_path)
    (row,) = read_run(directory).history
    assert (row["labeled"], row["queried.captions"]) == (10, ["cat 0.9", "no box"])
    assert len(row["queried.filenames"]) == 2
    for name in row["queried.filenames"]:
        with Image.open(directory / "files" / name) as image:
            assert (image.format, image.size) == ("JPEG", (256, 256))
    assert images[0][0][0].size == (640, 480)  # the caller's image is untouched
    assert len(said) == 1
    assert capfd.readouterr() == ("", "")  # no warning of mixed sizes


def test_tags_that_wandb_refuses_are_cut(tmp_path: Path, said: list[str]) -> None:
    out = record(tmp_path, said, replace(WHO, tags=("voc", "", "x" * 80)))
    assert list(out.run.tags) == ["voc", "x" * 64]


# ---------------------------------------------------------------- resume


@pytest.mark.slow
def test_killed_run_has_its_rows_and_the_resumed_one_those_that_it_lacks(
    tmp_path: Path, said: list[str]
) -> None:
    program = f"""
        import os, signal, sys, time
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        from tests.tools.mirror.test_tracking import ROWS, WHO, Tracker
        tracker = Tracker(Path({str(tmp_path)!r}), WHO, "offline", [])
        tracker.cycle(ROWS[0])
        tracker.cycle(ROWS[1])
        time.sleep(2)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    (killed,) = written(tmp_path)
    assert read_run(killed).curve("mAP") == CURVE[:2]  # flushed every second, not every 15
    assert read_run(killed).exit_code is None

    resumed = Tracker(tmp_path, WHO, "offline", ROWS[:2], said.append)
    resumed.cycle(ROWS[2])
    resumed.finish({})
    first, second = written(tmp_path)
    assert first == killed
    assert read_run(second).curve("mAP") == CURVE[2:]
    assert said == [f"W&B: offline; to upload: wandb sync {killed} {second}"]
    assert read_run(second).run.run_id == read_run(first).run.run_id


# ---------------------------------------------------------------- identity


def test_a_run_has_an_id_of_its_own_and_keeps_it(tmp_path: Path, said: list[str]) -> None:
    """A run that is made anew, of the same settings, is another one: one W&B run would
    have two rows for a cycle.
    """
    first = record(tmp_path / "run", said).run.run_id
    assert re.fullmatch("det_ssd_voc-learning_loss-s3-[0-9a-f]{8}", first)
    assert (tmp_path / "run" / fragments_of.ID_FILE).read_text() == f"{first}\n"
    Tracker(tmp_path / "run", WHO, "offline", ROWS, said.append).finish({})
    assert [read_run(place).run.run_id for place in written(tmp_path / "run")] == [first, first]
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    assert kept(tmp_path / "copy") == first
    shutil.rmtree(tmp_path / "run" / "wandb")  # as `wandb clean` may
    assert record(tmp_path / "run", said).run.run_id == first
    shutil.rmtree(tmp_path / "run")
    assert record(tmp_path / "run", said).run.run_id != first


def test_a_folder_of_before_goes_on_with_the_id_that_it_used(
    tmp_path: Path, said: list[str]
) -> None:
    """A version before took the hash of the settings and kept no file."""
    record(tmp_path, said)
    (there,) = written(tmp_path)
    old = "det_ssd_voc-learning_loss-s3-347392bf"
    (there / f"run-{kept(tmp_path)}.wandb").rename(there / f"run-{old}.wandb")
    there.rename(there.with_name(f"offline-run-20260101_000000-{old}"))
    (tmp_path / fragments_of.ID_FILE).unlink()
    Tracker(tmp_path, WHO, "offline", [*ROWS, {**ROWS[2], "cycle": 3}], said.append).finish({})
    assert kept(tmp_path) == old
    last = read_run(written(tmp_path)[-1])
    assert last.run.run_id == old and [row["cycle"] for row in last.history] == [3]


def test_an_id_that_is_none_is_named_and_nothing_is_sent(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / fragments_of.ID_FILE).write_text("../../x\n")
    tracker = Tracker(tmp_path, WHO, "offline", ROWS, said.append)
    assert_off(
        tracker, said, "cannot start", f"{tmp_path}/wandb_id.txt, but got '../../x'; delete it"
    )
    assert not (tmp_path / "wandb").exists()


@pytest.mark.parametrize("name", ["a/b:c;d,e#f?g'h", "", "café 猫", "x" * 300, " \n"])
def test_the_id_of_nasty_names_is_accepted(name: str) -> None:
    text = replace(WHO, group=name, strategy=name).new_id()
    assert re.fullmatch("[A-Za-z0-9_-]{1,64}", text), text
    assert re.search("-[0-9a-f]{8}$", text), text


def test_sweep_gives_the_run_id_and_the_run_goes_on_with_it(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "from-agent")
    assert record(tmp_path / "alone", said).run.run_id == kept(tmp_path / "alone") != "from-agent"
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep7")
    assert record(tmp_path / "sweep", said).run.run_id == kept(tmp_path / "sweep") == "from-agent"


# ---------------------------------------------------------------- mode


@pytest.mark.parametrize(
    ("requested", "variable", "key", "expected"),
    [
        ("online", "disabled", False, "online"),
        ("disabled", "online", True, "disabled"),
        ("offline", None, True, "offline"),
        (None, "disabled", True, "disabled"),
        (None, "offline", True, "offline"),
        (None, "online", False, "online"),
        (None, "dryrun", True, "offline"),  # as wandb itself takes them
        (None, "run", False, "online"),
        (None, None, True, "online"),
        (None, None, False, "offline"),
        (None, "", False, "offline"),
        ("", "", True, "online"),
    ],
)
def test_mode_precedence(
    requested: str | None, variable: str | None, key: bool, expected: str
) -> None:
    environ = {} if variable is None else {"WANDB_MODE": variable}
    if key:
        environ["WANDB_API_KEY"] = KEY
    assert resolve_mode(requested, environ) == expected


@pytest.mark.parametrize(("requested", "variable"), [("onlin", "offline"), (None, "onlin")])
def test_unknown_mode_is_named(requested: str | None, variable: str) -> None:
    source = "the command line" if requested else "WANDB_MODE"
    with pytest.raises(
        ValueError, match=rf"{source} .*\(online, offline, disabled\), but got 'onlin'"
    ):
        resolve_mode(requested, {"WANDB_MODE": variable})


@pytest.mark.parametrize(
    ("machine", "server", "expected"),
    [
        ("api.wandb.ai", None, "online"),
        ("my.host", None, "offline"),
        ("my.host:8080", "http://my.host:8080", "online"),
        ("api.wandb.ai", "http://my.host:8080", "offline"),
    ],
)
def test_login_is_found_in_netrc_for_the_configured_host(
    home: Path, machine: str, server: str | None, expected: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (home / ".netrc").write_text(f"machine {machine}\n  login user\n  password {KEY}\n")
    if server:
        # as `wandb login --host` writes it
        (home / "settings").write_text(f"[default]\nbase_url = {server}\n")
    assert resolve_mode(None) == expected
    assert capfd.readouterr() == ("", "")


def test_identity_token_is_a_login() -> None:
    assert resolve_mode(None, {"WANDB_IDENTITY_TOKEN_FILE": "/token"}) == "online"


def test_key_that_cannot_be_used_is_left_to_the_tracker(home: Path) -> None:
    (home / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password short\n")
    assert resolve_mode(None) == "online"  # whose start says what is wrong with the key


def test_disabled_needs_no_wandb(tmp_path: Path) -> None:
    program = f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        from tools.mirror.modes import resolve_mode
        from tools.mirror.tracking import Identity, Tracker
        assert resolve_mode("disabled") == "disabled"
        tracker = Tracker(Path({str(tmp_path / "run")!r}), Identity("p", "g", "s", 0, (), {{}}), "disabled", [])
        tracker.cycle({{"cycle": 0, "labeled": 1}})
        tracker.finish({{}})
        print("wandb" in sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], check=True, capture_output=True, text=True
    )
    assert done.stdout == "W&B: disabled\nFalse\n"
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------- failures


def boom(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("boom\nof two lines")


def test_pictures_of_finished_cycles_are_sent_again(tmp_path: Path, said: list[str]) -> None:
    asked = []

    def pictures(cycle: int) -> list:
        asked.append(cycle)
        return [(Image.new("RGB", (20, 20)), f"of cycle {cycle}")]

    Tracker(tmp_path, WHO, "offline", ROWS[:2], said.append, pictures).finish({})
    (directory,) = written(tmp_path)
    assert [row["queried.captions"] for row in read_run(directory).history] == [
        ["of cycle 0"],
        ["of cycle 1"],
    ]
    assert asked == [0, 1]


def test_a_picture_that_cannot_be_drawn_is_a_warning(tmp_path: Path, said: list[str]) -> None:
    tracker = Tracker(tmp_path, WHO, "offline", [], said.append, lambda cycle: boom())
    tracker.cycle(ROWS[0])
    assert_off(tracker, said, "cannot log", "RuntimeError: boom of two")


def assert_off(tracker: Tracker, said: list[str], *parts: str) -> None:
    """The last line warns with all `parts` and how to rebuild; later calls say and do nothing."""
    count = len(said)
    for part in (*parts, "tracking is off", "metrics.jsonl", "same command"):
        assert part in said[-1]
    assert "\n" not in said[-1]
    tracker.cycle(ROWS[2])
    tracker.finish({"final/mAP": 1.0})
    assert len(said) == count


def test_init_that_raises_is_a_warning(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb, "init", boom)
    assert_off(
        Tracker(tmp_path, WHO, "offline", ROWS[:1], said.append),
        said,
        "cannot start",
        "RuntimeError: boom of two",
    )
    assert len(said) == 1


def test_log_that_raises_midway_is_a_warning(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker(tmp_path, WHO, "offline", ROWS[:1], said.append)
    monkeypatch.setattr(wandb.Run, "log", boom)
    tracker.cycle(ROWS[1])
    monkeypatch.undo()
    assert_off(tracker, said, "cannot log", "RuntimeError: boom of two lines")
    assert len(said) == 2
    (directory,) = written(tmp_path)
    assert read_run(directory).curve("mAP") == CURVE[:1]  # nothing after the failure


def test_row_without_cycle_in_the_back_fill_is_a_warning(tmp_path: Path, said: list[str]) -> None:
    assert_off(
        Tracker(tmp_path, WHO, "offline", [{"labeled": 10}], said.append),
        said,
        "cannot start",
        "'cycle'",
    )


@pytest.mark.parametrize("error", [TimeoutError("Timed out finishing run."), SystemExit(1)])
def test_finish_that_raises_is_a_warning(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    tracker = Tracker(tmp_path, WHO, "offline", [], said.append)
    monkeypatch.setattr(wandb.Run, "finish", fail)
    tracker.finish({})
    monkeypatch.undo()
    assert_off(tracker, said, "cannot finish", f"{type(error).__name__}: {error}")


def test_missing_wandb_is_a_warning(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert resolve_mode(None) == "offline"
    assert_off(
        Tracker(tmp_path, WHO, "offline", ROWS, said.append),
        said,
        "cannot start",
        "ModuleNotFoundError",
        "wandb",
    )
    assert_off(
        Tracker(tmp_path, WHO, "online", ROWS, said.append),
        said,
        "cannot start",
        "ModuleNotFoundError",
        "wandb",
    )


def test_folder_that_cannot_be_made_is_a_warning(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "wandb").write_text("a file in the way")
    assert_off(
        Tracker(tmp_path, WHO, "offline", ROWS, said.append),
        said,
        "cannot start",
        str(tmp_path / "wandb"),
    )


def test_wandb_that_writes_elsewhere_is_a_warning(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    allowed: Callable[..., bool] = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda path, *rest: str(path) != str(tmp_path / "run") and allowed(path, *rest),
    )
    tracker = Tracker(tmp_path / "run", WHO, "offline", ROWS, said.append)
    assert written(elsewhere) != []  # wandb did fall back, without a word
    assert_off(
        tracker,
        said,
        "cannot start",
        f"expected wandb to write below {tmp_path}/run/wandb",
        "it chose",
        "else",
    )


def test_unreachable_server_falls_back_to_offline_fast(tmp_path: Path, said: list[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"  # bound but not listening: refuses
        os.environ.update(WANDB_BASE_URL=address, WANDB_API_KEY=KEY)
        start = time.monotonic()
        out = record(tmp_path, said, mode="online")
    assert time.monotonic() - start < 8
    assert out.curve("mAP") == CURVE
    assert len(said) == 2
    assert "cannot go online" in said[0] and address in said[0] and "refused" in said[0]
    assert said[1].startswith("W&B: offline; to upload: wandb sync ")


# ---------------------------------------------------------------- online, against a stub server


def test_online_run_arrives_and_a_resume_sends_only_what_is_missing(
    tmp_path: Path, home: Path, said: list[str], stub: Stub, capfd: pytest.CaptureFixture[str]
) -> None:
    pictures = {0: [(Image.new("RGB", (40, 30)), "first")], 1: [], 2: []}.__getitem__
    first = Tracker(tmp_path, WHO, "online", [], said.append, pictures)
    first.cycle(ROWS[0])
    first.finish({}, exit_code=1)
    wandb.teardown()
    name = kept(tmp_path)
    run = stub.runs[name]
    assert (run["project"], run["groupName"], run["jobType"]) == (
        "losstap",
        "det_ssd_voc",
        "learning_loss",
    )
    assert [(row["labeled"], row["mAP"]) for row in stub.history[name]] == CURVE[:1]
    metrics = json.loads(run["config"])["_wandb"]["value"]["m"]
    assert [(metric.get("1"), metric.get("2")) for metric in metrics] == [
        ("labeled", None),
        (None, "*"),
    ]
    assert metrics[1]["5"] == 1  # the x-axis of "*" is the first of the list, counted from one
    assert stub.exit_code == 1
    assert [name for name in stub.uploads if name.endswith(".jpg")] != []

    second = Tracker(tmp_path, WHO, "online", ROWS[:2], said.append)  # row 0 arrived, row 1 did not
    second.cycle(ROWS[2])
    second.finish({"final/mAP": 0.5})
    assert [*stub.runs] == [name]
    assert [(row["labeled"], row["mAP"]) for row in stub.history[name]] == CURVE
    assert (stub.summary[name]["final/mAP"], stub.summary[name]["cycle"], stub.exit_code) == (
        0.5,
        2,
        0,
    )
    assert said == [f"W&B: online, {stub.url}/me/losstap/runs/{name}"] * 2
    assert not (home / ".local").exists() and not (home / ".cache").exists()
    assert capfd.readouterr() == ("", "")


def test_mode_is_resolved_without_the_server(home: Path, stub: Stub) -> None:
    del os.environ["WANDB_API_KEY"]
    (home / ".netrc").write_text(
        f"machine {stub.url.removeprefix('http://')}\n  login user\n  password {KEY}\n"
    )
    assert resolve_mode(None) == "online"
    assert stub.replies == 0


def test_server_that_refuses_falls_back_to_offline(
    tmp_path: Path, said: list[str], stub: Stub
) -> None:
    stub.accept = False
    assert record(tmp_path, said, mode="online").curve("mAP") == CURVE
    assert "cannot go online" in said[0]
    assert said[1].startswith("W&B: offline")


def test_network_lost_while_running_does_not_block_the_end(
    tmp_path: Path, said: list[str], stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 < SETTINGS["finish_timeout"] <= 60
    monkeypatch.setitem(SETTINGS, "finish_timeout", 1.0)
    tracker = Tracker(tmp_path, WHO, "online", ROWS, said.append)
    stub.delay = 4.0
    start = time.monotonic()
    tracker.finish({})
    assert time.monotonic() - start < 3
    assert_off(tracker, said, "cannot finish", "TimeoutError")
    assert len(said) == 2


# --------------------------------------------------------- `wandb sync` of what was written offline


def sync(*places: Path) -> None:
    """The command that the tracker prints, against the stub server."""
    wandb.teardown()
    command = [Path(sys.executable).with_name("wandb"), "sync", *places]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def cycles(stub: Stub, folder: Path) -> list[int]:
    """Of the rows that came to the server."""
    return [row["cycle"] for row in stub.history[kept(folder)]]


def go_on(
    folder: Path, count: int, said: list[str], mode: str = "offline", exit_code: int = 1
) -> None:
    """A session that finds `count` committed rows, adds one and is stopped.

    Another process than that before.
    """
    wandb.teardown()
    time.sleep(1.1)  # W&B names a session's folder by the second in which it begins
    tracker = Tracker(folder, WHO, mode, ROWS[:count], said.append)
    tracker.cycle(ROWS[count])
    tracker.finish({}, exit_code=exit_code)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.slow
def test_after_a_stop_and_a_resume_offline_each_row_is_synced_once(
    tmp_path: Path, said: list[str], stub: Stub, together: bool
) -> None:
    for count in range(3):
        go_on(tmp_path, count, said)
    places = written(tmp_path)
    assert [[row["cycle"] for row in read_run(place).history] for place in places] == [
        [0],
        [1],
        [2],
    ]
    assert said[-1] == f"W&B: offline; to upload: wandb sync {' '.join(map(str, places))}"
    for some in [places] if together else [[place] for place in places]:
        sync(*some)
    assert cycles(stub, tmp_path) == [0, 1, 2]
    assert [(row["labeled"], row["mAP"]) for row in stub.history[kept(tmp_path)]] == CURVE
    assert stub.summary[kept(tmp_path)]["cycle"] == 2
    sync(*places)  # again: they are marked
    assert cycles(stub, tmp_path) == [0, 1, 2]


@pytest.mark.slow
def test_a_resume_after_a_sync_writes_only_what_came_since(
    tmp_path: Path, said: list[str], stub: Stub
) -> None:
    go_on(tmp_path, 0, said)
    sync(*written(tmp_path))
    go_on(tmp_path, 1, said)
    first, second = written(tmp_path)
    assert said[-1] == f"W&B: offline; to upload: wandb sync {second}"
    sync(first, second)
    assert cycles(stub, tmp_path) == [0, 1]


@pytest.mark.parametrize("torn", [0, 1, 300, 10_000])
@pytest.mark.slow
def test_rows_of_a_torn_file_are_written_anew(
    tmp_path: Path, said: list[str], stub: Stub, torn: int
) -> None:
    """`wandb sync` sends what is before the tear, does not mark it, and leaves out all
    other files without a word.
    """
    go_on(tmp_path, 0, said)
    go_on(tmp_path, 1, said)
    whole, place = written(tmp_path)
    (file,) = place.glob("run-*.wandb")
    content = file.read_bytes()
    file.write_bytes(content[: max(7, len(content) - torn)])
    go_on(tmp_path, 2, said)
    assert (whole.exists(), place.exists()) == (True, torn == 0)
    assert ("W&B: 1 offline files that a kill tore are written anew" in said[-2]) == (
        0 < torn < 10_000
    )
    sync(*written(tmp_path))
    assert cycles(stub, tmp_path) == [0, 1, 2]


@pytest.mark.slow
def test_rows_of_a_torn_file_that_came_to_the_server_are_not_sent_again(
    tmp_path: Path, said: list[str], stub: Stub
) -> None:
    go_on(tmp_path, 0, said)
    (place,) = written(tmp_path)
    (file,) = place.glob("run-*.wandb")
    file.write_bytes(file.read_bytes()[:-1])
    sync(place)
    assert cycles(stub, tmp_path) == [0]
    go_on(tmp_path, 1, said)
    sync(*written(tmp_path))
    assert cycles(stub, tmp_path) == [0, 1]


@pytest.mark.slow
def test_offline_and_then_online_each_row_is_there_once(
    tmp_path: Path, said: list[str], stub: Stub
) -> None:
    go_on(tmp_path, 0, said)
    (offline,) = written(tmp_path)
    go_on(tmp_path, 1, said, mode="online")
    assert cycles(stub, tmp_path) == [0, 1]
    sync(offline)
    go_on(tmp_path, 2, said)
    sync(*written(tmp_path))
    assert cycles(stub, tmp_path) == [0, 1, 2]


def test_rows_of_an_online_session_that_did_not_end_well_are_not_taken_for_sent(
    tmp_path: Path, said: list[str], stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*args: Any, **kwargs: Any) -> None:
        raise TimeoutError("no network")

    tracker = Tracker(tmp_path, WHO, "online", ROWS[:2], said.append)
    with monkeypatch.context() as patch:
        patch.setattr(wandb.Run, "finish", lost)
        tracker.finish({})
    wandb.teardown()
    time.sleep(1.1)
    Tracker(tmp_path, WHO, "offline", ROWS, said.append).finish({})
    (place,) = written(tmp_path)
    assert read_run(place).curve("mAP") == CURVE
