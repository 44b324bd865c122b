"""The checks of one run: each reads all committed cycles, and remarks on every fault."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from acquisition.pool import Pool, drawn_slice
from acquisition.query import Query, needs
from tools.experiment.plan import asked
from tools.record.folder import RunFolderError
from tools.verify.data import data
from tools.verify.first_set import by_features
from tools.verify.history import history
from tools.verify.receipts import hashes, judged, settings, weights
from tools.verify.run import Cycle, Record, Remark, same_order


def files(run: Record) -> Iterator[Remark]:
    """Every cycle left a file with a receipt; all but the last a query."""
    for cycle in run.cycles:
        name = f"queries/{cycle.number:02d}.npz"
        last = cycle.number + 1 == run.experiment.budget.cycles
        if cycle.damage:
            yield Remark(cycle.number, cycle.damage)
            continue
        lacking = [k for k in ("labeled", "weights", "taps", "device") if k not in cycle.receipt]
        if lacking:
            yield Remark(cycle.number, f"expected a receipt in {name}, but it lacks {lacking}")
        if last and cycle.query is not None:
            yield Remark(cycle.number, f"expected no query in {name}, but there is one")
        if not last and cycle.query is None:
            yield Remark(cycle.number, f"expected a query in {name}, but there is none")


def rows(run: Record) -> Iterator[Remark]:
    """metrics.jsonl has a row for each cycle, with its number of labels."""
    try:
        saved = run.folder.rows(len(run.cycles))
    except RunFolderError as error:
        yield Remark(None, str(error))
        return
    for row, size in zip(saved, run.experiment.budget.sizes, strict=False):
        if row.get("labeled") != size:
            yield Remark(
                row["cycle"],
                f"metrics.jsonl: expected labeled {size}, but got {row.get('labeled')!r}",
            )


def initial_set(run: Record) -> Iterator[Remark]:
    """The first labels are those that the seed draws."""
    if run.experiment.config.get("people"):
        yield Remark(0, "the first labels are people's, not a seed's", "not compared")
    elif run.state is not None and run.experiment.budget.first != "random":
        yield from by_features(run)
    elif run.state is not None:
        seed = run.experiment.seed_of("set")
        budget, held = run.experiment.budget, run.state.validation
        expected = Pool.initial(run.state.size, budget.initial, seed, held).labeled
        yield from same_order(0, f"the initial set of seed {seed}", expected, run.initial)


def validation(run: Record) -> Iterator[Remark]:
    """The validation split is the one that the seed draws; nothing of it is trained on or asked."""
    size = run.experiment.budget.held(len(run.names))
    held = run.state.validation if run.state is not None else ()
    expected = drawn_slice(len(run.names), size, run.experiment.seed_of("set"))
    yield from same_order(None, "state.json's validation", expected, held)
    for cycle in run.cycles:
        parts: dict[str, Any] = {"labels": cycle.labeled}
        if cycle.query is not None:
            parts |= {"candidates": cycle.query.candidates, "picks": cycle.query.picked}
        for what, ids in parts.items():
            both = sorted({int(i) for i in np.ravel(ids)} & set(held))
            if both:
                text = f"expected {what} outside of the validation split, but got {both[:5]}"
                yield Remark(cycle.number, text)


def candidates(run: Record) -> Iterator[Remark]:
    """Candidates are distinct samples of the pool without labels."""
    for cycle, query in _with_query(run):
        yield from _ids(cycle.number, "candidates", query.candidates, len(run.names))
        labeled = sorted(set(query.candidates.ravel().tolist()) & set(cycle.labeled))
        if labeled:
            yield Remark(cycle.number, f"expected candidates without labels, but got {labeled[:5]}")


def picks(run: Record) -> Iterator[Remark]:
    """Picks are distinct candidates that were not labeled before, as many as the budget says."""
    count = run.experiment.budget.query
    for cycle, query in _with_query(run):
        ids = set(query.picked.ravel().tolist())
        yield from _ids(cycle.number, "picks", query.picked, len(run.names))
        if len(query.picked) != count:
            yield Remark(cycle.number, f"expected {count} picks, but got {len(query.picked)}")
        if ids & set(cycle.labeled):
            again = sorted(ids & set(cycle.labeled))
            yield Remark(cycle.number, f"expected picks without labels, but got {again[:5]}")
        elif ids - set(query.candidates.ravel().tolist()):
            others = sorted(ids - set(query.candidates.ravel().tolist()))
            yield Remark(cycle.number, f"expected picks among the candidates, but got {others[:5]}")


def state(run: Record) -> Iterator[Remark]:
    """state.json holds the initial set and all picks in order.

    `done` exists only after the last cycle.
    """
    if run.state is None:
        return
    cycles = run.experiment.budget.cycles
    yield from same_order(None, "state.json's labels", run.labeled, run.state.labeled)
    if run.folder.done and len(run.cycles) < cycles:
        yield Remark(
            None,
            f"expected {cycles} committed cycles, as `done` exists, but got {len(run.cycles)}",
        )


def signals(run: Record) -> Iterator[Remark]:
    """Signals have a row for each sample, of finite numbers."""
    for cycle, query in _with_query(run):
        parts = [
            ("candidate", query.signals, query.candidates),
            ("labeled sample", query.labeled, cycle.labeled),
        ]
        for what, signal, values, size in [
            (w, n, v, len(i)) for w, part, i in parts for n, v in part.items()
        ]:
            if values.ndim not in (1, 2, 3) or len(values) != size:
                yield Remark(
                    cycle.number,
                    f"expected a row of {signal!r} for each {what} ({size}), but got shape "
                    f"{values.shape}",
                )
            elif not np.isfinite(values).all():
                bad = int((~np.isfinite(values)).sum())
                yield Remark(
                    cycle.number,
                    f"expected finite {signal!r}, but {bad} of {values.size} numbers are not",
                )


def replay(run: Record) -> Iterator[Remark]:
    """Candidates and picks follow from seed, strategy and saved signals, in the same order."""
    first_wrong = min(
        (r.cycle or 0 for check in (candidates, picks, signals) for r in check(run)),
        default=math.inf,
    )
    done = []
    left = 0
    for cycle, query in _with_query(run):
        lacking = [name for name in needs(run.experiment.steps) if name not in query.signals]
        if lacking and not run.experiment.scoring.keep_vectors:
            left += 1
            text = (
                f"its picks cannot be replayed: {lacking} were not kept "
                "(scoring.keep_vectors=False)"
            )
            yield Remark(cycle.number, text, "not compared")
        elif cycle.number >= first_wrong:
            left += 1
            yield Remark(
                cycle.number,
                f"not replayed: what cycle {first_wrong} saved is wrong",
                "not compared",
            )
        else:
            done.append(cycle.number)
            yield from _replayed(run, cycle, query)
    if left and done:
        yield Remark(None, f"cycles replayed: {done}", "ok")


def _replayed(run: Record, cycle: Cycle, query: Query) -> Iterator[Remark]:
    kept = run.experiment.scoring.keep_vectors

    def saved(ids: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the signals that the run saved, for its own candidates alone."""
        if np.array_equal(ids, cycle.labeled):
            return {n: query.labeled[n] for n in names if kept or n in query.labeled}
        if not np.array_equal(ids, query.candidates):
            raise ValueError(
                next(same_order(None, "candidates", ids.tolist(), query.candidates.tolist())).text
            )
        return {n: query.signals[n] for n in names if kept or n in query.signals}

    try:
        again = asked(run.experiment, run.pool(cycle), saved)
    except Exception as error:  # a strategy of one's own may raise anything
        message = f"{type(error).__name__}: {error}"
        yield Remark(cycle.number, f"the strategy's query cannot be repeated: {message}")
        return
    yield from same_order(
        cycle.number, "candidates", again.candidates.tolist(), query.candidates.tolist()
    )
    yield from same_order(cycle.number, "picks", again.picked.tolist(), query.picked.tolist())


CHECKS: dict[str, Callable[[Record], Iterator[Remark]]] = {
    check.__name__.replace("_", " "): check
    for check in (
        settings,
        data,
        files,
        rows,
        history,
        initial_set,
        validation,
        candidates,
        picks,
        state,
        signals,
        hashes,
        judged,
        weights,
        replay,
    )
}


def _with_query(run: Record) -> Iterator[tuple[Cycle, Query]]:
    return ((cycle, cycle.query) for cycle in run.cycles if cycle.query is not None)


def _ids(cycle: int, what: str, ids: np.ndarray, size: int) -> Iterator[Remark]:
    """Whether an array holds distinct ids (N,) of the pool."""
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        yield Remark(
            cycle, f"expected {what} to be ids (N,), but got {ids.dtype} of shape {ids.shape}"
        )
        return
    values, counts = np.unique(ids, return_counts=True)
    outside = values[(values < 0) | (values >= size)]
    if len(outside):
        yield Remark(cycle, f"expected {what} from 0 to {size - 1}, but got {outside[:5].tolist()}")
    if (counts > 1).any():
        yield Remark(
            cycle,
            f"expected distinct {what}, but got these twice: {values[counts > 1][:5].tolist()}",
        )
