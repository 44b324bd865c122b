"""Shapes as Label Studio's regions, whose coordinates are percent of the image."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

from tasks.labelable import Labeling
from tools.label.formats.geometry import person_box
from tools.label.formats.writing import child
from tools.label.labels import Shape

LABEL, JOINT, HIDDEN, CLASS = "label", "joint", "hidden", "class"  # names of the controls
POINT = 0.5  # percent of the image's width: how large a joint is drawn
Size = tuple[float, float]


def tags(view: ET.Element, labeling: Labeling) -> None:
    """Add the controls of a labeling configuration."""
    if labeling.kind == "classes":
        choices = child(
            view, "Choices", name=CLASS, toName="image", choice="single", required="true"
        )
        for name in labeling.classes:
            child(choices, "Choice", value=name)
        return
    boxes = child(view, "RectangleLabels", name=LABEL, toName="image", canRotate="false")
    for name in labeling.classes:
        child(boxes, "Label", value=name)
    if labeling.kind == "boxes":
        return
    points = child(view, "KeyPointLabels", name=JOINT, toName="image")
    for place, name in enumerate(labeling.joints):
        child(points, "Label", value=name, model_index=place)
    hidden = child(
        view,
        "Choices",
        name=HIDDEN,
        toName="image",
        perRegion="true",
        choice="multiple",
        visibleWhen="region-selected",
        whenTagName=JOINT,
    )
    child(hidden, "Choice", value=HIDDEN)


def results(
    shapes: Sequence[Shape], ids: Sequence[str], size: tuple[int, int], labeling: Labeling
) -> list[dict[str, Any]]:
    """The regions of an image's shapes, with an id each."""
    made: list[dict[str, Any]] = []
    for shape, name in zip(shapes, ids, strict=True):
        if labeling.kind == "classes":
            region = _region(name, "choices", CLASS, size, {"choices": [shape.label]})
        else:
            x, y, width, height = person_box(shape)
            value = {
                "x": 100 * x / size[0],
                "y": 100 * y / size[1],
                "width": 100 * width / size[0],
                "height": 100 * height / size[1],
                "rotation": 0,
                "rectanglelabels": [shape.label],
            }
            region = _region(name, "rectanglelabels", LABEL, size, value)
        if shape.score is not None:
            region["score"] = shape.score
        made.append(region)
        made += _joints(shape, name, size, labeling)
    return made


def _joints(
    shape: Shape, parent: str, size: tuple[int, int], labeling: Labeling
) -> list[dict[str, Any]]:
    made = []
    for name, joint in zip(labeling.joints, shape.joints, strict=False):
        if not joint.visibility:
            continue
        place = {"x": 100 * joint.x / size[0], "y": 100 * joint.y / size[1], "width": POINT}
        own = f"{parent}-{labeling.joints.index(name)}"
        region = _region(own, "keypointlabels", JOINT, size, {**place, "keypointlabels": [name]})
        region["parentID"] = parent
        made.append(region)
        if joint.visibility == 1:
            made.append(_region(own, "choices", HIDDEN, size, {**place, "choices": [HIDDEN]}))
    return made


def _region(
    name: str, kind: str, control: str, size: tuple[int, int], value: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": name,
        "type": kind,
        "from_name": control,
        "to_name": "image",
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "value": value,
    }
