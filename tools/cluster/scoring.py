"""What computes the signals of a pool's samples: this process, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from acquisition.scoring import Pass, Samples, score
from acquisition.settings import ScoringSettings
from models.training.joint import JointModel
from tools.cluster.extra import require_ray
from tools.experiment.config import Experiment


class Scorer(Protocol):
    """`acquisition.scoring.score`, or what does the same elsewhere."""

    def __call__(
        self,
        model: JointModel,
        samples: Samples,
        names: Sequence[str],
        settings: ScoringSettings,
        how: Pass | None = None,
    ) -> dict[str, np.ndarray]:
        """See `acquisition.scoring.score`."""
        ...


@contextmanager
def scorer(
    address: str | None,
    experiment: Experiment,
    say: Callable[[str], None],
    size: int | None = None,
) -> Iterator[Scorer]:
    """Yield what scores the pool of an experiment while the block runs.

    The rows are the same, bit for bit where the processors are alike and there are no GPUs.

    Args:
        address: of a Ray cluster, see `tools.cluster.joining.cluster`; None is this process.
        experiment: whose config other processes can read: its files lie at the same paths there.
        say: prints a line.
        size: samples of a shard, see `tools.cluster.shards.Shards`.

    Raises:
        ConfigError: if Ray is missing, or its cluster does not answer, is too small or does not
            see the same pool.
    """
    if address is None:
        yield score
        return
    require_ray()
    from tools.cluster.joining import cluster
    from tools.cluster.shards import Shards

    with cluster(address, store=None):
        yield Shards(experiment, say, size)
