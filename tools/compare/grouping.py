"""Groups of runs that may be compared: of one experiment, with any strategies and seeds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.compare.families import SEEDS, START, Fixed, by_seeds, fixed, remarks, together
from tools.record.comparable import ANYWHERE, BETWEEN_LEGS, MISSING, differing
from tools.record.data import kept
from tools.record.fingerprint import difference
from tools.record.first_cycle import First
from tools.record.folder import RunFolder
from tools.record.reading import ComparisonError, Run

SHOWN = 20  # differences in one message


@dataclass(frozen=True)
class Comparison:
    """Runs of one experiment, by strategy and seed.

    Args:
        config: its name.
        task: dotted name of the adapter.
        metric: see `Run`.
        runs: all of them, by leg and seed; "random" comes first.
        lower: see `Run`.
        left_out: a sentence for each folder that looks like a run and could not be read, whatever
            experiment it belongs to.
        varied: runs with other seeds of single parts, see `tools.compare.families`.
        remarks: sentences about runs that stand together though they differ.
    """

    config: str
    task: str
    metric: str
    runs: tuple[Run, ...]
    lower: bool = False
    left_out: tuple[str, ...] = ()
    varied: tuple[Run, ...] = field(default=(), repr=False)
    remarks: tuple[str, ...] = ()

    @property
    def legs(self) -> dict[str, tuple[Run, ...]]:
        """Finished runs of each leg, by seed; a leg without a finished run is left out."""
        return _finished(self.runs)

    @property
    def every(self) -> dict[str, tuple[Run, ...]]:
        """As `legs`, with the runs that vary the seeds of single parts."""
        return _finished((*self.runs, *self.varied))

    @property
    def unrecorded(self) -> tuple[Run, ...]:
        """Runs without a record of their data: from earlier versions, or tasks without sources."""
        return tuple(run for run in self.runs if not run.data)

    @property
    def unfinished(self) -> tuple[Run, ...]:
        """Runs that lack cycles, which do not count in numbers that need all cycles."""
        return tuple(run for run in self.runs if not run.finished)


def _finished(runs: Sequence[Run]) -> dict[str, tuple[Run, ...]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        if run.finished:
            found.setdefault(run.leg, []).append(run)
    return {leg: tuple(own) for leg, own in found.items()}


def group(runs: Sequence[Run], left_out: Sequence[str] = ()) -> list[Comparison]:
    """Put runs of one config and one task together, and refuse what must not be compared.

    `tools/record/comparable.py` lists the settings that may differ; those that define a leg may
    differ between legs only. Everything else must be the same: the budget, what is trained and how,
    the module's other settings, the task with its data, test set and metric; the samples, name by
    name; and images, labels and test set where runs recorded them. `task.data_root` must be the
    same, too: two drawn sandboxes have the same names, and nothing else in runs of earlier versions
    shows that they differ.

    Raises:
        ComparisonError: with what differs, and where a leg has a seed twice.
    """
    groups = {key: by_seeds(own) for key, own in together(runs).items()}
    problems = [line for kept, varied in groups.values() for line in _problems(kept, varied)]
    if problems:
        lines = ["These runs must not be compared; leave some out, or compare them apart:"]
        lines += problems[:SHOWN]
        if len(problems) > SHOWN:
            lines.append(f"and {len(problems) - SHOWN} more")
        raise ComparisonError("\n  ".join(lines))
    return [_comparison(key, *own, left_out) for key, own in groups.items()]


def _comparison(
    key: tuple[str, str], runs: Sequence[Run], varied: Sequence[Run], left_out: Sequence[str]
) -> Comparison:
    names = sorted({run.config for run in (*runs, *varied)})
    return Comparison(
        *key,
        runs[0].metric,
        tuple(runs),
        runs[0].lower,
        tuple(left_out),
        tuple(varied),
        remarks(names, runs, varied),
    )


def _problems(runs: Sequence[Run], varied: Sequence[Run] = ()) -> list[str]:
    """List what speaks against a comparison.

    A run is compared with the first of its leg, and that one with the first of all, or a control
    run's with the first of the leg that it controls. Runs that vary
    the seeds of single parts are compared likewise, but for these seeds.
    """
    firsts: dict[str, Run] = {}
    seen: dict[tuple[str, int, Fixed], Run] = {}
    lines = []
    anywhere = (*ANYWHERE, SEEDS) if varied else ANYWHERE
    between = (*anywhere, *BETWEEN_LEGS, START)
    for run in (*runs, *varied):
        twin = seen.get((run.leg, run.seed, fixed(run)))
        if twin:
            lines.append(f"{twin.folder} and {run.folder}: {run.leg} with seed {run.seed}, twice")
        elif run.leg in firsts:
            lines += _differences(firsts[run.leg], run, anywhere)
        elif (base := run.leg.removesuffix(f"-{run.control}")) != run.leg and base in firsts:
            lines += _differences(firsts[base], run, (*anywhere, START))
        else:
            lines += _differences(runs[0], run, between)
        firsts.setdefault(run.leg, run)
        seen.setdefault((run.leg, run.seed, fixed(run)), run)
    return lines + _first_rows((*runs, *varied))


def _other_data(first: Run, second: Run) -> list[str]:
    """List the differences between images, labels and test sets of two runs that recorded them."""
    if not (first.data and second.data) or first.data == second.data:
        return []
    before, after = (kept(run.folder) for run in (first, second))
    if not (before and after):
        return []
    return difference(before, after, RunFolder(first.folder).sample_names())


def _first_rows(runs: Sequence[Run]) -> list[str]:
    """Name the runs whose first rows differ though their first weights are the same."""
    firsts: dict[str, tuple[Run, First]] = {}
    lines = []
    for run in runs:
        one = run.first
        if one is None or one.weights is None:
            continue
        known, known_first = firsts.setdefault(one.weights, (run, one))
        if known_first.alike(one) and known_first.differing(one):
            lines.append(f"{known.folder} and {run.folder}: {known_first.other_test(one)}")
    return lines


def _differences(first: Run, second: Run, may: Sequence[str]) -> list[str]:
    a = first.settings
    b = second.settings
    where = f"{first.folder} and {second.folder}"
    lines = [
        f"{where}: {k}: {a.get(k, MISSING)!r} and {b.get(k, MISSING)!r}"
        for k in differing(a, b, may)
    ]
    if first.metric != second.metric:
        lines.append(f"{where}: the task's metric: {first.metric!r} and {second.metric!r}")
    if first.lower != second.lower:
        lines.append(f"{where}: the task's lower_is_better: {first.lower} and {second.lower}")
    lines += [f"{where}: {line}" for line in _other_data(first, second)]
    if first.samples != second.samples:
        names = [RunFolder(run.folder).sample_names() for run in (first, second)]
        pairs = enumerate(itertools.zip_longest(*names, fillvalue=MISSING))
        place, (name, other) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
        lines.append(f"{where}: samples.txt, sample {place}: {name!r} and {other!r}")
    return lines
