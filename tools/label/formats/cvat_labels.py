"""The labels of a CVAT task: as its XML has them, and as its label constructor takes them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import Any

from tasks.labelable import Labeling
from tools.label.formats.writing import child

DONE = "image: done"
SKIPPED = "image: skipped"
STATES = (DONE, SKIPPED)  # tags, as CVAT cannot tell an empty image from one that nobody saw
TYPES = {"boxes": "rectangle", "poses": "skeleton", "classes": "tag"}
ATTRIBUTES = ("score", "draft")


def add_labels(labels: ET.Element, labeling: Labeling) -> None:
    """Add the labels to <labels>: a skeleton's joints are labels with a <parent>."""
    for name in labeling.classes:
        label = _add_label(labels, name, TYPES[labeling.kind])
        attributes = child(label, "attributes")
        for attribute in ATTRIBUTES:
            one = child(attributes, "attribute")
            child(one, "name", attribute)
            child(one, "mutable", "False")
            child(one, "input_type", "text")
            child(one, "default_value")
            child(one, "values")
        if labeling.kind != "poses":
            continue
        child(label, "svg", skeleton_svg(labeling))
        for joint in labeling.joints:
            point = _add_label(labels, joint, "points")
            child(point, "attributes")
            child(point, "parent", name)
    for state in STATES:
        child(_add_label(labels, state, "tag"), "attributes")


def _add_label(labels: ET.Element, name: str, kind: str) -> ET.Element:
    label = child(labels, "label")
    child(label, "name", name)
    child(label, "color")
    child(label, "type", kind)
    return label


def raw_labels(labeling: Labeling) -> list[dict[str, Any]]:
    """The labels as the label constructor takes them under Raw."""
    attributes = [
        {
            "name": name,
            "input_type": "text",
            "mutable": False,
            "values": [""],
            "default_value": "",
        }
        for name in ATTRIBUTES
    ]
    labels: list[dict[str, Any]] = []
    for name in labeling.classes:
        label = {"name": name, "type": TYPES[labeling.kind], "attributes": attributes}
        if labeling.kind == "poses":
            label["svg"] = skeleton_svg(labeling)
            label["sublabels"] = [
                {"name": joint, "type": "points", "attributes": []} for joint in labeling.joints
            ]
        labels.append(label)
    labels += [{"name": state, "type": "tag", "attributes": []} for state in STATES]
    return labels


def skeleton_svg(labeling: Labeling) -> str:
    """The picture of a skeleton: the joints on a circle, joined by its bones; ids count from 1."""
    places = []
    for number in range(len(labeling.joints)):
        angle = 2 * math.pi * number / len(labeling.joints)
        places.append((50 + 40 * math.sin(angle), 50 - 40 * math.cos(angle)))
    root = ET.Element("svg")
    for first, second in labeling.bones:
        line = child(root, "line")
        for axis, start, end in zip("xy", places[first], places[second], strict=True):
            line.set(f"{axis}1", f"{start:.2f}")
            line.set(f"{axis}2", f"{end:.2f}")
        line.set("stroke", "black")
        line.set("data-type", "edge")
        line.set("data-node-from", str(first + 1))
        line.set("stroke-width", "0.5")
        line.set("data-node-to", str(second + 1))
    for number, (name, place) in enumerate(zip(labeling.joints, places, strict=True), 1):
        circle = child(root, "circle", r="1.5", stroke="black", fill="#b3b3b3")
        circle.set("cx", f"{place[0]:.2f}")
        circle.set("cy", f"{place[1]:.2f}")
        circle.set("stroke-width", "0.1")
        circle.set("data-type", "element node")
        circle.set("data-element-id", str(number))
        circle.set("data-node-id", str(number))
        circle.set("data-label-name", name)
    parts = [ET.tostring(part, encoding="unicode", short_empty_elements=False) for part in root]
    return "".join(parts)
