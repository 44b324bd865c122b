"""The token of a labeling server: from the environment or a file, and in no message."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from models.process.text import reason
from tasks.faults import Fault
from tools.label.labels import LabelError

TOKEN = "LABEL_STUDIO_TOKEN"
TOKEN_FILE = "LABEL_STUDIO_TOKEN_FILE"
ABOUT_TOKENS = (
    "make a personal access token in Label Studio (Account & Settings, Personal Access Token) and "
    f"put it into {TOKEN}, or into a file that {TOKEN_FILE} names"
)


class Token:
    """A token that no message, log or pickle shows."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Token(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token is not written anywhere")

    def reveal(self) -> str:
        """The token itself, for the request that needs it."""
        return self._text

    def hide(self, text: str) -> str:
        """The text without this token, and without the part of it that is the secret."""
        for secret in (self._text, self._text.rpartition(".")[2]):
            if secret:
                text = text.replace(secret, "(token)")
        return text


def token_from(environment: Mapping[str, str] = os.environ) -> Token:
    """The personal access token of `LABEL_STUDIO_TOKEN`, else of `LABEL_STUDIO_TOKEN_FILE`.

    Raises:
        LabelError: if there is none, or what is there is no personal access token.
    """
    text, where = environment.get(TOKEN, "").strip(), TOKEN
    if not text and environment.get(TOKEN_FILE):
        path = environment[TOKEN_FILE]
        where = TOKEN_FILE
        if "/" in path or len(path) < 40:  # else it may be a token where a path should be
            where += f"={path}"
        text = _token_in(Path(path), where)
    if not text:
        raise LabelError(Fault("token", where, "a token", "nothing", ABOUT_TOKENS))
    parts = text.split(".")
    if len(parts) != 3 or not all(parts) or not text.isascii() or not text.isprintable():
        came = f"{len(text)} characters of another form"
        if len(text) == 40 and not parts[1:]:
            came = "a legacy token, which Label Studio refuses unless an organization allows them"
        expected = "a personal access token (three parts with a dot between)"
        raise LabelError(Fault("token", where, expected, came, ABOUT_TOKENS))
    return Token(text)


def _token_in(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        came = reason(error)
    except ValueError:  # whose text would show what is in the file
        came = "bytes that are no text in UTF-8"
    raise LabelError(Fault("token", where, "a file with a token", came, ABOUT_TOKENS))
