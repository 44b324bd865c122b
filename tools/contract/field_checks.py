"""Checks of the fields of one output: their shapes and values."""

from __future__ import annotations

import torch
from torch import Tensor

from models.output import Output
from tools.contract.bag_checks import check_bag, check_quality, check_stability
from tools.contract.subject import FEW, ContractError


def check_fields(output: Output, count: int) -> None:
    """Check the fields that an output of `count` samples has."""
    loss, probs, weight = output.loss, output.probs, output.weight
    if loss is not None and loss.shape != (count,):
        raise ContractError(
            f"losses ({count},), one a sample", tuple(loss.shape), "reduce over all but the batch"
        )
    if loss is not None and not torch.isfinite(loss).all():
        raise ContractError(
            "finite losses", short(loss), "look for divisions by 0 and logarithms of 0"
        )
    parts = output.gradient or ()
    if [(part.dim(), len(part)) for part in parts] not in ([], [(2, count)] * 2):
        actual = [tuple(part.shape) for part in parts]
        raise ContractError(
            f"a gradient of ({count}, C) and ({count}, D)", actual, "return residuals and features"
        )
    if output.bag is not None:
        check_bag(output.bag, count)
    if output.quality is not None:
        check_quality(output.quality, count)
    if output.stability is not None:
        check_stability(output.stability, count)
    if probs is not None and (probs.dim() != 3 or len(probs) != count):
        raise ContractError(
            f"probs ({count}, K, C)", tuple(probs.shape), "K distributions over C classes a sample"
        )
    if weight is not None and probs is not None and weight.shape != probs.shape[:2]:
        raise ContractError(
            f"weight {tuple(probs.shape[:2])} as (B, K)", tuple(weight.shape), "one a distribution"
        )
    _check_found(output, count)
    best = output.answers
    if (
        best is not None
        and probs is not None
        and (*best.shape[:2], 3) != (*probs.shape[:2], best.dim())
    ):
        expected = f"answers {(*probs.shape[:2], 'A')} as (B, K, A)"
        raise ContractError(expected, tuple(best.shape), "the likeliest ones of each distribution")


def _check_found(output: Output, count: int) -> None:
    """Check the shapes and values of counts, peaks and true outcomes."""
    counts, peaks, truth = output.counts, output.peaks, output.truth
    if counts is not None and (counts.dim() != 2 or len(counts) != count):
        raise ContractError(f"counts ({count}, C)", tuple(counts.shape), "one number for a class")
    if counts is not None and not (counts.isfinite() & (counts >= 0)).all():
        raise ContractError("counts of at least 0", short(counts.flatten()), "count what is found")
    if peaks is not None and (peaks.dim() != 3 or len(peaks) != count):
        raise ContractError(f"peaks ({count}, K, P)", tuple(peaks.shape), "P peaks of K heatmaps")
    if peaks is not None and ((peaks.sum(dim=-1) - 1).abs() > 1e-4).any():
        raise ContractError("peaks that sum to 1", "others", "softmax over the last dimension")
    if truth is not None and (truth.dim() != 2 or len(truth) != count):
        raise ContractError(f"truth ({count}, K)", tuple(truth.shape), "an outcome a distribution")
    if truth is not None and (truth.is_floating_point() or (truth < -1).any()):
        expected = "truth of whole numbers from -1, which is unknown"
        raise ContractError(expected, short(truth.flatten()), "give each outcome's number")


def check_answers(answers: Tensor, probs: Tensor) -> None:
    """Check that two answers exclude each other, and the best is as likely as any outcome."""
    if answers.shape[2] < 2:
        raise ContractError("at least two `answers`", answers.shape[2], "return the likeliest two")
    most = answers.sum(dim=-1).max().item()
    least = answers.min().item()
    if not (most < 1 + 1e-4 and least >= 0):
        actual = f"sums up to {most:.3g} and {least:.3g} as the least"
        expected = "`answers` that add up to 1 at most and none below 0"
        raise ContractError(expected, actual, "count each outcome once")
    lacking = (probs.amax(dim=-1) - answers.amax(dim=-1)).max().item()
    if lacking > 1e-4:
        expected = "the likeliest outcome among the `answers`"
        raise ContractError(expected, f"{lacking:.3g} less at best", "begin with the likeliest")


def short(values: Tensor) -> str:
    """Return the first of some numbers, in brackets."""
    return "[" + ", ".join(f"{value:.4g}" for value in values[:FEW].tolist()) + "]"
