"""Faults of an image file, found by its header or, with `full`, by its pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from models.process.text import reason
from tasks.faults import Fault, Reading, Size, path_fault, read_file

# read by PIL and by OpenCV
FORMATS = ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP", "GIF", "JPEG2000")
ORIENTATION = 0x0112  # EXIF; 5 to 8 lie on their side
IMAGE_BYTES = 1 << 29
IMAGE_PIXELS = 1 << 26  # 8192 x 8192; decoding took at most 16 bytes a pixel (JPEG 2000): 1.1 GB
# longer over shorter side: 60000 x 1, resized to a shorter side of 256, would take 11.8 GB
IMAGE_RATIO = 200
DARK = 64  # of 255: values of 14 bits and fewer in files of 16 stay below
LISTED = "take it off the list"


@dataclass(frozen=True)
class Header:
    """What an image's header declares of its pixels.

    Attributes:
        stored: (width, height) as the pixels lie in the file; of TIFF, as its own tag turns them.
        orientation: of EXIF, 1 to 8; 1 if there is none. XMP's is not followed, as in most
            programs.
        deep: whether values may be of more than 8 bits, or may end below 255.
    """

    stored: tuple[int, int]
    orientation: int
    deep: bool

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the image as its EXIF turns it."""
        if self.orientation >= 5:
            return self.stored[::-1]
        return self.stored


class ImageCheck:
    """The check of a split's images, one after the other.

    Args:
        full: decode each image; without, headers are read, and pixels where the header declares
            them deep.
        upright: whether images are turned by their EXIF.
    """

    def __init__(self, full: bool, upright: bool = True) -> None:
        self.full = full
        self.upright = upright
        self.turned: dict[Path, int] = {}  # the EXIF orientation of images that it turns
        self._deep: list[Path] = []
        self._brightest = 0
        self._turned: list[Path] = []

    def size(self, path: Path, without: str = LISTED) -> Reading[Size | None]:
        """(width, height) of an image as training will see it, None if it cannot be read.

        `without` is what a user does who has no such image to put there.
        """
        header = yield from read_header(path, without)
        if header is None:
            return None
        if header.orientation > 1 and header.size == header.stored:
            self._turned.append(path)
        if self.full or (header.deep and self._brightest < DARK):
            pixels = yield from _pixels(path, without)
            if pixels is None:
                return None
            if header.deep:
                self._deep.append(path)
                self._brightest = max(self._brightest, int(pixels.max()))
        if header.orientation > 1:
            self.turned[path] = header.orientation
        return header.size if self.upright else header.stored

    def together(self) -> Iterator[Fault]:
        """Report faults that only all images together show.

        Deep values that do not use their range are nearly black as 8 bits.
        """
        if self._deep and self._brightest < DARK:
            expected = (
                "16-bit values up to 65535, of which 8 bits are read (one above "
                f"{DARK * 256} in a split)"
            )
            value = (
                f"{len(self._deep)} such images without one above "
                f"{self._brightest * 256 + 255}: nearly black"
            )
            remedy = (
                "scale the values of all images to the whole range (those of 12 bits by 16), "
                "or write 8 bits"
            )
            yield Fault("dark images", str(self._deep[0]), expected, value, remedy)

    def notes(self) -> list[str]:
        """Return a note on images that EXIF turns without changing their size.

        For these no size can show whether they were annotated before or after the turn.
        """
        if not self._turned:
            return []
        return [
            f"{self._turned[0]}: turned by EXIF, and of the same size ({len(self._turned):,} "
            "such images); annotations are taken as those of the turned image"
        ]


def image_size(path: Path, full: bool, without: str = LISTED) -> Reading[Size | None]:
    """(width, height) of one image as training will see it; see `ImageCheck`."""
    return (yield from ImageCheck(full).size(path, without))


def read_header(path: Path, without: str = LISTED) -> Reading[Header | None]:
    """Read the header of an image that is neither too large nor too thin to be read."""
    fault = path_fault(path, "image", f"put the image there, or {without}", IMAGE_BYTES)
    if fault is None:
        try:
            with warnings.catch_warnings():
                # PIL warns of large images; what it refuses still raises
                warnings.simplefilter("ignore")
                with Image.open(path, formats=FORMATS) as image:
                    header = Header(image.size, _orientation(image), _is_deep(image))
            fault = _shape_fault(path, header.size, without)
            if fault is None:
                return header
        except Image.DecompressionBombError as error:  # PIL's own limit is a higher one
            fault = _large_image(path, str(error), without)
        except Exception as error:  # PIL's readers raise whatever a broken header leads them to
            remedy = f"get the file anew, convert it, or {without}"
            fault = Fault(
                "unreadable image",
                str(path),
                f"the header of one of {FORMATS}",
                reason(error),
                remedy,
            )
    yield fault
    return None


def _shape_fault(path: Path, size: tuple[int, int], without: str) -> Fault | None:
    """The fault of an image that is too large or too thin.

    The header shows it before anything is decoded: a file of some MB can hold thousands of times as
    much.
    """
    value = "{} x {}".format(*size)
    if size[0] * size[1] > IMAGE_PIXELS:
        return _large_image(path, value, without)
    if max(size) > IMAGE_RATIO * min(size):
        expected = f"a longer side of at most {IMAGE_RATIO} times the shorter one"
        return Fault("thin image", str(path), expected, value, f"cut it into pieces, or {without}")
    return None


def _large_image(path: Path, value: str, without: str) -> Fault:
    expected = f"at most {IMAGE_PIXELS:,} pixels"
    return Fault("large image", str(path), expected, value, f"make it smaller, or {without}")


def _orientation(image: Image.Image) -> int:
    """The orientation of the EXIF itself: `getexif` takes XMP's where EXIF has none."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        value = exif.get(ORIENTATION)
    except Exception:  # EXIF that PIL cannot parse
        return 1
    if isinstance(value, int) and value in range(1, 9):
        return value
    return 1


def _is_deep(image: Image.Image) -> bool:
    """Whether values may be of more than 8 bits, by PIL's raw mode, as "RGB;16B" of a PNG.

    JPEG 2000 in colour is opened without one.
    """
    modes: list[str] = []
    for tile in getattr(image, "tile", []):
        arguments = tile[3]
        if not isinstance(arguments, tuple):
            arguments = (arguments,)
        modes += map(str, arguments)
    if image.format == "PPM":
        return modes[-1] not in ("255", image.mode) and image.mode != "1"
    return image.mode[0] in "IF" or any(";16" in mode for mode in modes)


def _pixels(path: Path, without: str) -> Reading[np.ndarray | None]:
    """(H, W, 3) uint8 as stored."""
    remedy = f"get the file anew (broken download or copy?), or {without}"
    content = yield from read_file(path, "image", remedy, IMAGE_BYTES)
    if content is None:
        return None
    value = "pixels that OpenCV cannot decode"
    try:
        pixels = decoded(content)
        if pixels is not None:
            return pixels
    except (cv2.error, MemoryError) as error:
        value = reason(error)
    value += f" ({len(content)} bytes)"
    yield Fault("undecodable image", str(path), "a whole image", value, remedy)
    return None


def decoded(content: bytes) -> np.ndarray | None:
    """Decode an image to (H, W, 3) uint8, BGR, as stored; None or cv2.error where that fails."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)


def wrong_size(where: str, path: Path, real: Size, declared: Size, record: str) -> Fault:
    """The fault of an annotation whose `declared` size is not the image's `real` one.

    The size is in its `record`, such as "<size>". Where the two sides are swapped the image was
    turned between the annotation and now; a corrected record would leave all boxes in wrong places.
    """
    expected = f"the image's size {real} (width, height)"
    remedy = f"correct {record}, or look whether {path} is the image that was annotated"
    if swapped(real, declared):
        exif, xmp = orientations(path)
        no = f"do not correct {record} alone, for the boxes would lie in wrong places"
        remedy = (
            "width and height are swapped: annotate the image as it is now, or turn the "
            f"file's pixels; {no}"
        )
        if exif >= 5:
            expected += f" as its EXIF orientation {exif} turns it"
            remedy = (
                "boxes have to lie on the turned image; where they were drawn on the pixels as "
                f"stored, take the orientation out of the file (exiftool -Orientation= '{path}'); "
                f"{no}"
            )
        elif xmp:
            expected += (
                f" (its XMP says orientation {xmp}, which is not followed; its EXIF says none)"
            )
    return Fault("wrong size", where, expected, f"{record} {declared}", remedy)


def swapped(real: Size | None, declared: Size | None) -> bool:
    """Whether the annotation is of the image before or after it was turned by a quarter."""
    return real is not None and declared == (real[1], real[0]) != real


def orientations(path: Path) -> tuple[int, int]:
    """The orientations of EXIF (1 if it has none) and of XMP alone (0 if it has none).

    No file raises an error.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                exif = _orientation(image)
                either = image.getexif().get(ORIENTATION, 1)  # XMP's, too
    except Exception:
        return 1, 0
    if exif == 1 and either in range(2, 9):
        return exif, either
    return exif, 0
