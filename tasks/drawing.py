"""Captions on thumbnails that stay readable when the thumbnails are scaled down."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

# pixels, on a picture of 256: in a report, three in a row, it is shown at half of that
SIZE = 22
SMALLEST = 10
EDGE = 3  # pixels between a word and the border of its plate


@lru_cache
def font(size: int = SIZE) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which every installation has."""
    return ImageFont.load_default(size)


def caption_height() -> int:
    """The height of a caption's plate in pixels, the same for all words."""
    _, top, _, bottom = font().getbbox("Ágj")
    return round(bottom - min(top, 0)) + 2 * EDGE


def write(image: Image.Image, at: tuple[float, float], word: str, colour: str) -> None:
    """Write a word on a dark plate inside the image; a long word is written smaller.

    Args:
        image: is drawn on.
        at: x and y in pixels of the plate's upper left corner.
        word: in one line.
        colour: of it.
    """
    draw = ImageDraw.Draw(image)
    size = SIZE
    room = image.width - 2 * EDGE
    while size > SMALLEST and draw.textlength(word, font(size)) > room:
        size -= 1
    width = round(draw.textlength(word, font(size))) + 2 * EDGE
    height = caption_height()
    x = max(0, min(round(at[0]), image.width - width))
    y = max(0, min(round(at[1]), image.height - height))
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill="#101418")
    draw.text((x + EDGE, y + EDGE), word, fill=colour, font=font(size))
