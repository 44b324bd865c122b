"""Label Studio's own json: tasks with predictions go out, tasks with annotations come back.

Its COCO export merges all persons of an image and rounds: it is not what to bring back.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tasks.labelable import Kind, Labeling
from tools.label.formats.label_studio_regions import results, tags
from tools.label.formats.label_studio_tasks import read as read
from tools.label.formats.writing import begin, child, distinct, put_json, put_text
from tools.label.labels import Outgoing, Pick, PoolImage

KINDS: frozenset[Kind] = frozenset(("boxes", "poses", "classes"))
TASKS = "tasks.json"
CONFIG = "labeling_config.xml"
SERVED = "/data/local-files/?d="
OWN = frozenset(("image", "key", "batch", "sha256", "rank", "reason"))  # fields of a task's data


def write(batch: Outgoing, folder: Path) -> list[str]:
    """Write the tasks and the labeling configuration; the images are served where they are."""
    begin(batch, folder, "Label Studio", KINDS)
    put_text(folder / CONFIG, configuration(batch.labeling))
    put_json(folder / TASKS, tasks(batch))
    root = batch.root.absolute()
    return [
        "Start Label Studio so that it may serve the images: "
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true "
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root.parent} label-studio start",
        f"Make a project; under Settings, Labeling Interface, Code paste {folder / CONFIG}",
        "Under Settings, Cloud Storage add a source storage of the kind Local files with the path "
        f"{root} (it need not be synced)",
        f"Import {folder / TASKS}; sort by `rank`. Submit an image without anything to draw as it "
        "is; Skip one that cannot be judged",
        "Export as JSON (not JSON-MIN, not COCO), and add that file",
    ]


def configuration(labeling: Labeling) -> str:
    """The labeling configuration, in Label Studio's XML."""
    view = ET.Element("View")
    child(view, "Header", value="$reason", size=5)
    turning = "false"
    child(view, "Image", name="image", value="$image", zoomControl="true", rotateControl=turning)
    tags(view, labeling)
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


def local_url(root: Path, image: PoolImage) -> str:
    """Where Label Studio serves an image whose document root is the folder above `root`."""
    return SERVED + quote(f"{root.absolute().name}/{image.key}".lstrip("/"))


def tasks(batch: Outgoing) -> list[dict[str, Any]]:
    """A task for each image."""
    return [_task(batch, pick) for pick in batch.picks]


def _task(batch: Outgoing, pick: Pick) -> dict[str, Any]:
    image = pick.image
    data: dict[str, Any] = {
        "image": local_url(batch.root, image),
        "key": image.key,
        "batch": batch.number,
        "sha256": image.sha256,
        "rank": pick.rank,
        "reason": pick.reason,
    }
    data |= _signals(pick.signals)
    task: dict[str, Any] = {"data": data}
    if pick.drafts is not None:
        # Label Studio cuts ids at "#", where it adds its own number of the annotation
        wanted = ["" if "#" in shape.id else shape.id for shape in pick.drafts]
        ids = distinct(wanted, lambda place: f"b{batch.number}r{pick.rank}s{place}")
        scores = [shape.score for shape in pick.drafts if shape.score is not None]
        prediction: dict[str, Any] = {
            "model_version": batch.model or f"batch {batch.number}",
            "result": results(pick.drafts, ids, image.size, batch.labeling),
        }
        if scores:
            prediction["score"] = sum(scores) / len(scores)
        task["predictions"] = [prediction]
    return task


def _signals(signals: Mapping[str, float]) -> dict[str, float | str]:
    """The signals as columns of the Data Manager; json has no number for NaN."""
    columns: dict[str, float | str] = {}
    for name, value in signals.items():
        column = f"signal_{name}" if name in OWN else name
        columns[column] = float(value) if math.isfinite(value) else str(value)
    return columns
