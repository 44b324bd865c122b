"""The settings of the passes that do not train; reading them needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

Aggregate = Literal["mean", "max", "sum"]


@dataclass(frozen=True)
class ScoringSettings:
    """The passes that do not train: evaluation, scoring, and the measure of the module's ranking.

    Args:
        batch_size: samples a forward pass; with ``"auto"`` a run measures once what is fastest and
            keeps it.
        workers: data-loading processes.
        amp: bfloat16 for the network in scoring; signals and the module's predictions are float32
            all the same.
        channels_last: the network's memory format in scoring; a matter of speed alone.
        control: unlabeled samples, drawn at random in each cycle, on which the module's ranking is
            measured.
        aggregate: how the scores of a sample's distributions (boxes, joints) become one.
        embedding: name of the tap whose mean over the map is a sample's embedding; None means the
            last one.
        keep_vectors: save the vectors of the candidates that strategies by place read, so that
            `al_verify.py` can replay their picks; else their hash alone is saved.
        save: further signals to compute and save beside those that the strategy reads, so that
            `al_replay.py` can ask other strategies; a strategy that reads none then scores all
            unlabeled samples.
    """

    batch_size: Annotated[int, Ge(1)] | Literal["auto"]
    workers: Annotated[int, Ge(0)] = 2
    amp: bool = False
    channels_last: bool = False
    control: Annotated[int, Ge(0)] = 500
    aggregate: Aggregate = "mean"
    embedding: str | None = None
    keep_vectors: bool = True
    save: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Samples a forward pass.

        Raises:
            ValueError: if that is still to be measured.
        """
        if self.batch_size == "auto":
            raise ValueError(
                "Expected a number for `scoring.batch_size`, but got 'auto'; a run measures it "
                "first"
            )
        return self.batch_size
