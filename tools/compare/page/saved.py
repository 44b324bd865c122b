"""A figure of the page as a file: one SVG that needs no style sheet, on white."""

from __future__ import annotations

import re
from urllib.parse import quote

from markupsafe import Markup

from tools.compare.page.diagrams import INK, KEPT, SOFT
from tools.display.looks import LIGHT

COLUMNS = 3  # of small charts
GAP = 16  # pixels about and between charts
LOOK = {"page": "#fff", "text": INK, "soft": SOFT, "line": "#e4e6ea", "bar": "#d8dce2"}
CHART = re.compile(
    r'<div class="plot"(?: style="--ends:(\d+)")?[^>]*>'
    r'(<svg viewBox="0 0 (\d+) (\d+)".*?</svg>)',
    re.DOTALL,
)


def svg_file(figure: str, style: str) -> str:
    """Return the charts of a figure as one SVG, side by side if they are several.

    Args:
        figure: its markup.
        style: the rules for charts, with the page's variables.
    """
    found = [
        (drawing, int(width), int(height), int(ends or 0))
        for ends, drawing, width, height in CHART.findall(figure)
    ]
    columns = min(COLUMNS, len(found))
    across = max(width + ends for _, width, _, ends in found) + GAP
    down = max(height for _, _, height, _ in found) + GAP
    whole, rows = columns * across + GAP, -(-len(found) // columns) * down + GAP
    parts = [
        f'<svg x="{GAP + i % columns * across}" y="{GAP + i // columns * down}" width="{width}" '
        f'height="{height}"{drawing.removeprefix("<svg")}'
        for i, (drawing, width, height, _) in enumerate(found)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{rows}">'
        f'<style>{_plain(style)}</style><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(parts)}</svg>"
    )


def _plain(style: str) -> str:
    """Rules with colours in place of the page's variables, which few programs know."""
    hues = "".join(f".c{i}{{color:{hue}}}" for i, hue in enumerate(LIGHT))
    rules = style.replace("var(--c)", "currentColor")
    for name, value in LOOK.items():
        rules = rules.replace(f"var(--{name})", value)
    return "text{font-family:system-ui,sans-serif}" + hues + re.sub(r"\n\s*", "", rules)


def svg_link(figure: str, style: str, name: str) -> Markup:
    """Return a link that holds a figure and saves it, and a button for the same as png."""
    return links(f"data:image/svg+xml,{quote(svg_file(figure, style), KEPT)}", name)


def links(uri: str, name: str) -> Markup:
    """Return the link of a picture that is an SVG already, and a button for the same as png."""
    return Markup(
        '<p class="get"><a download="{name}.svg" href="{uri}" aria-label="{name} as svg">svg</a>'
        '<button type="button" class="png" value="{name}.png" '
        'aria-label="{name} as png">png</button></p>'
    ).format(name=name, uri=uri)
