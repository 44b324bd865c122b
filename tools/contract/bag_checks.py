"""Checks of what a task says was found in its samples."""

from __future__ import annotations

from torch import Tensor

from models.output import Bag
from tools.contract.subject import ContractError


def check_quality(quality: Tensor, count: int) -> None:
    """Check that there are two numbers for each class of each sample."""
    if quality.dim() != 3 or (len(quality), quality.shape[2]) != (count, 2):
        expected = f"quality ({count}, C, 2)"
        raise ContractError(expected, tuple(quality.shape), "a sum and a count for each class")


def check_stability(stability: Tensor, count: int) -> None:
    """Check that there is a number from 0 to 1 for each thing in a bag."""
    if stability.dim() != 2 or len(stability) != count:
        shape = tuple(stability.shape)
        raise ContractError(f"stability ({count}, M)", shape, "one a thing in the bag")
    if not ((stability >= 0) & (stability <= 1 + 1e-4)).all():
        actual = f"{stability.min().item():.3g} to {stability.max().item():.3g}"
        raise ContractError("stability from 0 to 1", actual, "return mean overlaps")


def check_bag(bag: Bag, count: int) -> None:
    """Check shapes, scores from 0 to 1, and labels of the classes that there are."""
    shapes = [tuple(part.shape) for part in (bag.label, bag.score, bag.feature)]
    if bag.feature.dim() != 3 or shapes[:2] != [(count, bag.feature.shape[1])] * 2:
        expected = f"a bag of labels ({count}, M), scores ({count}, M) and features ({count}, M, D)"
        raise ContractError(expected, shapes, "fill up with the score 0 to the same M")
    if bag.box is not None and tuple(bag.box.shape) != (*shapes[1], 4):
        raise ContractError(
            f"corners {(*shapes[1], 4)} in a bag", tuple(bag.box.shape), "four a box"
        )
    if not ((bag.score >= 0) & (bag.score <= 1)).all():
        actual = f"{bag.score.min().item():.3g} to {bag.score.max().item():.3g}"
        raise ContractError("scores from 0 to 1 in a bag", actual, "return probabilities")
    real = bag.label[bag.score > 0]
    if ((real < 0) | (real >= bag.classes)).any():
        actual = f"{real.min().item()} to {real.max().item()}"
        raise ContractError(f"labels from 0 to {bag.classes - 1}", actual, "count classes from 0")
