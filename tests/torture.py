"""Runs killed at random moments, again and again, and compared with runs that nobody killed:  make
torture

Each trial starts the command in a process of its own and ends it by SIGKILL (after a random time,
or within two milliseconds of a random one of its own file operations: so in the midst of writing)
or by SIGTERM or Ctrl-C; then the same command goes on, until a run comes to its end. After every
kill each file in the run folder must be whole; in the end all bytes must be those of the
undisturbed run, times aside.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from models.training.checkpoint import CHECKPOINT
from tests.conftest import REPOSITORY
from tests.wandb_reader import fragments, read_run
from tools import al_train

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}  # of Python's audit hooks
WAYS = ("kill at a time", "kill at a file", "SIGTERM", "Ctrl-C")
PATIENCE = 60  # seconds for what was told to end
LONGEST = 12  # kills until a trial is left alone


@dataclass(frozen=True)
class Variant:
    """One command."""

    name: str
    config: str
    options: tuple[str, ...]
    data: str = ""  # folder of the sandbox
    arguments: tuple[str, ...] = ()
    wandb: str = "disabled"

    def command(self, root: Path, folder: Path) -> list[str]:
        options = [*self.options, *([f"task.data_root={root / self.data}"] if self.data else [])]
        where = ["--work-dir", str(folder), "--wandb", self.wandb]
        return [str(REPOSITORY / self.config), *self.arguments, *where, "--cfg-options", *options]


SMALL = ("budget.cycles=3", "training.epochs=3")
TOY = Variant(
    "toy", "tests/examples/toy_config.py",
    ("task.type=tests.toy.Told", "training.workers=1", "scoring.workers=1", "training.start=warm"),
)  # fmt: skip
VARIANTS = (
    TOY,
    Variant("toy, W&B", TOY.config, ("training.workers=0",), wandb="offline"),
    Variant(
        "classification, 2 workers",
        "configs/cls_sandbox.py",
        (*SMALL, "training.workers=2", "scoring.workers=2"),
        "shapes",
        ("--smoke", "--strategy", "learning_loss_coreset"),
    ),
    Variant(
        "classification, warm, ensemble",
        "configs/cls_sandbox.py",
        (
            *SMALL,
            "training.workers=0",
            "scoring.workers=0",
            "training.start=warm",
            "committee.members=2",
        ),
        "shapes",
        ("--smoke", "--strategy", "ensemble_bald"),
    ),
    Variant(
        "detection, warm, 1 worker",
        "configs/det_sandbox.py",
        (*SMALL, "training.workers=1", "scoring.workers=1", "training.start=warm"),
        "VOCdevkit",
        ("--smoke",),
    ),
    Variant(
        "pose",
        "configs/pose_sandbox.py",
        (*SMALL, "training.workers=0", "scoring.workers=0"),
        "figures",
        ("--smoke",),
    ),
)


@dataclass
class Found:
    """Of one variant."""

    undisturbed: float = 0.0  # seconds
    files: int = 0  # file operations of the undisturbed run
    trials: int = 0
    same: int = 0
    ended: Counter = field(default_factory=Counter)  # way -> how often
    wrong: list[str] = field(default_factory=list)


def spawn(
    command: Sequence[str],
    folder: Path,
    at: int = 0,
    count: Path | None = None,
    program: Callable[[Sequence[str]], int] = al_train.main,
) -> int:
    """Run the command in a fork of this process; its number.

    Args:
        command: without the program's name.
        folder: the run's.
        at: kill it shortly after its file operation of this number in the folder; 0 is never.
        count: where to write the number of file operations.
        program: takes the command.
    """
    if (child := os.fork()) > 0:
        return child
    status = 70
    try:
        os.setsid()
        # a shell's background job ignores it
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with open(folder.with_suffix(".log"), "ab") as log:
            os.dup2(log.fileno(), 1), os.dup2(log.fileno(), 2)
        seen = _watch(folder, at)
        os.chdir(folder.parent)
        status = program(command)
        if count is not None:
            count.write_text(str(seen[0]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _watch(folder: Path, at: int) -> list[int]:
    """Count this process's file operations in the folder; kill it within 2 ms after number `at`."""
    seen, own = [0], os.getpid()

    def hook(event: str, arguments: tuple) -> None:
        if (
            event not in EVENTS
            or os.getpid() != own
            or not str(arguments[0]).startswith(str(folder))
        ):
            return
        seen[0] += 1
        if seen[0] == at:
            late = random.Random(at).uniform(0, 2e-3)
            threading.Timer(late, os.kill, (own, signal.SIGKILL)).start()

    sys.addaudithook(hook)
    return seen


def wait(child: int, seconds: float) -> int | None:
    """Exit status as of `subprocess`, or None where it still runs after that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def kill(child: int, whole_group: bool) -> None:
    """SIGKILL, to the process alone (its workers find out) or to all of its group."""
    (os.killpg if whole_group else os.kill)(child, signal.SIGKILL)
    os.waitpid(child, 0)


def broken(folder: Path) -> list[str]:
    """Files that are not whole."""
    found = []
    for path in (p for p in folder.rglob("*") if p.is_file() and "wandb" not in p.parts):
        if path.name.startswith("."):
            continue  # being written: of no use to anybody
        try:
            if path.suffix == ".npz":
                with np.load(path) as arrays:
                    [arrays[name] for name in arrays]
            elif path.suffix == ".pth":
                torch.load(path, weights_only=True)
            elif path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
            elif path.suffix == ".jsonl":
                [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except Exception as error:
            found.append(f"{path} after a kill: {type(error).__name__}: {error}")
    return found


def outcome(folder: Path) -> dict[str, bytes | str]:
    """All that a run leaves, by file: bytes, times aside; what wandb has, and the log, in words."""
    found: dict[str, bytes | str] = {}
    for path in (
        p
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "wandb" not in p.relative_to(folder).parts
    ):
        name = str(path.relative_to(folder))
        found[name] = path.read_bytes()
        if name == "metrics.jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = json.dumps(
                [{k: v for k, v in row.items() if "seconds/" not in k} for row in rows]
            )
        elif path.name == CHECKPOINT:
            state = torch.load(path, weights_only=True)
            found[name] = json.dumps(_plain([state[key] for key in ("state_dict", "optimizer")]))
        elif path.name in (".lock", "train.log", "curve.png", "seconds.txt", "wandb_id.txt"):
            found[name] = "there"
    if (folder / "wandb").exists():
        found["wandb"] = str(
            [row["cycle"] for place in fragments(folder) for row in read_run(place).history]
        )
    return found


def _plain(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def trial(
    variant: Variant, root: Path, folder: Path, found: Found, rng: random.Random, kills: int
) -> int:
    """One run, ended up to `kills` times; how often it was."""
    done = 0
    while True:
        way = rng.choice(WAYS) if done < min(kills, LONGEST) else None
        at = rng.randint(1, max(1, found.files)) if way == "kill at a file" else 0
        child = spawn(variant.command(root, folder), folder, at)
        limit = (
            rng.uniform(0, found.undisturbed)
            if way not in (None, "kill at a file")
            else 10 * found.undisturbed + 60
        )
        status = wait(child, limit)
        if status is None and way in ("SIGTERM", "Ctrl-C"):
            os.killpg(child, signal.SIGTERM if way == "SIGTERM" else signal.SIGINT)
            status = wait(child, PATIENCE)
        if status is None:
            kill(child, rng.random() < 0.5)
            if way != "kill at a time":
                found.wrong.append(f"{folder}: still ran after {limit:.0f} s ({way})")
                return done
            status = -signal.SIGKILL
        if status == 0:
            return done
        expected = {
            "kill at a time": (-9,),
            "kill at a file": (-9,),
            "SIGTERM": (130, -15),
            "Ctrl-C": (130, -2, 70),
        }
        found.wrong += broken(folder)
        if way is None or status not in expected[way]:
            found.wrong.append(
                f"{folder}: exit status {status} ({way}); see {folder.with_suffix('.log')}"
            )
            return done
        done += 1
        found.ended[way] += 1


def torture(
    variant: Variant, root: Path, work: Path, kills: int, seed: int, console: Console
) -> Found:
    """As many kills as asked for, in as many trials as that takes."""
    found, rng, calm = Found(), random.Random(f"{variant.name} {seed}"), work / "calm"
    work.mkdir(parents=True)
    began, count = time.perf_counter(), work / "count"
    status = wait(spawn(variant.command(root, calm), calm, count=count), 600)
    found.undisturbed = time.perf_counter() - began
    if status != 0:
        found.wrong.append(
            f"{calm}: the undisturbed run ended with {status}; see {calm.with_suffix('.log')}"
        )
        return found
    found.files, expected = int(count.read_text()), outcome(calm)
    while sum(found.ended.values()) < kills and not found.wrong:
        folder = work / f"trial{found.trials}"
        done = trial(variant, root, folder, found, rng, kills - sum(found.ended.values()))
        if found.wrong:
            break
        came = outcome(folder)
        differ = [name for name in {**expected, **came} if expected.get(name) != came.get(name)]
        found.trials, found.same = found.trials + 1, found.same + (not differ)
        console.print(
            f"{variant.name}: ended {done} times, then "
            f"{'the same' if not differ else f'OTHER: {differ}'}"
        )
        if differ:
            found.wrong.append(f"{folder} differs from {calm} in {differ}")
            break
        shutil.rmtree(folder)
    return found


def table(results: dict[str, Found]) -> Table:
    """A row a variant."""
    sheet = Table("run", "s", "file operations", *WAYS, "trials", "the same")
    for name, found in results.items():
        ends = [str(found.ended[way]) for way in WAYS]
        sheet.add_row(
            name,
            f"{found.undisturbed:.1f}",
            str(found.files),
            *ends,
            str(found.trials),
            str(found.same),
        )
    return sheet


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 where a run ended differently, whose folders are kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--root", type=Path, help="folder with the sandboxes; without it the toy task alone"
    )
    parser.add_argument("--kills", type=int, default=300, help="in all (default: %(default)s)")
    parser.add_argument(
        "--only", choices=[variant.name for variant in VARIANTS], help="one of the runs"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    arguments = parser.parse_args(argv)
    console, root = (
        Console(soft_wrap=True, markup=False, highlight=False),
        (arguments.root or Path()).resolve(),
    )
    chosen = [variant for variant in VARIANTS if arguments.only in (None, variant.name)]
    variants = [variant for variant in chosen if arguments.root or not variant.data]
    work, results = Path(tempfile.mkdtemp(prefix="losstap-torture-")), {}
    for place, variant in enumerate(variants):
        share = arguments.kills * (place + 1) // len(variants) - arguments.kills * place // len(
            variants
        )
        results[variant.name] = torture(
            variant, root, work / str(place), share, arguments.seed, console
        )
    console.print(table(results))
    wrong = [line for found in results.values() for line in found.wrong]
    for line in wrong:
        console.print(f"WRONG: {line}")
    if not wrong:
        shutil.rmtree(work)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
