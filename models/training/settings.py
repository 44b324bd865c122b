"""The settings of a training, the module and a committee.

Reading a config, or the settings of a run that is finished, needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt, MinLen

CHECKPOINT = "checkpoint.pth"  # the newest of a training, in its folder
# of a committee; "previous" is the model beside that of the cycle before
Kind = Literal["ensemble", "dropout", "previous"]
Mode = Literal["joint", "detached", "off"]  # of the module in a model
Pooling = Literal["gap", "conv_gap"]
Objective = Literal["ranking", "mse", "kl", "dynamics"]


@dataclass(frozen=True)
class TrainingSettings:
    """One training, the same for every strategy; optimiser and schedule start anew in every cycle.

    Args:
        epochs: passes over the labeled samples.
        batch_size: samples an iteration (and a process, if there are several).
        optimizer: mmengine's form of a torch optimiser, ``dict(type=SGD, lr=1e-3)``.
        schedule: mmengine's parameter schedulers, each a dict.
        clip_grad: keyword arguments of `torch.nn.utils.clip_grad_norm_`, or None.
        start: ``"scratch"`` initialises the network in every cycle, ``"warm"`` goes on from the
            last cycle's weights.
        amp: bfloat16 mixed precision for the network; losses and the module stay in float32.
        channels_last: keep the network's maps and weights in memory pixel by pixel, as GPUs' and
            CPUs' bfloat16 convolutions want them; numbers differ by rounding.
        compile: torch.compile the network for training; takes a C++ compiler, and a minute at the
            first batch.
        deterministic: the same bytes each time on a GPU, too, where torch can; slower there.
        workers: data-loading processes.
        checkpoint_every: epochs between two checkpoints; a killed run goes on from the newest.
        keep_weights: ``"last"`` keeps the newest cycle's weights; ``"all"`` each cycle's, without
            the optimiser's state, for `al_predict.py --cycle` and `al_export.py --cycle`. Of an
            ensemble they are the first network's.
    """

    epochs: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(2)]
    optimizer: dict[str, Any]
    schedule: Sequence[dict[str, Any]] = ()
    clip_grad: dict[str, Any] | None = None
    start: Literal["scratch", "warm"] = "scratch"
    amp: bool = False
    channels_last: bool = False
    compile: bool = False
    deterministic: bool = False
    workers: Annotated[int, Ge(0)] = 2
    checkpoint_every: Annotated[int, Ge(1)] = 1
    keep_weights: Literal["last", "all"] = "last"


@dataclass(frozen=True)
class ModuleSettings:
    """How the loss-prediction module is built and trained.

    Args:
        mode: ``"auto"`` trains it jointly where the strategy needs predicted losses and leaves it
            out elsewhere; ``"joint"``, ``"detached"`` (the network gets none of its gradient) and
            ``"off"`` make the control runs that separate the effect of joint training from that of
            the choice.
        width: features kept of each tap.
        pooling: ``"gap"`` or ``"conv_gap"``.
        taps: names of the taps that the module reads; None means all that the network declares.
        objective: ``"ranking"``, ``"mse"`` or ``"kl"`` of the losses; ``"dynamics"`` learns the
            mean of each sample's class probabilities over the epochs instead (TiDAL).
        margin: of the ranking objective.
        weight: lambda, the objective's weight beside the task's loss.
        detach_epoch: from this epoch on (counted from 0) the taps are detached; None means never.
    """

    mode: Literal["auto", "joint", "detached", "off"] = "auto"
    width: Annotated[int, Ge(1)] = 128
    pooling: Pooling = "gap"
    taps: Annotated[tuple[str, ...], MinLen(1)] | None = None
    objective: Objective = "ranking"
    margin: Annotated[float, Gt(0)] = 1.0
    weight: Annotated[float, Gt(0)] = 1.0
    detach_epoch: Annotated[int, Ge(0)] | None = None

    def resolved(self, needed: bool) -> Mode:
        """The mode that "auto" stands for: "joint" if predicted losses are needed, else "off"."""
        if self.mode == "auto":
            return "joint" if needed else "off"
        return self.mode


@dataclass(frozen=True)
class CommitteeSettings:
    """Settings of the strategies that use a committee; others ignore them.

    Args:
        members: networks of an ensemble, each trained from a seed of its own; the first is the one
            that is evaluated.
        passes: through a network with dropout.
        dropout: share of the channels that are dropped after each layer of `dropout_at`, in
            training and in the passes.
        dropout_at: names of the network's layers, with `*` for any characters but dots; none where
            the network has dropout of its own.
    """

    members: Annotated[int, Ge(2)] = 3
    passes: Annotated[int, Ge(2)] = 10
    dropout: Annotated[float, Gt(0), Lt(1)] = 0.1
    dropout_at: tuple[str, ...] = ()
