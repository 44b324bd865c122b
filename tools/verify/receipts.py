"""The checks against the receipts: what a run holds has the hashes that each cycle wrote down."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from models.training.settings import CHECKPOINT
from tools.record import facts
from tools.record.folder import RunFolderError
from tools.record.receipt import content, digest, judged_digest, weights_digest
from tools.verify.run import Record, Remark


def settings(run: Record) -> Iterator[Remark]:
    """Settings and facts are those of every receipt; config.py, for people, says the same."""
    differs = facts.shown_differs(run.folder.path)
    if differs:
        yield Remark(None, differs)
    current = {
        "settings": (facts.CONFIG, facts.digest(run.experiment.config)),
        "facts": (facts.FACTS, "(none)"),
    }
    about = facts.facts(run.folder.path)
    if about:
        current["facts"] = (facts.FACTS, about.digest)
    old = []
    for cycle in run.cycles:
        if "settings" in cycle.receipt:
            for name, (file, value) in current.items():
                expected = cycle.receipt.get(name, "(none)")
                yield from _hash(cycle.number, file, expected, value)
        elif cycle.receipt:
            old.append(cycle.number)
    if old:
        which = "the settings"
        if len(old) < len(run.cycles):
            which += f" of cycles {old}"
        text = f"the hash of {which} is not recorded, as an earlier version made it"
        yield Remark(None, text, "not compared")


def hashes(run: Record) -> Iterator[Remark]:
    """Labels, candidates, picks and signals have the hashes of the receipts."""
    for cycle in run.cycles:
        if not cycle.receipt:
            continue
        saved = {"labeled": digest(np.array(cycle.labeled, dtype=np.int64))}
        if run.state is not None and run.state.validation:
            saved["validation"] = digest(np.array(run.state.validation, dtype=np.int64))
        if cycle.query is not None:
            saved |= {name: digest(values) for name, values in content(cycle.query).items()}
        named = {
            n
            for n in cycle.receipt
            if n.partition("/")[0] in ("labeled", "validation", "candidates", "picked", "signal")
        }
        for name in sorted(saved.keys() | named):
            if name not in saved and "/" in name and not run.experiment.scoring.keep_vectors:
                continue
            expected = cycle.receipt.get(name, "(none)")
            yield from _hash(cycle.number, name, expected, saved.get(name, "(nothing)"))


def _hash(cycle: int, what: str, expected: str, value: str) -> Iterator[Remark]:
    """Whether something has the hash that the receipt has for it."""
    if value != expected:
        yield Remark(cycle, f"{what}: expected the hash {expected[:12]}, but got {value[:12]}")


def judged(run: Record) -> Iterator[Remark]:
    """judged/ holds the tests image by image, with the hashes of the receipts."""
    for cycle in run.cycles:
        what = f"judged/{cycle.number:02d}.npz"
        expected = cycle.receipt.get("judged")
        try:
            found = run.folder.judged(cycle.number)
        except RunFolderError as error:
            yield Remark(cycle.number, str(error))
            continue
        if expected is not None:
            value = "(nothing)" if found is None else judged_digest(found)
            yield from _hash(cycle.number, what, expected, value)
        elif found is not None:
            yield Remark(cycle.number, f"{what}: its hash is not recorded", "not compared")


def weights(run: Record) -> Iterator[Remark]:
    """The newest weights are those of the last receipt."""
    for cycle in run.cycles[-1:]:
        path = run.folder.training_folder(cycle.number) / CHECKPOINT
        expected = cycle.receipt.get("weights")
        if expected is None:
            yield Remark(cycle.number, "there is no receipt", "not compared")
            continue
        if not path.exists():
            yield Remark(cycle.number, f"there is no {path}", "not compared")
            continue
        from models.training.checkpoint import UNREADABLE, read  # which imports torch

        try:
            value = weights_digest(read(path)["state_dict"])
        except (*UNREADABLE, AttributeError) as error:
            message = f"{type(error).__name__}: {str(error)[:80]}"
            yield Remark(cycle.number, f"{path} is damaged ({message}); restore it")
            continue
        yield from _hash(cycle.number, str(path), expected, value)
