"""A run as its folder holds it, which the checks read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from acquisition.pool import Pool
from acquisition.query import Query
from tools.experiment.plan import Plan
from tools.record import data, facts
from tools.record.fingerprint import Fingerprint
from tools.record.folder import RunFolder, RunFolderError


@dataclass(frozen=True)
class Remark:
    """The result of a check in a cycle (None: in the whole run).

    It is a fault, or why something could not be compared, or what could be compared.
    """

    cycle: int | None
    text: str
    status: Literal["FAILED", "not compared", "ok"] = "FAILED"


@dataclass(frozen=True)
class Cycle:
    """A committed cycle.

    Args:
        number: from 0.
        labeled: ids that it trained on: the initial set and the picks before, in order.
        query: None in the last cycle, or where the file cannot be read.
        receipt: empty if there is none.
        damage: why the file cannot be read; empty if it can be.
    """

    number: int
    labeled: tuple[int, ...]
    query: Query | None
    receipt: dict[str, str]
    damage: str = ""


@dataclass(frozen=True)
class Record:
    """A run.

    Args:
        folder: its folder.
        experiment: its plan, from its config.json.
        names: of the samples, by id.
        state: the pool after the last committed cycle, from state.json; None if no cycle was
            committed.
        present: returns the fingerprint of the data as they are now, None if the task does not
            list its sources, or why the data cannot be read.
    """

    folder: RunFolder
    experiment: Plan
    names: tuple[str, ...]
    state: Pool | None
    present: Callable[[], Fingerprint | None | str] = lambda: "the data were not read"

    @cached_property
    def data(self) -> Fingerprint | None:
        """The recorded fingerprint of the run's data.

        None if it is not recorded, or the file is damaged, which a check reports.
        """
        try:
            return data.kept(self.folder.path)
        except RunFolderError:
            return None

    @property
    def metric(self) -> str:
        """Key of the task's metric; empty if an earlier version did not keep it."""
        about = facts.facts(self.folder.path)
        return about.metric if about else ""

    @property
    def initial(self) -> tuple[int, ...]:
        """The first labeled samples; empty if no cycle was committed."""
        if self.state is None:
            return ()
        return self.state.labeled[: self.experiment.budget.initial]

    @cached_property
    def cycles(self) -> tuple[Cycle, ...]:
        """All committed cycles."""
        if self.state is None:
            return ()
        cycles: list[Cycle] = []
        labeled = self.initial
        for number in range(self.state.cycle):
            cycles.append(self._cycle(number, labeled))
            labeled += self._picked(cycles[-1])
        return tuple(cycles)

    @property
    def labeled(self) -> tuple[int, ...]:
        """The initial set and all picks, in order: what state.json should hold."""
        if self.cycles:
            return (*self.cycles[-1].labeled, *self._picked(self.cycles[-1]))
        return self.initial

    def pool(self, cycle: Cycle) -> Pool:
        """The pool of a cycle, before its query."""
        held = self.state.validation if self.state is not None else ()
        return Pool(len(self.names), cycle.labeled, cycle.number, held)

    def _cycle(self, number: int, labeled: tuple[int, ...]) -> Cycle:
        try:
            return Cycle(number, labeled, *self.folder.saved(number))
        except RunFolderError as error:
            return Cycle(number, labeled, None, {}, str(error))

    def _picked(self, cycle: Cycle) -> tuple[int, ...]:
        """The picks, or those of state.json if the query cannot be read."""
        if cycle.query is not None:
            return tuple(cycle.query.picked.ravel().tolist())
        budget = self.experiment.budget
        if self.state is None:
            return ()
        return self.state.labeled[budget.sizes[cycle.number] :][: budget.query]


def read(
    folder: RunFolder,
    experiment: Plan,
    present: Callable[[], Fingerprint | None | str] = lambda: "the data were not read",
) -> Record:
    """Read a run; its cycles note damaged queries.

    Raises:
        RunFolderError: if samples.txt or state.json cannot be read, or do not fit.
    """
    budget = experiment.budget
    cycles = budget.cycles
    names = tuple(folder.sample_names())
    if budget.initial + (cycles - 1) * budget.query + budget.held(len(names)) > len(names):
        raise RunFolderError(
            f"{folder.path / 'samples.txt'}: expected the pool of a budget of {cycles} cycles, but "
            f"got {len(names)} names"
        )
    state = folder.resume(len(names))
    if state is not None and not 0 <= state.cycle <= cycles:
        raise RunFolderError(f"state.json: expected at most {cycles} cycles, but got {state.cycle}")
    return Record(folder, experiment, names, state, present)


def same_order(
    cycle: int | None, what: str, expected: Sequence[int], ids: Sequence[int]
) -> Iterator[Remark]:
    """Remark on the first place where two lists of ids differ."""
    if list(expected) != list(ids):
        pairs = itertools.zip_longest(expected, ids)
        place = next(p for p, (one, other) in enumerate(pairs) if one != other)
        rest = [list(some[place : place + 5]) or "no more" for some in (expected, ids)]
        yield Remark(cycle, f"{what}: from place {place} on expected {rest[0]}, but got {rest[1]}")
