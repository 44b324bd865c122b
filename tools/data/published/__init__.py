"""Data sets from their publishers."""

from __future__ import annotations

import argparse
from urllib.parse import urlsplit

NAMES = ("cifar10", "voc", "mpii")  # see `sets.SETS`


def address(text: str) -> str:
    """An http(s) address without its last slash."""
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and text.isascii()
        right = right and all(len(label) < 64 for label in (parts.hostname or "").split("."))
    except ValueError:
        right = False
    if not right:
        raise argparse.ArgumentTypeError(
            f"expected an address such as http://host/folder, but got {text!r}"
        )
    return text.rstrip("/")
