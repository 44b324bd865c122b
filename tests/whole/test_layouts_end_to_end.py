"""Two data sets as labelImg and Roboflow leave them, from the first check to a comparison,
nothing edited in them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import layoutkit
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

CONFIG = """
from mmengine.optim import LinearLR
from torch.optim import AdamW

from tasks.detection import Detection

task = dict(
    type=Detection, data_root={root!r}, classes=["bolt", "nut"], network="small_ssd", pretrained=None,
    augmentation="flip", {settings},
)
budget = dict(initial=6, query=4, cycles=2)
training = dict(
    epochs=2, batch_size=4, optimizer=dict(type=AdamW, lr=3e-3), workers=0, checkpoint_every=1,
    schedule=[dict(type=LinearLR, start_factor=0.04, by_epoch=False, begin=0, end=4)], clip_grad=dict(max_norm=10),
)
module = dict(weight=0.1, detach_epoch=1)
scoring = dict(batch_size=8, workers=0, control=4)
strategy = "random"
subset = None
seed = 0
"""
LABELIMG = "train=['images:annotations'], test_share=0.25"
ROBOFLOW = (
    "format='coco', train=['train:train/_annotations.coco.json'], "
    "test=['valid:valid/_annotations.coco.json', 'test:test/_annotations.coco.json']"
)


def command(folder: Path, tool: str, *more: str) -> str:
    keep = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    alone = {
        "PYTHONPATH": str(REPOSITORY),
        "WANDB_MODE": "disabled",
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / f"tools/{tool}.py"), *more],
        env=keep | alone,
        cwd=folder,
        timeout=300,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("make, settings, pool, tested", [
    (layoutkit.labelimg, LABELIMG, 30, 10),
    (layoutkit.roboflow_coco, ROBOFLOW, 28, 14),
])  # fmt: skip
def test_from_the_check_to_the_comparison(
    tmp_path: Path, make, settings: str, pool: int, tested: int
) -> None:
    data = make(tmp_path / "data")
    before, config = layoutkit.digests(data), tmp_path / "parts.py"
    config.write_text(CONFIG.format(root=str(data), settings=settings))
    said = command(tmp_path, "al_train", str(config), "--dry-run")
    assert f"pool {pool}, test {tested}\n" in said and not (tmp_path / "work_dirs").exists()
    for strategy in ("random", "entropy"):
        command(tmp_path, "al_train", str(config), "--strategy", strategy)
    said = command(tmp_path, "al_compare", "work_dirs/parts", "--out", "report")
    runs = tmp_path / "work_dirs/parts"
    for strategy in ("random", "entropy"):
        rows = (runs / strategy / "seed0/metrics.jsonl").read_text().splitlines()
        assert [json.loads(row)["labeled"] for row in rows] == [6, 10]
        assert all(0 <= json.loads(row)["mAP"] <= 1 for row in rows)
        assert len((runs / strategy / "seed0/samples.txt").read_text().splitlines()) == pool
    summary = (tmp_path / "report/summary.json").read_text()
    assert '"entropy"' in summary and '"random"' in summary
    assert layoutkit.digests(data) == before
