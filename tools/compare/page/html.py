"""`report.html`: one file that needs nothing outside it: no font, no library, no request.

The templates beside this file say what is shown and how; this module computes their numbers.
`script.js` sorts tables and draws a figure's svg as png; without it the page says the same.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tools.compare.chosen import Chosen
from tools.compare.curves import ANY, FEW, metric_ends, plural
from tools.compare.findings import Findings, Leg, axes, gaps, unfinished, unrecorded
from tools.compare.gallery import Picture
from tools.compare.page import charts, provenance, saved, sentences, style, svg
from tools.compare.page.outline import Outline, csv_link
from tools.compare.page.ranked import ranking_view
from tools.compare.page.svg import chip, mark
from tools.compare.ranking.result import Ranking
from tools.compare.statistics import ALPHA
from tools.compare.traits import Trait
from tools.display.looks import DARK, LIGHT, Style

FOLDER = Path(__file__).parent  # of the templates and the script
Looks = Mapping[str, Style]
BINS = 20  # bins of a histogram that are shown
CLAIMS = {"none": ": no claim", "preliminary": ": preliminary", "tested": ""}


def page(found: Sequence[Findings], looks: Looks, over: Ranking | None = None) -> str:
    """Return the whole file; `over` is the ranking over all configs, if there are several.

    Its script alone may run, by its hash: whatever else names or texts of runs hold does not.
    """
    script = (FOLDER / "script.js").read_text(encoding="utf-8")
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            title=f"Strategies compared: {', '.join(one.comparison.config for one in found)}",
            views=[_view(one, looks) for one in found],
            over=None if over is None else ranking_view(over, looks),
            looks=looks,
            light=LIGHT,
            dark=DARK,
            made=provenance.made(),
            script=Markup(script),
            digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def environment() -> Environment:
    """Return Jinja's environment for one page, whose headings, tables and figures it names.

    Templates escape all text that is not marked as `Markup`.
    """
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    for function in (style.chance, style.count, style.duration, style.number, style.spread):
        made.filters[function.__name__] = function
    made.filters |= {
        "breakable": breakable,
        "css": _css,
        "chip": lambda look: Markup(chip(look)),
        "mark": lambda look: Markup(mark(look)),
        "needed": _needed,
        "scores": _scores,
        "unfinished": unfinished,
    }
    outline = Outline()
    rules = (FOLDER / "chart.css").read_text(encoding="utf-8")
    made.globals |= {
        "outline": outline,
        "runs": provenance.runs,
        "settings": provenance.settings,
        "anchor": outline.anchor,
        "heading": outline.heading,
        "csv_link": csv_link,
        "links": saved.links,
        "svg_link": partial(saved.svg_link, style=rules),
        "ALPHA": ALPHA,
        "CLAIMS": CLAIMS,
        "crowds": sentences.crowds,
        "direction": sentences.direction,
        "doubts": sentences.doubts,
        "gaps": gaps,
        "interval": style.interval,
        "mean_of_seeds": sentences.mean_of_seeds,
        "significance": sentences.significance,
        "unrecorded": unrecorded,
    }
    return made


def breakable(name: str) -> Markup:
    """Return a name that may be broken into lines after an underscore or a dash."""
    return Markup(re.sub("([_-])", r"\1<wbr>", str(escape(name))))


def _css(text: str) -> Markup:
    """A text as a string of a style sheet, all but letters and digits by their codes."""
    return Markup(re.sub(r"\W", lambda sign: f"\\{ord(sign[0]):x} ", text, flags=re.ASCII))


def _view(one: Findings, looks: Looks) -> dict[str, Any]:
    """The values that the templates show of a comparison, and its findings."""
    view: dict[str, Any] = {
        "one": one,
        "seeds": sorted({seed for leg in one.legs for seed in leg.seeds}),
        "runs": sum(len(leg.seeds) for leg in one.legs),
    }
    if not one.legs:
        return view
    return view | _curves(one, looks) | _penalties(one) | _health(one, looks) | _chosen(one.chosen)


def _curves(one: Findings, looks: Looks) -> dict[str, Any]:
    lines = sentences.verdicts(one.pairs)
    lines = lines or ["There is only one strategy, so there is nothing to compare."]
    names = [leg.name for leg in one.legs] + [run.leg for run in one.comparison.unfinished]
    first = min if one.comparison.lower else max
    areas = [leg.area.mean for leg in one.legs if not math.isnan(leg.area.mean)]
    return {
        "short": [
            *lines,
            *sentences.labels_saved(one.legs),
            *sentences.module_health(one.legs),
            *sentences.noise_met(one.legs),
            *sentences.held_out(one.held),
        ],
        "shown": list(dict.fromkeys(names)),
        "counts": _counts(one),
        "axes": axes([one]),
        "charts": {axis: charts.curves(one, axis, looks) for axis in axes([one])},
        "few": svg.FEW,
        "many": any(len(leg.seeds) > 1 for leg in one.legs),
        "endless": metric_ends(one.comparison.runs) == ANY,
        "best": first(areas, default=math.nan),
    }


def _counts(one: Findings) -> dict[str, str]:
    """The number of seeds of each leg, if these differ."""
    counts = {leg.name: len(leg.seeds) for leg in one.legs}
    if len(set(counts.values())) < 2:
        return {}
    return {name: f" ({plural(n, 'seed')})" for name, n in counts.items()}


def _needed(leg: Leg) -> str:
    if leg.saving is None:
        return "–"
    if leg.saving.needed is None:
        return "not reached"
    if leg.saving.at_start:
        return "the initial ones"
    return f"{style.count(leg.saving.needed)} (saves {leg.saving.share:.0%})"


def _penalties(one: Findings) -> dict[str, Any]:
    """The matrix of penalties, if there is a test, and the values of its caption."""
    matrix = one.penalties.matrix
    if np.isnan(matrix).all():
        return {"penalties": []}
    shares = zip(one.penalties.legs, one.penalties.columns.tolist(), strict=True)
    tested = [(leg, share) for leg, share in shares if not math.isnan(share)]
    worst = sorted(tested, key=lambda one: one[1])
    few = min((len(pair.seeds) for pair in one.pairs if not math.isnan(pair.p)), default=FEW)
    early = ""
    if few < FEW:
        early = f"; preliminary, as there are {few} paired seeds"
    return {
        "penalties": matrix.tolist(),
        "order": ", ".join(f"{leg} {share:.2f}" for leg, share in worst),
        "early": early,
    }


def _health(one: Findings, looks: Looks) -> dict[str, Any]:
    """The strategies with a module, and the charts of its ranking."""
    legs = [leg for leg in one.legs if leg.health]
    return {"health": legs, "ranking": charts.ranking(legs, looks) if legs else []}


def _chosen(seen: Chosen) -> dict[str, Any]:
    """The values that the templates show of what was chosen."""
    queried = []
    if seen.overlap:
        queried = [f"{n:,} queried" for n in seen.overlap.queried]
    return {
        "chose": any(value.n for value in seen.effort.values()),
        "costs_the_same": sentences.costs_the_same(seen),
        "queried": queried,
        "traits": [_trait(trait) for trait in seen.traits if trait.bins],
        "gallery": [
            (leg, [list(some) for _, some in groupby(own, key=lambda picture: picture.labeled)])
            for leg, own in groupby(seen.pictures, key=lambda picture: picture.leg)
        ],
    }


def _trait(trait: Trait) -> dict[str, Any]:
    """A histogram: each bin's share in the pool is a bar, and in each leg's queries a dot."""
    shares = [e.mean for bins in trait.queried.values() for e in bins]
    top = max([*trait.pool, *shares]) or 1.0
    bars = []
    for i in range(min(BINS, len(trait.bins))):
        means = {leg: bins[i].mean for leg, bins in trait.queried.items()}
        known = {leg: mean for leg, mean in means.items() if not math.isnan(mean)}
        bars.append(
            {
                "label": trait.bins[i],
                "share": trait.pool[i],
                "width": 100 * trait.pool[i] / top,
                "shares": [f"pool {trait.pool[i]:.3f}"]
                + [f"{leg} {mean:.3f}" for leg, mean in known.items()],
                "dots": [(leg, 100 * mean / top) for leg, mean in known.items()],
            }
        )
    return {
        "name": trait.name,
        "numeric": trait.numeric,
        "bars": bars,
        "left": len(trait.bins) - BINS,
    }


def _scores(picture: Picture) -> str:
    return "".join(f" · {name} {value:.3g}" for name, value in picture.scores.items())
