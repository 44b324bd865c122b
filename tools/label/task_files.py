"""The labels so far in the files from which a task reads them, see `tasks.labelable.LabelFiles`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.labelable import LabelFiles, Labeling
from tools.label.labels import Box, PoolImage, Shape
from tools.label.project import Project, write_texts
from tools.label.versions import Labeled

Labels = Mapping[str, Labeled]
MARGIN = 0.1  # of a box around joints, as a share of their extent on each side


def write(
    project: Project,
    folder: Path,
    pool: Sequence[PoolImage],
    validation: Sequence[PoolImage],
) -> LabelFiles:
    """Write both files of a round.

    Args:
        project: with the labels.
        folder: where to.
        pool: images that are trained on, and that may be asked for.
        validation: labeled images that give the curve.
    """
    labeling, labels = project.labeling, project.labels.labels
    suffix, text = (".json", coco) if labeling.kind != "classes" else (".csv", table)
    names = {"pool": pool, "validation": validation}
    texts = {f"{name}{suffix}": text(labeling, part, labels) for name, part in names.items()}
    write_texts(folder, texts)
    return LabelFiles(project.index.root, folder / f"pool{suffix}", folder / f"validation{suffix}")


def table(labeling: Labeling, images: Sequence[PoolImage], labels: Labels) -> str:
    """Classes as csv; an image without a label has an empty one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "class"])
    for image in images:
        shapes = _shapes(image, labels)
        writer.writerow([image.key, shapes[0].label if shapes else ""])
    return text.getvalue()


def coco(labeling: Labeling, images: Sequence[PoolImage], labels: Labels) -> str:
    """Boxes or persons as COCO's json.

    Where joints are drawn, an image without a label is a person of its whole size without joints:
    as such it can be scored.
    """
    records: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, 1):
        width, height = image.size
        size = {"width": width, "height": height}
        records.append({"id": number, "file_name": image.key, **size})
        shapes = _shapes(image, labels)
        if labeling.kind == "poses" and image.sha256 not in labels:
            shapes = (Shape(labeling.classes[0], (0.0, 0.0, float(width), float(height))),)
        elif labeling.kind == "poses":  # nothing is learnt from a person without a joint
            shapes = tuple(one for one in shapes if any(j.visibility > 0 for j in one.joints))
        annotations += [_annotation(labeling, number, image, shape) for shape in shapes]
    numbered = [{"id": number, **one} for number, one in enumerate(annotations, 1)]
    content = {"images": records, "annotations": numbered, "categories": categories(labeling)}
    return json.dumps(content) + "\n"


def _shapes(image: PoolImage, labels: Labels) -> tuple[Shape, ...]:
    one = labels.get(image.sha256)
    return () if one is None else one.answer.shapes


def categories(labeling: Labeling) -> list[dict[str, Any]]:
    """COCO's categories, with ids from 1 on."""
    found: list[dict[str, Any]] = [
        {"id": number, "name": name} for number, name in enumerate(labeling.classes, 1)
    ]
    if labeling.kind == "poses":
        skeleton = [[a + 1, b + 1] for a, b in labeling.bones]
        found[0] |= {"keypoints": list(labeling.joints), "skeleton": skeleton}
    return found


def _annotation(labeling: Labeling, number: int, image: PoolImage, shape: Shape) -> dict[str, Any]:
    box = shape.box or around(shape, image.size)
    values: dict[str, Any] = {
        "image_id": number,
        "category_id": labeling.classes.index(shape.label) + 1,
        "bbox": list(box),
        "area": box[2] * box[3],
        "iscrowd": 0,
    }
    if labeling.kind == "poses":
        joints = shape.joints or ()
        flat = [value for one in joints for value in (one.x, one.y, one.visibility)]
        values["keypoints"] = flat or [0] * (3 * len(labeling.joints))
        values["num_keypoints"] = sum(one.visibility > 0 for one in joints)
    return values


def around(shape: Shape, size: tuple[int, int]) -> Box:
    """A box around a person's joints, a tenth larger on each side, inside the image."""
    known = [joint for joint in shape.joints if joint.visibility > 0]
    xs, ys = [joint.x for joint in known], [joint.y for joint in known]
    ends = []
    for values, most in ((xs, size[0]), (ys, size[1])):
        more = max(MARGIN * (max(values) - min(values)), 1)
        ends.append((max(0.0, min(values) - more), min(float(most), max(values) + more)))
    (left, right), (top, bottom) = ends
    return left, top, right - left, bottom - top
