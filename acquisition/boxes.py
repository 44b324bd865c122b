"""What the predicted boxes of a sample say of it, computed inside the batch from their bag.

A signal of whole bags has a row of numbers for each box: its score, its label, and its feature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.output import Bag

if TYPE_CHECKING:
    from torch import Tensor

FLOOR = 0.05  # boxes with this score or less do not count, as in the public code of PPAL
ALIKE = 0.5  # boxes of one class with a larger cosine say the same (Wu et al.)
OBJECT = 0.3  # boxes with this score or less are not of an object (the public code of HUA)
NEAR = 0.5  # boxes with a larger overlap are of one object (the same)
TINY = 1e-12  # weight of a box whose entropy is 0, so that a mean of such boxes is defined


def binary_entropy(score: Tensor) -> Tensor:
    """Entropy of "this box is right, or not", in nats; not-a-number stays."""
    import torch

    return torch.special.entr(score) + torch.special.entr(1 - score)


def counted(bag: Bag) -> Tensor:
    """(B, M) the boxes that count; those whose score is not a number do, so that they show."""
    return ~(bag.score <= FLOOR)


def rows_of(bag: Bag) -> Tensor:
    """(B, M, 2 + D) score, label and feature of each box; what fills up has the score 0."""
    import torch

    front = torch.stack([bag.score.float(), bag.label.float()], dim=2)
    return torch.cat([front, bag.feature.float()], dim=2)


def enms(bag: Bag) -> Tensor:
    """Entropy of the boxes that are not like a more uncertain one of their class.

    Source: Wu et al., CVPR 2022. From the highest entropy on, a box counts unless a counted one of
    its class has a feature of cosine above 0.5 to it.

    Args:
        bag: of B samples.

    Returns:
        (B,) the sum over the boxes that count, in nats; 0 for a sample without boxes. Of equal
        entropies the surer box is first.
    """
    import torch

    valid = counted(bag)
    entropy = torch.where(valid, binary_entropy(bag.score.float()), 0.0)
    order = torch.where(valid, entropy, -1.0).argsort(dim=1, descending=True, stable=True)
    entropy, left = entropy.gather(1, order), valid.gather(1, order)
    label = bag.label.gather(1, order)
    unit = torch.nn.functional.normalize(bag.feature.float(), dim=2)
    unit = unit.gather(1, order[..., None].expand_as(unit))
    alike = (unit @ unit.mT > ALIKE) & (label[:, :, None] == label[:, None])
    total = entropy.new_zeros(len(entropy))
    for box in range(entropy.shape[1]):
        counts = left[:, box]
        total = total + torch.where(counts, entropy[:, box], 0.0)
        left = left & ~(alike[:, box] & counts[:, None])
    return total


def hua(bag: Bag) -> Tensor:
    """Entropies of boxes, gathered by class, size and object.

    Source: the aggregation of Park et al., ICLR 2023 ("HUA"). Each box above a score of 0.3 is an
    object, to which the boxes of an overlap above 0.5 belong. Of an object, entropies are averaged
    over the boxes of a class and a size, summed over the classes, of which the size with the
    highest sum counts; objects are summed. Sizes are octaves of a box's side, as the levels of a
    feature pyramid are.

    Args:
        bag: of B samples, with corners.

    Returns:
        (B,) in nats; 0 for a sample without such boxes.

    Raises:
        ValueError: if the bag has no corners.
    """
    import torch

    if bag.box is None:
        raise ValueError("Expected a bag with the corners of its boxes, but it has none")
    valid = ~(bag.score <= OBJECT)
    entropy = torch.where(valid, binary_entropy(bag.score.float()), 0.0)
    overlap, area = overlaps(bag.box.float())
    itself = torch.eye(valid.shape[1], dtype=torch.bool, device=valid.device)
    of_object = ((overlap > NEAR) | itself) & valid[:, :, None] & valid[:, None]  # (B, object, box)
    level = area.clamp(min=1).log2().div(2).floor()
    same_size = level[:, :, None] == level[:, None]
    same = (same_size & (bag.label[:, :, None] == bag.label[:, None])).float()
    belongs = of_object.float()
    mean = belongs * entropy[:, None] / (belongs @ same).clamp(min=1)  # a box's part of its mean
    sums = mean @ same_size.float()
    return torch.where(of_object, sums, 0.0).amax(dim=2).sum(dim=1)


def overlaps(corners: Tensor) -> tuple[Tensor, Tensor]:
    """The intersection over union of M boxes (B, M, 4) with each other (B, M, M), and areas (B, M).

    Boxes without an area overlap nothing.
    """
    import torch

    area = (corners[..., 2:] - corners[..., :2]).clamp(min=0).prod(dim=2)
    least = torch.maximum(corners[:, :, None, :2], corners[:, None, :, :2])
    most = torch.minimum(corners[:, :, None, 2:], corners[:, None, :, 2:])
    shared = (most - least).clamp(min=0).prod(dim=3)
    union = area[:, :, None] + area[:, None] - shared
    return shared / torch.where(union > 0, union, 1.0), area


def localisation(bag: Bag, stability: Tensor) -> Tensor:
    """How unsure the least sure box is, less how far boxes stay where they are under noise.

    Source: Kao et al., ACCV 2018 ("LS+C"): the largest 1 - P of a box, less the mean stability of
    the boxes, weighted by P.

    Args:
        bag: of B samples.
        stability: (B, M) of its boxes, from 0 to 1.

    Returns:
        (B,) from -1 to 1; -1 for a sample without boxes, as if it had a sure and stable one.
    """
    import torch

    valid = counted(bag)
    score = torch.where(valid, bag.score.float(), 0.0)
    unsure = torch.where(valid, 1 - score, 0.0).amax(dim=1)
    total = score.sum(dim=1)
    stable = (score * stability.float()).sum(dim=1) / torch.where(total != 0, total, 1.0)
    return unsure - torch.where(total != 0, stable, 1.0)


def prototypes(bag: Bag) -> Tensor:
    """The mean feature of each class's boxes, weighted by their entropies, and the best score.

    Source: Wu et al., CVPR 2022.

    Args:
        bag: of B samples.

    Returns:
        (B, C, 1 + D): the highest score of a class, 0 where it has no box, and its prototype.
    """
    import torch

    valid = counted(bag)
    score = torch.where(valid, bag.score.float(), 0.0)
    weight = torch.where(valid, binary_entropy(score) + TINY, 0.0)
    classes = torch.arange(bag.classes, device=score.device)
    own = (bag.label[:, None] == classes[:, None]).float()  # (B, C, M)
    best = (own * score[:, None]).amax(dim=2)
    weights = own * weight[:, None]
    total = weights.sum(dim=2, keepdim=True)
    mean = (weights / torch.where(total > 0, total, 1.0)) @ bag.feature.float()
    return torch.cat([best[..., None], mean], dim=2)
