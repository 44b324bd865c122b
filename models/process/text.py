"""Words for messages: text that can be printed, values in short, names that are near."""

from __future__ import annotations

import difflib
import functools
import reprlib
import sysconfig
import traceback
import unicodedata
from typing import Any

LIBRARIES = sysconfig.get_path("purelib")
LONGEST = 200  # characters of a name or a value in a report

_SHORT = reprlib.Repr()


def printable(text: str, keep: str = "") -> str:
    """Escape control characters and lone surrogates, which no terminal or log can print."""
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def shown(value: object) -> str:
    """`value` as a fault prints it: its repr, cut in length and depth."""
    return _SHORT.repr(value)


def error_line(error: object) -> str:
    r"""An error as a command prints it, with all its lines; names in it may be anybody's.

    >>> error_line("no such file: a\x1b[2Jb.py")
    'error: no such file: a\\x1b[2Jb.py'
    """
    return f"error: {printable(str(error), keep=chr(10))}"


@functools.lru_cache(maxsize=1024)
def nearest(name: str, names: tuple[str, ...]) -> str:
    """The question after an unknown name: the nearest known one, or all of them."""
    same = next((known for known in names if folded(known) == folded(name)), None)
    if same is not None:
        return f"did you mean {same!r}{otherwise(name, same)}?"
    close = difflib.get_close_matches(name[:80], names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)[:400]}."


def one_line(name: str) -> bool:
    """Whether a name can be a line of a text in UTF-8, as of `samples.txt`."""
    return len(f"{name}.".splitlines()) == 1 and not any("\ud800" <= c <= "\udfff" for c in name)


def reason(error: Exception) -> str:
    """An exception as a fault prints it."""
    return str(getattr(error, "strerror", None) or f"{type(error).__name__}: {error}")[:200]


def folded(name: str) -> str:
    """A name in lower case, stripped, in Unicode's form NFC."""
    return unicodedata.normalize("NFC", name).casefold().strip()


def otherwise(name: str, other: str) -> str:
    """Words on two names that look the same; macOS writes an accented letter as two characters."""
    alike = unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other)
    return " (the same letters in another Unicode form, NFC or NFD)" if alike else ""


def headline(text: str | None) -> str:
    r"""The first paragraph of a docstring, in one line.

    >>> headline("Check what runs\nleft behind.\n\nMore of it.")
    'Check what runs left behind.'
    """
    return " ".join((text or "").partition("\n\n")[0].split())


def came(value: Any) -> str:
    """What was given, as a report prints it: its repr, cut in length."""
    try:
        text = repr(value)
    # whole numbers of over 4,300 digits have none, and classes of others raise what they like
    except Exception:
        text = f"one of type {type(value).__name__} that cannot be printed"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def told(error: BaseException, place: bool = False) -> str:
    """An exception as a report prints it, with `place` also the line of code that raised it.

    The line is the last one outside of installed libraries, if there is one: wandb wraps even
    `sys.exit`.
    """
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    frames = traceback.extract_tb(error.__traceback__) if place else []
    frames = [frame for frame in frames if not frame.filename.startswith(LIBRARIES)] or frames
    return f"{text}; {frames[-1].filename}, line {frames[-1].lineno}" if frames else text
