"""`report.html`: one file without anything outside it: no script, no font, no request."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

import numpy as np

from tools.compare.curves import ANY, FEW, Axis, metric_ends, points
from tools.compare.findings import AXES, Findings, Leg, gaps, unfinished, unrecorded
from tools.compare.page.chosen import chosen_section
from tools.compare.page.markup import (
    Html,
    breakable,
    bullets,
    legend,
    matrix,
    named,
    table,
    tag,
    text,
)
from tools.compare.page.module import attribution_section, health_section
from tools.compare.page.sentences import (
    direction,
    doubts,
    labels_saved,
    module_health,
    of_seeds,
    significance,
    verdicts,
)
from tools.compare.page.style import chance, count, duration, interval, number, spread
from tools.compare.page.svg import Line, every, line_chart
from tools.compare.statistics import ALPHA, Pair
from tools.display.looks import DARK, LIGHT, Style
from tools.train.showing import measured

Looks = Mapping[str, Style]
PAGE = Path(__file__).with_name("page.html")


def page(found: Sequence[Findings], looks: Looks) -> str:
    """The whole file."""
    names = [one.comparison.config for one in found]
    sections = [section(one, looks, place) for place, one in enumerate(found)]
    links = [Html(f'<a href="#c{place}">{text(name)}</a>') for place, name in enumerate(names)]
    contents = tag("nav", bullets(links)) if len(found) > 1 else ""
    hues = {"light": LIGHT, "dark": DARK}
    colours = {
        mode: "".join(f"--c{i}:{hue};" for i, hue in enumerate(hue_list))
        for mode, hue_list in hues.items()
    }
    rules = "".join(f".c{i}{{--c:var(--c{i})}}" for i in range(len(LIGHT)))
    title = f"Strategies compared: {', '.join(names)}"
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        title=text(title),
        light=colours["light"],
        dark=colours["dark"],
        rules=rules,
        contents=contents,
        body="".join(sections),
    )


def section(one: Findings, looks: Looks, place: int) -> Html:
    """Everything about one comparison."""
    compared = one.comparison
    seeds = sorted({seed for leg in one.legs for seed in leg.seeds})
    runs = sum(len(leg.seeds) for leg in one.legs)
    meta = (
        f"{compared.metric}, {direction(compared)} · {compared.task} · {len(one.legs)} strategies"
    )
    meta += f" · {runs} finished runs"
    meta += " · seeds " + ", ".join(map(str, seeds)) if seeds else ""
    parts = [Html(f'<h2 id="c{place}">{text(compared.config)}</h2>'), tag("p", meta, kind="meta")]
    parts += [tag("p", doubt, kind="note") for doubt in doubts(compared)]
    parts.append(
        _note(
            "Not finished, and in no number below; in the charts they are thin and dotted:",
            list(map(unfinished, compared.unfinished)),
        )
    )
    parts.append(_note("Whether all runs had the same data cannot be told:", unrecorded(compared)))
    parts.append(
        _note("Left out, as it cannot be read, and so in no number below:", compared.left_out)
    )
    parts.append(
        _note("Runs that lack a score have no area, and are in no test of it:", gaps(compared))
    )
    if one.legs:
        parts += [
            _short(one),
            _curves(one, looks, place),
            _significance(one, looks),
            health_section(one, looks),
        ]
        parts += [attribution_section(one), chosen_section(one, looks)]
    return tag("section", *parts)


def _note(said: str, lines: Sequence[str]) -> Html:
    return tag("div", tag("p", said), bullets(lines), kind="note") if lines else Html("")


def _short(one: Findings) -> Html:
    lines = verdicts(one.pairs) or ["There is one strategy alone, and so nothing to compare."]
    lines += [*labels_saved(one.legs), *module_health(one.legs)]
    return Html(tag("h3", "In short") + bullets(lines))


def _curves(one: Findings, looks: Looks, place: int) -> Html:
    radios, charts = "", ""
    for axis, name in AXES.items():
        key, on = f"axis{place}-{axis}", " checked" if axis == "labeled" else ""
        radios += (
            f'<input type="radio" name="axis{place}" id="{key}" class="to-{axis}"{on}><label '
            f'for="{key}">{name}</label>'
        )
        charts += f'<div class="on-{axis}">{_chart(one, axis, name, looks)}</div>'
    shown = [
        *dict.fromkeys(
            [leg.name for leg in one.legs] + [run.leg for run in one.comparison.unfinished]
        )
    ]
    many = any(len(leg.seeds) > 1 for leg in one.legs)
    caption = (
        "The band is the mean's 95% t-interval over seeds, cut at the picture's edge."
        if many
        else (
            "One seed of each strategy, so there is no band: nobody knows how much of this is "
            "chance."
        )
    )
    if many and metric_ends(one.comparison.runs) == ANY:
        caption += (
            " It may reach beyond what the metric can be, as nothing says what its least "
            "and largest values are."
        )
    switch = Html(
        f'<div class="switch"><span>over</span>{radios}<div class="charts">{charts}</div></div>'
    )
    rest = tag("p", caption, kind="caption")
    return Html(
        tag("h3", "Curves")
        + legend(shown, looks, _counts(one))
        + switch
        + rest
        + _summary(one, looks)
    )


def _counts(one: Findings) -> dict[str, str]:
    """Seeds of each leg, where these differ."""
    counts = {leg.name: len(leg.seeds) for leg in one.legs}
    if len(set(counts.values())) < 2:
        return {}
    return {name: f" ({n} seed{'s' if n > 1 else ''})" for name, n in counts.items()}


def _chart(one: Findings, axis: Axis, name: str, looks: Looks) -> str:
    lines = []
    for leg in one.legs:
        along = leg.curves[axis]
        low, high = ([getattr(e, end) for e in along.estimates] for end in ("low", "high"))
        lines.append(
            Line(
                leg.name,
                looks[leg.name],
                along.x.tolist(),
                along.mean.tolist(),
                low,
                high,
                every(along),
            )
        )
    for run in one.comparison.unfinished:
        x, y = (values.tolist() for values in points(run, axis))
        lines.append(Line(run.leg, looks[run.leg], x, y, every=0, thin=True))
    metric = measured(one.comparison.metric, one.comparison.lower)
    drawn = line_chart(lines, f"{metric} over {name}", name, metric, note=of_seeds(one.legs))
    return drawn or "<p>No value along this axis.</p>"


def _summary(one: Findings, looks: Looks) -> Html:
    first = min if one.comparison.lower else max
    best = first(
        (leg.area.mean for leg in one.legs if not math.isnan(leg.area.mean)), default=math.nan
    )
    rows = [_row(leg, looks, best) for leg in one.legs]
    header = [
        "strategy",
        "seeds",
        f"final {one.comparison.metric}",
        "area",
        "labels",
        "needed for random's final",
        "annotations",
        "compute",
    ]
    said = (
        "± is the standard deviation over seeds. The area under the curve, divided by its "
        "width, is the mean score "
    )
    said += (
        f"over the budget; the {'smallest' if one.comparison.lower else 'largest'} is bold, "
        "which is no claim. "
    )
    said += "Labels needed are those at which the mean curve "
    said += (
        "first reaches random's final score; no test stands behind them, and a 95% interval "
        "takes six paired seeds."
    )
    return Html(table(header, rows) + tag("p", said, kind="caption"))


def _row(leg: Leg, looks: Looks, best: float) -> list[object]:
    area = tag("strong", spread(leg.area)) if leg.area.mean == best else spread(leg.area)
    return [
        named(leg.name, looks),
        len(leg.seeds),
        spread(leg.final),
        area,
        count(leg.labels),
        _needed(leg),
        count(leg.effort.mean),
        duration(leg.seconds.mean),
    ]


def _needed(leg: Leg) -> str:
    if leg.saving is None:
        return "–"
    if leg.saving.needed is None or leg.saving.at_start:
        return "not reached" if leg.saving.needed is None else "the initial ones"
    return f"{count(leg.saving.needed)} (saves {leg.saving.share:.0%})"


def _significance(one: Findings, looks: Looks) -> Html:
    if len(one.legs) < 2:
        return Html("")
    header = [
        "strategies",
        "difference in area",
        "95% interval",
        "p",
        "p after Holm",
        Html("effect d<sub>z</sub>"),
        "95% interval",
        "seeds",
    ]
    rows = [_pair_row(pair) for pair in one.pairs]
    beaten = zip(one.penalties.legs, one.penalties.columns.tolist(), strict=True)
    # legs that were in a test
    worst = [(leg, share) for leg, share in beaten if not math.isnan(share)]
    order = ", ".join(
        f"{leg} {share:.2f}" for leg, share in sorted(worst, key=lambda pair: pair[1])
    )
    caption = (
        "Pairwise penalties: the share of labeled sizes at which the row's strategy beats "
        "the column's significantly "
    )
    few = min((len(pair.seeds) for pair in one.pairs if not math.isnan(pair.p)), default=FEW)
    early = f"; preliminary, as there are {few} paired seeds" if few < FEW else ""
    caption += (
        f"(paired t-test at .05, uncorrected{early}). Mean of each column, how often it is "
        f"beaten: {order}."
    )
    parts = [
        tag("h3", "Which differences are more than chance"),
        tag("p", significance(one.pairs)),
        table(header, rows),
    ]
    parts += [tag("details", tag("summary", "In words, pair by pair"), bullets(one.pairs))]
    if not np.isnan(one.penalties.matrix).all():
        parts += [
            matrix(one.penalties.legs, one.penalties.matrix.tolist(), looks),
            tag("p", caption, kind="caption"),
        ]
    return Html("".join(parts))


def _pair_row(pair: Pair) -> list[object]:
    test, seen = pair.test, pair.test.difference
    strong = pair.p < ALPHA
    p = tag("strong", chance(pair.p)) if strong else chance(pair.p)
    said = {"none": ": no claim", "preliminary": ": preliminary", "tested": ""}[pair.claim]
    legs = Html(f"{breakable(pair.first)} − {breakable(pair.second)}")
    return [
        legs,
        number(seen.mean),
        interval(seen.low, seen.high),
        chance(test.p),
        p,
        number(test.effect),
        interval(test.effect_low, test.effect_high),
        f"{len(pair.seeds)}{said}",
    ]
