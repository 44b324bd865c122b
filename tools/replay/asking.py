"""What another strategy would have chosen in a cycle of a run, from the signals that it saved.

Network, candidates and random stream are those of the run, so the run's own strategy chooses what
it chose. It is one step of another run, and no more: that run would have trained on its own choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from acquisition.query import OF_LABELED, Query, needs
from acquisition.signals import fields, known, need_committee, need_module
from acquisition.step import Step
from acquisition.strategies import named_strategies
from tools.experiment.plan import asked
from tools.experiment.settings import unknown
from tools.record.files import RunFolderError
from tools.verify.run import Cycle, Record


class Refused(Exception):
    """A strategy cannot be asked on a run; the message says why, and what would help."""


@dataclass(frozen=True)
class Answer:
    """What a strategy would have chosen in a cycle.

    Args:
        cycle: its number.
        labeled: number of labeled samples before the query.
        candidates: ids (N,) that the run scored.
        chosen: ids (K,) that the run chose.
        would: ids (K,) that the strategy would have chosen, first choice first.
        losses: true loss of each candidate (N,), where the run saved it; None where it did not.
    """

    cycle: int
    labeled: int
    candidates: np.ndarray
    chosen: np.ndarray
    would: np.ndarray
    losses: np.ndarray | None

    @property
    def shared(self) -> int:
        """Samples in both choices."""
        return len(set(self.chosen.tolist()) & set(self.would.tolist()))

    @property
    def by_chance(self) -> float:
        """Samples that a random choice among the candidates would share, in the mean."""
        return len(self.chosen) * len(self.would) / len(self.candidates)

    def loss(self, ids: np.ndarray | None = None) -> float:
        """The mean true loss of candidates, all of them by default; not-a-number if not saved."""
        if self.losses is None:
            return float("nan")
        if ids is None:
            return float(self.losses.mean())
        place = {int(i): k for k, i in enumerate(self.candidates)}
        found = [self.losses[place[int(i)]] for i in ids if int(i) in place]
        return float(np.mean(found)) if len(found) == len(ids) else float("nan")


def steps_of(run: Record, strategy: str) -> tuple[Step, ...]:
    """Return the steps of a strategy, as a run with the settings of this one would have them.

    Raises:
        Refused: if there is no strategy of that name, or its module learns something else.
    """
    plan = run.experiment
    if strategy == plan.strategy:
        return plan.steps
    named = named_strategies(plan.subset, int(plan.config.get("keep", 4)))
    if strategy not in named:
        raise Refused(unknown(strategy, list(dict.fromkeys([*named, plan.strategy]))))
    steps, learned = named[strategy].steps, plan.module.objective
    if need_module(needs(steps)) and plan.module_mode != "off":
        own = named.get(plan.strategy)
        kept = own is None or own.objective is None  # the strategy left the config's objective
        wanted = named[strategy].objective or (learned if kept else "the config's objective")
        if wanted != learned:
            raise Refused(f"its module learns {wanted}, but that of the run learned {learned}")
    return steps


def queries(run: Record) -> list[tuple[Cycle, Query]]:
    """Return the cycles of a run that queried, and their queries.

    Raises:
        RunFolderError: if a file of a query is damaged or lost.
    """
    found = []
    for cycle in run.cycles:
        if cycle.damage:
            raise RunFolderError(cycle.damage)
        if cycle.query is not None:
            found.append((cycle, cycle.query))
        elif cycle.number + 1 < len(run.cycles):
            path = run.folder.query_file(cycle.number)
            raise RunFolderError(f"{path} is lost, or without its query; restore it")
    return found


def answers(run: Record, strategy: str, given: frozenset[str] | None = None) -> list[Answer]:
    """Ask a strategy in each cycle of a run that queried.

    Args:
        run: read.
        strategy: its name.
        given: fields that the run's task gives, where they are known: what is not saved could be
            saved, or not.

    Raises:
        Refused: if the run queried nothing, or did not save what the strategy reads.
        RunFolderError: as `queries`.
    """
    steps = steps_of(run, strategy)
    found = queries(run)
    if not found:
        raise Refused("the run has no query yet")
    return [_answer(run, cycle, query, steps, given) for cycle, query in found]


def _answer(
    run: Record,
    cycle: Cycle,
    query: Query,
    steps: tuple[Step, ...],
    given: frozenset[str] | None = None,
) -> Answer:
    _require(query, steps, given)
    place = {int(i): k for k, i in enumerate(query.candidates)}

    def saved(ids: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the signals that the run kept, of its candidates or of its labeled samples."""
        if np.array_equal(ids, cycle.labeled):
            return {name: query.labeled[name] for name in names if name in query.labeled}
        other = sum(int(i) not in place for i in ids)
        if other:
            raise Refused(
                f"it would look at {other:,} of {len(ids):,} samples that the run did not score: "
                "where a subset is scored, another one was drawn"
            )
        rows = [place[int(i)] for i in ids]
        return {name: query.signals[name][rows] for name in names if name in query.signals}

    plan = replace(run.experiment, steps=steps)
    if steps != run.experiment.steps:  # what was saved besides is of no use to it
        plan = replace(plan, scoring=replace(plan.scoring, save=()))
    again = asked(plan, run.pool(cycle), saved)
    losses = query.signals.get("loss")
    return Answer(
        cycle.number, len(cycle.labeled), query.candidates, query.picked, again.picked, losses
    )


def _require(query: Query, steps: Sequence[Step], given: frozenset[str] | None) -> None:
    """Check that a query holds all signals that steps read.

    Raises:
        Refused: with those that it lacks.
    """
    of_candidates = [name for name in needs(steps) if name not in query.signals]
    wanted = dict.fromkeys(name for step in steps for name in step.labeled)
    of_labeled = [name for name in wanted if name not in query.labeled]
    lacking = list(dict.fromkeys([*of_candidates, *of_labeled]))
    if not lacking:
        return
    never = sorted(fields(lacking) - given) if given is not None else []
    if never:
        raise Refused(f"it needs {never}, but the task gives {sorted(given or ())}")
    votes = [name for name in lacking if need_committee([name])]
    text = f"it reads {', '.join(lacking)}, which the run did not save"
    if votes:
        raise Refused(
            f"{text}; {votes[0]} counts votes ({need_committee(votes)}), which only a run of a "
            "strategy that asks for them has"
        )
    remedy = f"; a run with scoring.save=[{','.join(lacking)}] saves it"
    if any(known(name).module for name in lacking):
        remedy += ", where it trains the module (--module joint)"
    if OF_LABELED & set(lacking) or {"residual", "feature", "bag"} & set(lacking):
        remedy += ", unless scoring.keep_vectors is False"
    raise Refused(text + remedy)
