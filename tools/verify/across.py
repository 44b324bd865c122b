"""Checks across runs: what the strategies of one seed must share."""

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
    """Runs of one config, one seed and the same samples, which have a committed cycle.

    Groups of one, too.
    """
    found: dict[Any, list[Record]] = {}
    for run in runs:
        found.setdefault((run.experiment.seed, _setup(run), run.names), []).append(run)
    yield from found.values()


def initial_sets(runs: Sequence[Record]) -> Iterator[Remark]:
    """Runs of one config and seed start from the same labeled set."""
    first = runs[0]
    for run in runs[1:]:
        if run.initial != first.initial:
            there, came = list(first.initial[:5]), list(run.initial[:5])
            yield Remark(
                0, f"{_name(run)}: expected {there} ... as in {_name(first)}, but got {came} ..."
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
            yield Remark(None, f"{_name(run)}: what its data were is not recorded", "not compared")
            continue
        first, there = known = known or (run, run.data)
        for line in difference(there, run.data, run.names):
            yield Remark(None, f"{_name(run)} and {_name(first)}: {line}")


def first_rows(runs: Sequence[Record]) -> Iterator[Remark]:
    """Runs with the same first weights have the same first row, times and the ranking of
    queries aside.
    """
    firsts: dict[str, tuple[Record, First]] = {}
    for run in runs:
        one = _first(run)
        if one is None or one.weights is None:
            continue
        known, there = firsts.setdefault(one.weights, (run, one))
        if run is known:
            continue
        if not there.alike(one):
            text = (
                f"{_name(run)} and {_name(known)}: tested in another way, or where bits are not "
                "the same each time"
            )
            yield Remark(0, text, "not compared")
        elif there.differing(one):
            yield Remark(0, f"{_name(known)} and {_name(run)}: {there.other_test(one)}")


def _first(run: Record) -> First | None:
    try:
        return first_cycle(run.folder, run.folder.rows(1)[0], flat(run.experiment.config))
    except RunFolderError:
        return None  # the check of the rows says it


def _differ(first: Record, run: Record) -> Remark:
    told = (
        f"{_name(run)}: expected {_weights(first)[:12]} as in {_name(first)}, but got "
        f"{_weights(run)[:12]}"
    )
    exact = [one.experiment.training.deterministic for one in (first, run)]
    if exact[0] != exact[1]:
        return Remark(
            0,
            f"{told}; one alone was trained with --deterministic, which rounds otherwise",
            "not compared",
        )
    gpu = "cpu" not in (first.cycles[0].receipt.get("device"), run.cycles[0].receipt.get("device"))
    if gpu and not all(exact):
        return Remark(
            0, f"{told}; on a GPU the bits are the same with --deterministic alone", "not compared"
        )
    made = [
        one.cycles[0].receipt.get("made", "processes and threads of unknown number")
        for one in (first, run)
    ]
    if made[0] != made[1]:
        return Remark(
            0, f"{told}; made by {made[0]}, and by {made[1]}, which round otherwise", "not compared"
        )
    return Remark(0, f"{told} (a training on another device or processor differs, too)")


def _name(run: Record) -> str:
    return str(run.folder.path)


def _weights(run: Record) -> str:
    return run.cycles[0].receipt["weights"]


def training(run: Record) -> str:
    """How the first cycle is trained, as far as the strategy has a part in it: module,
    objective, dropout.
    """
    module, settings = run.experiment.module_mode, run.experiment.committee
    way = f"module {module}" + (f" ({run.experiment.module.objective})" if module != "off" else "")
    if run.experiment.committee_kind == "dropout":
        way += f", dropout {settings.dropout} after {list(settings.dropout_at)}"
    return way


def _setup(run: Record) -> tuple[tuple[str, str], ...]:
    """The settings that runs must share to be compared."""
    settings = flat(run.experiment.config).items()
    return tuple(
        sorted((key, repr(value)) for key, value in settings if not free(key, AFTER_THE_FIRST))
    )
