"""Data sets from their publishers."""

from __future__ import annotations

import argparse
from urllib.parse import urlsplit

NAMES = ("cifar10", "voc", "mpii")  # see `sets.SETS`


def address(text: str) -> str:
    """Return an http(s) address without its last slash."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and text.isascii()
        valid = valid and all(len(label) < 64 for label in (parts.hostname or "").split("."))
    except ValueError:
        valid = False
    if not valid:
        raise argparse.ArgumentTypeError(
            f"expected an address such as http://host/folder, but got {text!r}"
        )
    return text.rstrip("/")
