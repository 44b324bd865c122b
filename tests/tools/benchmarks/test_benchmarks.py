"""The benchmarks of training, scoring, memory and a cycle: contenders do the same work,
and notes say what was seen.
"""

from __future__ import annotations

import json
import mmap
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.loss_prediction import LossPrediction, ranking_loss
from models.output import Output, Tap
from models.training.joint import JointModel
from models.training.loading import train_loader
from models.training.settings import ModuleSettings
from tests.conftest import REPOSITORY
from tools import bench
from tools.benchmarks import memory, report, score, session, subjects, train
from tools.experiment.config import load
from tools.train.cycle import untrained

pytestmark = pytest.mark.slow

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
SMALL = {
    "network": "resnet10_cifar_w8",
    "data_root": "shapes",
    "format": "folder",
    "download": False,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandboxes")


@pytest.fixture
def small(monkeypatch) -> None:
    """A small network for the paper's ResNet-18."""
    monkeypatch.setitem(subjects.PAPER, "resnet18", ("cls_resnet18_cifar10.py", "cls", SMALL))
    monkeypatch.setenv("COLUMNS", "200")


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("mode", train.MODES)
def test_the_bare_loop_and_the_runner_take_the_same_steps(mode, monkeypatch):
    """Else their times would say nothing of each other."""
    monkeypatch.setattr(train, "STILL", 0.05)
    experiment = load(TOY, options={"training.optimizer.momentum": 0.0})
    task, ends = experiment.task, []
    for run in (train.bare, train.through_runner):
        model = untrained(experiment, mode)
        for part in model.modules():
            if isinstance(part, nn.modules.dropout._DropoutNd):
                part.p = 0.0  # the Runner seeds its masks, and the loop does not
        model.start_epoch(0)
        batches = train_loader(task.dataset("pool"), range(24), 8, 0, task.collate, seed=0)
        assert run(experiment, model, batches) > 0
        ends.append(model.state_dict())
    begin = untrained(experiment, mode).state_dict()
    moved = {
        name.partition(".")[0]
        for name, value in begin.items()
        if not torch.equal(value, ends[0][name])
    }
    assert moved == ({"network"} if mode == "off" else {"network", "loss_prediction"})
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-5, atol=1e-6)


class Line(nn.Module):
    """Two linear layers with a map of 4 channels between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 4), nn.Linear(4, 1)


def forward(network: Line, batch: dict, want: frozenset[str]) -> Output:
    tap = network.first(batch["x"])
    return Output((tap[:, :, None, None],), loss=network.last(tap).squeeze(1).exp())


def held(mode: str) -> int:
    model = JointModel(
        Line(), forward, lambda *_: [], (Tap("map", 4),), ModuleSettings(width=3), mode
    )
    model.start_epoch(0)
    return train.held(model, {"x": torch.zeros(10, 6)})


def test_what_a_step_holds_is_counted_by_hand_and_detaching_adds_the_module_alone():
    # of both layers, of exp, and the sum that must be finite
    inputs, result, checked = 10 * 6 + 10 * 4, 10, 1
    assert held("off") == 4 * (inputs + result + checked)
    module = LossPrediction([4], 3, "gap")
    tap, loss = torch.zeros(10, 4, 1, 1), torch.arange(10.0)

    class Alone(JointModel):
        def forward(self, **_) -> dict:
            return {"loss_rank": ranking_loss(module([tap]), loss, 1.0)}

    alone = Alone(module, forward, lambda *_: [], (), ModuleSettings(), "off")
    assert 0 < held("detached") - held("off") <= train.held(alone, {"x": torch.zeros(1)})
    assert held("joint") >= held("detached")


def test_a_training_step_is_reported(root, small, tmp_path, capsys):
    path = tmp_path / "train.json"
    few = ["--batch-size", "4", "--steps", "1", "--repeats", "1"]
    assert (
        bench.main(
            ["train", "--network", "resnet18", "--root", str(root), *few, "--json", str(path)]
        )
        == 0
    )
    found = json.loads(path.read_text())
    names = [
        f"{way}, {mode}" for way in ("bare", "Runner") for mode in ("off", "joint", "detached")
    ]
    assert [row["name"] for row in found["rows"]] == names
    assert found["settings"] == {"network": "resnet18", "batch_size": 4, "steps": 1, "repeats": 1}
    by_name = {row["name"]: row for row in found["rows"]}
    off, joint = by_name["Runner, off"], by_name["Runner, joint"]
    assert joint["notes"]["over off"] == pytest.approx(
        joint["seconds"][0] / off["seconds"][0], abs=1e-3
    )
    bare = by_name["bare, joint"]["seconds"][0]
    assert joint["notes"]["over the bare loop"] == pytest.approx(
        joint["seconds"][0] / bare, abs=1e-3
    )
    assert by_name["bare, off"]["notes"]["held for backward, MB"] > 0
    assert "Runner, detached" in capsys.readouterr().out


# ---------------------------------------------------------------- scoring


def test_the_pass_is_reported_beside_network_reading_and_baal(root, small, tmp_path):
    path = tmp_path / "score.json"
    few = ["--images", "150", "--train-steps", "2", "--workers", "0", "--repeats", "1"]
    assert (
        bench.main(
            ["score", "--network", "resnet18", "--root", str(root), *few, "--json", str(path)]
        )
        == 0
    )
    found = json.loads(path.read_text())
    names = [row["name"] for row in found["rows"]]
    assert (
        names[:2] == ["network alone, float32, 128", "losstap, float32, 128"]
        and names[4] == "reading alone"
    )
    fast = found["rows"][3]
    assert fast["name"].startswith("losstap, bfloat16, ")
    seconds = {row["name"]: row["seconds"][0] for row in found["rows"]}
    slower = max(seconds[names[2]], seconds["reading alone"])
    over = fast["notes"]["over the slower of network and reading"]
    assert over == pytest.approx(fast["seconds"][0] / slower, abs=1e-3)
    assert found["rows"][5]["notes"]["images/s"] == pytest.approx(8 / seconds[names[5]], abs=0.1)
    less = fast["seconds"][0] - seconds[names[5]]
    assert fast["notes"]["that without the canaries"] == pytest.approx(less / slower, abs=1e-3)
    assert 0.9 < fast["notes"]["Spearman to float32"] < 1
    if "baal" in names:
        assert fast["notes"]["baal's time over it"] == pytest.approx(
            seconds["baal"] / fast["seconds"][0], abs=1e-2
        )


def test_baal_sees_the_same_images_through_the_same_network(root, small):
    pytest.importorskip("baal", reason="baal is not here: pip install -e '.[bench]'")
    experiment = subjects.experiment("resnet18", root)
    model = untrained(experiment, "joint").eval()
    pool = score.Repeated(experiment.task.dataset("pool"), 50)
    run = score._baal(experiment, model, pool, 16, 0)["baal"]
    batch = experiment.task.collate([pool[i] for i in range(50)])
    with torch.no_grad():
        wanted = model.output(batch, frozenset({"probs"})).probs[:, 0]
    np.testing.assert_allclose(run()[..., 0], wanted.numpy(), rtol=1e-4, atol=1e-6)


def test_a_pool_that_is_larger_than_the_data_goes_through_them_again():
    class Letters:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> str:
            return "abc"[index]

    pool = score.Repeated(Letters(), 8)
    assert len(pool) == 8 and "".join(pool[i] for i in range(8)) == "abcabcab" == "".join(
        pool.__getitems__(range(8))
    )
    held = subjects.Held(Letters(), 7)
    assert len(held) == 7 and "".join(held[i] for i in range(7)) == "abcabca"


# ------------------------------------------------------------ memory, a cycle, and the command line


NEEDS_STATUS = pytest.mark.skipif(
    not memory.STATUS.exists(), reason="the system does not tell a process's own memory"
)


@NEEDS_STATUS
def test_vectors_take_their_own_memory_and_in_a_file_none(tmp_path):
    """In a process of its own: one that has had much memory before takes none for more."""
    command = [
        sys.executable,
        "tools/bench.py",
        "memory",
        "--images",
        "1000",
        "--repeats",
        "1",
        "--json",
    ]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    subprocess.run(
        [*command, str(tmp_path / "out.json")], cwd=REPOSITORY, env=environment, check=True
    )
    found = json.loads((tmp_path / "out.json").read_text())
    more = {row["name"]: row["notes"]["bytes more a sample"] for row in found["rows"]}
    assert 256 <= more["vectors in memory"] < 2 * 256, "64 numbers and ids, and no copy of them"
    assert (
        more["vectors in a file"] < 128
        and more["predicted loss"] < 128
        and more["pool and query"] < 128
    )


@NEEDS_STATUS
def test_memory_that_is_filled_is_seen():
    watch, size = memory.Watch(), 64 << 20
    with watch, mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        block.write(b"1" * size)
        time.sleep(0.1)
    assert size <= watch.peak - watch.before < 3 * size


def test_a_run_is_split_into_its_steps(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    path = tmp_path / "cycle.json"
    assert bench.main(["cycle", "--config", TOY, "--repeats", "1", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    seconds = {row["name"]: row["seconds"][0] for row in found["rows"]}
    assert list(seconds) == ["whole run", "train", "evaluate", "score", "ranking", "rest"]
    assert min(seconds.values()) > 0 and sum(seconds.values()) == pytest.approx(
        2 * seconds["whole run"]
    )
    assert (
        bench.main(["cycle", "--config", TOY, "--repeats", "1", "--cfg-options", "budget.query=99"])
        == 1
    )
    assert "the run failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["score", "--workers", "-1"], "--workers: expected at least 0, but got -1"),
        (["train", "--batch-size", "0"], "--batch-size: expected at least 1, but got 0"),
        (["all", "--repeats", "0"], "--repeats: expected at least 1, but got 0"),
    ],
)
def test_numbers_that_are_none_are_refused(wrong, said, capsys):
    assert bench.main(wrong) == 1
    assert said in capsys.readouterr().err


def test_all_is_every_subject_that_needs_no_data(monkeypatch):
    asked = []
    for name in ("train", "score", "memory", "kcenter"):
        noted = lambda args, name=name: asked.append((name, args.repeats)) or []  # noqa: E731
        monkeypatch.setitem(session.SUBJECTS, name, noted)
    assert bench.main(["all", "--repeats", "2"]) == 0
    assert asked == [("train", 2), ("score", 2), ("memory", 2), ("kcenter", 2)]


def test_a_ratio_of_two_is_the_median_over_the_rounds():
    seconds = {"a": [1.0, 2.0, 9.0], "b": [1.0, 1.0, 3.0], "c": [1.0, 4.0, 4.0]}
    assert report.over(seconds, "a", "b") == 2.0 and report.over(seconds, "c", "a") == 1.0


def test_the_commands_of_the_docs_are_understood():
    lines = [
        line
        for path in (REPOSITORY / "docs").glob("*.md")
        for line in path.read_text().splitlines()
    ]
    commands = [
        line.partition("  #")[0] for line in lines if line.startswith("python tools/bench.py")
    ]
    assert len(commands) > 3
    for command in commands:
        arguments = shlex.split(command.partition(" --json")[0])[2:]
        bench.check(bench.parser().parse_args(arguments))
