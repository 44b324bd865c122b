"""Small pieces of HTML; everything that is text is escaped here, and nowhere else."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from tools.compare.page.style import number
from tools.compare.page.svg import chip
from tools.display.looks import Style


class Html(str):
    """Text that is markup already."""


def text(value: object) -> Html:
    """Escaped, unless it is markup."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def tag(name: str, *inside: object, kind: str = "") -> Html:
    """An element with what is in it."""
    opened = f'{name} class="{kind}"' if kind else name
    return Html(f"<{opened}>{''.join(map(text, inside))}</{name}>")


def bullets(lines: Iterable[object]) -> Html:
    """A list."""
    return tag("ul", *[tag("li", line) for line in lines])


def table(header: Sequence[object], rows: Sequence[Sequence[object]], kind: str = "") -> Html:
    """A table whose first column is the rows' heads.

    It scrolls sideways where the page is narrow.
    """
    head = tag("tr", *[Html(f'<th scope="col">{text(cell)}</th>') for cell in header])
    body = [
        tag("tr", Html(f'<th scope="row">{text(first)}</th>'), *[_cell(cell) for cell in rest])
        for first, *rest in rows
    ]
    return tag(
        "div", tag("table", tag("thead", head), tag("tbody", *body), kind=kind), kind="scroll"
    )


def _cell(cell: object) -> Html:
    return cell if isinstance(cell, Html) and cell.startswith("<td") else tag("td", cell)


def matrix(
    legs: Sequence[str], values: Sequence[Sequence[float]], looks: Mapping[str, Style]
) -> Html:
    """A square of shares, the higher the darker; nothing on the diagonal."""
    rows = [
        [named(leg, looks), *[_shaded(math.nan if i == j else v) for j, v in enumerate(row)]]
        for i, (leg, row) in enumerate(zip(legs, values, strict=True))
    ]
    return table(["", *legs], rows, "matrix")


def _shaded(value: float) -> Html:
    if math.isnan(value):
        return Html('<td class="none">·</td>')
    return Html(
        f'<td class="shade" style="--v:{100 * value:.0f}%">{number(value) if value else 0}</td>'
    )


def named(leg: str, looks: Mapping[str, Style]) -> Html:
    """A strategy's name beside its line and marker."""
    return tag("span", Html(chip(looks[leg])), tag("span", breakable(leg)), kind="leg")


def breakable(name: str) -> Html:
    """A name that may go on in a further line after an underscore or a dash."""
    return Html(re.sub("([_-])", r"\1<wbr>", text(name)))


def legend(
    legs: Iterable[str], looks: Mapping[str, Style], more: Mapping[str, str] | None = None
) -> Html:
    """All names with their lines, and what there is to say of some."""
    told = [Html(named(leg, looks) + text((more or {}).get(leg, ""))) for leg in legs]
    return tag("p", *[tag("span", one) for one in told], kind="legend")


def columns(*parts: str) -> Html:
    """Side by side where there is room."""
    return tag("div", *[Html(part) for part in parts if part], kind="columns")


def figure(chart: str, caption: str) -> Html:
    """A chart above its caption; nothing without a chart."""
    return (
        Html(f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>")
        if chart
        else Html("")
    )
