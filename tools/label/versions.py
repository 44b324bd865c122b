"""The labels of a project: each change is a new version, and the earlier ones stay."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from models.process.files import replacing
from models.process.text import shown
from tools.label.labels import Answer, Joint, LabelError, Shape, State

FOLDER = "labels"


@dataclass(frozen=True)
class Cost:
    """What a person did with what was predicted; counts.

    Args:
        kept: predicted boxes (or classes) that stayed as they were.
        moved: predicted boxes whose sides were changed.
        renamed: predicted boxes (or classes) that got another class.
        deleted: predicted boxes that went.
        added: boxes that nothing was predicted for; all of a blind image.
        joints: joints that were drawn, moved, or marked anew.
    """

    kept: int = 0
    moved: int = 0
    renamed: int = 0
    deleted: int = 0
    added: int = 0
    joints: int = 0


@dataclass(frozen=True)
class Labeled:
    """The label of an image.

    Args:
        answer: what people said.
        batch: the number of the batch that asked for it; None if it came without being asked for.
        cost: what it took.
    """

    answer: Answer
    batch: int | None = None
    cost: Cost = Cost()


@dataclass(frozen=True)
class Version:
    """All labels at a time.

    Args:
        number: from 0; it is -1 where there are none yet.
        source: the file that they came from, with its hash.
        labels: of each image, by the hash of its bytes.
    """

    number: int = -1
    source: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Labeled] = field(default_factory=dict)

    @property
    def states(self) -> Counter[State]:
        """How many images are labeled, empty and skipped."""
        return Counter(one.answer.state for one in self.labels.values())

    def text(self) -> str:
        """As json, with a line for each image."""
        rows = [
            json.dumps({"sha256": sha256, **_plain(one)}) for sha256, one in self.labels.items()
        ]
        return listed({"version": self.number, "source": dict(self.source)}, "labels", rows)


def listed(head: Mapping[str, Any], name: str, rows: Sequence[str]) -> str:
    """A json object whose last item is a list with a line for each of its items.

    >>> print(listed({"a": 1}, "rows", ["2", "3"]), end="")
    {"a": 1, "rows": [
    2,
    3
    ]}
    """
    lines = ",\n".join(rows)
    return f"{json.dumps(dict(head))[:-1]}, {json.dumps(name)}: [\n{lines}\n]}}\n"


def _plain(one: Labeled) -> dict[str, Any]:
    answer = one.answer
    values: dict[str, Any] = {"key": answer.key, "state": answer.state, "batch": one.batch}
    values |= {"seconds": answer.seconds, "by": answer.by, "cost": asdict(one.cost)}
    values["shapes"] = [shape_json(shape) for shape in answer.shapes]
    return values


def shape_json(shape: Shape) -> dict[str, Any]:
    """A shape as a json holds it, without what it has not."""
    values: dict[str, Any] = {"label": shape.label}
    if shape.box is not None:
        values["box"] = list(shape.box)
    if shape.joints:
        values["joints"] = [[joint.x, joint.y, joint.visibility] for joint in shape.joints]
    if shape.score is not None:
        values["score"] = shape.score
    if shape.id:
        values["id"] = shape.id
    return values


def shape_of(values: Mapping[str, Any]) -> Shape:
    """What `shape_json` wrote.

    Raises:
        ValueError, KeyError, TypeError: if it is damaged.
    """
    box = None
    if "box" in values:
        x, y, width, height = map(float, values["box"])
        box = (x, y, width, height)
    joints = tuple(Joint(float(x), float(y), int(v)) for x, y, v in values.get("joints", ()))
    score = values.get("score")
    return Shape(str(values["label"]), box, joints, score, str(values.get("id", "")))


def _labeled(values: Mapping[str, Any]) -> Labeled:
    state = values["state"]
    if state not in ("labeled", "empty", "skipped"):
        raise ValueError(f"expected a state, but got {shown(state)}")
    shapes = tuple(map(shape_of, values["shapes"]))
    answer = Answer(str(values["key"]), state, shapes, values["seconds"], str(values["by"]))
    return Labeled(answer, values["batch"], Cost(**values["cost"]))


def path_of(folder: Path, number: int) -> Path:
    """The file of a version."""
    return folder / FOLDER / f"{number:02d}.json"


def newest(folder: Path) -> int:
    """The number of the newest version; -1 if there is none."""
    numbers = [int(path.stem) for path in (folder / FOLDER).glob("*.json") if path.stem.isdigit()]
    return max(numbers, default=-1)


def read(folder: Path, number: int | None = None) -> Version:
    """Read a version of the labels; the newest one by default, which may be none.

    Raises:
        LabelError: if its file is damaged.
    """
    if number is None:
        number = newest(folder)
    if number < 0:
        return Version()
    path = path_of(folder, number)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        labels = {str(row["sha256"]): _labeled(row) for row in values["labels"]}
        return Version(int(values["version"]), dict(values["source"]), labels)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabelError(
            f"{path} is damaged ({type(error).__name__}: {error}); restore it, or remove it to go "
            "back to the version before"
        ) from error


def write(folder: Path, version: Version) -> Path:
    """Write a version, whole or not at all."""
    path = path_of(folder, version.number)
    with replacing(path) as beside:
        beside.write_text(version.text(), encoding="utf-8")
    return path


def after(before: Version, came: Mapping[str, Labeled], source: Mapping[str, str]) -> Version:
    """The version in which these labels are new, or take the place of earlier ones."""
    return replace(
        before, number=before.number + 1, source=source, labels={**before.labels, **came}
    )
