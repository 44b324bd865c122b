"""Orderly stops at Ctrl-C, SIGTERM and SIGHUP.

Job schedulers warn with SIGTERM; SIGHUP comes when the terminal is gone. What must be finished is
finished first.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from models.process.ranks import get_world_size, is_main_process

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """The run was stopped by a signal; the message names what was kept."""


@dataclass
class _Heard:
    by: signal.Signals | None = None  # the first signal
    raised: bool = False  # whether a signal's handler raised `Stopped`
    finishing: bool = False  # whether the running block calls `asked` often
    before: dict[signal.Signals, Any] = field(default_factory=dict)  # handlers


_heard = _Heard()


@contextmanager
def listening() -> Iterator[None]:
    """Within, a signal raises `Stopped`: at once, or in a block of `finishing` when that checks.

    The second Ctrl-C raises it at once, too. A signal that is ignored (as under `nohup`) stays so.
    An error that code makes of a raised `Stopped` becomes `Stopped` again: before Python 3.12 a
    class that is just being made (in an import) turns it into a RuntimeError.
    """
    chosen = [s for s in SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        chosen = []  # Python hears signals in the main thread alone
    _heard.before = {s: signal.signal(s, _hear) for s in chosen}
    try:
        yield
    except Exception as error:
        if not _heard.raised:
            raise
        raise Stopped(_message()) from error
    finally:
        _unlisten()
        _heard.by, _heard.raised = None, False


def _unlisten() -> None:
    for s, handler in _heard.before.items():
        signal.signal(s, handler)
    _heard.before = {}


class _Forking(threading.local):
    mask: set[int] | None = None  # of signals, as it was before the fork


_forking = _Forking()


def _hold() -> None:
    """Block signals during a fork.

    One that reaches a child before it has its own handlers would be lost with ours.
    """
    if _heard.before:
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _release() -> None:
    mask = _forking.mask
    _forking.mask = None
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _begin_child() -> None:
    """Children do not listen: a pool ends its processes by SIGTERM, and waits for them."""
    _unlisten()
    _release()


os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_begin_child)


def _hear(number: int, frame: FrameType | None) -> None:
    again = _heard.by is not None
    _heard.by = _heard.by or signal.Signals(number)
    if again and number != signal.SIGINT:
        return  # schedulers repeat themselves
    if again or not _heard.finishing:
        _heard.raised = True
        raise Stopped(_message())
    if is_main_process():  # past Python's buffers, which may be in use at this moment
        with suppress(OSError):  # Ctrl-C ends `| tee`, too, and then the pipe is closed
            os.write(
                2,
                f"\n{name()}: finishing this iteration (Ctrl-C once more: ending at "
                "once)\n".encode(),
            )


def _message() -> str:
    return f"stopped by {name()}; what was trained is kept"


@contextmanager
def finishing() -> Iterator[None]:
    """Within, a signal is only noted.

    The block calls `asked` often, keeps what is to be kept, and raises `Stopped`.
    """
    _heard.finishing = True
    try:
        yield
    finally:
        _heard.finishing = False
    stop_if_asked()


def stop_if_asked() -> None:
    """Raise `Stopped` after a signal whose own exception was lost.

    Python drops exceptions that are raised in a `__del__`.
    """
    if _heard.by is not None:
        raise Stopped(_message())


@contextmanager
def workers_may_die() -> Iterator[None]:
    """Within, a data-loading worker that the same signal ended raises `Stopped`, not an error.

    The signal reached it before it could leave the process group.
    """
    try:
        yield
    except RuntimeError as error:
        # torch's own wraps one
        if _heard.by is None or "killed by signal" not in f"{error} {error.__cause__}":
            raise
        raise Stopped(f"stopped by {name()}") from error


def asked() -> bool:
    """Whether a process of the run got a signal to stop; all must call this at the same moment."""
    if get_world_size() == 1:
        return _heard.by is not None
    import torch  # where there are several processes, it is imported already
    from mmengine.dist import all_reduce

    flag = torch.tensor(int(_heard.by is not None))
    all_reduce(flag, op="max")
    return bool(flag)


def name() -> str:
    """The name of the signal that stopped the run."""
    if _heard.by is None:
        return "another process's signal"
    return _heard.by.name
