"""The samples that each strategy chose: their overlap with others', and how the pool differs."""

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
    """Return the ids that a run queried after each cycle but the last, first choice first.

    Raises:
        RunFolderError: if `state.json` is damaged.
    """
    pool = RunFolder(run.folder).resume(len(RunFolder(run.folder).sample_names()))
    labeled = list(pool.labeled) if pool else []
    ends = [*run.labeled, len(labeled)]
    return [labeled[a:b] for a, b in zip(ends, ends[1:], strict=False) if b > a]


def _validating(run: Run, size: int) -> tuple[int, ...]:
    """Ids of the validation split, which no strategy can choose."""
    pool = RunFolder(run.folder).resume(size)
    return pool.validation if pool else ()


@dataclass(frozen=True)
class Overlap:
    """How much the queries of strategies overlap; the shared initial set does not count.

    Args:
        legs: L names.
        queried: (Q,) samples queried up to each query, by each leg.
        matrices: (Q, L, L) Jaccard index of all samples that two legs queried so far,
            |A and B| / |A or B|, mean over the seeds that both have; not-a-number where they have
            none in common.
        chance: (Q,) the index's expectation for two random draws from the same unlabeled samples.
    """

    legs: tuple[str, ...]
    queried: tuple[int, ...]
    matrices: np.ndarray = field(repr=False)
    chance: tuple[float, ...]


def overlap(legs: Legs) -> Overlap | None:
    """Compute Jaccard indices of the queries of the same seed, cumulated over the cycles.

    Queries of one comparison have the same size, as their budget is the same.

    Returns:
        None with fewer than two strategies, or without a query.
    """
    by_leg = {leg: {run.seed: queries(run) for run in runs} for leg, runs in legs.items()}
    rounds = min((len(q) for seeds in by_leg.values() for q in seeds.values()), default=0)
    if len(by_leg) < 2 or not rounds:
        return None
    matrices = np.full((rounds, len(by_leg), len(by_leg)), np.nan)
    for i, first in enumerate(by_leg.values()):
        for j, second in enumerate(by_leg.values()):
            pairs = [(first[seed], second[seed]) for seed in first.keys() & second.keys()]
            if not pairs:
                continue
            for upto in range(rounds):
                matrices[upto, i, j] = np.mean(
                    [jaccard(_until(a, upto), _until(b, upto)) for a, b in pairs]
                )
    run = next(iter(legs.values()))[0]
    size = len(RunFolder(run.folder).sample_names())
    free = size - run.labeled[0] - len(_validating(run, size))
    counts = tuple(len(_until(queries(run), upto)) for upto in range(rounds))
    chance = tuple(jaccard_by_chance(free, count) for count in counts)
    return Overlap(tuple(by_leg), counts, matrices, chance)


def _until(rounds: Sequence[Sequence[int]], last: int) -> set[int]:
    """The ids of all queries up to the given one."""
    return {i for query in rounds[: last + 1] for i in query}


def jaccard(first: set[int], second: set[int]) -> float:
    """Return |A and B| / |A or B| (Jaccard 1901); at least one of the sets is not empty."""
    return len(first & second) / len(first | second)


def jaccard_by_chance(size: int, count: int) -> float:
    """Return the expected Jaccard index of two random draws of `count` samples from `size`.

    The number of samples that they share is hypergeometric.
    """
    common = np.arange(max(0, 2 * count - size), count + 1)
    return float(
        np.sum(stats.hypergeom.pmf(common, size, count, count) * common / (2 * count - common))
    )


@dataclass(frozen=True)
class Chosen:
    """The samples that the strategies of a comparison chose.

    Args:
        overlap: None with fewer than two strategies.
        effort: annotations a queried sample, for each leg over its seeds.
        pool_effort: the pool's mean; None if the data are missing.
        traits: histograms; empty if the data are missing, or the task has no traits.
        pictures: of queried samples; empty if the data are missing.
        missing: why the data could not be read; empty if they could.
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
    """Describe all samples that the finished runs of a comparison queried.

    Args:
        comparison: its runs are of one pool, as `group` has checked.
        options: settings over the runs' own, with dotted keys, where the data have moved.
        trust: folders with code that may be run: of tasks that are not losstap's own.
    """
    legs = comparison.legs
    effort = {leg: estimate(_efforts(runs), COUNT) for leg, runs in legs.items()}
    if any(run.people for run in comparison.runs):
        return Chosen(None, effort)  # the pages of a project's batches show the images
    shared = overlap(legs)
    if not legs:
        return Chosen(shared, effort, missing="No run is finished.")
    first = next(iter(legs.values()))[0]
    try:
        task = plans.task(first.folder, trust, options)
        names = RunFolder(first.folder).sample_names()
        # torch's Dataset declares no length
        size = len(task.dataset("pool"))  # type: ignore[arg-type]
        if [task.name(i) for i in range(size)] != names:
            raise RunFolderError(
                f"expected the {len(names)} samples of {first.folder / 'samples.txt'}, but got "
                "others"
            )
        queried = {
            leg: [[i for query in queries(run) for i in query] for run in runs]
            for leg, runs in legs.items()
        }
        mean = float(np.mean([task.effort(i) for i in range(size)]))
        pictures, faults = gallery(task, legs)
        return Chosen(shared, effort, mean, traits(task, size, queried), pictures, faults=faults)
    except Exception as error:  # adapters may raise anything if their data are missing
        message = " ".join(str(error).split())
        return Chosen(shared, effort, missing=printable(f"{type(error).__name__}: {message}"))


def _efforts(runs: Sequence[Run]) -> list[float]:
    """Annotations a queried sample of each run that queried.

    Not-a-number for tasks that do not count annotations.
    """
    return [
        (run.column("effort")[-1] - run.column("effort")[0]) / (run.labeled[-1] - run.labeled[0])
        for run in runs
        if run.labeled[-1] > run.labeled[0]
    ]
