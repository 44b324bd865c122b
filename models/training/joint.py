"""Network and loss-prediction module as one mmengine model: the only place where the two meet.

Training and scoring take taps and predicted losses from the same two methods, so they cannot
differ.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from models.loss_prediction import (
    LossPrediction,
    dynamics_loss,
    kl_loss,
    mse_loss,
    ranking_loss,
    refuse_tokens,
)
from models.output import Output, Tap
from models.training.dynamics import Dynamics
from models.training.numbered import IDS
from models.training.settings import Mode, ModuleSettings

Forward = Callable[[nn.Module, Any, frozenset[str]], Output]
Predict = Callable[[nn.Module, Any], list]


class NonFiniteLoss(FloatingPointError):
    """A loss that is not finite, found before it changed any weight.

    Args:
        terms: the batch's losses by name.
        samples: the task's loss of each sample of the batch; empty where none was asked for.
    """

    def __init__(self, terms: dict[str, float], samples: list[float]) -> None:
        self.terms = terms
        self.samples = samples
        super().__init__(f"Expected finite losses, but got {terms}")


class JointModel(BaseModel):
    """A task's network with the loss-prediction module, as one mmengine model.

    It has mmengine's modes "loss" and "predict". With the module off, it is the network alone.

    Args:
        network: the task's network, initialised.
        forward: the task's `forward`.
        predict: the task's `predict`.
        taps: the taps that the task declares.
        settings: of the module.
        mode: ``"joint"``, ``"detached"`` or ``"off"``.
        fields: what the task's `forward` can return; with "objective" among them, training
            minimises that, and asks for the samples' losses for the module alone.
        classes: between which the network decides once a sample; the objective "dynamics" needs
            it.

    Attributes:
        dynamics: the means of probabilities that the module learns; None if it learns losses.

    Raises:
        ValueError: if the module cannot be built on the taps, or lacks the classes to learn.
    """

    def __init__(
        self,
        network: nn.Module,
        forward: Forward,
        predict: Predict,
        taps: Sequence[Tap],
        settings: ModuleSettings,
        mode: Mode,
        fields: Collection[str] = (),
        classes: int | None = None,
    ) -> None:
        # only moves a batch to the device; loaders pin what they read, so nothing waits for the
        # copy
        super().__init__(dict(type="BaseDataPreprocessor", non_blocking=True))
        self.network = network
        # must not be called `module`: mmengine would take this model for a wrapper and optimise
        # that attribute alone
        self.loss_prediction: LossPrediction | None = None
        self.dynamics: Dynamics | None = None
        self.read = read_taps(taps, settings.taps)
        if mode != "off":
            read = [taps[place] for place in self.read]
            if any(tap.tokens for tap in read):
                refuse_tokens(settings.pooling)
            if settings.objective == "dynamics":
                if classes is None:
                    raise ValueError(
                        "Expected a network that decides once a sample for the objective "
                        "'dynamics', but the task has no `classes_decided`"
                    )
                self.dynamics = Dynamics(classes)
            self.loss_prediction = LossPrediction(
                [tap.channels for tap in read],
                settings.width,
                settings.pooling,
                classes if self.dynamics else None,
            )
        self.settings = settings
        self.detach_from = 0 if mode == "detached" else settings.detach_epoch
        self.detached = False
        self.wanted = _wanted(self.loss_prediction is not None, fields)
        if self.dynamics is not None:
            self.wanted |= {"probs"}
        self._task_forward = forward
        self._task_predict = predict

    def init_weights(self) -> None:
        """Do nothing, because `Task.build` returns an initialised network."""

    def start_epoch(self, epoch: int) -> None:
        """Detach the taps from `detach_from` on.

        A function of the epoch alone, so right after a resume too.
        """
        self.detached = self.detach_from is not None and epoch >= self.detach_from

    def output(self, batch: dict[str, Any], want: frozenset[str]) -> Output:
        """One forward pass of the network over a collated batch, moved to the network's device."""
        return self._task_forward(self.network, self.data_preprocessor(batch), want)

    def predicted_loss(self, taps: Sequence[Tensor]) -> Tensor:
        """(B,) predicted losses from the network's taps."""
        if self.dynamics is not None:
            raise RuntimeError("Expected a module that learns losses, but it learns dynamics")
        return self.predicted(taps)

    def predicted_dynamics(self, taps: Sequence[Tensor]) -> Tensor:
        """(B, C) predicted means of class probabilities from the network's taps."""
        if self.dynamics is None:
            raise RuntimeError("Expected a module that learns dynamics, but it learns losses")
        return self.predicted(taps).softmax(dim=1)

    def predicted(self, taps: Sequence[Tensor]) -> Tensor:
        """What the module says, losses (B,) or logits (B, C), in float32 also in mixed precision.

        Raises:
            RuntimeError: if there is no module.
            ValueError: if the taps are not the declared ones.
        """
        if self.loss_prediction is None:
            raise RuntimeError(
                "Expected a model with a loss-prediction module, but its mode is 'off'"
            )
        read = taps
        if self.settings.taps is not None:
            read = [taps[place] for place in self.read if place < len(taps)]
        with torch.autocast(taps[0].device.type, enabled=False):
            return self.loss_prediction([tap.float() for tap in read])

    def forward(self, mode: str = "loss", **batch: Any) -> dict[str, Tensor] | list:
        """mmengine's entry point.

        Returns a dict of losses in mode "loss", and a list of predictions in mode "predict".
        """
        if mode == "predict":
            return self._task_predict(self.network, batch)
        if mode != "loss":
            raise ValueError(f"Expected `mode` to be 'loss' or 'predict', but got {mode!r}")
        ids = batch.pop(IDS, None)
        return self._losses(self._task_forward(self.network, batch, self.wanted), ids)

    def _losses(self, output: Output, ids: Sequence[int] | None) -> dict[str, Tensor]:
        """`loss_task` and, with a module, the weighted `loss_rank`.

        mmengine adds up every key with "loss" in it.
        """
        losses = {"loss_task": self._task_loss(output)}
        if self.loss_prediction is not None:
            taps = output.taps
            if self.detached:
                taps = tuple(tap.detach() for tap in taps)
            losses["loss_rank"] = self.settings.weight * self._objective(taps, output, ids)
        if not torch.isfinite(sum(losses.values(), start=torch.zeros_like(losses["loss_task"]))):
            terms = {name: value.item() for name, value in losses.items()}
            raise NonFiniteLoss(terms, [] if output.loss is None else output.loss.tolist())
        return losses

    def _task_loss(self, output: Output) -> Tensor:
        if "objective" not in self.wanted:
            return self._sample_losses(output).mean()
        if output.objective is None or output.objective.dim() != 0:
            came = None if output.objective is None else tuple(output.objective.shape)
            raise ValueError(
                f"Expected the task's `forward` to return one objective (), but got {came}"
            )
        return output.objective

    @staticmethod
    def _sample_losses(output: Output) -> Tensor:
        if output.loss is None or output.loss.dim() != 1:
            shape = None if output.loss is None else tuple(output.loss.shape)
            raise ValueError(
                f"Expected the task's `forward` to return one loss a sample (B,), but got {shape}"
            )
        return output.loss

    def _objective(
        self, taps: Sequence[Tensor], output: Output, ids: Sequence[int] | None
    ) -> Tensor:
        predicted = self.predicted(taps)
        if self.dynamics is not None:
            if ids is None or output.probs is None or output.probs.shape[1] != 1:
                shape = None if output.probs is None else tuple(output.probs.shape)
                raise ValueError(
                    "Expected the ids of the samples and probabilities (B, 1, C), but got "
                    f"{ids and len(ids)} ids and {shape}"
                )
            return dynamics_loss(predicted, self.dynamics.add(ids, output.probs[:, 0]))
        target = self._sample_losses(output).detach().float()
        if self.settings.objective == "ranking":
            return ranking_loss(predicted, target, self.settings.margin)
        return {"mse": mse_loss, "kl": kl_loss}[self.settings.objective](predicted, target)


def read_taps(taps: Sequence[Tap], names: Sequence[str] | None) -> list[int]:
    """The places of the taps that the module reads, in the order in which they are declared.

    Raises:
        ValueError: if a name is not that of a tap, or comes twice.
    """
    known = [tap.name for tap in taps]
    if names is None:
        return list(range(len(known)))
    if len(set(names)) < len(names) or not set(names) <= set(known):
        raise ValueError(
            f"Expected `module.taps` to be some of {known}, each once, but got {list(names)}"
        )
    return [place for place, name in enumerate(known) if name in names]


def _wanted(module: bool, fields: Collection[str]) -> frozenset[str]:
    """The fields that training asks for."""
    if "objective" not in fields:
        return frozenset({"loss"})
    return frozenset({"objective", "loss"} if module else {"objective"})
