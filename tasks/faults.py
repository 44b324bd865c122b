"""What is wrong with a data set, found before any training: the parts that all tasks share.

Every check is a generator: it yields the faults that it finds and returns what it could read (None where it could
not). Bad data raises nothing, and the checks after a fault go on with what there is.
"""

from __future__ import annotations

import difflib
import functools
import math
import os
import reprlib
import stat
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeVar

import cv2
import numpy as np
from PIL import Image

T = TypeVar("T")
Reading = Generator["Fault", None, T]
Size = tuple[float, float]  # (width, height) in pixels

FORMATS = ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP", "GIF", "JPEG2000")  # read by PIL and by OpenCV
ORIENTATION = 0x0112  # EXIF; 5 to 8 lie on their side
IMAGE_BYTES = 1 << 30
LIST_BYTES = 100 << 20

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong; `str()` is the sentence for the user."""

    kind: str  # which check found it
    where: str  # the file's full path, then the line or object in it
    expected: str
    came: str
    remedy: str

    def __str__(self) -> str:
        text = f"{self.where}: expected {self.expected}, but got {self.came}; {self.remedy}"
        # names in bad data may hold control characters or lone surrogates, which a terminal or log cannot print
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(value: object) -> str:
    """`value` as a fault prints it: its repr, cut in length and depth."""
    return _SHORT.repr(value)


@functools.lru_cache(maxsize=1024)
def nearest(name: str, names: tuple[str, ...]) -> str:
    """The question after an unknown name: the nearest known one, or all of them."""
    close = difflib.get_close_matches(name[:80], names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)[:400]}."


def escapes(path: str) -> bool:
    """Whether the relative `path` of a list or json leads out of the data set's folder."""
    return PurePath(path).is_absolute() or ".." in PurePath(path).parts


def finite(value: object) -> bool:
    """Whether a value of a json is a finite number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of over 300 digits
        return False


def reason(error: Exception) -> str:
    """An exception as a fault prints it."""
    return str(getattr(error, "strerror", None) or f"{type(error).__name__}: {error}")[:200]


def path_fault(path: Path, what: str, remedy: str, most: int = 0) -> Fault | None:
    """A fault unless `path` is a file of at most `most` bytes (with `most` 0: a folder)."""
    kind, right = ("file", stat.S_ISREG) if most else ("folder", stat.S_ISDIR)
    expected = f"{what} (a {kind})"
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Fault(f"missing {what}", str(path), expected, "nothing at this path", remedy)
    except (OSError, ValueError) as error:
        return Fault(f"unreadable {what}", str(path), expected, reason(error), remedy)
    if not right(status.st_mode):
        return Fault(f"unreadable {what}", str(path), expected, f"something that is not a {kind}", remedy)
    if most and status.st_size > most:
        return Fault(f"unreadable {what}", str(path), f"{what} of at most {most} bytes", str(status.st_size), remedy)
    return None


def read_file(path: Path, what: str, remedy: str, most: int) -> Reading[bytes | None]:
    """The content of a file of at most `most` bytes."""
    fault = path_fault(path, what, remedy, most)
    if fault is None:
        try:
            return path.read_bytes()
        except OSError as error:
            fault = Fault(f"unreadable {what}", str(path), f"{what} that can be read", reason(error), remedy)
    yield fault
    return None


def image_size(path: Path, full: bool, without: str = "take it off the list") -> Reading[Size | None]:
    """(width, height) of an image as training will see it: from the header, with `full` from the decoded pixels.

    `without` is what a user does who has no such image to put there.
    """
    size = yield from _header_size(path, without)
    if size is None or not full:
        return size
    return (yield from _decoded_size(path, without))


def _header_size(path: Path, without: str) -> Reading[Size | None]:
    fault = path_fault(path, "image", f"put the image there, or {without}", IMAGE_BYTES)
    if fault is None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PIL warns of large images; what it refuses still raises
                with Image.open(path, formats=FORMATS) as image:
                    return image.size[::-1] if _on_its_side(image) else image.size
        except Exception as error:  # PIL's readers raise whatever a broken header leads them to
            remedy = f"get the file anew, convert it, or {without}"
            fault = Fault("unreadable image", str(path), f"the header of one of {FORMATS}", reason(error), remedy)
    yield fault
    return None


def _on_its_side(image: Image.Image) -> bool:
    """Whether OpenCV, and so training, swaps width and height by the EXIF orientation."""
    if "exif" not in image.info:  # `getexif` would decode some formats to look for it
        return False
    try:
        return image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception:  # EXIF that PIL cannot parse; OpenCV then leaves the image as it is
        return False


def _decoded_size(path: Path, without: str) -> Reading[Size | None]:
    remedy = f"get the file anew (broken download or copy?), or {without}"
    content = yield from read_file(path, "image", remedy, IMAGE_BYTES)
    if content is None:
        return None
    came = "pixels that OpenCV cannot decode"
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if pixels is not None:
            return pixels.shape[1], pixels.shape[0]
    except (cv2.error, MemoryError) as error:
        came = reason(error)
    yield Fault("undecodable image", str(path), "a whole image", f"{came} ({len(content)} bytes)", remedy)
    return None
