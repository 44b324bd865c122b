"""Signals: what a strategy may know of a sample.

Each reduces outputs to one row a sample, inside the batch. What a signal needs is known without
torch, which only the code that computes it imports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from acquisition import boxes
from acquisition.settings import Aggregate
from acquisition.votes import (
    Votes,
    change,
    entropy,
    flips,
    given,
    mutual_information,
    variance,
    vote,
)
from models.output import Bag, Output
from models.training.settings import Kind

if TYPE_CHECKING:
    from torch import Tensor

    from models.training.joint import JointModel


__all__ = [
    "SIGNALS",
    "Evidence",
    "Signal",
    "Votes",
    "entropy",
    "given",
    "mutual_information",
    "variance",
    "vote",
]


@dataclass(frozen=True)
class Evidence:
    """Everything that a signal may read.

    Args:
        model: in evaluation mode.
        output: of the model for a batch; None if only the committee was run.
        votes: of the committee; None if there is none.
        aggregate: how the scores of a sample's distributions become one: mean, sum (both weighted)
            or maximum.
        tap: number of the tap that is a sample's embedding.
        temperature: of the probabilities, see `acquisition.calibration`.
    """

    model: JointModel
    output: Output | None
    votes: Votes | None = None
    aggregate: Aggregate = "mean"
    tap: int = -1
    temperature: float = 1.0

    @property
    def weighted(self) -> bool:
        """Whether distributions have weights, as boxes above a threshold do, or are counted."""
        output = self.output
        found = output is not None and not (output.counts is None and output.bag is None)
        return found or any(
            part is not None and part.weight is not None for part in (self.output, self.votes)
        )


@dataclass(frozen=True)
class Signal:
    """One number (B,), vector (B, D) or list of vectors (B, M, D) for each sample of a batch.

    Args:
        rows: from the evidence.
        fields: of `Output` that the task's `forward` must return for it.
        module: whether the model needs a trained loss-prediction module.
        dynamics: whether that must have learned training dynamics in place of losses.
        committee: whose votes it counts; None for the model's own output.
        compared: whether it reads the model's own output beside the votes.
        calibrated: whether it reads the temperature.

    Examples:
        >>> import torch
        >>> from models.output import Output
        >>> largest = Signal(lambda e: e.output.probs.amax(dim=(1, 2)), fields=frozenset({"probs"}))
        >>> probs = torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]])
        >>> largest.rows(Evidence(model=None, output=Output(taps=(), probs=probs)))
        tensor([0.9000, 0.5000])
    """

    rows: Callable[[Evidence], Tensor]
    fields: frozenset[str] = frozenset()
    module: bool = False
    dynamics: bool = False
    committee: Kind | None = None
    compared: bool = False
    calibrated: bool = False


def margin(probs: Tensor) -> Tensor:
    """(..., C) -> (...) 1 minus the difference of the two largest probabilities.

    It is high near the decision boundary.
    """
    first, second = probs.topk(2, dim=-1).values.unbind(dim=-1)
    return 1 - (first - second)


def least_confident(probs: Tensor) -> Tensor:
    """(..., C) -> (...) 1 minus the largest probability."""
    return 1 - probs.amax(dim=-1)


def aggregated(values: Tensor, weight: Tensor | None, how: Aggregate) -> Tensor:
    """Combine scores (B, K) of distributions into one a sample (B,).

    It is 0 for a sample none of whose distributions has weight.
    """
    import torch

    if weight is None:
        weight = torch.ones_like(values)
    weight = weight.to(values)
    if how == "max":
        lowest = torch.finfo(values.dtype).min
        highest = torch.where(weight > 0, values, lowest).amax(dim=1)
        return torch.where((weight > 0).any(dim=1), highest, 0.0)
    total = (values * weight).sum(dim=1)
    if how == "sum":
        return total
    return total / weight.sum(dim=1).clamp(min=torch.finfo(values.dtype).tiny)


def pooled(tap: Tensor) -> Tensor:
    """The mean (B, C) of a map (B, C, H, W) over its places, or of tokens (B, N, C)."""
    return tap.mean(dim=(2, 3)) if tap.dim() == 4 else tap.mean(dim=1)


def _output(evidence: Evidence) -> Output:
    if evidence.output is None:
        raise ValueError("Expected an output of the model, but only the committee was run")
    return evidence.output


def _votes(evidence: Evidence) -> Votes:
    if evidence.votes is None:
        raise ValueError("Expected the votes of a committee, but none was run")
    return evidence.votes


def _of_probs(measure: Callable[[Tensor], Tensor], best: bool = False) -> Signal:
    """A signal that measures the distributions.

    With `best` it compares the best answers, which may be several outcomes each.
    """

    def rows(evidence: Evidence) -> Tensor:
        """The rows (B,) of the signal."""
        output = _output(evidence)
        compared = given(output.probs, "probs")
        if best and output.answers is not None:
            compared = output.answers
        return aggregated(measure(compared.float()), output.weight, evidence.aggregate)

    return Signal(rows, frozenset({"probs"}))


def _of_votes(measure: Callable[[Votes], Tensor], committee: Kind) -> Signal:
    def rows(evidence: Evidence) -> Tensor:
        """The rows (B,) of the signal."""
        votes = _votes(evidence)
        return aggregated(measure(votes), votes.weight, evidence.aggregate)

    return Signal(rows, frozenset({"probs"}), committee=committee)


def _flipped(evidence: Evidence) -> Tensor:
    """How often the passes' answer is not the model's own, without dropout."""
    votes, output = _votes(evidence), _output(evidence)
    shares = flips(votes, given(output.probs, "probs"))
    return aggregated(shares, votes.weight, evidence.aggregate)


def _log_probs(evidence: Evidence) -> Tensor:
    """(B, K, C) in place of log 0 that of the smallest number."""
    import torch

    probs = given(_output(evidence).probs, "probs").float()
    return probs.clamp(min=torch.finfo(probs.dtype).tiny).log()


def _calibrated_margin(evidence: Evidence) -> Tensor:
    """The margin of probabilities at the temperature; at 1 the margin as it is."""
    if evidence.temperature == 1:
        return SIGNALS["margin"].rows(evidence)
    probs = (_log_probs(evidence) / evidence.temperature).softmax(dim=-1)
    return aggregated(margin(probs), _output(evidence).weight, evidence.aggregate)


def _peak_entropy(evidence: Evidence) -> Tensor:
    """The entropy of each distribution over peaks, summed whatever `scoring.aggregate` says."""
    return entropy(given(_output(evidence).peaks, "peaks").float()).sum(dim=1)


def _dynamics_entropy(evidence: Evidence) -> Tensor:
    return entropy(evidence.model.predicted_dynamics(_output(evidence).taps))


def _dynamics_margin(evidence: Evidence) -> Tensor:
    """The likeliest other class's predicted mean less that of the class that the network takes."""
    output = _output(evidence)
    predicted = evidence.model.predicted_dynamics(output.taps)
    taken = given(output.probs, "probs")[:, 0].argmax(dim=1, keepdim=True)
    others = predicted.scatter(1, taken, 0.0).amax(dim=1)
    return others - predicted.gather(1, taken).squeeze(1)


def _gradient(place: int) -> Signal:
    def rows(evidence: Evidence) -> Tensor:
        """One of the gradient's two factors."""
        return given(_output(evidence).gradient, "gradient")[place]

    return Signal(rows, frozenset({"gradient"}))


def _of_bag(measure: Callable[[Bag], Tensor]) -> Signal:
    """A signal of what was found in a sample, such as boxes."""
    return Signal(lambda e: measure(given(_output(e).bag, "bag")), frozenset({"bag"}))


def _localisation(evidence: Evidence) -> Tensor:
    output = _output(evidence)
    return boxes.localisation(given(output.bag, "bag"), given(output.stability, "stability"))


SIGNALS = {
    "predicted_loss": Signal(lambda e: e.model.predicted_loss(_output(e).taps), module=True),
    "dynamics_entropy": Signal(_dynamics_entropy, module=True, dynamics=True),
    "dynamics_margin": Signal(_dynamics_margin, frozenset({"probs"}), module=True, dynamics=True),
    "entropy": _of_probs(entropy),
    "margin": _of_probs(margin, best=True),
    "calibrated_margin": Signal(_calibrated_margin, frozenset({"probs"}), calibrated=True),
    "least_confident": _of_probs(least_confident, best=True),
    "ensemble_variance": _of_votes(variance, "ensemble"),
    "ensemble_bald": _of_votes(mutual_information, "ensemble"),
    "dropout_entropy": _of_votes(lambda votes: entropy(votes.probs), "dropout"),
    "dropout_bald": _of_votes(mutual_information, "dropout"),
    "dropout_flips": Signal(_flipped, frozenset({"probs"}), committee="dropout", compared=True),
    "change": _of_votes(change, "previous"),
    "peak_entropy": Signal(_peak_entropy, frozenset({"peaks"})),
    "predicted_counts": Signal(lambda e: given(_output(e).counts, "counts"), frozenset({"counts"})),
    "embedding": Signal(lambda e: pooled(_output(e).taps[e.tap].float())),
    "residual": _gradient(0),
    "feature": _gradient(1),
    "bag": _of_bag(boxes.rows_of),
    "enms": _of_bag(boxes.enms),
    "hua": _of_bag(boxes.hua),
    "localisation": Signal(_localisation, frozenset({"bag", "stability"})),
    "prototypes": _of_bag(boxes.prototypes),
    "log_probs": Signal(_log_probs, frozenset({"probs"})),
    # read labels: of labeled samples alone
    "truth": Signal(lambda e: given(_output(e).truth, "truth"), frozenset({"truth"})),
    "quality": Signal(lambda e: given(_output(e).quality, "quality"), frozenset({"quality"})),
    # reads labels: for measuring, and for the oracle, which is a bound and not a method
    "loss": Signal(lambda e: given(_output(e).loss, "loss"), frozenset({"loss"})),
}


_own: dict[str, Signal] = {}  # dotted names


def add(name: str, signal: Signal) -> None:
    """Register a signal of a user under its dotted name, such as `my_signals.spread`."""
    if "." not in name:
        raise ValueError(f"Expected a dotted name, such as 'my_signals.spread', but got {name!r}")
    _own[name] = signal


def known(name: str) -> Signal:
    """The signal of a name; KeyError if it is not registered."""
    if name in SIGNALS:
        return SIGNALS[name]
    return _own[name]


def fields(names: Iterable[str]) -> frozenset[str]:
    """The union of the fields that the signals need of `forward`."""
    return frozenset().union(*(known(name).fields for name in names))


def need_module(names: Iterable[str]) -> bool:
    """Whether any of the signals needs the loss-prediction module."""
    return any(known(name).module for name in names)


def need_dynamics(names: Iterable[str]) -> bool | None:
    """Whether the signals need a module that learned dynamics; None if they need no module.

    Raises:
        ValueError: if some need one that learned dynamics and others one that learned losses.
    """
    kinds = {known(name).dynamics for name in names if known(name).module}
    if len(kinds) > 1:
        raise ValueError("Expected signals of one module, but got those of dynamics and of losses")
    return kinds.pop() if kinds else None


def need_temperature(names: Iterable[str]) -> bool:
    """Whether any of the signals reads the temperature."""
    return any(known(name).calibrated for name in names)


def need_committee(names: Iterable[str]) -> Kind | None:
    """The kind of committee whose votes the signals count; None without any.

    Raises:
        ValueError: if they count those of two kinds.
    """
    kinds = {known(name).committee for name in names} - {None}
    if len(kinds) > 1:
        raise ValueError(
            f"Expected signals of one committee, but got those of {sorted(map(str, kinds))}: one "
            "is asked"
        )
    return kinds.pop() if kinds else None
