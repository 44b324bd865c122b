"""`plain.py`: the words of a comparison, from what al_compare.py writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

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
    """Areas are the means of a trapezoid: .2, .2075, .215 against .3, .31, .32."""
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
    p = stats.ttest_rel([0.2, 0.2075, 0.215], [0.3, 0.31, 0.32]).pvalue
    assert (
        "random and learning_loss: over 3 seeds their curves differ by more than chance does (in "
        f"area by 0.096 to 0.109, p = {p:.2g}; preliminary, as seeds are few)."
    ) in said
    assert said.endswith(f"The curves in one picture: {found / 'curves.png'}\n")
    assert (found / "curves.png").is_file()


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        (
            (0.1, -0.1, 0.05),
            "over 3 seeds their curves differ by no more than chance does (p = 0.81).",
        ),
        (
            (0.125,) * 3,
            "the same difference in each of 3 seeds, and a test needs differences that vary: no "
            "claim.",
        ),
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


def test_a_difference_that_the_correction_takes_away_is_none(tmp_path: Path, capsys):
    """Ps by SciPy, Holm's correction by statsmodels; all areas are those of a line."""
    ends = {
        "random": (0.30, 0.31, 0.29, 0.33, 0.30),
        "entropy": (0.31, 0.33, 0.295, 0.34, 0.33),
        "coreset": (0.34, 0.39, 0.27, 0.36, 0.30),
        "badge": (0.40, 0.40, 0.40, 0.43, 0.39),
    }
    scores = {leg: [(0.1, (0.1 + end) / 2, end) for end in each] for leg, each in ends.items()}
    said = words(report(tmp_path, scores), capsys)
    legs = list(ends)
    pairs = [(a, b) for i, a in enumerate(legs) for b in legs[i + 1 :]]
    ps = [stats.ttest_rel(ends[a], ends[b]).pvalue for a, b in pairs]
    corrected = dict(zip(pairs, multipletests(ps, method="holm")[1], strict=True))
    assert ps[0] < 0.05 < corrected["random", "entropy"] and corrected["random", "badge"] < 0.05
    for leg, verb in (("entropy", "no more"), ("coreset", "no more"), ("badge", "more")):
        holm = f"p = {corrected['random', leg]:.2g} with Holm's correction, as 6 pairs are compared"
        assert f"random and {leg}: over 5 seeds their curves differ by {verb} than chance" in said
        assert f"{holm})." in said
    assert "preliminary" not in said


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
