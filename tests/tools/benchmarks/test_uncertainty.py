"""How signals rank errors on the test set: every correlation against SciPy's on numbers
computed here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from models.process.seeding import seeded
from models.training.committee import ensemble
from models.training.joint import JointModel
from tasks.pose import Pose
from tasks.pose.people import MPII_JOINTS, read_heads
from tests.conftest import REPOSITORY
from tools import uncertainty
from tools.benchmarks import uncertainty as signals_and_errors
from tools.benchmarks.uncertainty import measure
from tools.data.sandbox.pose import make_pose
from tools.experiment.config import Experiment

CONFIG = str(REPOSITORY / "configs/pose_sandbox.py")
SCORED = [k for k, name in enumerate(MPII_JOINTS) if name not in ("pelvis", "thorax")]


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> Path:
    return make_pose(tmp_path_factory.mktemp("sandbox"), 20, 30, 0, 0.3)


def network(experiment: Experiment, seed: int) -> JointModel:
    task = experiment.task
    with seeded(seed):
        return JointModel(
            task.build(), task.forward, task.predict, task.taps, experiment.module, "off"
        ).eval()


def untrained(experiment: Experiment) -> tuple[JointModel, list]:
    models = [network(experiment, experiment.seed + k) for k in range(2)]
    return models[0], ensemble(models) if experiment.committee_kind else []


def by_hand(figures: Path, seed: int, distribution: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean entropies of the joints (N,), and shares of the joints that are off by more
    than half a head.
    """
    task = Pose(str(figures), stacks=1, features=64, depth=2, input_size=64)
    truth, annotated, heads = read_heads(figures / "annot/gt_valid.mat")
    with seeded(seed):
        net = task.build().eval()
    entropies, wrong = [], []
    for k in range(30):
        batch = task.collate([task.dataset("test")[k]])
        with torch.no_grad():
            found = net(task._normalised(batch["image"]))[1][-1][0].flatten(1).double().numpy()
            (joints,) = (sample.joints for sample in task.predict(net, batch))
        weights = np.exp(found) if distribution == "softmax" else np.maximum(found, 0) ** 2
        weights[weights.sum(1) == 0] = 1  # nothing positive: anywhere
        entropies.append(stats.entropy(weights, axis=1).mean())
        off = np.linalg.norm(joints - truth[k], axis=1) > 0.5 * heads[k]
        wrong.append(off[SCORED][annotated[k][SCORED]].mean())
    return np.array(entropies), np.array(wrong)


@pytest.mark.slow
def test_correlations_are_scipys(figures: Path, monkeypatch):
    monkeypatch.setattr(signals_and_errors, "_trained", untrained)
    options, names = {"task.data_root": str(figures)}, ["entropy", "ensemble_bald"]
    variants = [("task.distribution", "softmax")]
    found = measure(CONFIG, options, variants, names, labels=8, seed=3)
    assert [f.variant for f in found] == ["as configured", "task.distribution=softmax"]
    assert all((f.samples, f.counted) == (30, 30) for f in found)
    for each, distribution in zip(found, ("squared", "softmax"), strict=True):
        entropies, wrong = by_hand(figures, 3, distribution)
        expected = stats.spearmanr(entropies, wrong).statistic
        assert each.correlations["entropy"][0] == pytest.approx(expected, abs=0.02)  # float32 ties
        assert each.correlations["ensemble_bald"][0] != each.correlations["entropy"][0]
    first, second = (f.correlations["entropy"] for f in found)
    assert first != second and all(-1 <= value <= 1 for value in (*first, *second))


def test_a_network_is_trained_and_told_in_a_table(figures: Path, capsys):
    settings = [
        "training.epochs=1",
        "training.schedule=[]",
        "module.detach_epoch=1",
        "task.test_limit=10",
    ]
    command = [
        CONFIG,
        "--labels",
        "8",
        "--seeds",
        "0",
        "1",
        "--signals",
        "entropy",
        "margin",
        "--cfg-options",
    ]
    assert uncertainty.main([*command, f"task.data_root={figures}", *settings]) == 0
    said = capsys.readouterr().out
    assert "as configured" in said and "margin" in said and "seed 1" in said
    assert "test samples whose metric alone is a number: 10 of 10, 10 of 10" in said


@pytest.mark.parametrize(
    ("signals", "options", "said"),
    [
        (
            ["predicted_loss"],
            [],
            "signals of the task without the module, but got ['predicted_loss']",
        ),
        (["residual"], [], "signals of the task without the module, but got ['residual']"),
        (
            ["ensemble_bald", "dropout_bald"],
            [],
            "but got those of ['dropout', 'ensemble']: one is asked",
        ),
        (["entropy"], ["task.data_root=nowhere"], "nowhere: expected data_root (a folder)"),
    ],
)
def test_what_does_not_fit_is_told(signals, options, said: str, figures: Path, capsys):
    given = [f"task.data_root={figures}", *options]
    arguments = ["--labels", "8", "--seeds", "0", "--signals", *signals, "--cfg-options", *given]
    assert uncertainty.main([CONFIG, *arguments]) == 1
    assert said in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (
            "training.epochs=9",
            "expected settings of how a trained network is scored, but got ['training.epochs']",
        ),
        ("committee.members=3", "but got ['committee.members']"),
        ("task.test_limit=7", "expected the same 30 test samples, but got 7 by task.test_limit=7"),
    ],
)
def test_a_variant_is_of_the_scoring(variant: str, said: str, figures: Path, capsys, monkeypatch):
    """One of the training would print the correlations of the same network under its own name."""
    monkeypatch.setattr(signals_and_errors, "_trained", untrained)
    arguments = [
        "--labels",
        "8",
        "--seeds",
        "0",
        "--variants",
        variant,
        "--cfg-options",
        f"task.data_root={figures}",
    ]
    assert uncertainty.main([CONFIG, *arguments]) == 1
    assert said in capsys.readouterr().err.replace("\n", " ")
