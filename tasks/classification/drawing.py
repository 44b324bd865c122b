"""An image as people look at it, above the name of its class."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tasks.drawing import caption_height, write

THUMBNAIL = 192  # pixels: longer side of the image, without the line with its class


def drawn(pixels: np.ndarray, name: str) -> Image.Image:
    """The image (H, W, 3) uint8 RGB, small ones enlarged, above a line with a name."""
    image = Image.fromarray(pixels)
    scale = THUMBNAIL / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    sampling = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    sheet = Image.new("RGB", (max(size[0], THUMBNAIL), size[1] + caption_height()))
    sheet.paste(image.resize(size, sampling))
    write(sheet, (0, size[1]), name, "white")
    return sheet
