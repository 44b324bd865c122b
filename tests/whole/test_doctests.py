"""What users call has an example, and every example runs."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

EXAMPLES = {
    "models.loss_prediction": {"LossPrediction", "ranking_loss", "mse_loss", "kl_loss"},
    "models.networks.mmdet_config": {"blueprint"},
    "models.networks.simple_pose": {"declare"},
    "models.networks.timm_networks": {"declare_taps"},
    "models.process.text": {"error_line", "headline"},
    "acquisition.class_steps": {
        "RandomStratified",
        "RandomForeground",
        "RandomMatched",
        "ClaSP",
    },
    "acquisition.cover_steps": {"MaxHerding", "UHerding", "ProbCover", "DCoM"},
    "acquisition.herding": {"herd"},
    "acquisition.box_steps": {"BagMedoids", "DifficultyCalibrated", "DiversePrototypes"},
    "acquisition.kcenter": {"k_center"},
    "acquisition.probcover": {"probcover"},
    "acquisition.matching": {"class_weights"},
    "acquisition.scoring": {"score"},
    "acquisition.signals": {"Signal"},
    "acquisition.step": {"Step"},
    "acquisition.steps": {
        "RandomSubset",
        "Highest",
        "Shuffled",
        "GumbelRanks",
        "Densest",
        "DropQuery",
        "KCenter",
        "NearestToCentroids",
        "Typical",
        "Badge",
    },
    "tasks.base": {"Task"},
    "tasks.classification.features": {"kept_rows"},
    "tasks.pose.oks": {"person_score"},
    "tools.display.console": {"Plain"},
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_there_and_run(name: str):
    module = import_module(name)
    tests = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert {test.name.removeprefix(f"{name}.") for test in tests} >= EXAMPLES[name]
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in tests:
        assert runner.run(test).failed == 0, test.name
