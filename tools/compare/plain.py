"""What a comparison shows, in words for who sees one for the first time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SUMMARY, PICTURE = "summary.json", "curves.png"
REFERENCE = "random"
KEYS = {"config", "metric", "legs", "lower_is_better", "pairs"}


def summary(report: Path) -> list[dict[str, Any]]:
    """The comparisons in a report's `summary.json`.

    Raises:
        OSError: if there is none.
        ValueError: if it is not what `al_compare.py` writes.
    """
    path = report / SUMMARY
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there; expected the folder given to al_compare.py as --out"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); write the report again") from error
    whole = isinstance(found, list) and found and all(isinstance(one, dict) for one in found)
    if not whole or not all(one.keys() >= KEYS for one in found):
        raise ValueError(f"{path}: expected what al_compare.py writes, but got something else")
    return found


def said(one: dict[str, Any]) -> list[str]:
    """Tell what was done, who leads, by how much, and whether chance would do as much.

    Args:
        one: of `summary`.
    """
    legs = [leg for leg in one["legs"] if leg["final"]["mean"] is not None]
    if len(legs) < 2:
        return [f"{one['config']}: there are no two strategies with finished runs to compare."]
    lacking = [leg["name"] for leg in one["legs"] if leg not in legs]
    metric, labels, first = one["metric"], legs[0]["labels"], legs[0]["curves"]["labeled"]["x"][0]
    sign = -1 if one["lower_is_better"] else 1
    ranked = sorted(legs, key=lambda leg: -sign * leg["final"]["mean"])
    best, last = ranked[0], ranked[-1]
    gap = abs(best["final"]["mean"] - last["final"]["mean"])
    scores = ", ".join(f"{leg['name']} {leg['final']['mean']:.3f}" for leg in ranked)
    better = "less" if sign < 0 else "more"
    lines = [
        f"In {one['config']} every strategy began with the same {first:,.0f} labeled images and "
        f"chose what to label next, up to {labels:,}.",
        f"{metric} at {labels:,} labels, mean over seeds, {better} is better: {scores}.",
        f"{best['name']} leads {last['name']} by {gap:.3f} for the same number of labels."
        if gap
        else "All have the same in the end.",
        *(f"{name} has no {metric} in the end." for name in lacking),
    ]
    return [*lines, *(_worth(pair) for pair in one["pairs"] if REFERENCE in _names(pair))]


def _names(pair: dict[str, Any]) -> tuple[str, str]:
    return pair["first"], pair["second"]


def _worth(pair: dict[str, Any]) -> str:
    """Whether the whole curves of two strategies differ by more than chance, as the report says."""
    from tools.compare.statistics import ALPHA  # imports SciPy

    both, n, p = " and ".join(_names(pair)), len(pair["seeds"]), pair["p"]
    if pair["claim"] == "none":
        return (
            f"{both}: {n} seed{'s' * (n != 1)} in common, too few to tell a difference from chance."
        )
    if p is None:
        return (
            f"{both}: the same difference in each of {n} seeds, and a test needs differences that "
            "vary: no claim."
        )
    if pair["tests"] > 1:
        chance = f"p = {p:.2g} with Holm's correction, as {pair['tests']} pairs are compared"
    else:
        chance = f"p = {p:.2g}"
    if p >= ALPHA:
        return f"{both}: over {n} seeds their curves differ by no more than chance does ({chance})."
    low, high = sorted(abs(pair["test"]["difference"][end]) for end in ("low", "high"))
    soft = "; preliminary, as seeds are few" if pair["claim"] == "preliminary" else ""
    return (
        f"{both}: over {n} seeds their curves differ by more than chance does (in area by "
        f"{low:.3f} to {high:.3f}, {chance}{soft})."
    )
