"""Compiled and channels-last trainings: about the same losses, the same names, exact resumes, and
never silently not.

The backend is one that runs what was traced as it is: its numbers are torch's own, so they can be
compared to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from models.networks import hourglass, resnet, ssd
from models.output import Output
from models.process.seeding import seeded
from models.training import compiling
from models.training.compiling import Compiled, CompileError
from models.training.trainer import warm_start
from tests.conftest import REPOSITORY
from tests.models.test_training import (
    MODULE,
    PLAIN,
    Broken,
    build,
    equal,
    interrupted,
    saved,
    train,
)
from tests.toy import Toy
from tools import al_train

COMPILED = replace(PLAIN, compile=True)


class Counted:
    """A backend that changes nothing and counts the graphs."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list) -> Callable:
        self.graphs += 1
        return graph.forward


@pytest.fixture
def backend(monkeypatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr(compiling, "BACKEND", counted)
    return counted


# ---------------------------------------------------------------- compiled


def test_a_compiled_training_ends_with_the_same_weights(tmp_path: Path, backend: Counted):
    plain, compiled = train(tmp_path / "plain"), train(tmp_path / "compiled", COMPILED)
    assert backend.graphs == 2, "one for batches of 4, one for the last of 2"
    assert list(plain.final) == list(compiled.final) and equal(plain.final, compiled.final)
    assert "forward" not in vars(compiled.model.network), "what scores is not compiled"


def test_another_network_of_the_same_form_is_not_compiled_again(tmp_path: Path, backend: Counted):
    train(tmp_path / "first", COMPILED)
    train(tmp_path / "second", COMPILED, seed=2)
    assert backend.graphs == 2


def test_a_compiled_training_resumes_to_the_bit_and_its_weights_are_anybodys(
    tmp_path: Path, backend: Counted
):
    interrupted(tmp_path / "a", 5, COMPILED)
    again, whole = train(tmp_path / "a", COMPILED), train(tmp_path / "b", COMPILED)
    assert min(again.states) == 1 and equal(again.final, whole.final)
    plain = build(Toy(), MODULE, "joint", seed=5)
    warm_start(plain, tmp_path / "a")
    assert equal(plain.state_dict(), whole.final) and list(
        saved(tmp_path / "a")["state_dict"]
    ) == list(whole.final)


def test_hooks_that_come_later_are_looked_at(backend: Counted):
    """Dropout of a committee is hooks, and code compiled for a network without them must
    not serve one with them.
    """
    networks = [resnet.build("resnet10_cifar_w8", 10) for _ in range(2)]
    networks[1].layer1.register_forward_hook(lambda module, given, out: out * 0)
    taps = []
    for network in networks:
        with Compiled(network)():
            taps.append(network(torch.ones(2, 3, 16, 16))[0][0].abs().max().item())
    assert taps[0] > 0 and taps[1] == 0


def test_a_network_that_the_task_does_not_call_is_an_error_in_the_first_iteration(
    tmp_path: Path, backend: Counted
):
    class Apart(Toy):
        """Calls the network's parts, not the network."""

        def forward(self, network, batch, want) -> Output:
            a = network.first(batch["x"][:, :, None, None])
            b = network.second(a)
            return Output((a, b), loss=(network.head(b.flatten(1)).squeeze(1) - batch["y"]) ** 2)

    class Named(Apart):
        def build(self) -> nn.Module:
            network = super().build()
            network.entries = ("first", "second")
            return network

    seen = []
    with pytest.raises(
        CompileError, match=r"`forward` to call the network, but it did not; name the modules"
    ):
        train(
            tmp_path / "apart", COMPILED, task=Apart(), then=lambda runner: seen.append(runner.iter)
        )
    assert len(seen) <= 1 and backend.graphs == 0
    found = train(tmp_path / "named", COMPILED, task=Named())
    assert backend.graphs == 4 and equal(found.final, train(tmp_path / "plain").final)


def test_what_torch_cannot_compile_is_said_in_one_line(tmp_path: Path, monkeypatch):
    def broken(graph, inputs):
        raise ValueError("no compiler here")

    monkeypatch.setattr(compiling, "BACKEND", broken)
    expected = r"^training.compile: torch cannot compile the network \(.*no compiler here.*\); set it to False$"
    with pytest.raises(CompileError, match=expected):
        train(tmp_path, COMPILED)


def test_a_loss_that_is_not_finite_is_found_in_a_compiled_training_too(
    tmp_path: Path, backend: Counted
):
    task = Broken(lambda output: replace(output, loss=output.loss * float("nan")), at=2)
    with pytest.raises(FloatingPointError, match=r"'loss_task': nan.* in epoch 0, iteration 2"):
        train(tmp_path, COMPILED, task=task)


# ---------------------------------------------------------------- every network


def small_ssd() -> nn.Module:
    return ssd.small_ssd(3)


def small_hourglass() -> nn.Module:
    return hourglass.StackedHourglass(joints=4, stacks=1, features=16, depth=2)


def called(name: str, network: nn.Module, images: torch.Tensor) -> tuple:
    if name != "small_ssd":
        return network(images)
    taps, sources = ssd.features(network, images)
    return taps, network.bbox_head(sources)


NETWORKS = {
    "resnet10": lambda: resnet.build("resnet10_cifar_w8", 10),
    "resnet18 of torchvision": lambda: resnet.build("resnet18", 10),
    "small_ssd": small_ssd,
    "hourglass": small_hourglass,
}


def flat(values) -> list[torch.Tensor]:
    return (
        [values]
        if isinstance(values, torch.Tensor)
        else [t for value in values for t in flat(value)]
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compile_and_keep_their_names(name: str, backend: Counted):
    with seeded(1):
        network, images = NETWORKS[name]().eval(), torch.randn(2, 3, 64, 64)
    names = list(network.state_dict())
    with torch.no_grad():
        expected = flat(called(name, network, images))
        compiled = Compiled(network)
        with compiled():
            found = flat(called(name, network, images))
            assert list(network.state_dict()) == names
    assert compiled.called and backend.graphs >= len(compiled.parts)
    assert len(found) == len(expected) > 1 and all(
        torch.equal(a, b) for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_last_goes_through_to_the_taps(name: str):
    with seeded(1):
        network, images = NETWORKS[name]().eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected, _ = called(name, network, images)
        found, _ = called(name, network.to(memory_format=torch.channels_last), images)
    for tap, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(tap, wanted, rtol=1e-3, atol=1e-3 * wanted.abs().max().item())
        assert tap.is_contiguous(memory_format=torch.channels_last)
    first = found[0]
    assert not first.is_contiguous() and expected[0].is_contiguous()


# ---------------------------------------------------------------- channels last


class Pictures(Toy):
    """The toy on maps of 3 x 3, where the layout in memory can differ."""

    def __init__(self) -> None:
        super().__init__()
        self.layouts: set[bool] = set()

    def build(self) -> nn.Module:
        network = super().build()
        network.first[0] = nn.Conv2d(6, 8, 3, padding=1)
        return network

    def forward(self, network, batch, want) -> Output:
        a = network.first(batch["x"][:, :, None, None].expand(-1, -1, 3, 3))
        b = network.second(a)
        self.layouts.add(a.is_contiguous(memory_format=torch.channels_last))
        found = network.head(b.mean((2, 3))).squeeze(1)
        return Output((a, b), loss=(found - batch["y"]) ** 2)


def test_a_training_channels_last_agrees_and_resumes_to_the_bit(tmp_path: Path):
    settings = replace(PLAIN, channels_last=True)
    plain, tasks = train(tmp_path / "plain", task=Pictures()), [Pictures() for _ in range(3)]
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "a", settings, task=tasks[0], then=lambda runner: stop(runner, 5))
    again, whole = (
        train(tmp_path / "a", settings, task=tasks[1]),
        train(tmp_path / "b", settings, task=tasks[2]),
    )
    assert equal(again.final, whole.final) and [task.layouts for task in tasks] == [{True}] * 3
    assert whole.model.network.first[0].weight.is_contiguous(memory_format=torch.channels_last)
    for key, value in plain.final.items():
        torch.testing.assert_close(whole.final[key], value, rtol=1e-3, atol=1e-4)
    warm_start(build(Pictures(), MODULE, "joint", seed=5), tmp_path / "a")  # strictly


def stop(runner, iteration: int) -> None:
    if runner.iter + 1 == iteration:
        raise KeyboardInterrupt


# ---------------------------------------------------------------- the command


def test_the_option_runs_all_cycles(tmp_path: Path, backend: Counted, capsys):
    arguments = [
        str(REPOSITORY / "tests/examples/toy_config.py"),
        "--smoke",
        "--wandb",
        "disabled",
        "--work-dir",
    ]
    assert al_train.main([*arguments, str(tmp_path / "plain")]) == 0
    assert al_train.main([*arguments, str(tmp_path / "compiled"), "--compile"]) == 0
    rows = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("plain", "compiled")
    ]
    assert backend.graphs >= 2 and len(rows[0]) == 2
    assert [row["score"] for row in rows[0]] == [row["score"] for row in rows[1]]
    assert "area under the curve" in capsys.readouterr().out
    assert al_train.main([*arguments, str(tmp_path / "compiled")]) == 2
    assert "training.compile: True there, '(missing)' now" in capsys.readouterr().out
