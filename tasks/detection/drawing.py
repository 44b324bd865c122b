"""An image as people look at it, with its boxes and their classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from tasks.data import read_image
from tasks.drawing import caption_height, write

THUMBNAIL = 256  # pixels of the longer side


def drawn(info: dict, classes: Sequence[str]) -> Image.Image:
    """The image of mmdet's record with its boxes; difficult ones are gray."""
    # boxes are those of the image as OpenCV turns it
    image = Image.fromarray(read_image(Path(info["img_path"])))
    scale = THUMBNAIL / max(image.size)
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    draw = ImageDraw.Draw(image)
    captions: list[tuple[tuple[float, float], str, str]] = []
    for box in info["instances"]:
        corners = [c * scale for c in box["bbox"]]
        colour = "gray" if box["ignore_flag"] else "lime"
        draw.rectangle(corners, outline=colour, width=2)
        above = (corners[0], corners[1] - caption_height())
        captions.append((above, classes[box["bbox_label"]], colour))
    for place, name, colour in captions:  # last, so that no box covers a name
        write(image, place, name, colour)
    return image
