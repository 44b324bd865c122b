"""The named strategies; `docs/strategies.md` has their papers and every difference from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acquisition.box_steps import BagMedoids, DifficultyCalibrated, DiversePrototypes
from acquisition.class_steps import ClaSP, RandomForeground, RandomMatched, RandomStratified
from acquisition.cover_steps import DCoM, MaxHerding, ProbCover, UHerding
from acquisition.steps import (
    Badge,
    Densest,
    DropQuery,
    GumbelRanks,
    Highest,
    KCenter,
    NearestToCentroids,
    RandomSubset,
    Shuffled,
    Step,
    Typical,
)
from models.training.settings import Objective


@dataclass(frozen=True)
class Strategy:
    """The steps by which samples are chosen.

    Args:
        steps: each narrows the candidates.
        objective: of the loss-prediction module, where the strategy sets it; None leaves the
            config's.
    """

    steps: tuple[Step, ...]
    objective: Objective | None = None


def named_strategies(subset: int | None = None, keep: int = 4) -> dict[str, Strategy]:
    """The strategies by name.

    Args:
        subset: strategies with scores read so many random candidates alone, or all (None).
        keep: chains keep so many times the budget by score before they choose by place.
    """

    def scored(*steps: Step, objective: Objective | None = None) -> Strategy:
        """A strategy whose steps follow the random subset."""
        return Strategy(sampled(subset, steps), objective)

    highest = (
        "entropy",
        "margin",
        "least_confident",
        "ensemble_variance",
        "ensemble_bald",
        "dropout_entropy",
        "dropout_bald",
    )
    loss = "predicted_loss"
    return {
        "random": Strategy((RandomSubset(),)),
        "learning_loss": scored(Highest(loss)),
        "learning_loss_mse": scored(Highest(loss), objective="mse"),
        "learning_loss_kl": scored(Highest(loss), objective="kl"),
        "tidal": scored(Highest("dynamics_entropy"), objective="dynamics"),
        "tidal_margin": scored(Highest("dynamics_margin"), objective="dynamics"),
        **{name: scored(Highest(name)) for name in highest},
        "coreset": scored(KCenter()),
        "density": scored(Densest()),
        "kmeans": scored(NearestToCentroids()),
        "typiclust": scored(Typical()),
        "badge": scored(Badge()),
        "maxherding": scored(MaxHerding()),
        "uherding": scored(UHerding()),
        "probcover": scored(ProbCover()),
        "dcom": scored(DCoM()),
        "dropquery": scored(DropQuery()),
        "tod": scored(Highest("change")),
        "mpe": scored(Highest("peak_entropy")),
        "clasp": scored(ClaSP("entropy")),
        "learning_loss_coreset": scored(Highest(loss, keep), KCenter()),
        "entropy_coreset": scored(Highest("entropy", keep), KCenter()),
        "power_learning_loss": scored(GumbelRanks(loss)),
        "enms": scored(Highest("enms")),
        "divproto": scored(DiversePrototypes()),
        "ppal": scored(DifficultyCalibrated(keep), BagMedoids()),
        "hua": scored(Highest("hua")),
        "localisation": scored(Highest("localisation")),
        "random_stratified": scored(RandomStratified()),
        "random_foreground": scored(RandomForeground()),
        "random_matched": scored(RandomMatched()),
        "oracle_loss": scored(Highest("loss")),
        "placebo": scored(Shuffled(loss)),
    }


def sampled(subset: int | None, steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps, after a random subset if there is one."""
    if subset is None:
        return tuple(steps)
    return (RandomSubset(subset), *steps)
