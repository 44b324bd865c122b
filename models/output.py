"""What a network returns: declared taps, and named per-sample fields of one forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Tap:
    """A map, or a sequence of tokens, that a network promises to return, declared before any data.

    Args:
        name: what the map is called in the network's paper, for example ``"conv4_3"``.
        channels: its number of channels; the loss-prediction module is built from it.
        tokens: whether it is a sequence of vectors (B, N, channels), which have no places beside
            each other; else it is a map (B, channels, H, W).
    """

    name: str
    channels: int
    tokens: bool = False


@dataclass(frozen=True)
class Bag:
    """The things that a network found in each of B samples, such as boxes: the surest M of each.

    What is filled up to M has the score 0, the label -1, and a feature of zeros.

    Args:
        label: (B, M) class of each, from 0.
        score: (B, M) its probability, from 0 to 1.
        feature: (B, M, D) of each.
        classes: how many there are.
        box: (B, M, 4) its corners (left, top, right, bottom) in the network's pixels, where it has
            a place.
    """

    label: Tensor
    score: Tensor
    feature: Tensor
    classes: int
    box: Tensor | None = None


@dataclass(frozen=True)
class Output:
    """One forward pass over B samples; a field is None unless it was requested.

    Args:
        taps: one tensor (B, channels_k, H_k, W_k) for every declared tap, or (B, N_k, channels_k)
            where it is one of tokens, in the declared order, attached to the graph.
        loss: (B,) true loss of each sample, independent of the other samples of the batch.
        probs: (B, K, C), K categorical distributions a sample: one class decision, priors by
            classes and background, or joints by heatmap cells. Distribution k is of the same thing
            in every pass over the sample.
        weight: (B, K) weight of each distribution in its sample's score, 0 or more; None means
            equal weights. All are 0 if nothing is to be scored, as in an image without a found
            box.
        gradient: two factors of each sample's gradient embedding, residual (B, C) and feature (B,
            D): their outer product is the gradient of the cross-entropy with the likeliest class
            for label, by the last layer's weights (Ash et al., ICLR 2020). Only a network that ends
            in one decision a sample has it.
        answers: (B, K, A) beside `probs` where neighbouring outcomes are one answer, as the cells
            of a heatmap around a joint are: probabilities of at least two answers that exclude each
            other, the likeliest among them. What compares the best two, margin and least_confident,
            reads them; None means that each outcome is an answer.
        objective: () what a training minimises where that is not the mean of `loss`, as where a
            detector's own loss divides by what the whole batch holds; `loss` is then what the
            loss-prediction module learns, and need not hold a graph.
        bag: what was found in each sample, each thing with label, score and feature; M is the same
            for all batches.
        stability: (B, M) beside `bag`: how far each thing stays in its place under noise, the mean
            overlap from 0 to 1; 0 for what fills up.
        quality: (B, C, 2) how well the annotated things of each class are found: the sum over them,
            from 0 to 1 each, and how many there are. It is of labels, so strategies read it of
            labeled samples alone.
        counts: (B, C) how many of each class are predicted in each sample: 1 for its likeliest
            class, its boxes, or its joints that are found.
        truth: (B, K) beside `probs`: which outcome of each distribution is the true one, -1 where
            nobody knows. It is of labels, so a run reads it of its validation split alone.
        peaks: (B, K, P) beside `probs` where an outcome is a place: the distribution over the
            highest peaks alone, as the multi-peak entropy of a heatmap reads it.
    """

    taps: tuple[Tensor, ...]
    loss: Tensor | None = None
    probs: Tensor | None = None
    weight: Tensor | None = None
    gradient: tuple[Tensor, Tensor] | None = None
    answers: Tensor | None = None
    objective: Tensor | None = None
    bag: Bag | None = None
    quality: Tensor | None = None
    stability: Tensor | None = None
    counts: Tensor | None = None
    peaks: Tensor | None = None
    truth: Tensor | None = None
