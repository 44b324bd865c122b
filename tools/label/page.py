"""The page of a batch: its pictures, with what is predicted, and why each was chosen."""

from __future__ import annotations

import base64
import io
from collections import Counter
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image, ImageDraw

from models.process.files import replacing
from tasks.data import read_image
from tasks.drawing import write as caption
from tools.label.batches import Batch, Choice, folder_of
from tools.label.labels import Shape
from tools.label.project import Project

PAGE = "page.html"
SIDE = 320  # pixels of a picture's longer side
COLOUR = "#ff5a36"
DOT = 2  # pixels from a joint's middle to its edge


def write(project: Project, batch: Batch) -> Path:
    """Write the page of a batch; it needs no other file."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    picks = [
        {
            "rank": rank,
            "key": one.key,
            "reason": one.reason,
            "twin": one.twin,
            "drafts": _drafts(one),
            "picture": picture(project, one),
        }
        for rank, one in enumerate(batch.choices, 1)
        if one.sha256 in project.images
    ]
    by = Counter[str](one.by for one in batch.choices)
    names = {"validation": "of the validation slice", "strategy": "chosen", "random": "at random"}
    parts = ", ".join(f"{by[name]} {text}" for name, text in names.items() if by[name])
    title = f"Batch {batch.number} of {project.path.name}"
    template = environment.get_template("page.html.j2")
    summary = f"{len(batch.choices)} images: {parts}. {batch.model}"
    path = folder_of(project.path, batch.number) / PAGE
    with replacing(path) as beside:
        text = template.render(title=title, summary=summary, picks=picks)
        beside.write_text(text, encoding="utf-8", errors="replace")
    return path


def _drafts(one: Choice) -> str:
    if one.by == "validation":
        return ""
    if one.blind:
        return "people see no predictions" if one.drafts else ""
    return f"{len(one.drafts)} predictions"


def picture(project: Project, one: Choice) -> str:
    """A small picture of an image with what people see on it, as an address that holds it."""
    image = Image.fromarray(read_image(project.images[one.sha256].path))
    zoom = min(1.0, SIDE / max(image.size))
    width, height = (max(1, round(side * zoom)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.BOX)
    for shape in () if one.blind else one.drafts:
        _draw(small, shape, zoom)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def _draw(image: Image.Image, shape: Shape, zoom: float) -> None:
    pen = ImageDraw.Draw(image)
    if shape.box is None:
        caption(image, (2, 2), shape.label, COLOUR)
        return
    x, y, width, height = (value * zoom for value in shape.box)
    pen.rectangle((x, y, x + width, y + height), outline=COLOUR)
    for joint in shape.joints:
        if joint.visibility > 0:
            a, b = joint.x * zoom, joint.y * zoom
            pen.ellipse((a - DOT, b - DOT, a + DOT, b + DOT), fill=COLOUR)
    if not shape.joints:
        caption(image, (x + 2, y + 2), shape.label, COLOUR)
