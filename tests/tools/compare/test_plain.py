"""`plain.py`: the words of a comparison, from what al_compare.py writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.comparekit import config, write
from tests.conftest import REPOSITORY
from tools import al_compare, plain


def report(folder: Path, scores: dict[str, list[tuple[float, ...]]]) -> Path:
    """What al_compare.py writes of runs with these scores at 10, 15 and 20 labels, a seed each."""
    for leg, seeds in scores.items():
        for seed, values in enumerate(seeds):
            write(folder / f"toy/{leg}/seed{seed}", config(leg, seed), values)
    al_compare.main([str(folder / "toy"), "--out", str(folder / "report")])
    return folder / "report"


def words(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert plain.main([str(folder)]) == 0
    return capsys.readouterr().out


def test_who_leads_and_by_how_much(tmp_path: Path, capsys):
    """Areas are the means of a trapezoid: .2025, .2075, .2125 against .30, .305, .31."""
    found = report(
        tmp_path,
        {
            "random": [(0.1, 0.2 + s / 100, 0.3 + s / 100) for s in (0, 1, 2)],
            "learning_loss": [(0.1, 0.3 + s / 100, 0.5 + s / 50) for s in (0, 1, 2)],
        },
    )
    said = words(found, capsys)
    assert "began with the same 10 labeled images and chose what to label next, up to 20." in said
    assert (
        "score at 20 labels, mean over seeds, more is better: learning_loss 0.520, random 0.310."
        in said
    )
    assert "learning_loss leads random by 0.210 for the same number of labels." in said
    assert "random and learning_loss: over 3 seeds their curves differ by more than chance" in said
    assert said.endswith(f"The curves in one picture: {found / 'curves.png'}\n")
    assert (found / "curves.png").is_file()


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ((0.1, -0.1, 0.05), "over 3 seeds their curves differ by no more than chance does."),
        ((0.1,), "1 seed in common, too few to tell a difference from chance."),
        ((0.1, 0.1), "2 seeds in common, too few to tell a difference from chance."),
    ],
)
def test_what_chance_does_is_said(gains: tuple[float, ...], expected: str, tmp_path, capsys):
    found = report(
        tmp_path,
        {
            "random": [(0.1, 0.2, 0.3)] * len(gains),
            "entropy": [(0.1, 0.2 + gain, 0.3 + gain) for gain in gains],
        },
    )
    assert f"random and entropy: {expected}" in words(found, capsys)


def test_one_strategy_alone_is_no_comparison(tmp_path: Path, capsys):
    said = words(report(tmp_path, {"random": [(0.1, 0.2, 0.3)]}), capsys)
    assert "toy: there are no two strategies with finished runs to compare." in said


def test_a_folder_without_a_summary_is_told(tmp_path: Path, capsys):
    assert plain.main([str(tmp_path)]) == 1
    assert f"{tmp_path / 'summary.json'}" in capsys.readouterr().err
    for content in ("[{}]", "[]", "[1]", "{}"):
        (tmp_path / "summary.json").write_text(content)
        assert plain.main([str(tmp_path)]) == 1
        assert "summary.json: expected what al_compare.py writes, but got" in (
            capsys.readouterr().err
        )
    (tmp_path / "summary.json").write_text("[")
    assert plain.main([str(tmp_path)]) == 1
    assert "summary.json is damaged (" in capsys.readouterr().err


def test_ties_and_strategies_without_a_score_are_told(tmp_path: Path, capsys):
    equal = [(0.1, 0.2, 0.3)] * 3
    scores = {"random": equal, "entropy": equal, "coreset": [(0.1, 0.2, None)] * 3}
    said = words(report(tmp_path / "a", scores), capsys)
    assert "All have the same in the end." in said and "coreset has no score in the end." in said
    none = words(report(tmp_path / "b", dict.fromkeys(scores, [(None, None, None)])), capsys)
    assert "there are no two strategies with finished runs to compare" in none


def demo() -> list[list[str]]:
    """The demo's commands as the Makefile has them, without the interpreter."""
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    found = re.search(r"^demo: setup.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    sweep = re.search(r"^SWEEP = .*python (tools/al_sweep.py .*)$", text, re.MULTILINE)
    assert found is not None and sweep is not None
    lines = found[1].replace("$(SWEEP)", sweep[1]).replace("$(SANDBOX)", "data/sandbox")
    return [line.strip().removeprefix("$(BIN)/python ").split() for line in lines.splitlines()]


def test_the_demo_draws_runs_compares_and_tells():
    draw, sweep, compare, tell = demo()
    assert draw[1:] == ["det", "--control", "positive", "--root", "data/sandbox"]
    assert sweep[4:] == [
        "disabled", "configs/det_positive.py", "--strategies", "learning_loss", "random",
        "--seeds", "0", "1", "2", "--in-process",
    ]  # fmt: skip
    assert compare[1:] == ["work_dirs/det_positive", "--out", "work_dirs/demo"]
    assert tell == ["tools/plain.py", "work_dirs/demo"]
