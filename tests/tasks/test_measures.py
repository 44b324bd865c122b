"""Which way a metric is better: what tasks say, and what names say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tasks.base import lower_is_better
from tasks.measures import ends, error_measure, share_measure
from tests import comparekit
from tests.conftest import REPOSITORY
from tests.toy import Toy
from tools.compare.grouping import group
from tools.experiment.config import load
from tools.experiment.options import ConfigError
from tools.record.facts import Facts
from tools.record.reading import ComparisonError, read


class Error(Toy):
    """The toy whose metric is an error."""

    lower_is_better = True


class Chosen(Toy):
    """The toy whose setting says which way its metric is better."""

    def __init__(self, lower: bool = False) -> None:
        super().__init__()
        self.lower_is_better = lower


class Odd(Toy):
    lower_is_better = "no"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("MAE", "mae"), ("val/MAE", "mae"), ("valLoss", "loss"), ("mean_squared_error", "error"), ("NME@0.1", "nme"),
        ("EPE3D", "epe"), ("top1_error", "error"), ("FID50k", "fid"), ("Cross-Entropy", "crossentropy"),
        ("crossEntropy", "crossentropy"), ("ECE (%)", "ece"), ("test_RMSE", "rmse"), ("Perplexity", "perplexity"),
        ("WER", "wer"), ("loss", "loss"),
        ("lossless", ""), ("neg_mean_squared_error", ""), ("NegativeMAE", ""), ("score", ""), ("accuracy", ""),
        ("error reduction", ""), ("terror", ""), ("wereld", ""), ("", ""),
    ],
)  # fmt: skip
def test_error_measures_are_known_as_whole_words(name, word):
    assert error_measure(name) == word


@pytest.mark.parametrize(
    ("name", "word"),
    [("accuracy", "accuracy"), ("mAP", "ap"), ("AP/cat", "ap"), ("PCKh", "pckh"), ("segmentation/mIoU", "iou"),
     ("1 - IoU", ""), ("accuracy error", ""), ("neg_auc", ""), ("mismap", ""), ("capacity", ""), ("score", "")],
)  # fmt: skip
def test_shares_are_known_as_whole_words(name, word):
    assert share_measure(name) == word


INFINITE = (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("accuracy", [0.2, 1.0], (0, 1)), ("accuracy", [20.0, 93.5], (0, 100)), ("mAP", [], (0, 1)),
        ("PCKh", [0.0, math.nan], (0, 1)), ("accuracy", [-0.1, 0.5], INFINITE), ("recall", [400.0], (0, math.inf)),
        ("mae", [0.5, 70.0], (0, math.inf)), ("mae", [-0.5], INFINITE), ("loss", [0.5], INFINITE),
        ("neg_mae", [0.5], INFINITE), ("score", [0.5], INFINITE),
    ],
)  # fmt: skip
def test_a_metrics_ends_are_known_as_far_as_its_name_tells(name, values, found):
    assert ends(name, values) == found


@pytest.mark.parametrize(
    ("task", "lower"),
    [(Toy(), False), (Error(), True), (Chosen(True), True), (Chosen(np.bool_(0)), False)],
)
def test_a_task_says_which_way_is_better(task, lower):
    assert lower_is_better(task) is lower


@pytest.mark.parametrize("given", ["no", 1, None, lambda: True])
def test_anything_but_true_and_false_is_refused(given):
    task = Toy()
    task.lower_is_better = given
    with pytest.raises(ValueError, match="lower_is_better: expected True or False, but got "):
        lower_is_better(task)
    with pytest.raises(
        ConfigError, match="task: lower_is_better: expected True or False, but got 'no'"
    ):
        load(REPOSITORY / "tests/examples/toy_config.py", options={"task.type": f"{__name__}.Odd"})


def test_a_run_knows_its_direction_and_another_one_is_not_compared_with_it(tmp_path: Path):
    folders = [
        comparekit.write(
            tmp_path / f"run{seed}", comparekit.config("random", seed), told=Facts("score", lower)
        )
        for seed, lower in enumerate((True, True, False))
    ]
    assert [read(folder).lower for folder in folders] == [True, True, False]
    (one,) = group([read(folder) for folder in folders[:2]])
    assert one.lower and one.metric == "score"
    with pytest.raises(
        ComparisonError, match=r"run0 and .*run2: the task's lower_is_better: True and False"
    ):
        group([read(folder) for folder in folders])
