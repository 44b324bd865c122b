"""Mixed precision and memory format: what they touch, and that nothing is left of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from acquisition import batch_size
from acquisition.batch_size import fastest
from acquisition.canary import CanaryError, agree
from acquisition.scoring import Samples, score
from acquisition.settings import ScoringSettings
from models.training.inference import full_precision, inference
from models.training.joint import JointModel
from models.training.settings import ModuleSettings
from tasks.classification import Classification
from tests.toy import Toy, trained


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1), nn.Flatten(), nn.Linear(144, 2)
    )
    return layers.eval()


def test_inside_weights_are_channels_last_and_afterwards_as_before_bit_for_bit():
    net = network()
    before = {name: (value.clone(), value.stride()) for name, value in net.state_dict().items()}
    with inference([net], channels_last=True):
        assert (
            net[0].weight.is_contiguous(memory_format=torch.channels_last)
            and not net[0].weight.is_contiguous()
        )
        maps = net[0](torch.zeros(2, 3, 8, 8))
        assert maps.is_contiguous(memory_format=torch.channels_last), (
            "inputs need not be turned: the maps follow"
        )
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name][0]) and value.stride() == before[name][1], name


def test_a_network_that_is_channels_last_already_stays_so():
    net = network().to(memory_format=torch.channels_last)
    with inference([net], channels_last=True):
        pass
    assert not net[0].weight.is_contiguous()


def test_an_error_inside_leaves_nothing():
    net = network()
    with pytest.raises(ZeroDivisionError), inference([net], amp=True, channels_last=True):
        raise ZeroDivisionError
    assert net[0].weight.is_contiguous()
    assert not torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()


def test_amp_is_bfloat16_but_for_what_is_kept_out():
    net, x = network(), torch.randn(2, 3, 8, 8)
    with inference([net], amp=True):
        assert net(x).dtype == torch.bfloat16
        with full_precision("cpu"):
            assert net(x).dtype == torch.float32
    with inference([net]):
        assert net(x).dtype == torch.float32 and not torch.is_grad_enabled()
    assert all(p.dtype == torch.float32 for p in net.parameters())


# ---------------------------------------------------------------- scoring with them


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Classification:
    from tools.make_sandbox import main

    root = tmp_path_factory.mktemp("data")
    assert main(["cls", "--root", str(root), "--pool", "150", "--test", "30"]) in (None, 0)
    settings = dict(network="resnet10_cifar_w8", mean=(0.5,) * 3, std=(0.2,) * 3)
    return Classification(str(root / "shapes"), **settings)


def model_of(task: Classification) -> JointModel:
    torch.manual_seed(1)
    model = JointModel(
        task.build(), task.forward, task.predict, task.taps, ModuleSettings(width=16), "joint"
    )
    model.train()
    data = task.dataset("pool")
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    for step in range(20):  # ranks of a network that knows nothing are rounding alone
        batch = task.collate([data[(32 * step + i) % len(data)] for i in range(32)])
        sum(model(mode="loss", **batch).values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def test_bfloat16_ranks_as_float32_and_the_module_stays_in_it(shapes, monkeypatch):
    model, data = model_of(shapes), shapes.dataset("pool")
    seen = []
    plain = model.loss_prediction.forward
    monkeypatch.setattr(
        model.loss_prediction,
        "forward",
        lambda taps: seen.append((taps[0].dtype, plain(taps).dtype)) or plain(taps),
    )
    found = {}
    for fast in (False, True):
        settings = ScoringSettings(batch_size=32, workers=0, amp=fast, channels_last=fast)
        names = ("predicted_loss", "entropy", "embedding")
        found[fast] = score(model, Samples(data, shapes.collate, range(len(data))), names, settings)
        assert all(rows.dtype == np.float32 for rows in found[fast].values())
    assert set(seen) == {(torch.float32, torch.float32)}
    assert not np.array_equal(found[True]["predicted_loss"], found[False]["predicted_loss"]), (
        "it was rounded"
    )
    assert spearmanr(found[True]["predicted_loss"], found[False]["predicted_loss"])[0] > 0.999
    assert spearmanr(found[True]["entropy"], found[False]["entropy"])[0] > 0.995
    assert all(p.is_contiguous() for p in model.parameters())


@pytest.mark.parametrize(("alone", "expected"), [(1.009, True), (1.011, False)])
def test_rows_in_bfloat16_may_be_ten_times_as_far_off(alone, expected):
    assert agree(np.array(1.0), np.array(alone), 0.0, rounded=True) is expected
    assert agree(np.array(1.0), np.array(alone), 0.0) is False


def test_canaries_still_stop_a_pass_in_bfloat16():
    class Blurred(Toy):
        """A collate that mixes the samples of a batch."""

        def collate(self, samples):
            batch = super().collate(samples)
            return {**batch, "x": batch["x"] + 3 * batch["x"].mean(dim=0)}

    task = Blurred()
    with pytest.raises(CanaryError, match="do not agree"):
        fast = ScoringSettings(7, workers=0, amp=True)
        score(
            trained(task),
            Samples(task.dataset("pool"), task.collate, range(60)),
            ("predicted_loss",),
            fast,
        )


# ---------------------------------------------------------------- the batch size that is fastest


def played(monkeypatch, seconds: dict[int, float]) -> list[int]:
    """Let the probe measure these seconds for a batch of each size.

    What it measured is in the list.
    """
    tried: list[int] = []

    def measured(step) -> float:
        size = len(step.args[1])
        tried.append(size)
        return seconds[size]

    monkeypatch.setattr(batch_size, "_seconds", measured)
    return tried


def probed(task: Toy) -> int:
    return fastest(trained(task), task.dataset("pool"), task.collate, frozenset())


@pytest.mark.parametrize(
    ("seconds", "expected", "tried"),
    [
        # 1.3% and 2.6% are not worth it
        ({8: 1, 16: 1.5, 32: 2, 64: 3.95, 128: 7.8}, 32, [8, 16, 32, 64, 128]),
        # one size that is slow ends nothing
        ({8: 1, 16: 2.1, 32: 3, 64: 6, 128: 12}, 32, [8, 16, 32, 64, 128]),
        ({8: 1, 16: 2, 32: 4}, 8, [8, 16, 32]),
        ({8: 11.0}, 8, [8]),  # a larger batch would take longer still
        ({2**n: 1.0 for n in range(3, 11)}, 1024, [2**n for n in range(3, 11)]),
    ],
)
def test_a_batch_grows_while_that_pays(monkeypatch, seconds, expected, tried):
    asked = played(monkeypatch, seconds)
    assert probed(Toy()) == expected and asked == tried


def test_a_batch_that_is_too_large_for_memory_ends_the_probe(monkeypatch):
    def measured(step) -> float:
        if len(step.args[1]) > 32:
            raise torch.cuda.OutOfMemoryError
        return 1.0

    monkeypatch.setattr(batch_size, "_seconds", measured)
    assert probed(Toy()) == 32


def test_the_probe_runs_the_pass_itself_on_a_few_samples(monkeypatch):
    monkeypatch.setattr(batch_size, "LARGEST", 32)
    monkeypatch.setattr(batch_size, "SPAN", 0.0)
    task = Toy()
    assert probed(task) in (8, 16, 32)
    assert task.dataset("pool").reads == list(range(16))
    assert probed(Toy(size=3)) in (8, 16, 32), "a pool that is smaller than a batch is repeated"
