"""The batches of a project, as they went out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from models.process.files import replacing
from tasks.labelable import Labeling
from tools.label.labels import LabelError, Outgoing, Pick, PoolImage, Shape
from tools.label.versions import listed, shape_json, shape_of

FOLDER, FILE = "batches", "batch.json"
By = Literal["validation", "strategy", "random"]


@dataclass(frozen=True)
class Choice:
    """An image that a batch asks for.

    Args:
        sha256: of its bytes.
        key: its path below the pool's folder, as it was when the batch went out.
        by: whether it is of the validation slice, was chosen by the strategy, or drawn at random
            for comparison.
        reason: why it was chosen, in words.
        signals: the numbers by which it was chosen.
        drafts: what the network predicted; empty where it predicted nothing, or there was none.
        blind: whether people do not see it.
        twin: the key of an earlier image of the batch that looks almost the same; else empty.
    """

    sha256: str
    key: str
    by: By
    reason: str
    signals: Mapping[str, float] = field(default_factory=dict)
    drafts: tuple[Shape, ...] = ()
    blind: bool = True
    twin: str = ""


@dataclass(frozen=True)
class Batch:
    """A batch as it went out.

    Args:
        number: from 0.
        labels: the version of the labels that its round was trained on; -1 where there were none.
        trained: whether its round trained a network.
        model: which network made the drafts, in words; empty if none did.
        choices: by rank.
    """

    number: int
    labels: int
    trained: bool
    model: str
    choices: tuple[Choice, ...]

    def text(self) -> str:
        """As json, with a line for each image."""
        head = {"batch": self.number, "labels": self.labels, "trained": self.trained}
        rows = [json.dumps(_plain(rank, one)) for rank, one in enumerate(self.choices, 1)]
        return listed({**head, "model": self.model}, "picks", rows)

    def outgoing(self, labeling: Labeling, root: Path, images: Mapping[str, PoolImage]) -> Outgoing:
        """The batch for a labeling tool.

        Args:
            labeling: what is to be drawn.
            root: the pool's folder.
            images: those that are there, by the hash of their bytes.

        Raises:
            LabelError: if an image is gone.
        """
        gone = [one.key for one in self.choices if one.sha256 not in images]
        if gone:
            raise LabelError(
                f"batch {self.number}: expected its images in {root}, but {len(gone)} are gone, "
                f"as {gone[0]!r}; put them back"
            )
        picks = tuple(
            Pick(
                images[one.sha256],
                rank,
                one.reason,
                one.signals,
                None if one.blind else one.drafts,
            )
            for rank, one in enumerate(self.choices, 1)
        )
        return Outgoing(self.number, labeling, picks, root, self.model)


def _plain(rank: int, one: Choice) -> dict[str, Any]:
    values: dict[str, Any] = {"rank": rank, "key": one.key, "sha256": one.sha256, "by": one.by}
    values |= {"reason": one.reason, "signals": dict(one.signals), "blind": one.blind}
    if one.twin:
        values["twin"] = one.twin
    return {**values, "drafts": [shape_json(shape) for shape in one.drafts]}


def _choice(values: Mapping[str, Any]) -> Choice:
    by = values["by"]
    if by not in ("validation", "strategy", "random"):
        raise ValueError(f"expected who chose the image, but got {by!r}")
    signals = {str(name): float(value) for name, value in values["signals"].items()}
    drafts = tuple(map(shape_of, values["drafts"]))
    names = (str(values["sha256"]), str(values["key"]), by, str(values["reason"]))
    return Choice(*names, signals, drafts, bool(values["blind"]), str(values.get("twin", "")))


def folder_of(project: Path, number: int) -> Path:
    """The folder of a batch."""
    return project / FOLDER / f"{number:02d}"


def write(project: Path, batch: Batch) -> None:
    """Write a batch; from then on it has gone out."""
    with replacing(folder_of(project, batch.number) / FILE) as beside:
        beside.write_text(batch.text(), encoding="utf-8")


def read(project: Path) -> tuple[Batch, ...]:
    """Read all batches.

    Raises:
        LabelError: if one is damaged, or missing between others.
    """
    paths = sorted((project / FOLDER).glob(f"*/{FILE}"))
    batches = tuple(map(_read, paths))
    if [batch.number for batch in batches] != list(range(len(batches))):
        raise LabelError(
            f"{project / FOLDER}: expected batches from 0 on, but got "
            f"{[batch.number for batch in batches]}; restore the missing one"
        )
    return batches


def _read(path: Path) -> Batch:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        choices = tuple(map(_choice, values["picks"]))
        about = (int(values["batch"]), int(values["labels"]), bool(values["trained"]))
        return Batch(*about, str(values["model"]), choices)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabelError(
            f"{path} is damaged ({type(error).__name__}: {error}); restore it"
        ) from error


def asked(batches: Sequence[Batch]) -> dict[str, int]:
    """The newest batch that asked for each image, by the hash of its bytes."""
    return {one.sha256: batch.number for batch in batches for one in batch.choices}
