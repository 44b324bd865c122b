"""What each strategy chose: how much of it others chose too, and how it differs from the pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from models.process.text import printable
from tools.compare.curves import COUNT, Estimate, estimate
from tools.compare.gallery import Picture, gallery
from tools.compare.grouping import Comparison
from tools.compare.statistics import Legs
from tools.compare.traits import Trait, traits
from tools.record import plans
from tools.record.folder import RunFolder, RunFolderError
from tools.record.reading import Run


def queries(run: Run) -> list[list[int]]:
    """Ids that a run queried after each cycle but the last, first choice first.

    Raises:
        RunFolderError: if `state.json` is damaged.
    """
    pool = RunFolder(run.folder).resume(len(RunFolder(run.folder).sample_names()))
    labeled = list(pool.labeled) if pool else []
    ends = [*run.labeled, len(labeled)]
    return [labeled[a:b] for a, b in zip(ends, ends[1:], strict=False) if b > a]


@dataclass(frozen=True)
class Overlap:
    """How much the choices of strategies overlap; the shared initial set does not count.

    Args:
        legs: L names.
        queried: (Q,) samples queried up to each query, by each leg.
        matrices: (Q, L, L) Jaccard index of all that two legs queried so far, |A and B| / |A or B|,
            mean over the seeds that both have; not-a-number where they have none in common.
        chance: (Q,) the index's expectation for two random draws from the same unlabeled samples.
    """

    legs: tuple[str, ...]
    queried: tuple[int, ...]
    matrices: np.ndarray = field(repr=False)
    chance: tuple[float, ...]


def overlap(legs: Legs) -> Overlap | None:
    """Jaccard indices of the queries of the same seed, cumulated over the cycles.

    None with fewer than two strategies, or without a query.

    Queries of one comparison have the same size, as their budget is the same.
    """
    asked = {leg: {run.seed: queries(run) for run in runs} for leg, runs in legs.items()}
    rounds = min((len(q) for seeds in asked.values() for q in seeds.values()), default=0)
    if len(asked) < 2 or not rounds:
        return None
    matrices = np.full((rounds, len(asked), len(asked)), np.nan)
    for i, first in enumerate(asked.values()):
        for j, second in enumerate(asked.values()):
            for upto in range(rounds):
                pairs = [(first[seed], second[seed]) for seed in first.keys() & second.keys()]
                found = [jaccard(_until(a, upto), _until(b, upto)) for a, b in pairs]
                matrices[upto, i, j] = np.mean(found) if found else np.nan
    run = next(iter(legs.values()))[0]
    free = len(RunFolder(run.folder).sample_names()) - run.labeled[0]
    counts = tuple(len(_until(queries(run), upto)) for upto in range(rounds))
    return Overlap(
        tuple(asked), counts, matrices, tuple(jaccard_by_chance(free, count) for count in counts)
    )


def _until(asked: Sequence[Sequence[int]], last: int) -> set[int]:
    return {i for query in asked[: last + 1] for i in query}


def jaccard(first: set[int], second: set[int]) -> float:
    """|A and B| / |A or B| (Jaccard 1901); of two sets of which one has something in it."""
    return len(first & second) / len(first | second)


def jaccard_by_chance(size: int, count: int) -> float:
    """Expected Jaccard index of two random draws of `count` from `size`.

    What they share is hypergeometric.
    """
    common = np.arange(max(0, 2 * count - size), count + 1)
    return float(
        np.sum(stats.hypergeom.pmf(common, size, count, count) * common / (2 * count - common))
    )


@dataclass(frozen=True)
class Chosen:
    """What was chosen in a comparison.

    Args:
        overlap: None with less than two strategies.
        effort: annotations a queried sample, for each leg over its seeds.
        pool_effort: the pool's mean; None if the data are not there.
        traits: histograms; none where the data are not there, or the task tells no traits.
        pictures: of queried samples; none where the data are not there.
        missing: why there is no more; empty if all is there.
        faults: of queries without pictures, whose files or images cannot be read.
    """

    overlap: Overlap | None
    effort: dict[str, Estimate]
    pool_effort: float | None = None
    traits: tuple[Trait, ...] = ()
    pictures: tuple[Picture, ...] = field(default=(), repr=False)
    missing: str = ""
    faults: tuple[str, ...] = ()


def chosen(
    comparison: Comparison, options: Mapping[str, Any] | None = None, trust: plans.Trust = ()
) -> Chosen:
    """Look at everything that the finished runs of a comparison queried.

    Args:
        comparison: its runs are of one pool, as `group` has checked.
        options: settings over the runs' own, with dotted keys, where the data have moved.
        trust: folders with code that may be run: of tasks that are not losstap's own.
    """
    legs = comparison.legs
    shared, effort = (
        overlap(legs),
        {leg: estimate(_efforts(runs), COUNT) for leg, runs in legs.items()},
    )
    if not legs:
        return Chosen(shared, effort, missing="No run is finished.")
    first = next(iter(legs.values()))[0]
    try:
        task, names = (
            plans.task(first.folder, trust, options),
            RunFolder(first.folder).sample_names(),
        )
        # torch's Dataset declares no length
        size = len(task.dataset("pool"))  # type: ignore[arg-type]
        if [task.name(i) for i in range(size)] != names:
            raise RunFolderError(
                f"expected the {len(names)} samples of {first.folder / 'samples.txt'}, but got "
                "others"
            )
        asked = {
            leg: [[i for query in queries(run) for i in query] for run in runs]
            for leg, runs in legs.items()
        }
        mean = float(np.mean([task.effort(i) for i in range(size)]))
        pictures, faults = gallery(task, legs)
        return Chosen(shared, effort, mean, traits(task, size, asked), pictures, faults=faults)
    except Exception as error:  # any kind: data that are gone make an adapter fail in its own way
        return Chosen(
            shared,
            effort,
            missing=printable(f"{type(error).__name__}: {' '.join(str(error).split())}"),
        )


def _efforts(runs: Sequence[Run]) -> list[float]:
    """Annotations a queried sample of each run that queried.

    Of tasks that count none, not-a-number.
    """
    return [
        (run.column("effort")[-1] - run.column("effort")[0]) / (run.labeled[-1] - run.labeled[0])
        for run in runs
        if run.labeled[-1] > run.labeled[0]
    ]
