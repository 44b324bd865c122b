"""What only a GPU can show; `AL_GPU=cpu` tries the same tests on a CPU.

    python -m pytest -m gpu tests

Numbers are compared with float32's in the usual memory format. TF32, which torch takes for
convolutions on a GPU, keeps 10 bits of a factor, and bfloat16 keeps 8.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from acquisition.kcenter import k_center
from models.training.checkpoint import CHECKPOINT
from models.training.compiling import Compiled
from models.training.inference import inference
from models.training.joint import JointModel
from models.training.loading import Augmented
from tests.conftest import REPOSITORY
from tests.imagekit import classification
from tools.benchmarks.subjects import experiment
from tools.data.sandbox import draw
from tools.train.models import untrained

pytestmark = pytest.mark.gpu
NETWORKS = ("resnet18", "hourglass", "ssd300")
SANDBOXES = {"cls_sandbox": "shapes", "det_sandbox": "VOCdevkit", "pose_sandbox": "figures"}
# largest relative difference of a loss: in the other memory format, and in bfloat16 besides
ROUNDED = {False: 2e-3, True: 3e-2}


@pytest.fixture(scope="module")
def device() -> torch.device:
    """The GPU, or a skip that says why."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if os.environ.get("AL_GPU") == "cpu":
        return torch.device("cpu")
    pytest.skip("there is no GPU (torch.cuda.is_available() is False); AL_GPU=cpu tries a CPU")


@pytest.fixture(scope="module")
def root(device: torch.device, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small sandboxes of all tasks."""
    folder = tmp_path_factory.mktemp("sandboxes")
    for task in ("cls", "det", "pose"):
        draw(task, folder, pool=60, test=20)
    return folder


def model_and_batch(network: str, root: Path, device: torch.device) -> tuple[JointModel, dict]:
    """A network of the paper with its module, untrained, and four images of its pool."""
    made = experiment(network, root)
    model = untrained(made, "detached").to(device)
    pool = made.task.dataset("pool")
    return model, made.task.collate([pool[i] for i in range(4)])


# ---------------------------------------------------------------- precision and memory format


@pytest.mark.parametrize("amp", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("network", NETWORKS)
def test_scoring_channels_last_and_in_bfloat16_agrees(network, amp, root, device):
    model, batch = model_and_batch(network, root, device)
    model.eval()

    def scored(amp: bool, last: bool) -> tuple[Tensor, Tensor]:
        with inference([model.network], amp, last):
            output = model.output(batch, frozenset({"loss"}))
            return output.loss.float(), model.predicted_loss(output.taps)

    loss, predicted = scored(False, False)
    other, other_predicted = scored(amp, True)
    assert loss.device.type == device.type and predicted.dtype == torch.float32
    torch.testing.assert_close(other, loss, rtol=ROUNDED[amp], atol=0)
    spread = predicted.abs().max().item()
    torch.testing.assert_close(other_predicted, predicted, rtol=0, atol=ROUNDED[amp] * spread)


@pytest.mark.parametrize("amp", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_of_training_channels_last_and_in_bfloat16_agrees(network, amp, root, device):
    model, batch = model_and_batch(network, root, device)
    model.train()

    def stepped(amp: bool, layout: torch.memory_format) -> tuple[float, float]:
        """The loss, and the norm of its gradient by the network's weights."""
        model.network.to(memory_format=layout)
        model.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            losses = model(mode="loss", **model.data_preprocessor(batch, training=True))
        losses["loss_task"].backward()
        grads = [p.grad.float().norm() for p in model.network.parameters() if p.grad is not None]
        return losses["loss_task"].item(), torch.stack(grads).norm().item()

    loss, gradient = stepped(False, torch.contiguous_format)
    other, other_gradient = stepped(amp, torch.channels_last)
    assert other == pytest.approx(loss, rel=ROUNDED[amp])
    assert other_gradient == pytest.approx(gradient, rel=5 * ROUNDED[amp])


@pytest.mark.parametrize("network", NETWORKS)
def test_a_compiled_network_agrees(network, root, device):
    model, batch = model_and_batch(network, root, device)
    model.train()
    batch = model.data_preprocessor(batch, training=True)
    plain = model(mode="loss", **batch)["loss_task"].item()
    compiled = Compiled(model.network)
    with compiled():
        found = model(mode="loss", **batch)["loss_task"]
        found.backward()
    assert compiled.called
    assert found.item() == pytest.approx(plain, rel=ROUNDED[False])


# ---------------------------------------------------------------- whole runs


def command(config: str, root: Path, folder: Path, *more: str) -> list[str]:
    options = [f"task.data_root={root / SANDBOXES[config]}", "training.workers=0"]
    return [
        sys.executable, str(REPOSITORY / "tools/al_train.py"), f"{REPOSITORY}/configs/{config}.py",
        "--smoke", "--wandb", "disabled", "--strategy", "learning_loss", "--work-dir", str(folder),
        *more, "--cfg-options", *options,
    ]  # fmt: skip


def finished(*arguments) -> None:
    process = subprocess.run(command(*arguments), text=True, capture_output=True, timeout=300)
    assert process.returncode == 0, process.stdout + process.stderr


def outcome(folder: Path) -> tuple:
    """All that a run decides, and its last weights, to the byte."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timeless = [{k: v for k, v in row.items() if not k.startswith("seconds/")} for row in rows]
    queries = {path.name: path.read_bytes() for path in sorted((folder / "queries").iterdir())}
    last = sorted(folder.glob(f"cycles/*/{CHECKPOINT}"))[-1]
    state = torch.load(last, map_location="cpu", weights_only=True)["state_dict"]
    weights = {name: value.numpy().tobytes() for name, value in state.items()}
    return (folder / "state.json").read_bytes(), timeless, queries, weights


@pytest.mark.parametrize("config", SANDBOXES)
def test_deterministic_twice_it_ends_the_same(config, root, tmp_path, device):
    for name in ("first", "second"):
        finished(config, root, tmp_path / name, "--deterministic")
    assert outcome(tmp_path / "first") == outcome(tmp_path / "second")


def test_killed_and_started_again_it_ends_the_same(root, tmp_path, device):
    finished("cls_sandbox", root, tmp_path / "calm", "--deterministic")
    folder = tmp_path / "killed"
    arguments = command("cls_sandbox", root, folder, "--deterministic")
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (folder / "cycles/00" / CHECKPOINT).exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "done").exists()
    finished("cls_sandbox", root, folder, "--deterministic")
    assert outcome(folder) == outcome(tmp_path / "calm")


@pytest.mark.parametrize("config", SANDBOXES)
def test_a_run_in_mixed_precision_ends_with_finite_scores(config, root, tmp_path, device):
    finished(config, root, tmp_path / "run", "--amp")
    with np.load(tmp_path / "run/queries/00.npz") as query:
        scores = query["signal/predicted_loss"]
    assert len(scores) > 8 and np.isfinite(scores).all() and len(set(scores.tolist())) > 1


# ---------------------------------------------------------------- what is decided on the device


@pytest.mark.parametrize("kind", ["normal", "ties", "near copies"])
def test_k_center_picks_what_a_cpu_picks(kind, device):
    drawn = torch.Generator().manual_seed(3)
    features = torch.randn(3000, 64, generator=drawn)
    if kind == "ties":
        features = torch.randint(3, (3000, 6), generator=drawn).float()
    elif kind == "near copies":
        features[1500:] = features[:1500] + 1e-4 * torch.randn(1500, 64, generator=drawn)
    labeled, rest = features[:100], features[100:]
    expected = k_center(rest, labeled, 200)
    found = k_center(rest.to(device), labeled.to(device), 200)
    assert found.positions.device.type == device.type
    assert found.positions.tolist() == expected.positions.tolist()
    assert found.radii.tolist() == expected.radii.tolist()


@pytest.mark.parametrize("split", ["train", "pool"])
def test_images_held_on_the_device_are_those_of_the_memory(split, image_folder, device):
    keys = [(1, i) for i in (5, 0, 11, 5)] if split == "train" else [5, 0, 11, 5]
    images = {}
    for where in ("memory", "device"):
        task = classification(image_folder, held=where)
        view = task.dataset(split)
        batch = task.collate((Augmented(view, 3) if split == "train" else view).__getitems__(keys))
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items()}
        assert ("ids" in batch) == (where == "device")
        images[where] = task.pictures.images(moved)
    assert images["device"].device.type == device.type
    assert torch.equal(images["memory"], images["device"])
