"""Label Studio's exported tasks: which annotation counts, and what it says of the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from models.process.text import shown
from tasks.faults import Fault, finite
from tasks.labelable import Labeling
from tools.label.formats import kinds
from tools.label.formats.label_studio_shapes import Regions
from tools.label.formats.names import SUFFIXES
from tools.label.formats.sources import Source, damaged, json_of
from tools.label.labels import Entry, PoolImage, State

AS_JSON = "in Label Studio, export as JSON (not JSON-MIN, CSV or COCO)"
OLDEST = datetime.min.replace(tzinfo=timezone.utc)


def read(path: Path, labeling: Labeling, images: Mapping[str, PoolImage]) -> list[Entry]:
    """Read exported tasks; those without an annotation are not entries, as nobody did them."""
    shas: dict[str, list[str]] = {}
    for key, image in images.items():
        shas.setdefault(image.sha256, []).append(key)
    entries: list[Entry] = []
    with Source(path) as source:
        names = source.names if len(source.names) == 1 else source.ending(".json")
        if not names:
            raise damaged(kinds.WRONG_FORM, str(path), "a json", "none in it", AS_JSON)
        for name in names:
            where = source.where(name)
            for place, task in enumerate(_tasks(json_of(source.read(name), where), where)):
                entries += _entries(task, f"{where}, [{place}]", labeling, images, shas)
    return entries


def _tasks(data: object, where: str) -> list[object]:
    """The tasks in a json: a list, or one as cloud storages get it."""
    if isinstance(data, dict) and "data" in data:
        data = [data]
    if not isinstance(data, list):
        came = f"an object with {shown(list(data)[:4])}" if isinstance(data, dict) else shown(data)
        raise damaged(kinds.WRONG_FORM, where, "a list of tasks", came, AS_JSON)
    records = [task for task in data if isinstance(task, dict)]
    if records and not any("annotations" in task for task in records):
        came = "tasks without any"
        if any("annotation_id" in task for task in records):
            came = "JSON-MIN"
        elif any("completions" in task for task in records):
            came = "`completions`, of a version before 1.0"
        raise damaged(kinds.WRONG_FORM, where, "tasks with `annotations`", came, AS_JSON)
    return data


def _entries(
    task: object,
    where: str,
    labeling: Labeling,
    images: Mapping[str, PoolImage],
    shas: Mapping[str, list[str]],
) -> Iterator[Entry]:
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        fault = Fault(
            kinds.BROKEN_RECORD, where, "a task with `data`", shown(task), "export it anew"
        )
        yield Entry("", where, None, faults=(fault,))
        return
    if isinstance(task.get("id"), int):
        where = f"{where}, task {task['id']}"
    name, faults = _name(task["data"], where, images, shas)
    annotations = task.get("annotations", [])
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        faults.append(
            Fault(
                kinds.BROKEN_RECORD,
                where,
                "a list of annotations",
                shown(annotations),
                "export it anew",
            )
        )
        yield Entry(name, where, None, faults=tuple(faults))
    elif annotations:
        newest = max(annotations, key=_time)
        faults += _two_persons(annotations, where)
        yield _entry(newest, name, where, labeling, images.get(name), faults)


def _name(
    data: dict[str, Any], where: str, images: Mapping[str, PoolImage], shas: Mapping[str, list[str]]
) -> tuple[str, list[Fault]]:
    """The image's key, or what else names it."""
    key, sha = data.get("key"), data.get("sha256")
    if isinstance(key, str) and key in images:
        if isinstance(sha, str) and sha and sha != images[key].sha256:
            remedy = "label the image as it is now, or put the former file back"
            came = f"another content, {shown(images[key].path)}"
            return key, [Fault(kinds.CHANGED_IMAGE, where, f"sha256 {sha}", came, remedy)]
        return key, []
    if isinstance(sha, str) and len(shas.get(sha, ())) == 1:  # moved or renamed since
        return shas[sha][0], []
    texts = [data[field] for field in ("image", "key") if isinstance(data.get(field), str)]
    for value in data.values():
        if isinstance(value, str) and value.lower().partition("?")[0].endswith(tuple(SUFFIXES)):
            texts.append(value)
    if texts and texts[0]:
        return texts[0], []
    remedy = "import tasks whose data has `image`"
    return "", [Fault(kinds.NO_IMAGE, where, "the image in `data`", shown(data), remedy)]


def _time(annotation: dict[str, Any]) -> datetime:
    """When an annotation was last changed; `OLDEST` where no field says it as a time."""
    for field in ("updated_at", "created_at"):
        text = annotation.get(field)
        if isinstance(text, str):
            try:
                time = datetime.fromisoformat(text.replace("Z", "+00:00"))
            except ValueError:  # the other field may be a time
                continue
            if time.tzinfo is None:
                time = time.replace(tzinfo=timezone.utc)
            return time
    return OLDEST


def _person(annotation: dict[str, Any]) -> str:
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        by = by.get("email") or by.get("id")
    if isinstance(by, (str, int)) and not isinstance(by, bool):
        return shown(by) if isinstance(by, int) else by
    return ""


def _two_persons(annotations: list[dict[str, Any]], where: str) -> list[Fault]:
    persons = sorted({_person(one) for one in annotations})
    if len(persons) < 2:
        return []
    return [
        Fault(
            kinds.TWO_PERSONS,
            where,
            "one person's annotation",
            f"those of {shown(persons)}",
            "delete all but one",
        )
    ]


def _entry(
    annotation: dict[str, Any],
    name: str,
    where: str,
    labeling: Labeling,
    image: PoolImage | None,
    faults: list[Fault],
) -> Entry:
    by = _person(annotation)
    seconds = annotation.get("lead_time")
    if seconds is not None and (not finite(seconds) or seconds < 0):
        remedy = "export it anew, or delete `lead_time`"
        faults.append(
            Fault(kinds.BAD_SECONDS, where, "seconds as lead_time", shown(seconds), remedy)
        )
        seconds = None
    elif seconds is not None:
        seconds = float(seconds)
    cancelled = annotation.get("was_cancelled", False)
    if cancelled not in (False, True, None):
        remedy = "export it anew"
        came = shown(cancelled)
        faults.append(Fault(kinds.BAD_STATE, where, "was_cancelled true or false", came, remedy))
        return Entry(name, where, None, by=by, faults=tuple(faults))
    if cancelled:
        return Entry(name, where, "skipped", seconds=seconds, by=by, faults=tuple(faults))
    result = annotation.get("result")
    if not isinstance(result, list):
        expected = "a list as `result`"
        faults.append(Fault(kinds.BROKEN_RECORD, where, expected, shown(result), "export it anew"))
        return Entry(name, where, None, by=by, faults=tuple(faults))
    regions = Regions(labeling, where, image)
    shapes = regions.shapes(result)
    state: State = "labeled" if result else "empty"
    return Entry(
        name,
        where,
        state,
        tuple(shapes),
        regions.size,
        seconds,
        by,
        (*faults, *regions.faults),
    )
