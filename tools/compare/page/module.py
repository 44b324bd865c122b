"""The report's part about the module: how well it ranks, and where a gain comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.compare.curves import Estimate
from tools.compare.findings import AXES, Findings, Leg
from tools.compare.module import CHANCE, Part
from tools.compare.page.markup import Html, bullets, columns, figure, legend, table, tag
from tools.compare.page.sentences import of_seeds
from tools.compare.page.style import interval, number
from tools.compare.page.svg import Line, line_chart
from tools.display.looks import Style

Looks = Mapping[str, Style]


def health_section(one: Findings, looks: Looks) -> Html:
    """Pairs in order and rank correlation over the labels; nothing where there is no module."""
    legs = [leg for leg in one.legs if leg.health]
    if not legs:
        return Html("")
    pairs = [_health_line(leg, looks, [row.pairs for row in leg.health]) for leg in legs]
    ranks = [_health_line(leg, looks, [row.spearman for row in leg.health]) for leg in legs]
    x, note = AXES["labeled"], of_seeds(legs)
    first = line_chart(
        pairs, f"share of pairs in order over {x}", x, "pairs in order", CHANCE, (0, 1), note
    )
    second = line_chart(
        ranks, f"Spearman's correlation over {x}", x, "Spearman's correlation", 0.0, (-1, 1), note
    )
    said = (
        "Predicted against true loss on a random control sample that was not labeled. On the "
        "dashed line the module "
    )
    said += (
        "ranks like a coin: there its scores say nothing about the loss, whatever the curve "
        "looks like."
    )
    words = [
        tag(
            "details",
            tag("summary", f"{leg.name}, cycle by cycle"),
            bullets(f"At {row.labeled:,} labels it {row}." for row in leg.health),
        )
        for leg in legs
    ]
    charts = columns(
        figure(first, "Pairs in the right order; chance is 0.5."),
        figure(second, "Rank correlation; chance is 0."),
    )
    return Html(
        tag("h3", "How well the module ranks")
        + tag("p", said)
        + legend([leg.name for leg in legs], looks)
        + charts
        + "".join(words)
    )


def _health_line(leg: Leg, looks: Looks, values: Sequence[Estimate]) -> Line:
    x = [row.labeled for row in leg.health]
    low, high = [e.low for e in values], [e.high for e in values]
    return Line(leg.name, looks[leg.name], x, [e.mean for e in values], low, high)


def attribution_section(one: Findings) -> Html:
    """The parts of learning_loss's gain, or which runs they take.

    Nothing where it is not compared.
    """
    if "learning_loss" not in [leg.name for leg in one.legs]:
        return Html("")
    head = tag("h3", "Where the gain of learning_loss comes from")
    known = [part for part in one.parts if part.gain is not None]
    if len(known) < 2:
        said = (
            "To split it there must be more runs: of random with --module joint (what joint "
            "training alone does) and "
        )
        said += (
            "of placebo (the same with shuffled scores); oracle_loss with --module joint tells "
            "what is left to gain."
        )
        return Html(head + tag("p", said, kind="caption"))
    rows = [_part_row(part) for part in one.parts]
    said = (
        "Differences in area, mean over the seeds that all have; more is better. Where an "
        "interval holds 0, the part "
    )
    said += "may be none; fewer than three seeds have no interval."
    return Html(
        head
        + table(["part", "in area", "95% interval", "difference", "seeds"], rows)
        + tag("p", said, kind="caption")
    )


def _part_row(part: Part) -> list[object]:
    gain = part.gain
    told = ["–", "not run"] if gain is None else [number(gain.mean), interval(gain.low, gain.high)]
    return [part.name, *told, part.difference, len(part.seeds)]
