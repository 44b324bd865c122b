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
