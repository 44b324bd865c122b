"""Names for what lies on the page, so that a link leads there, and tables as csv."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from urllib.parse import quote

from markupsafe import Markup, escape

# signs that no spreadsheet reads as part of a number; an en dash or a dot stands for no value
PLAIN = str.maketrans({"−": "-", "±": "+-", "×": "x", "∞": "inf", "–": "", "·": ""})


class Outline:
    """The ids of one page, each given once, and its headings in the order in which they came.

    `parts` has the id and the text of each section's heading (level 2), and of those of level 3
    in it.
    """

    def __init__(self) -> None:
        self.parts: list[tuple[str, str, list[tuple[str, str]]]] = []
        self._section = ""
        self._taken: Counter[str] = Counter()

    def anchor(self, name: str) -> str:
        """Return an id that nothing on the page has yet, from a name in the current section."""
        own = slug(name) or "part"
        if self._section:
            own = f"{self._section}-{own}"
        while own in self._taken:
            self._taken[own] += 1
            own = f"{own}-{self._taken[own]}"
        self._taken[own] += 1
        return own

    def heading(self, text: str, level: int = 3) -> Markup:
        """Return a heading with a link to itself; one of level 2 begins a section."""
        if level == 2:
            self._section = ""
        own = self.anchor(text)
        if level == 2:
            self._section = own
            self.parts.append((own, text, []))
        elif level == 3 and self.parts:
            self.parts[-1][2].append((own, text))
        return Markup(
            '<h{level} id="{own}">{text} <a class="here" href="#{own}" '
            'aria-label="Link to {text}">#</a></h{level}>'
        ).format(level=level, own=own, text=text)


def slug(text: str) -> str:
    """Return the letters and digits of a text in lower case, with dashes between its words.

    Examples:
        >>> slug("Who chose the same?"), slug("<b>")
        ('who-chose-the-same', 'b')
    """
    return re.sub(r"\W+", "-", text.lower()).strip("-")


class _Cells(HTMLParser):
    """The texts of a table's cells, row by row; pictures in them have none.

    Those of values (td) are in characters of a keyboard; names (th) are as they are.
    """

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._drawing = 0
        self._value = False
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Begin a row, a cell or a picture."""
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._value = tag == "td"
        self._drawing += tag == "svg"

    def handle_endtag(self, tag: str) -> None:
        """End a picture."""
        self._drawing -= tag == "svg"

    def handle_data(self, data: str) -> None:
        """Add a text to the cell that was begun last."""
        if not self._drawing and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.translate(PLAIN) if self._value else data


def table_csv(header: Sequence[str], rows: str) -> str:
    """Return a table as csv: what the page shows, see `_Cells`.

    Args:
        header: the heading of each column.
        rows: their markup.
    """
    top = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in _Cells(f"<tr>{top}</tr>{rows}").rows:
        writer.writerow([" ".join(cell.split()) for cell in row])
    return buffer.getvalue()


def csv_link(header: Sequence[str], rows: str, name: str) -> Markup:
    """Return a link that holds a table as csv and saves it as `name`.csv."""
    content = quote(table_csv(header, rows))
    return Markup(
        '<p class="get"><a download="{name}.csv" href="data:text/csv;charset=utf-8,{content}" '
        'aria-label="{name} as csv">csv</a></p>'
    ).format(name=name, content=content)
