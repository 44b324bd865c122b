"""`proof.py` on a task of milliseconds: what is learned passes, and a bug is seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from models.training.checkpoint import CHECKPOINT, CheckpointError, read
from tests.conftest import REPOSITORY
from tools import proof as command
from tools.display.console import Plain
from tools.proving import looks, session
from tools.proving.bugs import BUGS, Bug, taps_of_another
from tools.proving.looks import Look
from tools.proving.proofs import DROP, PROOFS, SMALL, Proof, Stage, alone, reached
from tools.record.files import RunFolderError
from tools.record.folder import RunFolder
from tools.train.cycle import Cycle

BROKEN = Bug("", "pairs", ("few",), alter=taps_of_another)
# as it ended once: -0.063 and 0.893 after 40 epochs, 0.929 after 40 more of the module alone;
# with the bug 0.321 and 0.143
FEW = Proof(
    name="few",
    config=REPOSITORY / "tests/examples/few_config.py",
    samples="8 vectors",
    count=8,
    source="vectors",
    write=lambda source, target, count: None,  # they are made
    bar=-0.15,
    network=Stage({"training.epochs": 80}, every=40),
    module=alone(batch_size=8, epochs=80, every=40),
)
IDLE = replace(
    FEW,
    network=Stage({"training.epochs": 2, "training.optimizer.lr": 1e-9}, every=1),
    module=Stage({"training.epochs": 2}, every=1),
    pairs=1.0,
)


def look_at(folder: Path, proof: Proof = FEW, bug: Bug | None = None) -> list[Look]:
    return session.proved(proof, folder / "none", folder, Plain(quiet=True), bug)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> tuple[Path, list[Look]]:
    folder = tmp_path_factory.mktemp("sound")
    return folder, look_at(folder)


def test_the_network_learns_and_then_the_module(sound):
    network, module = sound[1]
    assert network.metric > FEW.bar and not session.passed(FEW, network), network
    assert session.passed(FEW, module), module
    assert module.metric == network.metric


def test_the_network_held_still_stays_to_the_bit_and_the_module_goes_on(sound):
    before, after = (
        read(RunFolder(sound[0] / name).training_folder(0) / CHECKPOINT)["state_dict"]
        for name in ("few", "few-module")
    )
    network = [name for name in before if name.startswith("network.")]
    assert len(network) == 6 and all(torch.equal(before[key], after[key]) for key in network)
    # the bias at the end has no part in an order
    module = [name for name in before if name not in (*network, "loss_prediction.head.bias")]
    assert len(module) == 5 and not any(torch.equal(before[key], after[key]) for key in module)


def test_the_taps_of_another_sample_are_seen_in_the_pairs_alone(tmp_path, sound):
    """Detached, the module has no part in the network's training: its numbers stay."""
    network, module = look_at(tmp_path, bug=BROKEN)
    assert network.metric == module.metric == sound[1][0].metric
    assert module.epochs == 80 and not session.passed(FEW, module)
    assert network.pairs < 0.65 and module.pairs < 0.65


def test_what_passes_with_the_metric_or_misses_it_has_one_stage(tmp_path):
    easy, hard = replace(IDLE, bar=-1e9, pairs=-1.0), replace(IDLE, bar=1e9, pairs=-1.0)
    assert [look.epochs for look in look_at(tmp_path / "easy", easy)] == [1]
    assert [look.epochs for look in look_at(tmp_path / "hard", hard)] == [2]


def test_a_proof_that_is_done_is_read(sound, monkeypatch):
    monkeypatch.setattr(looks, "look_after", None)  # nothing is trained
    folder, found = sound
    assert look_at(folder) == found


@pytest.mark.parametrize(("bar", "stage"), [(1e9, "few"), (-1e9, "few-module")])
def test_stopped_between_looks_it_goes_on_and_counts_all_seconds(bar, stage, tmp_path, monkeypatch):
    proof = replace(IDLE, bar=bar)
    whole = look_at(tmp_path / "whole", proof)
    look_after, clock = looks.look_after, iter(range(0, 100, 10))

    def stopped(epochs: int, cycle: Cycle, before: Path | None):
        if epochs == 2:
            raise KeyboardInterrupt
        return look_after(epochs, cycle, before)

    with monkeypatch.context() as patch:
        patch.setattr(looks, "look_after", stopped)
        patch.setattr(looks, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
        with pytest.raises(KeyboardInterrupt):
            look_at(tmp_path / "halves", proof)
    known = json.loads((tmp_path / "halves" / stage / "looks.json").read_text())
    assert [(look["epochs"], look["seconds"]) for look in known["looks"]] == [(1, 10)]
    assert known["seconds"] == 20
    found = look_at(tmp_path / "halves", proof)
    assert found[-1].seconds > 20
    assert [replace(look, seconds=0) for look in found] == [
        replace(look, seconds=0) for look in whole
    ]


def test_other_settings_are_refused_in_either_stage(sound):
    for stage in ("network", "module"):
        other = replace(
            FEW, **{stage: replace(getattr(FEW, stage), settings={"training.epochs": 81})}
        )
        with pytest.raises(RunFolderError, match="training.epochs: 80 there, 81 now"):
            look_at(sound[0], other)


def test_weights_of_the_first_stage_that_are_gone_are_an_error(tmp_path):
    proof = replace(IDLE, bar=-1e9)
    with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "passed", stopping)
        look_at(tmp_path, proof)
    checkpoint = RunFolder(tmp_path / "few").training_folder(0) / CHECKPOINT
    checkpoint.unlink()
    with pytest.raises(CheckpointError, match=f"{checkpoint}: expected the weights to start from"):
        look_at(tmp_path, proof)


def stopping(*_: object) -> bool:
    raise KeyboardInterrupt


# ---------------------------------------------------------------- the command


def run(monkeypatch, folder: Path, proofs: list[Proof], *more: str) -> int:
    monkeypatch.setattr(session, "PROOFS", proofs)
    monkeypatch.setattr(command, "NAMES", [proof.name for proof in proofs])
    return command.main(["--out", str(folder / "out"), "--data", str(folder), *more])


def test_the_table_says_what_was_reached_and_the_exit_status_what_was_missed(
    tmp_path, capsys, monkeypatch
):
    easy = replace(IDLE, bar=-1e9, pairs=-1.0)
    hard = replace(IDLE, name="other", bar=1e9, pairs=-1.0)
    assert run(monkeypatch, tmp_path, [easy], "--only", "few") == 0
    said = capsys.readouterr().out
    assert "few: epoch 1 of 2, metric -" in said and "MISSED" not in said
    assert run(monkeypatch, tmp_path, [easy, hard]) == 1
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert ["MISSED" in row for row in rows] == [False, False, True, False]
    assert "above 1e+09" in rows[2] and "8 vectors" in rows[2]


def test_a_bug_of_no_proof_proves_nothing(tmp_path, capsys, monkeypatch):
    assert run(monkeypatch, tmp_path, [IDLE], "--bug", "boxes_off") == 1
    assert "few: boxes_off is no bug of its task; left out" in capsys.readouterr().out


def test_data_that_are_not_there(tmp_path, capsys):
    given = ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--only"]
    for name, lacking in (
        ("resnet18", "cifar10/train"),
        ("hourglass", "mpii/annot/valid.json"),
        ("ssd300", "VOCdevkit/VOC2007/ImageSets/Main/trainval.txt"),
    ):
        assert command.main([*given, name]) == 2
        assert f"error: {tmp_path}/{lacking} is not there; see --data" in capsys.readouterr().out


def test_the_names_are_those_of_the_proofs_and_of_the_bugs():
    assert [proof.name for proof in PROOFS] == [proof.name for proof in SMALL]
    assert tuple(proof.name for proof in PROOFS) == command.NAMES
    assert tuple(BUGS) == command.BUGS
    assert {name for bug in BUGS.values() for name in bug.proofs} == set(command.NAMES)


def test_the_bars_are_those_that_are_claimed():
    bars = {proof.name: (proof.bar, proof.pairs) for proof in PROOFS}
    assert bars == {"resnet18": (1, 0.9), "hourglass": (0.95, 0.9), "ssd300": (0.9, 0.9)}
    assert bars == {proof.name: (proof.bar, proof.pairs) for proof in SMALL}


@pytest.mark.parametrize(
    ("value", "bar", "expected"),
    [
        (1.0, 1, True), (0.998, 1, False), (0.9, 0.9, False), (0.91, 0.9, True),
        (float("nan"), 0.9, False), (float("nan"), 1, False),
    ],
)  # fmt: skip
def test_a_bar_is_passed(value: float, bar: float, expected: bool):
    assert reached(value, bar) == expected


def test_a_rate_that_drops_after_the_first_look_drops(tmp_path):
    """mmengine ends a schedule that names no end with the epochs of the first look."""
    drops = [{**DROP, "milestones": [2]}]
    settings = {"training.epochs": 3, "training.optimizer.lr": 1e-6, "training.schedule": drops}
    look_at(tmp_path, replace(FEW, bar=1e9, network=Stage(settings, every=1)))
    state = read(RunFolder(tmp_path / "few").training_folder(0) / CHECKPOINT)
    assert [group["lr"] for group in state["optimizer"]["param_groups"]] == pytest.approx(
        [1e-7] * 2
    )


def test_every_schedule_of_a_proof_names_its_end():
    for proof in (*PROOFS, *SMALL):
        assert all("end" in part for part in proof.network.settings["training.schedule"])
