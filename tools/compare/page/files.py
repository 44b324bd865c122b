"""The files of a report, which are written all or none, and the tables among them."""

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
from tools.compare.ranking.result import Ranking
from tools.record.reading import ComparisonError

GAIN = ("gain", "gain_low", "gain_high")


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
    """Return the text of `summary.json`: all results but the pictures.

    Null stands for not-a-number and infinity.
    """
    rows = []
    for one in found:
        head = {
            "config": one.comparison.config,
            "task": one.comparison.task,
            "metric": one.comparison.metric,
            "lower_is_better": one.comparison.lower,
        }
        runs = [
            {"folder": str(r.folder), "leg": r.leg, "seed": r.seed, "finished": r.finished}
            for r in (*one.comparison.runs, *one.comparison.varied)
        ]
        rest = {
            f.name: _plain(getattr(one, f.name))
            for f in dataclasses.fields(one)
            if f.name != "comparison"
        }
        lacking = {
            "unfinished": [unfinished(r) for r in one.comparison.unfinished],
            "gaps": gaps(one.comparison),
            "unrecorded": unrecorded(one.comparison),
            "left_out": list(one.comparison.left_out),
            "remarks": list(one.comparison.remarks),
        }
        rows.append({**head, "runs": runs, **rest, **lacking})
    return json.dumps(rows, indent=1, allow_nan=False) + "\n"


def ranking_json(over: Ranking | None) -> str:
    """Return the text of `ranking.json`: the ranking over all configs; null with fewer than two."""
    return json.dumps(_plain(over), indent=1, allow_nan=False) + "\n"


def ranking_csv(over: Ranking | None) -> str:
    """Return the text of `ranking.csv`: a row for each config and strategy.

    It has its header alone with fewer than two configs; rank and mean rank are empty for strategies
    that are not ranked, and the rest where a config has no finished run of one.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["config", "strategy", "area", *GAIN, "seeds", "significant", "rank", "mean_rank"]
    )
    if over is None:
        return buffer.getvalue()
    for config, row in zip(over.gains.configs, over.gains.cells, strict=True):
        for leg, cell in zip(over.gains.legs, row, strict=True):
            cells: list[Any] = [None] * 6
            if cell is not None:
                seen = cell.gain
                own = [None] * 4 if seen is None else [seen.mean, seen.low, seen.high, seen.n]
                cells = [cell.area, *own, None if seen is None else cell.significant]
            writer.writerow([config, leg, *map(_plain, cells), *_ranks(over, config, leg)])
    return buffer.getvalue()


def _ranks(over: Ranking, config: str, leg: str) -> list[float | None]:
    """A strategy's rank in a config, and its mean rank."""
    names = [setting.name for setting in over.scores.settings]
    if over.ranks is None or leg not in over.ranks.legs or config not in names:
        return [None, None]
    column = over.ranks.legs.index(leg)
    return [float(over.ranks.table[names.index(config), column]), float(over.ranks.mean[column])]


def _plain(value: Any) -> Any:
    """A value as json has it; dataclasses with a text of their own have it as `verdict`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = {
            f.name: _plain(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if f.name != "uri"
        }
        if type(value).__str__ is not object.__str__:
            own["verdict"] = str(value)
        return own
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def as_csv(found: Sequence[Findings]) -> str:
    """Return the text of `summary.csv`: a row for each strategy; missing numbers are empty."""
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
            "noisy",
        ]
    )
    for one in found:
        for leg in one.legs:
            saved: list[float | None] = [None, None]
            if leg.saving is not None:
                saved = [leg.saving.needed, leg.saving.share]
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
            noisy = None if leg.noisy is None else leg.noisy.mean
            rest = [one.comparison.lower, *_against(one, leg.name), noisy]
            writer.writerow(
                [*head, leg.labels, *[_plain(cell) for cell in [*cells, *saved]], *rest]
            )
    return buffer.getvalue()


def _against(one: Findings, leg: str) -> tuple[int | None, str | None]:
    """The number of seeds that a strategy shares with random, and the claim that they support.

    None for random itself, and if random is missing.
    """
    for pair in one.pairs:
        if {pair.first, pair.second} == {leg, REFERENCE}:
            return len(pair.seeds), pair.claim
    return None, None
