"""A process that runs one job of a sweep after another, each as `al_train.py` would.

Orders are lines of JSON on standard input; the exit status of each is a line on standard output.
A run keeps nothing in its process that another one would see: what it draws comes from its seed,
and its networks are its own. Data that were read are shared as long as they are the same.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from tasks.base import Task
from tools.display.streams import command, outcome
from tools.experiment.shared import Shared
from tools.record import data
from tools.record.fingerprint import Fingerprint, fingerprint
from tools.record.folder import RunFolderError
from tools.train.arguments import parser

FAILED = 1


class Adapters(Shared):
    """Hands out the adapter of the run before where settings and data are still the same.

    Attributes:
        before: the data as the run before recorded them; None if it did not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before: Fingerprint | None = None

    def _same(self, task: Task) -> bool:
        """Whether the data on disk are those that the adapter has read."""
        if self.before is None:
            return False
        try:
            now = fingerprint(task)
        except Exception:  # of a file that is gone: a fresh adapter's check will tell
            return False
        return now is not None and now.whole == self.before.whole


def main(argv: Sequence[str]) -> int:
    """Run the orders; the exit status is that of the first one that fails."""
    orders = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    return serve(orders, answers, Adapters())


def serve(orders: TextIO, answers: TextIO, adapters: Adapters) -> int:
    """Run jobs until one fails, or there are no more.

    Args:
        orders: a line of JSON each: the arguments of the command, its own name first, and the
            paths of log and run folder.
        answers: get a line each: the exit status.
        adapters: of all jobs.
    """
    for line in orders:
        order = json.loads(line)
        _log_to(order["log"])
        sys.argv = order["command"]
        status = _ran(adapters)
        try:
            adapters.before = data.kept(Path(order["folder"]))
        except RunFolderError:
            adapters.before = None
        answers.write(f"{status}\n")
        answers.flush()
        if status:
            return status
    return 0


def _log_to(path: str) -> None:
    """Let standard output and errors go to the end of a file."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)


def _ran(adapters: Adapters) -> int:
    """Run the command of `sys.argv`, and return its exit status as the system has it."""
    try:
        status = outcome(partial(_train, adapters), sys.argv[1:])
    except Exception:
        traceback.print_exc()
        status = FAILED
    if isinstance(status, str):
        print(status, file=sys.stderr)
        status = FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    _let_go()
    return status or 0


def _train(adapters: Adapters, arguments: Sequence[str]) -> int:
    from tools.train import session  # what it needs takes seconds to import

    return session.main(parser().parse_args(arguments), adapters.make)


def _let_go() -> None:
    """Free what a run leaves: cycles of objects, memory of a GPU, compiled code."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if "torch._dynamo" in sys.modules:
        sys.modules["torch._dynamo"].reset()


if __name__ == "__main__":
    command(main)
