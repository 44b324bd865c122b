"""Runs that the tests of deployment share; none of them changes one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests import deploykit


@pytest.fixture(scope="package")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Task -> a finished run of two cycles that kept the weights of both."""
    root = tmp_path_factory.mktemp("deployed")
    found = {}
    for kind in deploykit.HOMES:
        data = deploykit.sandbox(root / "data", kind)
        kept = {"training.keep_weights": "all"}
        found[kind] = deploykit.run(root / kind, kind, data, **kept)
    return found


@pytest.fixture(scope="package")
def coco_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run on COCO's json that learned something, and its data: images/ and test.json."""
    root = tmp_path_factory.mktemp("coco")
    data = deploykit.sandbox(root / "drawn", "det", pool=60, test=20)
    jsons = deploykit.as_coco(data, ["circle", "square", "triangle"])
    home = root / "data"
    for split, content in jsons.items():
        (home / split).mkdir(parents=True)
        for image in content["images"]:
            shutil.copy(data / "VOC2007/JPEGImages" / image["file_name"], home / split)
        (home / f"{split}.json").write_text(json.dumps(content))
    options = {
        "task.format": "coco",
        "task.train": ["train:train.json"],
        "task.test": ["test:test.json"],
        "budget.initial": 50,
        "training.epochs": 12,
    }
    return deploykit.run(root / "run", "det", home, **options), home
