"""The files of a report: written all or none, and the tables among them."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from models.process.files import replacing
from tools.compare.findings import REFERENCE, Findings, gaps, unfinished, unrecorded
from tools.record.reading import ComparisonError


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all files, or none: they are renamed once the last one is written.

    Raises:
        ComparisonError: if the folder cannot be written to.
    """
    try:
        taken = [name for name in files if (folder / name).is_dir()]
        if taken:
            raise IsADirectoryError(f"{taken[0]} is a folder there")
        with ExitStack() as stack:
            for name, content in files.items():
                stack.enter_context(replacing(folder / name)).write_bytes(content)
    except OSError as error:
        raise ComparisonError(
            f"Could not write the report to {folder}: {error}; give another --out"
        ) from error


def as_json(found: Sequence[Findings]) -> str:
    """`summary.json`: everything but the pictures.

    Null if there is no number, infinity included.
    """
    rows = []
    for one in found:
        told = {
            "config": one.comparison.config,
            "task": one.comparison.task,
            "metric": one.comparison.metric,
            "lower_is_better": one.comparison.lower,
        }
        runs = [
            {"folder": str(r.folder), "leg": r.leg, "seed": r.seed, "finished": r.finished}
            for r in one.comparison.runs
        ]
        rest = {
            f.name: _plain(getattr(one, f.name))
            for f in dataclasses.fields(one)
            if f.name != "comparison"
        }
        lacking = {
            "unfinished": [unfinished(r) for r in one.comparison.unfinished],
            "gaps": gaps(one.comparison),
        }
        lacking["unrecorded"] = unrecorded(one.comparison)
        lacking["left_out"] = list(one.comparison.left_out)
        rows.append({**told, "runs": runs, **rest, **lacking})
    return json.dumps(rows, indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = {
            f.name: _plain(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if f.name != "uri"
        }
        return own | ({"verdict": str(value)} if type(value).__str__ is not object.__str__ else {})
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_csv(found: Sequence[Findings]) -> str:
    """`summary.csv`: a row a strategy; empty if there is no number."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    numbers = [
        f"{name}_{part}" for name in ("final", "area") for part in ("mean", "std", "low", "high")
    ]
    writer.writerow(
        [
            "config",
            "task",
            "metric",
            "strategy",
            "seeds",
            "labels",
            "annotations",
            "seconds",
            *numbers,
            "labels_needed",
            "labels_saved",
            "lower_is_better",
            "seeds_with_random",
            "claim",
        ]
    )
    for one in found:
        for leg in one.legs:
            saved = [None, None] if leg.saving is None else [leg.saving.needed, leg.saving.share]
            cells = [leg.effort.mean, leg.seconds.mean]
            cells += [
                getattr(e, part)
                for e in (leg.final, leg.area)
                for part in ("mean", "std", "low", "high")
            ]
            head = [
                one.comparison.config,
                one.comparison.task,
                one.comparison.metric,
                leg.name,
                len(leg.seeds),
            ]
            rest = [one.comparison.lower, *_against(one, leg.name)]
            writer.writerow(
                [*head, leg.labels, *[_plain(cell) for cell in [*cells, *saved]], *rest]
            )
    return buffer.getvalue()


def _against(one: Findings, leg: str) -> tuple[int | None, str | None]:
    """Seeds that a strategy has in common with random, and what they can bear.

    Nothing of random itself.
    """
    pairs = [pair for pair in one.pairs if {pair.first, pair.second} == {leg, REFERENCE}]
    return (len(pairs[0].seeds), pairs[0].claim) if pairs else (None, None)
