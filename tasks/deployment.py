"""A trained network outside of its run: predictions on any images, and its weights alone."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tasks.data import read_image
from tasks.deployable import Box

if TYPE_CHECKING:
    pass

WEIGHTS = "weights.pth"  # what `Export.load` reads, in its own folder
LONGEST, SHORTEST = 1024, 256  # pixels of a picture's longer side: at most, and at least


def canvas(path: Path) -> tuple[Image.Image, float]:
    """An image to draw on, turned by its EXIF, and its zoom: its pixels a pixel of the file."""
    image = Image.fromarray(read_image(path))
    longer = max(image.size)
    zoom = min(max(longer, SHORTEST), LONGEST) / longer
    if zoom == 1:
        return image, zoom
    sampling = Image.Resampling.NEAREST if zoom > 1 else Image.Resampling.BOX
    size = tuple(max(1, round(side * zoom)) for side in image.size)
    return image.resize((size[0], size[1]), sampling), zoom


def source_of(*parts: Any, imports: str) -> str:
    """The text of a Python file that holds functions and classes of this project.

    Args:
        parts: the functions and classes, in order.
        imports: the lines of what they need, of other packages alone.
    """
    title = f'"""Copied from losstap (Apache-2.0), {parts[-1].__module__}."""'
    texts = [inspect.getsource(part).rstrip() for part in parts]
    head = f"{title}\n\nfrom __future__ import annotations\n\n{imports.strip()}"
    return "\n\n\n".join([head, *texts]) + "\n"


def corners(box: Box, zoom: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box on a picture."""
    x, y, width, height = (float(value) * zoom for value in np.asarray(box))
    return x, y, x + width, y + height
