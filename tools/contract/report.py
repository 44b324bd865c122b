"""Run the checks: every one, even after one that failed, each with a verdict."""

from __future__ import annotations

import inspect
import linecache
import sysconfig
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

from models.process.seeding import seeded
from models.process.text import headline
from tasks.base import Task
from tools.contract import data_checks, gradient_checks, output_checks, training_checks
from tools.contract.subject import ContractError, SkippedError, Subject

__all__ = ["CHECKS", "ContractError", "Verdict", "told", "verdicts"]

Check = Callable[[Subject], str | None]  # returns what is worth knowing besides

CHECKS: tuple[Check, ...] = (
    data_checks.data_is_whole,
    data_checks.views_have_samples,
    data_checks.names_tell_samples_apart,
    data_checks.efforts_are_counts,
    data_checks.traits_are_words_or_numbers,
    data_checks.sources_are_one_a_sample,
    data_checks.thumbnails_are_small,
    data_checks.scored_views_hold_no_chance,
    data_checks.augmentation_follows_the_seed,
    data_checks.workers_read_the_same,
    output_checks.build_is_seeded,
    output_checks.taps_are_the_declared_ones,
    output_checks.fields_are_those_asked_for,
    output_checks.probs_are_distributions,
    output_checks.loss_is_per_sample,
    output_checks.losses_differ,
    output_checks.fields_stay_float32,
    output_checks.labels_count_for_the_loss_alone,
    data_checks.train_and_pool_are_in_one_order,
    gradient_checks.loss_reaches_the_network,
    gradient_checks.gradients_stop_where_detached,
    training_checks.few_samples_are_learned,
    training_checks.direction_is_told,
    training_checks.predictions_are_one_a_sample,
    training_checks.evaluation_gives_the_metric,
)
FIRST = CHECKS[:2]  # without data there is nothing to check


@dataclass(frozen=True)
class Verdict:
    """The result of one check.

    Args:
        name: of the check.
        promise: what the adapter must keep, one line.
        status: "skipped" if there was nothing to look at.
        said: why it failed or was skipped, or a note of a check that passed.
        seconds: time that it took.
        error: the exception that it raised, with its traceback.
    """

    name: str
    promise: str
    status: Literal["ok", "FAILED", "skipped"]
    said: str
    seconds: float
    error: Exception | None = None

    def __str__(self) -> str:
        line = f"{self.status:8}{self.seconds:6.1f} s  {self.promise}"
        return f"{line}: {self.said}" if self.said else line


def verdicts(subject: Subject, checks: Sequence[Check] = CHECKS) -> Iterator[Verdict]:
    """Run the checks one after the other; leave out the rest if the data are at fault."""
    for check in checks:
        verdict = judged(check, subject)
        yield verdict
        if verdict.status == "FAILED" and check in FIRST:
            return


def judged(check: Check, subject: Subject) -> Verdict:
    """Run one check under a seed of its own."""
    promise = headline(check.__doc__).rstrip(".")
    start = time.perf_counter()
    status: Literal["ok", "FAILED", "skipped"] = "ok"
    error: Exception | None = None
    try:
        with seeded(0):
            said = check(subject) or ""
    except SkippedError as reason:
        status = "skipped"
        said = str(reason)
    except ContractError as fault:
        status = "FAILED"
        said = str(fault)
        error = fault
    except Exception as fault:  # any kind: it is the adapter's code that ran
        status = "FAILED"
        said = told(fault, subject.task)
        error = fault
    return Verdict(check.__name__, promise, status, said, time.perf_counter() - start, error)


def told(error: Exception, task: Task | None = None) -> str:
    """Return an exception as one line: the adapter's method, the error, and its last own line.

    Args:
        error: raised somewhere below a call of the adapter.
        task: the adapter; None if it could not even be constructed.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [
        (frame, line) for frame, line in frames if _is_own(frame.f_code.co_filename, task)
    ] or frames[-1:]
    lines = str(error).strip().splitlines() or [""]
    message = lines[0]
    if "Original Traceback" in str(error):  # of a worker process
        message = lines[-1]
    text = f"{type(error).__name__}: {message}"[:300]
    if not own:
        return text
    frame, line = own[-1]
    file = frame.f_code.co_filename
    return (
        f"{_method(own[0][0], task)} raised {text} ({file}, line {line}: "
        f"{linecache.getline(file, line).strip()})"
    )


def _method(frame: FrameType, task: Task | None) -> str:
    holder = frame.f_locals.get("self")
    name = frame.f_code.co_name
    if holder is None or holder is task:
        return name
    return f"{type(holder).__name__}.{name}"


def _is_own(file: str, task: Task | None) -> bool:
    """Whether a file is the adapter's: its class's or a parent's, or of the package of one."""
    if task is None:
        here = Path(__file__).parents[1]
        return not file.startswith(
            (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), str(here), "<")
        )
    for kind in type(task).__mro__:
        module = inspect.getmodule(kind)
        home = getattr(module, "__file__", None)
        if home is None or kind is Task:
            continue
        package = getattr(module, "__package__", "")
        if file == home or (package and Path(home).parent in Path(file).parents):
            return True
    return False
