"""The first labels, where features chose them: they follow from what `first.npz` holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from acquisition.first import first_steps
from acquisition.query import Query, ask, needs
from models.process.seeding import stream
from tools.record import first_set
from tools.record.files import RunFolderError
from tools.record.receipt import content, digest
from tools.verify.run import Record, Remark, same_order


def by_features(run: Record) -> Iterator[Remark]:
    """Remark on first labels that are not those of `first.npz`, and on a file that is another."""
    try:
        query = first_set.kept(run.folder.path)
    except RunFolderError as error:
        yield Remark(0, str(error))
        return
    if query is None:
        yield Remark(0, f"expected {first_set.NAME} with the first labels, but there is none")
        return
    yield from _hashes(run, query)
    picked = query.picked.ravel().tolist()
    yield from same_order(0, "the first labels", picked, list(run.initial))
    budget = run.experiment.budget
    steps = first_steps(budget.first)
    if set(needs(steps)) - query.signals.keys():
        text = "the first labels cannot be chosen again: the features were not kept"
        yield Remark(0, f"{text} (scoring.keep_vectors=False)", "not compared")
        return

    def saved(ids: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the features that the run saved."""
        return {name: query.signals[name] for name in names}

    held = run.state.validation if run.state is not None else ()
    free = np.setdiff1d(np.arange(len(run.names)), held)
    rng = stream(run.experiment.seed_of("set"), 0, "initial set")
    try:
        again = ask(steps, free, free[:0], budget.initial, rng, saved)
    except Exception as error:  # what is damaged may raise anything
        yield Remark(0, f"the first labels cannot be chosen again: {type(error).__name__}: {error}")
        return
    yield from same_order(0, "the first labels, chosen again,", again.picked.tolist(), picked)


def _hashes(run: Record, query: Query) -> Iterator[Remark]:
    saved = {f"first/{name}": digest(values) for name, values in content(query).items()}
    for cycle in run.cycles:
        for name, value in saved.items():
            expected = cycle.receipt.get(name, "(none)") if cycle.receipt else value
            if value != expected:
                text = f"{name}: expected the hash {expected[:12]}, but got {value[:12]}"
                yield Remark(cycle.number, text)
