"""The report's part about what was chosen: annotations, overlap, histograms, pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from tools.compare.chosen import Overlap
from tools.compare.findings import Findings
from tools.compare.gallery import Picture
from tools.compare.page.markup import Html, bullets, legend, matrix, named, table, tag, text
from tools.compare.page.sentences import crowds, mean_of_seeds
from tools.compare.page.style import interval, number, spread
from tools.compare.page.svg import mark
from tools.compare.traits import Trait
from tools.display.looks import Style

Looks = Mapping[str, Style]
SHOWN = 20  # bins of a histogram
SHARES = (
    "Bars and numbers are the pool's shares, markers those of what was queried, over all queries, "
    "{}. A "
    "marker beyond its bar: queried more often than it is in the pool. No test stands behind these "
    "shares."
)


def chosen_section(one: Findings, looks: Looks) -> Html:
    """What was chosen; nothing where nothing was."""
    seen = one.chosen
    if not any(value.n for value in seen.effort.values()):
        return Html("")
    parts = [tag("h3", "What was chosen"), _effort(one, looks)]
    if seen.overlap:
        parts.append(_overlap(seen.overlap, looks))
    if any(trait.bins for trait in seen.traits):
        parts += [
            tag("h4", "Queried against pool"),
            legend(seen.effort, looks),
            tag("p", SHARES.format(mean_of_seeds(one.legs)), kind="caption"),
        ]
    parts += [_trait(trait, looks) for trait in seen.traits if trait.bins]
    if seen.missing:
        said = (
            "There are no histograms and no pictures, as the data could not be read where the "
            "runs found them "
        )
        said += (
            f"({seen.missing}). Run this where they are, or say where: --cfg-options "
            "task.data_root=DIR."
        )
        parts.append(tag("p", said, kind="note"))
    elif not seen.traits:
        parts.append(
            tag(
                "p",
                "The task tells no traits of its samples, so there are no histograms.",
                kind="caption",
            )
        )
    if seen.faults:
        said = (
            "Queries without pictures, as their files or images cannot be read; no number above "
            "uses these files:"
        )
        parts.append(tag("div", tag("p", said), bullets(seen.faults), kind="note"))
    return Html("".join(parts) + _gallery(seen.pictures, looks))


def _effort(one: Findings, looks: Looks) -> Html:
    pool, rows = one.chosen.pool_effort, []
    if pool is not None and all(value.mean == pool for value in one.chosen.effort.values()):
        return tag("p", *crowds(one.chosen))
    for leg, value in one.chosen.effort.items():
        ratio = "–" if not pool else f"{value.mean / pool:.2f} ×"
        rows.append([named(leg, looks), spread(value), interval(value.low, value.high), ratio])
    said = "Annotations in a queried image, mean over all queries. "
    if pool is not None:
        said += (
            f"The pool's mean is {number(pool)}: what lies far above it chooses crowds, which "
            "cost more to label "
        )
        said += "than the same number of other images."
    return Html(
        table(["strategy", "annotations an image", "95% interval", "of the pool's mean"], rows)
        + tag("p", said, kind="caption")
    )


def _overlap(shared: Overlap, looks: Looks) -> Html:
    last = shared.matrices[-1].tolist()
    said = (
        f"Jaccard index of all {shared.queried[-1]:,} images that two strategies queried with "
        "the same seed, mean over "
    )
    said += (
        f"seeds: 1 where they are the same, about {number(shared.chance[-1])} for two random "
        "choices."
    )
    pairs = [(i, j) for i in range(len(shared.legs)) for j in range(i)]
    rows = [
        [f"{shared.legs[j]}, {shared.legs[i]}", *[number(m[i, j]) for m in shared.matrices]]
        for i, j in pairs
    ]
    rows.append([tag("em", "two random choices"), *[number(value) for value in shared.chance]])
    by_cycle = table(["after", *[f"{n:,} queried" for n in shared.queried]], rows)
    details = tag("details", tag("summary", "Query by query"), by_cycle)
    head = tag("h4", "Who chose the same")
    return Html(head + matrix(shared.legs, last, looks) + tag("p", said, kind="caption") + details)


def _trait(trait: Trait, looks: Looks) -> Html:
    top = max([*trait.pool, *[e.mean for found in trait.queried.values() for e in found]]) or 1.0
    rows = [_bar(trait, i, top, looks) for i in range(min(SHOWN, len(trait.bins)))]
    said = (
        "Share of all values; each range holds about a tenth of the pool's."
        if trait.numeric
        else "Share of images."
    )
    left = len(trait.bins) - SHOWN
    said += f" {left} more in summary.json." if left > 0 else ""
    return Html(
        tag("h5", trait.name) + tag("div", *rows, kind="bars") + tag("p", said, kind="caption")
    )


def _bar(trait: Trait, i: int, top: float, looks: Looks) -> Html:
    dots, told = "", [f"pool {trait.pool[i]:.3f}"]
    for leg, found in trait.queried.items():
        if not math.isnan(found[i].mean):
            told.append(f"{leg} {found[i].mean:.3f}")
            at = f'style="left:{100 * found[i].mean / top:.2f}%"'
            dots += f'<svg class="dot" viewBox="-6 -6 12 12" {at}><path {mark(looks[leg])}/></svg>'
    bar = f'<span class="bar" style="width:{100 * trait.pool[i] / top:.2f}%"></span>'
    label = f'<span class="label">{text(trait.bins[i])}</span>'
    share = f'<span class="share">{100 * trait.pool[i]:.1f}%</span>'
    return Html(
        f'<div class="line" title="{text(", ".join(told))}">{label}<span '
        f'class="track">{bar}{dots}</span>{share}</div>'
    )


def _gallery(pictures: Sequence[Picture], looks: Looks) -> Html:
    if not pictures:
        return Html("")
    parts = [tag("h4", "Pictures of the queries")]
    said = (
        "The first, the middle and the last choice of each query, with the annotation. One seed "
        "of each strategy."
    )
    parts.append(tag("p", said, kind="caption"))
    for leg, own in groupby(pictures, key=lambda picture: picture.leg):
        rounds = [list(some) for _, some in groupby(own, key=lambda picture: picture.labeled)]
        head = tag("summary", named(leg, looks), f", seed {rounds[0][0].seed}")
        inside = [_round(some) for some in rounds]
        parts.append(Html(f"<details open>{head}{tag('div', *inside, kind='gallery')}</details>"))
    return Html("".join(parts))


def _round(pictures: Sequence[Picture]) -> Html:
    head = tag("p", f"after {pictures[0].labeled:,} labels", kind="after")
    return tag(
        "div", head, tag("div", *[_picture(p) for p in pictures], kind="three"), kind="round"
    )


def _picture(picture: Picture) -> Html:
    scores = "".join(f" · {name} {value:.3g}" for name, value in picture.scores.items())
    where = f"{picture.choice} of {picture.of:,}"
    told = f"{picture.name} · annotations {picture.effort}{scores}"
    image = f'<img src="{text(picture.uri)}" alt="{text(told)}" title="{text(told)}">'
    return Html(f"<figure>{image}<figcaption>{text(where)}{text(scores)}</figcaption></figure>")
