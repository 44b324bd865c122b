"""Replay a run with other strategies: tables on the terminal, and all of it as json."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console

from acquisition.step import QueryError
from models.process.text import error_line, printable, told
from models.training.loading import length
from tasks.base import Task
from tools.compare.chosen import jaccard
from tools.compare.traits import Trait, traits
from tools.display.console import Plain
from tools.display.sheet import Column, Sheet, number
from tools.experiment.options import USAGE_ERROR, ConfigError
from tools.record import facts, plans
from tools.record.folder import RunFolder, RunFolderError
from tools.record.writing import write_whole
from tools.replay.asking import Answer, Refused, answers, queries
from tools.verify.run import Record, read

CHOSEN = "chosen"
SHOWN = 8  # bins of a trait on the terminal


def main(arguments: argparse.Namespace) -> int:
    """Replay a run.

    Args:
        arguments: the options of `al_replay.py`.

    Returns:
        The exit status of `al_replay.py`.
    """
    console = Plain()
    try:
        run, task = _read(arguments)
    except (RunFolderError, ConfigError, OSError) as error:
        console.print(error_line(error))
        return USAGE_ERROR
    given = None if isinstance(task, str) else task.fields
    found, refused = asked(run, arguments.strategy, given)
    for strategy, rows in found.items():
        _show(run, strategy, rows, console)
    content: dict[str, Any] = {"run": str(arguments.run), "strategies": _json(found, run.names)}
    if found:
        content["samples"] = _samples(run, found, task, console)
    for strategy, why in refused.items():
        console.print(error_line(f"{strategy} cannot be asked on {arguments.run}: {why}"))
    if arguments.out is not None:
        text = json.dumps(content | {"refused": refused}, indent=1) + "\n"
        try:
            write_whole(arguments.out, text.encode())
        except (RunFolderError, OSError) as error:
            console.print(error_line(error))
            return USAGE_ERROR
    return USAGE_ERROR if refused else 0


def _read(arguments: argparse.Namespace) -> tuple[Record, Task | str]:
    """Return the run, and its task or why that cannot be had.

    Raises:
        RunFolderError: if the folder is damaged or holds no run, or `--out` is no file.
        ConfigError: if settings are not right.
    """
    if arguments.out is not None and arguments.out.is_dir():
        raise RunFolderError(f"--out: expected a file, but {arguments.out} is a folder")
    folder = RunFolder(arguments.run)
    folder.require_whole()
    if not facts.there(arguments.run):
        raise RunFolderError(
            f"{arguments.run} holds no run; expected a folder such as "
            "work_dirs/<config>/<strategy>/seed0"
        )
    run = read(folder, plans.plan(arguments.run, arguments.trust))
    queries(run)
    try:
        return run, plans.task(arguments.run, arguments.trust, dict(arguments.cfg_options))
    except ConfigError:
        if arguments.cfg_options:
            raise
        return run, "its settings are of other code"
    except Exception as error:  # adapters may raise anything
        return run, told(error)


def asked(
    run: Record, strategies: Sequence[str], given: frozenset[str] | None = None
) -> tuple[dict[str, list[Answer]], dict[str, str]]:
    """Return the answers of strategies, and why others cannot be asked; see `answers`."""
    found: dict[str, list[Answer]] = {}
    refused: dict[str, str] = {}
    for strategy in dict.fromkeys(strategies):
        try:
            found[strategy] = answers(run, strategy, given)
        except (Refused, QueryError) as error:
            refused[strategy] = str(error)
    return found, refused


def _show(run: Record, strategy: str, rows: Sequence[Answer], console: Console) -> None:
    """Print a row for each query: what is shared, and the true losses where they are known."""
    plan = run.experiment
    title = f"{strategy} asked in the cycles of {plan.leg}, seed {plan.seed}"
    columns = ("labels", "shared", "by chance", "loss chosen", "would be", "of candidates")
    sheet = Sheet(Column("cycle"), *(Column(name) for name in columns), title=title)
    for row in rows:
        losses = [row.loss(row.chosen), row.loss(row.would), row.loss()]
        shared = f"{row.shared} of {len(row.chosen)}"
        sheet.add(
            str(row.cycle), f"{row.labeled:,}", shared, f"{row.by_chance:.1f}", *map(number, losses)
        )
    sheet.print(console)
    if all(row.losses is None for row in rows):
        console.print("true losses are unknown: a run with scoring.save=[loss] saves them")


def _samples(
    run: Record,
    found: Mapping[str, Sequence[Answer]],
    task: Task | str,
    console: Console,
) -> dict[str, Any]:
    """Print what is known of the samples from the data: annotations and traits."""
    first = next(iter(found.values()))
    ids = {CHOSEN: [int(i) for row in first for i in row.chosen]}
    ids |= {name: [int(i) for row in rows for i in row.would] for name, rows in found.items()}
    try:
        if isinstance(task, str):
            raise RunFolderError(task)
        size = length(task.dataset("pool"))
        if [task.name(i) for i in range(size)] != list(run.names):
            raise RunFolderError("the data are not those of the run")
        efforts = np.array([task.effort(i) for i in range(size)])
        effort = {name: float(efforts[some].mean()) for name, some in ids.items()}
        pool = float(efforts.mean())
        compared = traits(task, size, {name: [some] for name, some in ids.items()})
    except Exception as error:  # adapters may raise anything if their data are missing
        why = str(error) if isinstance(error, RunFolderError) else told(error)
        console.print(f"annotations and traits are unknown: {printable(why)}")
        return {}
    sheet = Sheet(Column("annotations a sample"), *(Column(name) for name in ("pool", *ids)))
    sheet.add("mean", number(pool), *(number(value) for value in effort.values()))
    sheet.print(console)
    for trait in compared:
        _show_trait(trait, list(ids), console)
    return {"effort": {"pool": pool, **effort}, "traits": [_trait(one) for one in compared]}


def _show_trait(trait: Trait, names: Sequence[str], console: Console) -> None:
    """Print the shares of a trait's commonest words, or of its ranges."""
    sheet = Sheet(Column(trait.name), *(Column(name) for name in ("pool", *names)))
    for place, bin in enumerate(trait.bins[: None if trait.numeric else SHOWN]):
        shares = [trait.pool[place]]
        shares += [
            trait.queried[name][place].mean if name in trait.queried else math.nan for name in names
        ]
        sheet.add(bin, *(number(share) for share in shares))
    sheet.print(console)
    left = 0 if trait.numeric else len(trait.bins) - SHOWN
    if left > 0:
        console.print(f"{left} more of {trait.name} are in --out")


def _trait(trait: Trait) -> dict[str, Any]:
    shares = {name: [value.mean for value in some] for name, some in trait.queried.items()}
    return {"name": trait.name, "bins": list(trait.bins), "pool": list(trait.pool), **shares}


def _json(found: Mapping[str, Sequence[Answer]], names: Sequence[str]) -> dict[str, Any]:
    return {
        strategy: [
            {
                "cycle": row.cycle,
                "labeled": row.labeled,
                "chosen": [names[i] for i in row.chosen],
                "would": [names[i] for i in row.would],
                "shared": row.shared,
                "by_chance": row.by_chance,
                "jaccard": jaccard(set(row.chosen.tolist()), set(row.would.tolist())),
                "loss": {
                    "chosen": _finite(row.loss(row.chosen)),
                    "would": _finite(row.loss(row.would)),
                    "candidates": _finite(row.loss()),
                },
            }
            for row in rows
        ]
        for strategy, rows in found.items()
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
