"""Text for messages: printable names, shortened values and lists, names nearest to a wrong one."""

from __future__ import annotations

import difflib
import functools
import reprlib
import sysconfig
import traceback
import unicodedata
from collections.abc import Sequence
from typing import Any

LIBRARIES = sysconfig.get_path("purelib")
LONGEST = 200  # characters of a name or a value in a report

_SHORT = reprlib.Repr()


def printable(text: str, keep: str = "") -> str:
    """Escape control characters and lone surrogates, which no terminal or log can print."""
    if text.isprintable():
        return text
    return "".join(_escaped(c, keep) for c in text)


def _escaped(character: str, keep: str) -> str:
    if character.isprintable() or character in keep:
        return character
    return character.encode("unicode_escape").decode()


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
    """The advice after an unknown name: the nearest known one, or all of them."""
    same = next((known for known in names if folded(known) == folded(name)), None)
    if same is not None:
        return f"did you mean {same!r}{otherwise(name, same)}?"
    close = difflib.get_close_matches(name[:80], names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are {', '.join(names)[:400]}."


def abridged(words: Sequence[str], most: int, separator: str = ", ") -> str:
    """Join the first `most` words; "..." stands for the others.

    >>> abridged(["cat", "dog", "cow"], 2)
    'cat, dog, ...'
    """
    listed = list(words[:most])
    if len(words) > most:
        listed.append("...")
    return separator.join(listed)


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
    """The remark that two names differ in Unicode's form alone, else nothing.

    macOS writes an accented letter as two characters.
    """
    if unicodedata.normalize("NFC", name) != unicodedata.normalize("NFC", other):
        return ""
    return " (the same letters in another Unicode form, NFC or NFD)"


def headline(text: str | None) -> str:
    r"""The first paragraph of a docstring, in one line.

    >>> headline("Check what runs\nleft behind.\n\nMore of it.")
    'Check what runs left behind.'
    """
    return " ".join((text or "").partition("\n\n")[0].split())


def came(value: Any) -> str:
    """The repr of a given value as a report prints it, cut in length."""
    try:
        text = repr(value)
    # whole numbers of over 4,300 digits have none, and foreign classes may raise anything
    except Exception:
        text = f"one of type {type(value).__name__} that cannot be printed"
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 3]}..."
    return text


def told(error: BaseException, place: bool = False) -> str:
    """An exception as a report prints it, with `place` also the line of code that raised it.

    The line is the last one outside of installed libraries, if there is one: wandb wraps even
    `sys.exit`.
    """
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    if not place or error.__traceback__ is None:
        return text
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(LIBRARIES)]
    last = (own or frames)[-1]
    return f"{text}; {last.filename}, line {last.lineno}"
