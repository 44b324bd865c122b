"""Runs that differ in their start or in single seeds alone: one config, though under many names.

Those that go on from the last cycle's weights (`training.start="warm"`) are control runs of those
from scratch: strategies of their own, with "-warm" behind their names. Those with other seeds of
single parts (`seeds`) tell what a part does to the spread, and count in that alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tools.compare.shares import PARTS
from tools.record.comparable import ANYWHERE, BETWEEN_LEGS, differing, free
from tools.record.reading import Run

START = "training.start"
WARM = "warm"
SEEDS = "seeds"
Groups = dict[tuple[str, str], list[Run]]
Fixed = tuple[Any, Any, Any]  # the seeds of the parts as they are set; None follows the run's


def together(runs: Sequence[Run]) -> Groups:
    """Runs by config and task; configs that differ in start or single seeds alone are one.

    Configs stay apart where a strategy would be there twice, or has other settings of its own.
    """
    by_name: Groups = defaultdict(list)
    for run in runs:
        by_name[run.config, run.task].append(run)
    families: dict[Any, list[tuple[str, str]]] = defaultdict(list)
    for key, own in by_name.items():
        families[_core(own[0])].append(key)
    found: Groups = {}
    for keys in families.values():
        every = [run for key in keys for run in by_name[key]]
        if len(keys) == 1 or _twice(every) or _own(every) or not _vary(every):
            found |= {key: by_name[key] for key in keys}
        else:
            found[_name(keys, by_name), keys[0][1]] = every
    return {key: controlled(own) for key, own in sorted(found.items())}


def controlled(runs: Sequence[Run]) -> list[Run]:
    """Mark warm runs as controls where others are from scratch; random, then legs, then seeds."""
    starts = {_start(run) for run in runs}
    marked = [
        replace(run, control=WARM) if len(starts) > 1 and _start(run) == WARM else run
        for run in runs
    ]
    return sorted(marked, key=lambda run: (run.leg != "random", run.leg, run.seed, str(run.folder)))


def by_seeds(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Runs of one setting of `seeds`, which statistics are of, and those of all other settings.

    The first are those without any; of several settings, or where they have fewer runs, the one
    that has most. A run that repeats another one, with the same seed of each part, counts among the
    second.
    """
    settings: dict[Fixed, list[Run]] = defaultdict(list)
    for run in runs:
        settings[fixed(run)].append(run)
    once = {key: _once(own) for key, own in settings.items()}
    order = sorted(once, key=lambda key: (-len(once[key]), str(key) != str((None,) * 3), str(key)))
    chosen = once[order[0]] if order else []
    return chosen, [run for run in runs if run not in chosen]


def _once(runs: Sequence[Run]) -> list[Run]:
    """Runs of one setting of `seeds` without those that repeat another one of their leg.

    Where the seeds of all parts are set, the run's own decides nothing but the mistakes of
    simulated people.
    """
    people = any(key.startswith("oracle.") for key in runs[0].settings)
    if people or None in fixed(runs[0]):
        return list(runs)
    firsts: dict[str, Run] = {}
    for run in runs:
        firsts.setdefault(run.leg, run)
    return list(firsts.values())


def fixed(run: Run) -> Fixed:
    """The run's section `seeds`."""
    own = [run.settings.get(f"{SEEDS}.{part}") for part in PARTS]
    return own[0], own[1], own[2]


def remarks(names: Sequence[str], runs: Sequence[Run], varied: Sequence[Run]) -> tuple[str, ...]:
    """What a report says of runs that stand together though they differ.

    Args:
        names: of the configs that are one.
        runs: that statistics are of.
        varied: that count in the shares of the variance alone.
    """
    lines = []
    if len(names) > 1:
        lines.append(
            f"{', '.join(names)} differ in start and seeds alone, and are one config here."
        )
    if any(run.control for run in runs):
        lines.append(
            'Strategies with "-warm" behind their names train the last cycle\'s network on '
            '(training.start="warm"); the others start from scratch in each cycle.'
        )
    repeated = [run for run in varied if runs and fixed(run) == fixed(runs[0])]
    if repeated:
        lines.append(
            f"{len(repeated)} of the runs repeat another one: seeds.set, seeds.model and "
            "seeds.query are set, so that the run's seed decides nothing. Each counts once."
        )
    held = [
        f"{part} (seed {seed})"
        for part, seed in zip(PARTS, fixed(runs[0]) if runs else (), strict=False)
        if seed is not None
    ]
    if 0 < len(held) < len(PARTS):
        lines.append(
            f"The same in all runs: {', '.join(held)}. So the seeds vary the rest alone, and "
            "intervals are too narrow for what other draws of that would give."
        )
    if len(varied) > len(repeated):
        lines.append(
            f"{len(varied) - len(repeated)} more runs have other seeds of set, model or query; "
            "they count in the shares of the variance alone."
        )
    return tuple(lines)


def _start(run: Run) -> str:
    return str(run.settings.get(START, "scratch"))


def _core(run: Run) -> Any:
    """What runs of one family share."""
    may = (*ANYWHERE, *BETWEEN_LEGS, START, SEEDS)
    kept = sorted((key, repr(value)) for key, value in run.settings.items() if not free(key, may))
    data = tuple(sorted(run.data.items()))
    return run.task, run.metric, run.lower, run.samples, data, tuple(kept)


def _twice(runs: Sequence[Run]) -> bool:
    counts = Counter((run.leg, _start(run), fixed(run), run.seed) for run in runs)
    return counts.most_common(1)[0][1] > 1


def _own(runs: Sequence[Run]) -> bool:
    """Whether a strategy's runs differ in more than start and seeds."""
    may = (*ANYWHERE, START, SEEDS)
    firsts: dict[str, Run] = {}
    return any(
        differing(firsts.setdefault(run.leg, run).settings, run.settings, may) for run in runs
    )


def _vary(runs: Sequence[Run]) -> bool:
    """Whether start or seeds differ at all between runs."""
    return len({(_start(run), fixed(run)) for run in runs}) > 1


def _name(keys: Sequence[tuple[str, str]], groups: Groups) -> str:
    """The name that configs have together.

    Of cells of a grid, which are called "config,setting,...", it is what all names hold; else that
    of the plainest config: from scratch, with the fewest seeds set.
    """
    parts = [name.split(",") for name, _ in keys]
    shared = [part for part in parts[0] if all(part in other for other in parts)]
    if shared and shared[0] == parts[0][0]:
        return ",".join(shared)

    def _plainness(key: tuple[str, str]) -> tuple[bool, int, str]:
        first = groups[key][0]
        seeds = sum(seed is not None for seed in fixed(first))
        return _start(first) == WARM, seeds, key[0]

    return min(keys, key=_plainness)[0]
