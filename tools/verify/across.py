"""Checks across runs: the strategies of one seed must share their first steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tools.experiment.settings import flat
from tools.record.comparable import AFTER_THE_FIRST, free
from tools.record.fingerprint import Fingerprint, difference
from tools.record.first_cycle import First, first_cycle
from tools.record.folder import RunFolderError
from tools.verify.run import Record, Remark


def groups(runs: Sequence[Record]) -> Iterator[list[Record]]:
    """Group runs, which have a committed cycle, by config, seed and samples.

    A group may hold a single run.
    """
    by_setup: dict[Any, list[Record]] = {}
    for run in runs:
        by_setup.setdefault((run.experiment.seed, _setup(run), run.names), []).append(run)
    yield from by_setup.values()


def initial_sets(runs: Sequence[Record]) -> Iterator[Remark]:
    """Runs of one config and seed start from the same labeled set."""
    first = runs[0]
    for run in runs[1:]:
        if run.initial != first.initial:
            expected = list(first.initial[:5])
            got = list(run.initial[:5])
            yield Remark(
                0, f"{_name(run)}: expected {expected} ... as in {_name(first)}, but got {got} ..."
            )


def first_weights(runs: Sequence[Record]) -> Iterator[Remark]:
    """Runs that are trained in the same way have the same weights in the first cycle."""
    ways: dict[str, list[Record]] = {}
    for run in runs:
        if "weights" in run.cycles[0].receipt:
            ways.setdefault(training(run), []).append(run)
        else:
            yield Remark(0, f"{_name(run)}: it has no receipt", "not compared")
    for way, (first, *others) in ways.items():
        different = [run for run in others if _weights(run) != _weights(first)]
        same = [run for run in others if run not in different]
        if same:
            yield Remark(0, f"{way}: " + ", ".join(_name(run) for run in [first, *same]), "ok")
        for run in different:
            yield _differ(first, run)
        if not others:
            yield Remark(
                0, f"{_name(first)}: no other run here is trained with {way}", "not compared"
            )


def same_data(runs: Sequence[Record]) -> Iterator[Remark]:
    """Runs of one config have the same images, labels and test set."""
    known: tuple[Record, Fingerprint] | None = None
    for run in runs:
        if run.data is None:
            yield Remark(None, f"{_name(run)}: its data are not recorded", "not compared")
            continue
        first, expected = known = known or (run, run.data)
        for line in difference(expected, run.data, run.names):
            yield Remark(None, f"{_name(run)} and {_name(first)}: {line}")


def first_rows(runs: Sequence[Record]) -> Iterator[Remark]:
    """Runs with the same first weights have the same first row, except times and query ranking."""
    firsts: dict[str, tuple[Record, First]] = {}
    for run in runs:
        one = _first(run)
        if one is None or one.weights is None:
            continue
        known, known_first = firsts.setdefault(one.weights, (run, one))
        if run is known:
            continue
        if not known_first.alike(one):
            text = (
                f"{_name(run)} and {_name(known)}: tested in different ways, or on a device where "
                "bits may differ each time"
            )
            yield Remark(0, text, "not compared")
        elif known_first.differing(one):
            yield Remark(0, f"{_name(known)} and {_name(run)}: {known_first.other_test(one)}")


def _first(run: Record) -> First | None:
    try:
        return first_cycle(run.folder, run.folder.rows(1)[0], flat(run.experiment.config))
    except RunFolderError:
        return None  # reported by the check of the rows


def _differ(first: Record, run: Record) -> Remark:
    """The remark on two runs whose first weights differ, with a harmless cause if there is one."""
    text = (
        f"{_name(run)}: expected {_weights(first)[:12]} as in {_name(first)}, but got "
        f"{_weights(run)[:12]}"
    )
    cause = _rounding(first, run)
    if cause:
        return Remark(0, f"{text}; {cause}", "not compared")
    return Remark(0, f"{text} (a training on another device or processor differs, too)")


def _rounding(first: Record, run: Record) -> str:
    """Why the weights of two equal trainings may be rounded differently; empty if they may not."""
    receipts = [one.cycles[0].receipt for one in (first, run)]
    exact = [one.experiment.training.deterministic for one in (first, run)]
    if exact[0] != exact[1]:
        return "only one was trained with --deterministic, which rounds differently"
    if "cpu" not in [receipt.get("device") for receipt in receipts] and not all(exact):
        return "on a GPU bits are reproducible only with --deterministic"
    made = [receipt.get("made", "processes and threads of unknown number") for receipt in receipts]
    if made[0] != made[1]:
        return f"made by {made[0]}, and by {made[1]}, which round differently"
    return ""


def _name(run: Record) -> str:
    return str(run.folder.path)


def _weights(run: Record) -> str:
    return run.cycles[0].receipt["weights"]


def training(run: Record) -> str:
    """Describe what the strategy sets in the first training: module, objective, dropout."""
    settings = run.experiment.committee
    way = f"module {run.experiment.module_mode}"
    if run.experiment.module_mode != "off":
        way += f" ({run.experiment.module.objective})"
    if run.experiment.committee_kind == "dropout":
        way += f", dropout {settings.dropout} after {list(settings.dropout_at)}"
    return way


def _setup(run: Record) -> tuple[tuple[str, str], ...]:
    """The settings that runs must share to be compared."""
    settings = flat(run.experiment.config).items()
    return tuple(
        sorted((key, repr(value)) for key, value in settings if not free(key, AFTER_THE_FIRST))
    )
