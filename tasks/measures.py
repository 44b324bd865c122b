"""What the name of a metric means: an error (lower is better) or a share between 0 and 1.

A name decides nothing by itself: the task declares which way is better
(`tasks.base.lower_is_better`). `check_task` compares the two, and reports end their intervals by
the name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

_ERRORS = """
    aepe bpd brier cer crossentropy deviance divergence ece eer emd epe err error errors fid
    hausdorff kid kld lamr loss losses lpips mae mape mase mce mpjpe mse msle nll nme nrmse
    perplexity ppl rmse rmsle silog smape wer
"""
_SHARES = """
    acc accuracy ap auc auprc auroc dice f1 fscore iou jaccard map miou oks pck pckh precision
    recall sensitivity specificity top1 top5
"""
ERRORS = frozenset(_ERRORS.split())
SHARES = frozenset(_SHARES.split())
# errors that may fall below 0
SIGNED = {"bpd", "deviance", "kid", "loss", "losses", "nll", "silog"}
TURNED = {"inverse", "inverted", "minus", "neg", "negated", "negative", "reduction"}  # `neg_mse`


def words(metric: str) -> set[str]:
    """Split a name into words in small letters: at separators, capitals and digits.

    So "val/MAE", "valLoss", "NME@0.1" and "EPE3D" hold "mae", "loss", "nme" and "epe"; "lossless"
    holds no "loss".
    """
    parts = re.findall(r"[A-Za-z0-9]+", metric)
    pieces = [
        piece for part in parts for piece in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", part)
    ]
    # "cross_entropy", "mAP"
    pairs = [first + second for first, second in zip(pieces, pieces[1:], strict=False)]
    return {word.lower() for word in (*parts, *pieces, *pairs)}


def error_measure(metric: str) -> str:
    """The word of a name that means an error; empty if there is none, or it is negated.

    Of an error less is better.
    """
    if _turned(metric):
        return ""
    return min(words(metric) & ERRORS, default="")


def share_measure(metric: str) -> str:
    """The word of a name that means a share; empty if there is none, or it is negated.

    Of a share more is better.
    """
    if _turned(metric) or words(metric) & ERRORS:
        return ""
    return min(words(metric) & SHARES, default="")


def ends(metric: str, values: Iterable[float]) -> tuple[float, float]:
    """The least and the largest value that a metric can take, by its name; else infinite.

    A share lies in [0, 1], or in [0, 100] where its values are in percent, and an error is 0 at
    least. Where the values contradict the name, the values count.
    """
    known = [value for value in values if math.isfinite(value)]
    error = error_measure(metric)
    named = bool(share_measure(metric)) or (bool(error) and error not in SIGNED)
    if not named or min(known, default=0.0) < 0:
        return -math.inf, math.inf
    top = max(known, default=0.0)
    if error or top > 100:
        return 0.0, math.inf
    if top > 1:
        return 0.0, 100.0
    return 0.0, 1.0


def _turned(metric: str) -> bool:
    """Whether a metric is the opposite of its words, such as "neg_mse" or "1 - IoU"."""
    return bool(words(metric) & TURNED) or re.match(r"\s*1\s*[-\u2212]", metric) is not None
