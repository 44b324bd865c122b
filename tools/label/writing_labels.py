"""`al_label.py labels`: the labels so far as a data set."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.label import task_files
from tools.label.formats import FORMATS
from tools.label.labels import LabelError, Outgoing, Pick, PoolImage, Shape
from tools.label.project import Project, write_texts

FOLDERS = "folders"
AS = ("coco", "voc", "yolo", FOLDERS, "csv")


def write(project: Project, form: str, out: Path) -> int:
    """Write the labels; skipped images and those without a label are not in it.

    Args:
        project: with the labels.
        form: one of `AS`: COCO's json, VOC's or YOLO's folder, folders named by the class, or a
            csv.
        out: a folder that is new or empty.

    Returns:
        The number of images.

    Raises:
        LabelError: if the form cannot hold these labels, or the folder holds something.
    """
    kind = project.labeling.kind
    if (kind == "classes") != (form in (FOLDERS, "csv")):
        fitting = [name for name in AS if (kind == "classes") == (name in (FOLDERS, "csv"))]
        raise LabelError(f"--as: expected one of {fitting} for {kind}, but got {form!r}")
    if out.exists() and any(out.iterdir()):
        raise LabelError(f"--out: expected a folder that is new or empty, but got {out}")
    images = [*project.learnt(), *project.judged()]
    images.sort(key=lambda image: image.key)
    if not images:
        raise LabelError(f"{project.path}: expected labels, but nothing is labeled yet")
    labels = project.labels.labels
    if form == "coco":
        text = task_files.coco(project.labeling, images, labels)
        write_texts(out, {"annotations.json": text})
    elif form == "csv":
        write_texts(out, {"classes.csv": task_files.table(project.labeling, images, labels)})
    elif form == FOLDERS:
        for image in images:
            _place(image, out / _class(project, image))
    else:
        picks = tuple(_pick(project, image, rank) for rank, image in enumerate(images, 1))
        batch = Outgoing(0, project.labeling, picks, project.index.root)
        FORMATS[form].load().write(batch, out)
    return len(images)


def _class(project: Project, image: PoolImage) -> str:
    shapes = project.labels.labels[image.sha256].answer.shapes
    return shapes[0].label


def _place(image: PoolImage, folder: Path) -> None:
    """Copy an image; one of the same name from another folder gets its folder's name in front."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / image.path.name
    if path.exists():
        path = folder / image.key.replace("/", "_")
    shutil.copyfile(image.path, path)


def _pick(project: Project, image: PoolImage, rank: int) -> Pick:
    shapes: tuple[Shape, ...] = project.labels.labels[image.sha256].answer.shapes
    return Pick(image, rank, "", drafts=shapes)
