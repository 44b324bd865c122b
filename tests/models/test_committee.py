"""Ensembles and dropout passes: members that differ, masks that do not depend on the
batch, layers that are named.
"""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from acquisition.scoring import Pass, Samples, score
from acquisition.settings import ScoringSettings
from models.networks import resnet
from models.output import Output
from models.process.seeding import seeded
from models.training import committee
from models.training.committee import add_dropout, ensemble, passes
from models.training.joint import JointModel
from models.training.settings import CommitteeSettings, ModuleSettings

AT = CommitteeSettings(dropout=0.3, dropout_at=("layer*",))


def model_of(network: nn.Module) -> JointModel:
    def forward(network, batch, want):
        taps, logits = network(batch["images"])
        return Output(taps, probs=logits.softmax(1).unsqueeze(1))

    return JointModel(
        network,
        forward,
        None,
        resnet.declare_taps("resnet10_cifar_w8", 32),
        ModuleSettings(),
        "off",
    )


@pytest.fixture
def model() -> JointModel:
    with seeded(0):
        network = resnet.build("resnet10_cifar_w8", 4)
    add_dropout(network, AT)
    return model_of(network)


def images(count: int = 5) -> dict:
    return {"images": torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))}


def asked(members, batch) -> torch.Tensor:
    with torch.no_grad():
        return torch.stack([member(batch, frozenset({"probs"})).probs for member in members])


def test_parameters_keep_their_names_and_evaluation_its_numbers():
    with seeded(0):
        plain = resnet.build("resnet10_cifar_w8", 4).eval()
    with seeded(0):
        other = resnet.build("resnet10_cifar_w8", 4).eval()
    layers = add_dropout(other, AT)
    assert layers == [f"layer{k}" for k in (1, 2, 3, 4)]
    assert plain.state_dict().keys() == other.state_dict().keys()
    with torch.no_grad():
        (taps, logits), (other_taps, other_logits) = (
            plain(images()["images"]),
            other(images()["images"]),
        )
    assert torch.equal(logits, other_logits) and all(
        torch.equal(a, b) for a, b in zip(taps, other_taps, strict=True)
    )


def test_training_drops_whole_channels_and_keeps_the_mean(model):
    network = model.network.train()
    with seeded(3):
        taps, _ = network(images(40)["images"])
    silent = (taps[3] == 0).all(dim=(2, 3)).float().mean().item()
    assert 0.2 < silent < 0.4
    drop = committee.DropoutAfter(0.3)
    with seeded(0):
        assert drop(network, None, torch.ones(2000, 50, 1, 1)).mean().item() == pytest.approx(
            1, abs=0.01
        )
        assert drop(network, None, torch.ones(2000, 50)).mean().item() == pytest.approx(1, abs=0.01)
    assert torch.equal(drop(network.eval(), None, torch.ones(5, 5)), torch.ones(5, 5))


def test_passes_differ_from_each_other_and_repeat_themselves(model):
    first, again = (asked(passes(model, 4, seed=7), images()) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, asked(passes(model, 4, seed=8), images()))
    assert all(not torch.equal(first[a], first[b]) for a in range(4) for b in range(a))
    plain = model.eval().output(images(), frozenset({"probs"})).probs
    # nothing stays behind
    assert torch.equal(plain, model.output(images(), frozenset({"probs"})).probs)
    assert (first.mean(0) - plain).abs().max() < 0.5


def test_what_a_pass_says_of_a_sample_does_not_depend_on_the_batch(model):
    members, batch = passes(model, 3, seed=1), images(6)
    together = asked(members, batch)
    alone = torch.cat(
        [asked(members, {"images": batch["images"][i : i + 1]}) for i in (5, 0, 3)], dim=1
    )
    torch.testing.assert_close(together[:, [5, 0, 3]], alone)
    torch.testing.assert_close(
        asked(members, {"images": batch["images"].flip(0)}).flip(1), together
    )


def test_the_share_that_a_pass_drops_is_the_setting(model):
    model.eval()
    plain, kept = model.output(images(1), frozenset()).taps[0], []
    for seed in range(300):
        with committee._masks(model.network, seed), torch.no_grad():
            found = model.output(images(1), frozenset()).taps[0]
        dropped = (found == 0).all(dim=(0, 2, 3))
        torch.testing.assert_close(found[:, ~dropped], plain[:, ~dropped] / 0.7)
        kept.append(1 - dropped.float().mean().item())
    assert sum(kept) / 300 == pytest.approx(0.7, abs=0.03)


def test_dropout_of_the_networks_own_is_used():
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 3))
    assert add_dropout(network, CommitteeSettings()) == ["1"]
    network.eval()
    x = torch.ones(2, 3, 2, 2)
    with committee._masks(network, 0):
        first = network(x)
    with committee._masks(network, 1):
        second = network(x)
    assert torch.equal(first[0], first[1]) and not torch.equal(first, second)
    assert torch.equal(network(x), network(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            CommitteeSettings(),
            r"expected layers to drop out after.*but got none; it has \['conv1', 'bn1'",
        ),
        (
            CommitteeSettings(dropout_at=("layers.*",)),
            r"'layers\.\*' names no layer of the network; it has \['layer",
        ),
    ],
)
def test_a_network_without_a_layer_for_it_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        add_dropout(resnet.build("resnet10_cifar_w8", 4), settings)


def test_an_ensemble_is_its_members_in_evaluation_mode():
    models = []
    for seed in range(3):
        with seeded(seed):
            models.append(model_of(resnet.build("resnet10_cifar_w8", 4)).train())
    found = asked(ensemble(models), images())
    assert not any(part.training for model in models for part in model.modules())
    assert torch.equal(found[1], models[1].output(images(), frozenset()).probs)
    assert all(not torch.equal(found[a], found[b]) for a in range(3) for b in range(a))


@pytest.mark.parametrize("pattern", ["network.layer*", "network.layer1.*"])
def test_what_a_traced_graph_never_calls_is_no_layer(pattern: str):
    """Its containers are there by name: dropout after them would do nothing, and say nothing."""
    with pytest.raises(ValueError, match="names no layer of the network"):
        add_dropout(resnet.build("resnet18", 4), CommitteeSettings(dropout_at=(pattern,)))


def test_layers_of_a_traced_graph_are_dropped_out_after():
    with seeded(0):
        network = resnet.build("resnet18", 4)
    assert len(add_dropout(network, CommitteeSettings(dropout_at=("network.layer*.1.bn2",)))) == 4
    found = asked(passes(model_of(network), 2, seed=0), {"images": torch.randn(2, 3, 64, 64)})
    assert not torch.equal(found[0], found[1])


def test_a_layer_that_two_patterns_name_is_dropped_out_after_once():
    network = nn.Sequential(nn.Identity())
    assert add_dropout(network, CommitteeSettings(dropout=0.5, dropout_at=("0", "*"))) == ["0"]
    network.eval()
    total = torch.zeros(1, 20)
    for seed in range(400):
        with committee._masks(network, seed):
            total += network(torch.ones(1, 20))
    assert total.mean().item() / 400 == pytest.approx(1, abs=0.05)


def test_one_dropout_at_two_places_draws_twice():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return self.drop(self.drop(x))

    network, total = Twice().eval(), torch.zeros(1, 50)
    for seed in range(400):
        with committee._masks(network, seed):
            total += network(torch.ones(1, 50))
    assert total.mean().item() / 400 == pytest.approx(1, abs=0.1)


class Pictures(Dataset):
    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(index))


def committees_rows(model: JointModel) -> dict[str, np.ndarray]:
    """Signals of eleven samples by passes with dropout and by an ensemble."""
    settings = ScoringSettings(batch_size=3, workers=0)
    ids = [7, 3, 20, 1, 9, 4, 30, 2, 11, 5, 8]
    found = {}
    for names, members in (
        (["dropout_entropy", "dropout_bald"], passes(model, 3, seed=5)),
        (["ensemble_variance", "ensemble_bald"], ensemble([model, model])),
    ):
        found |= score(
            model,
            Samples(Pictures(), lambda b: {"images": torch.stack(b)}, ids),
            names,
            settings,
            Pass(committee=members),
        )
    return found


def of_two_processes(rank: int, place: str, model: JointModel, results) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{place}", rank=rank, world_size=2
    )
    results.put((rank, committees_rows(model)))
    torch.distributed.destroy_process_group()


def test_two_processes_find_what_one_finds(model, tmp_path):
    alone, context = committees_rows(model), multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    arguments = (str(tmp_path / "meeting"), model, results)
    both = [context.Process(target=of_two_processes, args=(rank, *arguments)) for rank in (0, 1)]
    [process.start() for process in both]
    found = dict(results.get() for _ in both)
    [process.join(60) for process in both]
    assert set(found) == {0, 1} and len(alone["dropout_bald"]) == 11
    assert len(np.unique(alone["dropout_entropy"])) == 11
    for name, rows in alone.items():
        np.testing.assert_array_equal(found[0][name], found[1][name])
        np.testing.assert_allclose(found[0][name], rows, rtol=1e-4, atol=1e-7)
