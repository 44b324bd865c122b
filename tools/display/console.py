"""The console that commands print lines to, whatever names they contain."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from models.process.text import printable


class Plain(Console):
    r"""A console that prints text as it is: no markup, no emoji codes, no codes for the terminal.

    Lines contain names of files, samples and strategies, which may be chosen by anybody.

    Args:
        quiet: whether nothing is printed, as in all processes but the first.

    Examples:
        >>> Plain().print("[bold] :cat: a\x1b[2Jb")
        [bold] :cat: a\x1b[2Jb
    """

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(quiet=quiet, soft_wrap=True, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **how: Any) -> Text:
        """Return Rich's text, with escapes for characters that cannot be printed."""
        return super().render_str(printable(text, keep="\n"), **how)
