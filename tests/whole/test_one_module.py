"""One loss-prediction module for all tasks: between two of them nothing differs but the
channels of their taps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from acquisition.pool import Pool
from models.loss_prediction import LossPrediction
from models.training.hooks import unwrapped
from models.training.joint import JointModel
from tasks.base import Task
from tests import devkit, imagekit, keypointkit, posekit, segkit
from tests.conftest import REPOSITORY
from tests.examples.segmentation import Segmentation
from tests.toy import Toy
from tools.experiment.config import load
from tools.record.folder import RunFolder
from tools.train.cycle import Cycle, start

WIDTH = 8  # of the module in the toy's config

TASKS: dict[str, tuple[Callable[[Path], Task], tuple[int, ...]]] = {  # and the channels of its taps
    "toy": (lambda root: Toy(), (8, 4)),
    "classification": (
        lambda root: imagekit.classification(imagekit.make_folder(root)),
        (8, 16, 32, 64),
    ),
    "detection": (lambda root: devkit.detection(devkit.make_voc(root)), (64, 64, 64, 64)),
    "pose": (lambda root: posekit.pose(posekit.make_mpii(root)), (16, 16)),
    "pose on COCO's keypoints": (
        lambda root: keypointkit.pose(keypointkit.make_coco(root)),
        (64, 128, 256, 512),
    ),
    "segmentation": (
        lambda root: Segmentation(str(segkit.make_seg(root)), classes=4, size=64),
        (40, 960),
    ),
}


def model_of(task: Task, folder: Path) -> JointModel:
    """The model that the loop trains for a task; all else is the toy's config."""
    experiment = replace(load(REPOSITORY / "tests/examples/toy_config.py"), task=task)
    with start(Cycle(experiment, RunFolder(folder), Pool.initial(6, 4, seed=0))) as runner:
        return unwrapped(runner.model)


@pytest.mark.parametrize("name", TASKS)
def test_the_loop_gives_every_task_the_same_module_with_its_own_channels(name: str, tmp_path: Path):
    make, channels = TASKS[name]
    model = model_of(make(tmp_path / "data"), tmp_path / "run")
    assert type(model) is JointModel and type(model.loss_prediction) is LossPrediction
    found = {key: tuple(value.shape) for key, value in model.loss_prediction.state_dict().items()}
    expected = {"head.weight": (1, WIDTH * len(channels)), "head.bias": (1,)}
    for k, count in enumerate(channels):
        expected |= {f"branches.{k}.2.weight": (WIDTH, count), f"branches.{k}.2.bias": (WIDTH,)}
    assert found == expected


# of COCO's json, in which a key has the word
COCO = {"coco.py", "coco_records.py"}


@pytest.mark.parametrize("floor", ["models", "tasks", "acquisition", "tools", "configs"])
def test_the_example_is_known_nowhere(floor: str):
    """The fourth task runs (see `test_segmentation.py`), and no file of the packages has a
    word of it.
    """
    files = sorted((REPOSITORY / floor).rglob("*.py"))
    files = [path for path in files if not (path.parent.name == "formats" and path.name in COCO)]
    words = ("segmentation", "mean_iou", "meaniou", "lraspp", "seg_voc")
    assert len(files) >= 5
    assert [
        str(path) for path in files if any(word in path.read_text().lower() for word in words)
    ] == []
