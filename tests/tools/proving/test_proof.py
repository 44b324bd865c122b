"""`proof.py` on a task of milliseconds: what is learned passes, and a bug is seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import REPOSITORY
from tools import proof as command
from tools.display.console import Plain
from tools.proving import session
from tools.proving.bugs import BUGS, Bug, taps_of_another
from tools.proving.proofs import PROOFS, SMALL, Proof, reached
from tools.record.files import RunFolderError

BROKEN = Bug("", "pairs", ("few",), alter=taps_of_another)
# as it ended once: -0.063 and 0.893 after 40 epochs, 0.32 with the bug
FEW = Proof(
    name="few",
    config=REPOSITORY / "tests/examples/few_config.py",
    samples="8 vectors",
    count=8,
    source="vectors",
    write=lambda source, target, count: None,  # they are made
    settings={"training.epochs": 80},
    bar=-0.15,
    every=40,
    pairs=0.8,
)
IDLE = replace(FEW, settings={"training.epochs": 2, "training.optimizer.lr": 1e-9}, every=1)


def look_at(folder: Path, proof: Proof = FEW, bug: Bug | None = None) -> session.Look:
    return session.proved(proof, folder / "none", folder, Plain(quiet=True), bug)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> tuple[Path, session.Look]:
    folder = tmp_path_factory.mktemp("sound")
    return folder, look_at(folder)


def test_what_is_learned_passes(sound):
    assert session.passed(FEW, sound[1]), sound[1]


def test_the_taps_of_another_sample_are_seen_in_the_pairs_alone(tmp_path, sound):
    """Detached, the module has no part in the network's training: its numbers stay."""
    look = look_at(tmp_path, bug=BROKEN)
    assert look.epochs == 80 and look.metric > FEW.bar
    assert look.pairs < 0.65 and not session.passed(FEW, look)
    (first, _) = json.loads((tmp_path / "few/looks.json").read_text())["looks"]
    assert first["metric"] == sound[1].metric


def test_a_proof_that_is_done_is_read(sound, monkeypatch):
    monkeypatch.setattr(session, "look_after", None)  # nothing is trained
    folder, look = sound
    assert look_at(folder) == look


def test_stopped_between_looks_it_goes_on_and_counts_all_seconds(tmp_path, monkeypatch):
    whole = look_at(tmp_path / "whole", IDLE)
    look_after, clock = session.look_after, iter(range(0, 100, 10))

    def stopped(epochs: int, cycle):
        if epochs == 2:
            raise KeyboardInterrupt
        return look_after(epochs, cycle)

    with monkeypatch.context() as patch:
        patch.setattr(session, "look_after", stopped)
        patch.setattr(session, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
        with pytest.raises(KeyboardInterrupt):
            look_at(tmp_path / "halves", IDLE)
    known = json.loads((tmp_path / "halves/few/looks.json").read_text())
    assert [(look["epochs"], look["seconds"]) for look in known["looks"]] == [(1, 10)]
    assert known["seconds"] == 20
    look = look_at(tmp_path / "halves", IDLE)
    assert look.seconds > 20
    assert (look.metric, look.pairs) == (whole.metric, whole.pairs)


def test_other_settings_are_refused(sound):
    other = replace(FEW, settings={"training.epochs": 81})
    with pytest.raises(RunFolderError, match="training.epochs: 80 there, 81 now"):
        look_at(sound[0], other)


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
    assert "few: epoch 1 of 2, score -" in said and "MISSED" not in said
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
