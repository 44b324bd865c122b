"""What the members of a committee say of a batch, and how far they differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from models.output import Output

if TYPE_CHECKING:
    from torch import Tensor

Given = TypeVar("Given")


@dataclass(frozen=True)
class Votes:
    """The committee's output for B samples with K distributions over C outcomes each.

    Args:
        probs: (B, K, C) mean of the members' probabilities.
        squares: (B, K, C) mean of their squares.
        entropies: (B, K) mean of the members' entropies, in nats.
        weight: (B, K) mean of the members' weights; None means equal weights.
        likeliest: of each member (B, K), the outcome that it takes for the likeliest.
    """

    probs: Tensor
    squares: Tensor
    entropies: Tensor
    weight: Tensor | None
    likeliest: tuple[Tensor, ...] = ()


def vote(outputs: Iterable[Output]) -> Votes:
    """Average the members' outputs for one batch, one at a time."""
    import torch

    total: list[Tensor] = []
    count = 0
    weights: list[Tensor] = []
    likeliest: list[Tensor] = []
    for output in outputs:
        # members that nearly agree differ in the last digits of float32
        probs = given(output.probs, "probs").double()
        parts = [probs, probs**2, entropy(probs)]
        if total:
            parts = [a + b for a, b in zip(total, parts, strict=True)]
        total = parts
        likeliest.append(probs.argmax(dim=-1))
        if output.weight is not None:
            weights.append(output.weight.float())
        count += 1
    probs, squares, entropies = (part / count for part in total)
    weight = torch.stack(weights).mean(dim=0) if weights else None
    return Votes(probs, squares, entropies, weight, tuple(likeliest))


def entropy(probs: Tensor) -> Tensor:
    """(..., C) -> (...) Shannon entropy in nats; 0 log 0 is 0."""
    import torch

    return torch.special.entr(probs).sum(dim=-1)


def variance(votes: Votes) -> Tensor:
    """(B, K) variance of the members' probabilities around their mean, mean over the outcomes."""
    return (votes.squares - votes.probs**2).clamp(min=0).mean(dim=-1)


def mutual_information(votes: Votes) -> Tensor:
    """(B, K) mutual information of outcome and member, in nats.

    It is the entropy of the mean less the mean of the entropies (Houlsby et al. 2011).
    """
    return (entropy(votes.probs) - votes.entropies).clamp(min=0)


def change(votes: Votes) -> Tensor:
    """(B, K) half the squared distance of two members' probabilities, summed over the outcomes.

    The variance of two numbers is a quarter of their squared difference.
    """
    return 2 * (votes.squares - votes.probs**2).clamp(min=0).sum(dim=-1)


def flips(votes: Votes, probs: Tensor) -> Tensor:
    """(B, K) share of the members whose likeliest outcome is not that of `probs` (B, K, C)."""
    own = probs.argmax(dim=-1)
    changed = sum(((other != own).double() for other in votes.likeliest), start=0 * own.double())
    return changed / len(votes.likeliest)


def given(value: Given | None, field: str) -> Given:
    """A field that was requested of `forward`; ValueError where it is None."""
    if value is None:
        raise ValueError(
            f"Expected the task's `forward` to return the field {field!r}, but got None"
        )
    return value
