"""Signals: heard at once or when an iteration is over, the second Ctrl-C at once, and left
alone outside a run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from contextlib import contextmanager

import pytest

from models.process import stopping
from models.process.stopping import Stopped, asked, finishing, listening

EACH = pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


def tell(number: int) -> None:
    os.kill(os.getpid(), number)


@EACH
def test_outside_of_what_must_be_finished_a_signal_ends_at_once(told):
    with (
        pytest.raises(Stopped, match=f"stopped by {told.name}; what was trained is kept"),
        listening(),
    ):
        tell(told)
        raise AssertionError("it went on")
    assert not asked()


@EACH
def test_within_it_is_noted_and_ends_afterwards(told, capfd):
    done = []
    with pytest.raises(Stopped, match=f"stopped by {told.name}"), listening():
        with finishing():
            assert not asked()
            tell(told)
            done += [asked(), stopping.name()]
        done.append("after")
    assert done == [True, told.name]
    assert (
        capfd.readouterr().err.strip()
        == f"{told.name}: finishing this iteration (Ctrl-C once more: ending at once)"
    )


def test_the_second_ctrl_c_ends_at_once_and_a_second_sigterm_does_not(capfd):
    done = []
    with pytest.raises(Stopped), listening(), finishing():
        tell(signal.SIGINT), tell(signal.SIGTERM), tell(signal.SIGTERM)
        done.append("still here")
        tell(signal.SIGINT)
        done.append("too late")
    assert done == ["still here"]
    assert capfd.readouterr().err.count("finishing") == 1, "said once"


def test_a_signal_is_noted_where_nobody_reads_what_is_said():
    read, write = os.pipe()
    os.close(read)
    kept = os.dup(2)
    os.dup2(write, 2)
    try:
        with pytest.raises(Stopped, match="stopped by SIGINT"), listening(), finishing():
            tell(signal.SIGINT)
            assert asked()
    finally:
        os.dup2(kept, 2), os.close(kept), os.close(write)


def test_what_the_block_raises_is_not_hidden():
    with pytest.raises(ValueError, match="its own"), listening(), finishing():
        tell(signal.SIGTERM)
        raise ValueError("its own")


def test_a_stop_is_an_interrupt_for_those_who_catch_these():
    assert issubclass(Stopped, KeyboardInterrupt)


def test_handlers_are_as_before_afterwards_and_ignored_signals_stay_so():
    before = {s: signal.getsignal(s) for s in stopping.SIGNALS}
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with listening():
            assert signal.getsignal(signal.SIGINT) is not before[signal.SIGINT]
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            tell(signal.SIGTERM)
            assert not asked()
        assert signal.getsignal(signal.SIGINT) is before[signal.SIGINT]
    finally:
        signal.signal(signal.SIGTERM, before[signal.SIGTERM])


def test_another_thread_may_run_it():
    said = []

    def job() -> None:
        with listening(), finishing():
            said.append(asked())

    thread = threading.Thread(target=job)
    thread.start()
    thread.join()
    assert said == [False]


def test_a_finished_block_is_no_longer_one():
    with listening():
        with finishing():
            pass
        with pytest.raises(Stopped):
            tell(signal.SIGTERM)


@EACH
def test_a_forked_process_does_not_listen(told):
    with listening(), finishing():
        if (child := os.fork()) == 0:
            try:
                tell(told)
            except BaseException as error:
                os._exit(1 if isinstance(error, Stopped) else told)
            os._exit(0)
        expected = told if told == signal.SIGINT else -told  # Python's own KeyboardInterrupt
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == expected
        assert not asked() and signal.getsignal(told) is stopping._hear


def test_a_forked_process_that_is_ended_at_once_ends(monkeypatch):
    """A pool under load ends processes that have not run yet.

    The signal must not be lost with the handler.
    """
    plain, parent = stopping._unlisten, os.getpid()

    def late() -> None:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
        plain()

    monkeypatch.setattr(stopping, "_unlisten", late)
    with listening():
        if (child := os.fork()) == 0:
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set(), (
            "nothing stays blocked in the parent"
        )


def test_a_worker_that_the_same_signal_ended_is_no_error():
    """torch says so with a RuntimeError, wherever the process happens to be."""
    said = "DataLoader worker (pid 7) is killed by signal: Terminated. "
    with (
        pytest.raises(Stopped, match="stopped by SIGTERM"),
        listening(),
        stopping.workers_may_die(),
    ):
        stopping._heard.by = signal.SIGTERM
        raise RuntimeError(said)
    with (
        pytest.raises(RuntimeError, match="killed by signal"),
        listening(),
        stopping.workers_may_die(),
    ):
        raise RuntimeError(said)  # nobody was told to stop: short of memory, say
    with (
        pytest.raises(Stopped, match="stopped by SIGTERM"),
        listening(),
        stopping.workers_may_die(),
    ):
        stopping._heard.by = signal.SIGTERM
        raise RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly") from RuntimeError(
            said
        )
    with pytest.raises(RuntimeError, match="another"), listening(), stopping.workers_may_die():
        stopping._heard.by = signal.SIGTERM
        raise RuntimeError("another")


def test_a_pool_of_processes_can_be_ended(capfd):
    with listening():
        for _ in range(10):
            with multiprocessing.Pool(3) as pool:  # which sends SIGTERM
                assert pool.map(abs, [-1, 2]) == [1, 2]
    assert capfd.readouterr().err == ""


def test_a_signal_that_python_dropped_is_heard_at_the_next_question():
    class Dropping:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)  # heard before it returns

    with listening():
        stopping.stop_if_asked()
        with suppress_unraisable():
            Dropping()
        with pytest.raises(Stopped, match="stopped by SIGTERM; what was trained is kept"):
            stopping.stop_if_asked()


@contextmanager
def suppress_unraisable():
    before, sys.unraisablehook = sys.unraisablehook, lambda *_: None
    try:
        yield
    finally:
        sys.unraisablehook = before


class Telling:
    """A descriptor that gets a signal while its class is being made."""

    def __set_name__(self, owner: type, name: str) -> None:
        tell(signal.SIGTERM)


def test_a_stop_that_other_code_turned_into_an_error_is_a_stop_again():
    # Python 3.10 and 3.11 wrap whatever `__set_name__` raises in a RuntimeError
    with pytest.raises(Stopped, match="stopped by SIGTERM"), listening():
        type("Made", (), {"field": Telling()})
    with pytest.raises(Stopped, match="stopped by SIGTERM"), listening():
        try:
            tell(signal.SIGTERM)
        except Stopped as stop:
            raise ValueError("training.optimizer: cannot be made") from stop


def test_an_error_after_a_signal_that_was_only_noted_stays_itself(capfd):
    with pytest.raises(OSError, match="disk is full"), listening(), finishing():
        tell(signal.SIGTERM)
        raise OSError("disk is full")
    with pytest.raises(ValueError, match="its own"), listening():
        raise ValueError("its own")
