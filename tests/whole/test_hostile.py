"""A run folder that somebody sends is data: no code of it runs, nothing hangs, and no
other file is touched.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.process.files import locked, replacing
from models.training import checkpoint as checkpoint_module
from models.training.checkpoint import CHECKPOINT
from tests.commands import train
from tests.conftest import REPOSITORY
from tests.tools.verify.test_al_verify import FEW, run
from tools import al_compare, al_sweep, al_train, al_verify, planted, wandb_push
from tools.experiment.config import load
from tools.record import facts, files, literals
from tools.record.files import RunFolderError
from tools.record.folder import RunFolder
from tools.record.receipt import receipt_digest
from tools.train.first_model import FirstModels

TOY = REPOSITORY / "tests/examples/toy_config.py"
SECONDS = 60  # for all commands on one folder
EVIL = """
from pathlib import Path
Path({ran!r}).write_text("")
from acquisition.signals import Signal
from acquisition.steps import RandomSubset
from tests.toy import Toy
class Strategy(RandomSubset): pass
class Task(Toy): pass
class SGD: pass
mark = Signal(lambda evidence: evidence.output.taps[0].mean((1, 2, 3)))
"""


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Path:
    """A right run of `random`, as `al_train.py` leaves it, and beside it one of another seed."""
    runs = tmp_path_factory.mktemp("calm") / "runs/random"
    run(runs / "seed1", strategy="random", seed=1)
    return run(runs / "seed0", strategy="random")


@pytest.fixture
def folder(calm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy, beside a run that is left alone.

    Modules called `evil` lie wherever Python could look for one.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(sys, "path", sys.path.copy())
    shutil.copytree(calm, tmp_path / "runs/hostile")
    shutil.copytree(calm.parent / "seed1", tmp_path / "runs/sound")
    for place in (tmp_path, tmp_path / "runs", tmp_path / "runs/hostile"):
        (place / "evil.py").write_text(EVIL.format(ran=str(tmp_path / "ran")))
    for name in ("sound", "hostile"):
        (tmp_path / f"runs/{name}/name.txt").write_text("runs\n")
    (tmp_path / "victim").write_text("precious")
    yield tmp_path / "runs/hostile"
    sys.modules.pop("evil", None)


def late(*_: object) -> None:
    raise AssertionError(f"it hangs for more than {SECONDS} s")


def commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[int, str]]:
    """Every command that reads a run folder, on this one: its status and what it said."""
    (folder.parent / "hard.txt").write_text("vector 1\nvector 30\n")
    everything: dict[str, Callable[[], int]] = {
        "al_compare": lambda: al_compare.main(
            [str(folder.parent), "--out", str(folder.parents[1] / "out")]
        ),
        "al_verify": lambda: al_verify.main([str(folder)]),
        "wandb_push": lambda: wandb_push.main([str(folder), "--mode", "offline"]),
        "planted": lambda: planted.main([str(folder), "--hard", str(folder.parent / "hard.txt")]),
        "al_train": lambda: train(resumed(folder), lambda *_: None),
        "al_train --dry-run": lambda: train([*resumed(folder), "--dry-run"], lambda *_: None),
    }
    found = {}
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        for name, command in everything.items():
            capsys.readouterr()
            status = command()
            said = capsys.readouterr()
            found[name] = (status, said.out + said.err)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return found


def resumed(folder: Path) -> list[str]:
    options = [f"{key}={value}" for key, value in FEW.items()]
    given = ["--strategy", "random", "--wandb", "disabled", "--work-dir", str(folder)]
    return [str(TOY), *given, "--cfg-options", *options]


def check_all(
    folder: Path, capsys: pytest.CaptureFixture[str], said: str, by: tuple[str, ...]
) -> None:
    """No command ran anything, hung, or touched the victim.

    Those in `by` refused the folder, and said why.
    """
    for name, (status, text) in commands(folder, capsys).items():
        assert "\x1b" not in text and "\x07" not in text and "Traceback" not in text, (name, text)
        if name == "al_compare":
            assert (
                status in (0, 1)
                and "report: " in text
                and "sound" not in text.partition("left out")[2]
            ), text
        if name in by:
            assert said in " ".join(text.split()), (name, text)
            assert status in (1, 2) or name == "al_compare", (name, text)
    assert not (folder.parents[1] / "ran").exists() and "evil" not in sys.modules
    assert (folder.parents[1] / "victim").read_text() == "precious"


ALL = ("al_compare", "al_verify", "wandb_push")
READERS = (*ALL, "al_train", "al_train --dry-run")


def test_a_right_folder_passes(folder: Path, capsys) -> None:
    found = commands(folder, capsys)
    assert {name: status for name, (status, _) in found.items()} == dict.fromkeys(found, 0), found


# ----------------------------------------------------------- code in config.py, of a version before

CODE = {
    "a walk through subclasses": "().__class__.__base__.__subclasses__()[0].__init__.__globals__['x']('touch ran')",
    "import": "__import__('os').system('touch ran')",
    "an assigned call": "x = __import__('os').system('touch ran')",
    "an import statement": "import evil",
    "a lambda": "x = (lambda: 3)()",
    "a comprehension": "x = [open('ran', 'w') for i in [1]]",
    "an f-string": "x = f\"{open('ran', 'w')}\"",
    "a call of dict with code": "x = dict(a=open('ran', 'w'))",
    "stars": "x = dict(**{'a': 1})",
    "a condition": "x = 1 if open('ran', 'w') else 2",
    "attributes": "x = dict.fromkeys([1])",
    "arithmetic": "x = 'a' * 10 ** 10",
    "a decorator": "@open\ndef x(): pass",
    "nesting": f"x = {'[' * 3000}{']' * 3000}",
    "signs": f"x = {'-' * 100_000}1",
    "sums": f"x = {'+'.join(['1'] * 100_000)}",
    "nots": f"x = {'not ' * 100_000}1",
    "null bytes": "x = '\0'",
    "half a bracket": "x = (",
    "half a string": "x = '''",
}


def of_before(folder: Path) -> None:
    """As a version before left it: `config.py` alone."""
    for name in ("config.json", "facts.json"):
        (folder / name).unlink()


@pytest.mark.parametrize("name", CODE)
def test_code_in_a_config_is_an_error_and_never_run(folder: Path, capsys, name: str) -> None:
    of_before(folder)
    with open(folder / "config.py", "a") as file:
        file.write(f"\n{CODE[name]}\n")
    check_all(folder, capsys, f"{folder}/config.py is damaged (", READERS)


@pytest.mark.parametrize("name", ["import", "an import statement", "nesting"])
def test_code_beside_config_json_is_never_looked_at_but_by_al_verify(
    folder: Path, capsys, name: str
) -> None:
    with open(folder / "config.py", "a") as file:
        file.write(f"\n{CODE[name]}\n")
    check_all(folder, capsys, "FAILED settings config.py is damaged (", ("al_verify",))


def test_literals_are_what_mmengine_writes_and_nothing_else() -> None:
    text = (
        "'''about'''\na = dict(b=[1, -2.5, (True, None)], c='x' 'y')\nd = dict({'e f': dict(), "
        "3: inf})\n"
    )
    assert literals.settings(text) == {
        "a": {"b": [1, -2.5, (True, None)], "c": "xy"},
        "d": {"e f": {}, 3: np.inf},
    }
    for odd in (
        "a.b = 1",
        "a = b = 1",
        "a: int = 1",
        "a = ~1",
        "a = b'x'",
        "a = 1j",
        "a = {**{}}",
        "a = dict({}, x=1)",
    ):
        with pytest.raises(ValueError, match="line 1: expected plain data"):
            literals.settings(odd)


# ---------------------------------------------------------------- settings

STRATEGY = "its evil.Strategy is code that is not losstap's own, which is run only if you trust it"
SETTINGS = {
    "a task that is a function": ({"task": {"type": "os.system"}}, None),
    "a strategy that is a function": (
        {"strategy": {"type": "os.system", "command": "touch ran"}},
        "its os.system is code that is not losstap's own",
    ),
    "a strategy of a module beside it": ({"strategy": {"type": "evil.Strategy"}}, STRATEGY),
    "a strategy by what losstap imports": (
        {"strategy": {"type": "tasks.faults.os.system"}},
        "expected a class of losstap's, but 'tasks.faults.os.system' is",
    ),
    "a strategy that is no step": (
        {"strategy": {"type": "models.process.files.Path"}},
        "expected a class of losstap's",
    ),
    "a signal of a module beside it": (
        {"strategy": {"type": "acquisition.steps.Highest", "signal": "evil.mark"}},
        "evil.mark is code that is not losstap's own",
    ),
    "a name that is none": ({"strategy": {"type": "a b.c"}}, "expected a dotted name such as"),
    "a type that is no text": (
        {"strategy": {"type": 3}},
        "strategy.type: expected a class derived from",
    ),
    "a task that is a text": ({"task": "evil.Task"}, None),
    "cycles without end": ({"budget": {"initial": 10, "query": 5, "cycles": 10**15}}, None),
    "a seed of a thousand digits": ({"seed": 10**1000}, None),
    "words for numbers": ({"budget": {"initial": "many", "query": [], "cycles": {}}}, None),
    "no strategy": ({"strategy": None}, None),
    "a mode with an escape code": ({"module": {"mode": "\x1b[31mred"}}, None),
    "a name with markup": ({"strategy": "<script>alert(1)</script>"}, None),
    "a name with an escape code": ({"strategy": "\x1b]0;title\x07"}, None),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_any_kind_are_data(folder: Path, capsys, name: str) -> None:
    changed, said = SETTINGS[name]
    config = json.loads((folder / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps(config))
    check_all(folder, capsys, said or "", ("al_verify",) if said else ())


def test_classes_of_a_run_are_not_imported_to_look_at_it(folder: Path, capsys) -> None:
    """Task, optimiser and schedules: every number is there without them."""
    config = json.loads((folder / "config.json").read_text())
    config["task"]["type"] = "evil.Task"
    config["training"] |= {"optimizer": {"type": "evil.SGD"}, "schedule": [{"type": "evil.SGD"}]}
    (folder / "config.json").write_text(json.dumps(config))
    found = commands(folder, capsys)
    assert "evil" not in sys.modules and not (folder.parents[1] / "ran").exists()
    assert (
        found["wandb_push"][0] == 0
        and "pictures left out: RunFolderError: its evil.Task is code" in (found["wandb_push"][1])
    )
    assert "config.json: expected the hash" in found["al_verify"][1]  # it was edited


TASKS = {
    "poses": {"type": "tasks.pose.Pose"},
    "boxes in a json": {"type": "tasks.detection.Detection", "format": "coco", "classes": ["a"],
                        "train": ["images:annot/train.json"], "test": ["images:annot/valid.json"]},
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_data_that_a_run_names_are_files(folder: Path, capsys, task: str, kind: str) -> None:
    """Losstap's own tasks are built to look at the data: what is no file there is neither
    waited for nor read.
    """
    data = folder.parents[1] / "data"
    (data / "annot").mkdir(parents=True)
    for name in ("train", "valid"):
        path = data / f"annot/{name}.json"
        os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    config = json.loads((folder / "config.json").read_text())
    config["task"] = TASKS[task] | {"data_root": str(data)}
    (folder / "config.json").write_text(json.dumps(config))
    check_all(
        folder,
        capsys,
        "expected json (a file), but got something that is not a file",
        ("al_verify",),
    )


TEXTS = {
    "no json": "{", "a list": "[1]", "nesting": "[" * 100_000 + "]" * 100_000,
    "a deep dict": "{\"a\":" * 60 + "1" + "}" * 60,
    "a key twice": "{\"seed\": 0, \"seed\": 1}", "nothing": "", "a text": "\"" + "a" * 1000 + "\"",
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("file", ["config.json", "facts.json", "state.json"])
def test_json_of_any_kind_is_an_error_with_its_file(
    folder: Path, capsys, name: str, file: str
) -> None:
    (folder / file).write_text(TEXTS[name])
    check_all(
        folder,
        capsys,
        f"{folder}/{file} is damaged (",
        ALL if file != "facts.json" else ("al_compare",),
    )


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("state.json", '{"cycle": 1e999, "size": 60, "labeled": []}'),
        ("state.json", '{"cycle": 3, "size": 60, "labeled": [1e999]}'),
        ("state.json", '{"cycle": 3, "size": 60, "labeled": ' + "[" * 3000 + "]" * 3000 + "}"),
        ("metrics.jsonl", "[" * 100_000),
        ("metrics.jsonl", '{"cycle": 0, "labeled": 1' + "0" * 400 + "}"),
        ("metrics.jsonl", '{"cycle": 0, "labeled": 1' + "0" * 5000 + "}"),
        ("metrics.jsonl", '{"cycle": 0, "labeled": 10, "score": "\x1b[31m"}'),
        ("metrics.jsonl", '{"cycle": 0, "labeled": 10, "score": {"a": 1}}'),
        ("metrics.jsonl", "3\n4\n5\n"),
    ],
)
def test_states_and_rows_of_any_kind_are_an_error_with_their_file(
    folder: Path, capsys, file: str, text: str
) -> None:
    (folder / file).write_text(text)
    check_all(folder, capsys, file, ALL)


# ---------------------------------------------------------------- what is no file, or another one

FILES = (
    "config.json",
    "facts.json",
    "samples.txt",
    "state.json",
    "metrics.jsonl",
    "name.txt",
    "queries/01.npz",
    "cycles/02/checkpoint.pth",
    "config.py",
    "seconds.txt",
)


@pytest.mark.parametrize("file", FILES)
def test_a_pipe_is_not_waited_for(folder: Path, capsys, file: str) -> None:
    (folder / file).unlink()
    os.mkfifo(folder / file)
    check_all(
        folder,
        capsys,
        f"{folder / file}: expected a file or a folder, but got a pipe; take it away",
        READERS,
    )


LINKS = [
    (file, "victim") for file in (*FILES, "curve.png", ".lock", ".state.tmp.json", "batch_size.txt")
]
LINKS += [
    (file, target)
    for file in ("samples.txt", ".lock")
    for target in ("/etc/passwd", "/dev/zero", "nowhere")
]


@pytest.mark.parametrize(("file", "target"), LINKS)
def test_a_link_out_of_the_folder_is_not_followed(
    folder: Path, capsys, file: str, target: str
) -> None:
    (folder / file).unlink(missing_ok=True)
    (folder / file).symlink_to(folder.parents[1] / target)
    check_all(folder, capsys, f"{folder / file}", READERS)


def test_a_folder_that_is_a_link_out_is_not_cleared(folder: Path, capsys) -> None:
    outside = folder.parents[1] / "photos"
    (outside / "00").mkdir(parents=True)
    (outside / "00/one.jpg").write_text("precious")
    shutil.rmtree(folder / "cycles")
    (folder / "cycles").symlink_to(outside)
    check_all(
        folder,
        capsys,
        f"{folder}/cycles is a link out of the run folder, to {outside}; put",
        READERS,
    )
    assert (outside / "00/one.jpg").read_text() == "precious"


def test_a_run_folder_that_is_a_link_itself_and_links_within_it_are_read(
    folder: Path, capsys
) -> None:
    (folder / "samples.txt").rename(folder / "names.txt")
    (folder / "samples.txt").symlink_to("names.txt")
    linked = folder.parents[1] / "linked"
    linked.symlink_to(folder)
    assert al_verify.main([str(linked)]) == 0, capsys.readouterr().out


def test_a_file_that_is_renamed_while_a_run_is_looked_at_is_no_fault(
    folder: Path, monkeypatch
) -> None:
    scan = os.scandir

    def renamed(place: Path):
        """Lists what is gone when it is looked at."""
        beside = Path(place) / ".state.tmp.json"
        beside.write_text("{}")
        found = list(scan(place))
        beside.unlink()
        return contextlib.nullcontext(iter(found))

    monkeypatch.setattr(os, "scandir", renamed)
    files.sound(folder)


def test_what_is_written_beside_a_place_goes_through_no_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".state.tmp.json").symlink_to(victim)
    with replacing(tmp_path / "state.json") as beside:
        beside.write_text("new")
    assert (victim.read_text(), (tmp_path / "state.json").read_text()) == ("precious", "new")
    (tmp_path / ".lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"), locked(tmp_path / ".lock"):
        raise AssertionError("it must not come to this")
    assert victim.read_text() == "precious"


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    "file", ["config.json", "facts.json", "samples.txt", "state.json", "metrics.jsonl", "name.txt"]
)
def test_a_file_of_many_gigabytes_is_not_read(folder: Path, capsys, file: str) -> None:
    os.truncate(folder / file, 200 << 30)  # sparse: it takes no room on the disk
    by = ("al_compare", "wandb_push") if file == "name.txt" else ALL  # the others do not ask for it
    check_all(folder, capsys, f"{folder / file}: expected at most", by)


def npz(
    path: Path, shape: tuple[int, ...], dtype: str = "<f4", data: bytes = b"", **more: int
) -> None:
    """An npz with one array whose header claims a shape and a type."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(path, "w", **more) as archive:
        archive.writestr("signal/predicted_loss.npy", header.getvalue() + data)


def packed_zeros(path: Path) -> None:
    npz(path, (50 << 18,), data=bytes(50 << 20), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20


def twice_the_same_bytes(path: Path) -> None:
    """Many names for one place in the file: it would be read again for each."""
    npz(path, (1 << 18,), data=bytes(1 << 20))
    with zipfile.ZipFile(path, "a") as archive:
        (first,) = archive.infolist()
        for number in range(1000):
            other = zipfile.ZipInfo(f"signal/{number}.npy")
            for name in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(other, name, getattr(first, name))
            archive.filelist.append(other)
            archive.NameToInfo[other.filename] = other
        archive._didModify = True


class Evil:
    def __reduce__(self) -> tuple:
        return os.system, ("touch ran",)


ARRAYS: dict[str, Callable[[Path], object]] = {
    "a header that claims 10^12 numbers": lambda path: npz(path, (10**12,)),
    "a header that claims 10^12 empty texts": lambda path: npz(path, (10**12,), "<U0"),
    "negative sizes": lambda path: npz(path, (-1, -4), data=bytes(16)),
    "packed zeros": packed_zeros,
    "the same bytes a thousand times": twice_the_same_bytes,
    "pickled objects": lambda path: np.savez(
        path, picked=np.array([Evil()], dtype=object), allow_pickle=True
    ),
    "no arrays": lambda path: zipfile.ZipFile(path, "w").writestr("a.txt", "text"),
    "a pickle": lambda path: path.write_bytes(
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x09touch ran\x85R."
    ),
    "nothing": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_run_code_or_fill_memory_are_damage(folder: Path, capsys, name: str) -> None:
    ARRAYS[name](folder / "queries/01.npz")
    check_all(folder, capsys, f"cycle 1: {folder}/queries/01.npz is damaged (", ("al_verify",))
    with pytest.raises(RunFolderError, match=r"01\.npz is damaged \("):
        RunFolder(folder).query(1)


def test_arrays_of_more_than_the_memory_are_not_read(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(files, "free_memory", lambda: 1000)
    with pytest.raises(
        RunFolderError, match=r"01\.npz: expected at most 1,000 bytes, but got [\d,]+; restore it"
    ):
        RunFolder(folder).query(1)


@pytest.mark.parametrize("dtype", ["<U3", "<f8", "<c16", "<M8[s]", "|V4", "<u8"])
def test_ids_of_any_type_are_told(folder: Path, capsys, dtype: str) -> None:
    picked = (
        np.frombuffer(bytes(range(255, 207, -1)), np.dtype(dtype))
        if dtype != "<U3"
        else np.array(["a", "b", "c"])
    )
    with np.load(folder / "queries/01.npz") as found:
        arrays = {**found, "picked": picked}
    np.savez(folder / "queries/01.npz", **arrays)
    found = commands(folder, capsys)
    assert found["al_verify"][0] == 1 and "FAILED        picks" in found["al_verify"][1]
    assert found["planted"][0] == 1 and not any("Traceback" in text for _, text in found.values())


# ---------------------------------------------------------------- checkpoints


def checkpoint(folder: Path) -> Path:
    return folder / "cycles/02" / CHECKPOINT


def save_evil(path: Path) -> None:
    torch.save({"state_dict": Evil()}, path)


def save_expanded(path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1).expand(10**12)}}, path)


def save_packed(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    torch.save(content, path)
    with zipfile.ZipFile(path) as archive:
        parts = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


CHECKPOINTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "code": (save_evil, "UnpicklingError"),
    "a stride of 0": (save_expanded, "expected tensors of at most"),
    "packed": (save_packed, "expected tensors as torch.save puts them there, but got packed ones"),
    "the old form": (
        lambda path: torch.save({}, path, _use_new_zipfile_serialization=False),
        "torch.save wrote",
    ),
    "a list": (lambda path: torch.save([1], path), "expected what a training keeps, but got list"),
    "no weights": (lambda path: torch.save({"meta": {}}, path), "KeyError"),
    "a list of weights": (lambda path: torch.save({"state_dict": [1]}, path), "AttributeError"),
    "nothing": (lambda path: path.write_bytes(b""), "torch.save wrote"),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints_that_run_code_or_fill_memory_are_damage(
    folder: Path, capsys, name: str
) -> None:
    change, said = CHECKPOINTS[name]
    change(checkpoint(folder))
    check_all(folder, capsys, "checkpoint.pth is damaged (", ("al_verify",))
    _, text = commands(folder, capsys)["al_verify"]
    assert said in text


def before_the_last_cycle(folder: Path) -> None:
    """As a run that was killed after the last training and before its commit."""
    (folder / "done").unlink()
    rows = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(rows[:2]))
    state = json.loads((folder / "state.json").read_text())
    told = {"cycle": 2, "receipt": receipt_digest(RunFolder(folder).receipt(1))}
    (folder / "state.json").write_text(json.dumps(state | told))


@pytest.mark.parametrize(
    "name", ["code", "a stride of 0", "packed", "the old form", "a list", "nothing"]
)
def test_a_resume_from_such_a_checkpoint_is_an_error(folder: Path, capsys, name: str) -> None:
    """The last cycle is trained again, from the checkpoint that lies in its folder."""
    before_the_last_cycle(folder)
    CHECKPOINTS[name][0](checkpoint(folder))

    assert al_train.main(resumed(folder)) == 2
    assert "Without the file the training of this cycle begins anew" in capsys.readouterr().out
    assert not Path("ran").exists()


def test_a_config_in_a_checkpoint_is_not_run_by_a_resume(folder: Path, capsys) -> None:
    """mmengine would: `Config.fromstring(checkpoint["meta"]["config"])`."""

    before_the_last_cycle(folder)
    found = torch.load(checkpoint(folder), weights_only=True)
    found["meta"]["config"] = f"open({str(folder.parents[1] / 'ran')!r}, 'w')\nx = 3\n"
    torch.save(found, checkpoint(folder))
    assert al_train.main(resumed(folder)) == 0, capsys.readouterr().out
    assert not (folder.parents[1] / "ran").exists() and RunFolder(folder).done


@pytest.mark.parametrize(
    "about", ["[" * 10_000, "{}", '{"seconds": 1e999, "sha256": 3}', '{"seconds": "x"}', "\xff"]
)
def test_a_shared_first_model_of_any_kind_is_trained_anew(tmp_path: Path, about: str) -> None:
    (tmp_path / "key.pth").write_bytes(b"weights")
    (tmp_path / "key.json").write_text(about, encoding="latin-1")
    shared = FirstModels(tmp_path)
    shared.take("key", tmp_path / "into")
    assert (
        not (tmp_path / "key.pth").exists()
        and not (tmp_path / "into" / CHECKPOINT).exists()
        and not shared.spared
    )


def test_a_shared_first_model_that_is_no_file_is_left(tmp_path: Path) -> None:
    (tmp_path / "key.pth").symlink_to("/dev/zero")
    FirstModels(tmp_path).take("key", tmp_path / "into")
    os.mkfifo(tmp_path / "other.pth")
    FirstModels(tmp_path).take("other", tmp_path / "into")
    assert not (tmp_path / "into" / CHECKPOINT).exists()


def test_right_checkpoints_pass_whatever_a_network_keeps(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    network.register_buffer("wide", torch.zeros(1).expand(100))
    torch.save({"state_dict": network.state_dict(), "meta": {}}, tmp_path / "a.pth")
    found = checkpoint_module.read(tmp_path / "a.pth")["state_dict"]
    assert found.keys() == network.state_dict().keys() and found["wide"].shape == (100,)


# ---------------------------------------------------------------- names

NAMES = [
    "<script>alert(1)</script>",
    "\x1b[2J\x1b]0;owned\x07",
    "[bold red]x[/]",
    "a\nb\u2028c\u202e",
    "=cmd|'/c calc'!A0",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_with_markup_and_escape_codes(folder: Path, capsys, name: str) -> None:
    """The config's name, in the page and on the terminal.

    And names of samples, where they differ.
    """
    for run_folder in (folder, folder.parent / "sound"):
        (run_folder / "name.txt").write_text(name)
    check_all(folder, capsys, "", ())
    page = (folder.parents[1] / "out/report.html").read_text(encoding="utf-8")
    assert page.count("<script") == 1 and "<script>alert" not in page  # the page's own alone
    assert "\x1b" not in page and "\u202e" not in page
    names = (
        (folder / "samples.txt").read_text().replace("vector 3\n", f"{' '.join(name.split())}\n")
    )
    (folder / "samples.txt").write_text(names)
    assert al_compare.main([str(folder.parent), "--out", str(folder.parents[1] / "out")]) == 2
    said = capsys.readouterr().out
    assert "samples.txt, sample 3" in said and "\x1b" not in said and "\u202e" not in said


def test_a_sweep_reads_folders_of_any_kind(folder: Path, capsys) -> None:
    """What it would go on with is looked at before anything starts."""
    place = Path("work/toy_config/random/seed0")
    place.parent.mkdir(parents=True)
    options = [f"{key}={value}" for key, value in FEW.items()]
    arguments = [
        str(TOY),
        "--strategies",
        "random",
        "--seeds",
        "0",
        "--work-dir",
        "work",
        "--cfg-options",
        *options,
    ]
    shutil.move(folder, place)
    (place / "samples.txt").unlink()
    os.mkfifo(place / "samples.txt")
    assert al_sweep.main(arguments) == 2
    assert (
        f"{place}/samples.txt: expected a file or a folder, but got a pipe"
        in capsys.readouterr().out
    )
    (place / "samples.txt").unlink()
    (place / "samples.txt").write_text("")
    config = facts.settings(place) | {"seed": "\x1b[31m"}
    (place / "config.json").write_text(json.dumps(config))
    assert al_sweep.main(arguments) == 2
    said = capsys.readouterr().out
    assert "seed: '\\x1b[31m' there, 0 now" in said and "\x1b" not in said


def test_a_trusted_folder_is_not_the_run_folder_by_itself(folder: Path, capsys) -> None:
    """Code of a run is imported from where the user says, whatever the run says of it."""
    config = json.loads((folder / "config.json").read_text()) | {
        "strategy": {"type": "evil.Strategy", "size": 5}
    }
    (folder / "config.json").write_text(json.dumps(config))
    about = {"metric": "score", "lower_is_better": False, "code": {"evil.Strategy": str(folder)}}
    (folder / "facts.json").write_text(json.dumps(about))
    assert al_verify.main([str(folder), "--trust", str(REPOSITORY)]) == 1
    assert f"{STRATEGY}: look at it, then add --trust {folder}\n" in capsys.readouterr().out
    assert "evil" not in sys.modules and not (folder.parents[1] / "ran").exists()
    assert load(TOY).strategy == "learning_loss"  # and nothing of it stays


def test_a_folder_whose_name_has_escape_codes(folder: Path, capsys) -> None:
    check_all(folder.rename(folder.with_name("\x1b[2J\x07hostile")), capsys, "", ())
