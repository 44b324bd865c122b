"""Predictions that people correct, by the network of a round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.deployable import Record, Subject
from tasks.labelable import Labeling
from tools.deploy.predicting import predict
from tools.deploy.trained import Trained, of_task
from tools.experiment.config import Experiment
from tools.label.labels import Joint, PoolImage, Shape


def network_of(experiment: Experiment, folder: Path) -> Trained:
    """The network that a round trained.

    Raises:
        DeployError: if the task cannot be deployed, or the weights are gone.
    """
    return of_task(folder, experiment.task)


def drafts(
    one: Trained, images: Sequence[PoolImage], labeling: Labeling, least: float
) -> dict[str, tuple[Shape, ...]]:
    """What the network predicts of each image, surest first, by the hash of its bytes.

    Args:
        one: the network.
        images: to predict.
        labeling: what people draw.
        least: score of a prediction; of classes the likeliest one is always taken.
    """
    found = predict(one, [Subject(image.path) for image in images])
    names = {category["id"]: category["name"] for category in one.deployment.categories}
    shapes = {}
    for image in images:
        records = found.records.get(image.path, [])
        own = [_shape(record, names, labeling, image.size) for record in records]
        sure = [shape for shape in own if labeling.kind == "classes" or (shape.score or 0) >= least]
        ordered = sorted(sure, key=lambda shape: -(shape.score or 0))
        shapes[image.sha256] = tuple(
            Shape(shape.label, shape.box, shape.joints, shape.score, f"draft{number}")
            for number, shape in enumerate(ordered, 1)
        )
    return shapes


def _shape(
    record: Record, names: Mapping[int, str], labeling: Labeling, size: tuple[int, int]
) -> Shape:
    """A record as a shape inside the image."""
    if labeling.kind == "classes":
        label = str(record["class"])
        return Shape(label, score=float(record.get(f"p_{label}", 1.0)))
    width, height = size
    x, y, w, h = map(float, record["bbox"])
    left, right = (_within(value, width) for value in (x, x + w))
    top, bottom = (_within(value, height) for value in (y, y + h))
    box = (left, top, right - left, bottom - top)
    score = float(record["score"])
    if labeling.kind == "boxes":
        return Shape(names[record["category_id"]], box, score=score)
    flat = list(map(float, record["keypoints"]))
    places = zip(flat[::3], flat[1::3], strict=True)
    joints = tuple(Joint(_within(a, width), _within(b, height), 2) for a, b in places)
    return Shape(labeling.classes[0], box, joints, score)


def _within(value: float, end: int) -> float:
    return min(max(value, 0.0), float(end))
