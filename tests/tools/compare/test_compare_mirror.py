"""A metric where lower is better: with every value negated and the direction turned, every number
of a comparison is the mirrored one, and every sentence names the same winner."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.evaluator import BaseMetric
from rich.console import Console

from tests import comparekit
from tests.conftest import REPOSITORY
from tests.toy import NegativeError, Toy
from tools import al_compare, al_sweep, al_train
from tools.compare.curves import curve
from tools.compare.findings import findings
from tools.compare.grouping import group
from tools.compare.page.files import as_csv, as_json
from tools.compare.page.html import page
from tools.compare.page.terminal import show
from tools.compare.saving import labels_needed
from tools.display import canvas as canvases
from tools.display.canvas import canvas
from tools.display.looks import styles
from tools.mirror import board
from tools.record.facts import Facts
from tools.record.finding import find
from tools.record.reading import ComparisonError, read
from tools.train import showing

LEGS = (
    "random",
    "learning_loss",
    "placebo",
    "random-joint",
    "entropy",
    "oracle_loss-joint",
    "coreset",
)
SAME = {
    "labeled",
    "x",
    "seeds",
    "n",
    "std",
    "p",
    "seconds",
    "effort",
    "health",
    "chosen",
    "labels",
    "needed",
    "by_seed",
}


class Error(Toy):
    """The toy with its error as it is."""

    metric, lower_is_better = "mse", True

    def evaluator(self) -> BaseMetric:
        return SquaredError()


class SquaredError(NegativeError):
    def compute_metrics(self, results: list) -> dict[str, float]:
        return {"mse": float(np.mean(results))}


def drawn(seed: int, seeds: int) -> dict[str, list[list[float | None]]]:
    """Rising curves of all strategies.

    One falls again, one starts above all, one has a gap, some are equal.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for leg in LEGS:
        up, start = rng.normal(0, 0.06), rng.normal(0.4, 0.02)
        noise = rng.normal(0, 0.02, (seeds, 4))
        found[leg] = (start + (0.1 + up) * np.arange(4) + noise).round(4).tolist()
    for scores in found["coreset"]:
        scores[-1] -= 0.25
    found["oracle_loss-joint"] = [
        [value + 0.4 for value in scores] for scores in found["oracle_loss-joint"]
    ]
    found["placebo"] = [list(scores) for scores in found["random"]]
    if seed % 3 == 0:
        found["entropy"][0][1] = None
    return found


def compared(root: Path, scores: dict[str, list[list[float | None]]], lower: bool) -> Any:
    told = Facts("score", lower)
    for leg, seeds in scores.items():
        strategy, _, mode = leg.partition("-")
        settings = {"module__mode": mode} if mode else {}
        for seed, values in enumerate(seeds):
            turned = [None if v is None else -v if lower else v for v in values]
            made = comparekit.config(strategy, seed, 4, **settings)
            comparekit.write(root / f"{leg}/seed{seed}", made, turned, told=told)
    return [findings(one) for one in group([read(path) for path in find([root])[0]])]


def mirrored(value: Any, key: str = "") -> Any:
    """What a value of showing.json must be once the metric is negated and its direction turned."""
    if key in SAME:
        return value
    if key == "lower_is_better" or key == "lower" and isinstance(value, bool):
        return not value
    if key == "curves":
        return {axis: mirrored(inner) for axis, inner in value.items()}
    if key == "verdict":
        return words(value)
    if key in ("penalties", "gain", "claim", "tests"):
        return value
    if isinstance(value, dict) and {"mean", "low", "high"} <= value.keys():
        return value | {
            "mean": minus(value["mean"]),
            "low": minus(value["high"]),
            "high": minus(value["low"]),
        }
    if isinstance(value, dict) and "effect" in value:
        turned = {"effect": minus(value["effect"]), "effect_low": minus(value["effect_high"])}
        turned |= {
            "effect_high": minus(value["effect_low"]),
            "difference": mirrored(value["difference"]),
        }
        return value | turned
    if isinstance(value, dict):
        if "at_start" in value:  # what a strategy saves: its target alone is a value of the metric
            return value | {"target": minus(value["target"]), "lower": not value["lower"]} | (
                {"verdict": words(value["verdict"])})  # fmt: skip
        return {name: mirrored(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [mirrored(inner) for inner in value]
    return value


def minus(value: float | None) -> float | None:
    return None if value is None else -value


def words(text: str) -> str:
    """A sentence about the mirrored values: other signs, and "smaller" for "larger"."""
    turned = {
        "larger": "smaller",
        "smaller": "larger",
        "below it": "above it",
        "above it": "below it",
    }
    text = re.sub("|".join(turned), lambda found: turned[found[0]], text)
    text = re.sub(r"(final )(-?)([\d.]+)", lambda f: f"{f[1]}{'' if f[2] else '-'}{f[3]}", text)
    other = {"+": "-", "-": "+"}  # of a number, unless that is 0
    return re.sub(r"([(:] ?|mean )([+-])(?!0\))([\d.]+)", lambda f: f[1] + other[f[2]] + f[3], text)


def near(first: Any, second: Any, where: str = "") -> list[str]:
    """Where two values of a json differ; floats by more than rounding does."""
    if isinstance(first, dict) and isinstance(second, dict):
        keys = sorted(first.keys() | second.keys())
        return [
            line
            for k in keys
            for line in near(first.get(k, "none"), second.get(k, "none"), f"{where}.{k}")
        ]
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [
            line
            for i, pair in enumerate(zip(first, second, strict=True))
            for line in near(*pair, f"{where}[{i}]")
        ]
    if isinstance(first, float) and isinstance(second, float):
        same = first == pytest.approx(second, rel=1e-9, abs=1e-12)
    else:
        same = first == second
    return [] if same else [f"{where}: {first!r} and {second!r}"]


@pytest.mark.parametrize(("seed", "seeds"), [(0, 3), (1, 5), (2, 6), (3, 2), (4, 1), (5, 7)])
@pytest.mark.slow
def test_every_number_is_mirrored_and_every_sentence_names_the_same_winner(
    seed, seeds, tmp_path: Path
):
    scores = drawn(seed, seeds)
    higher, lower = (
        compared(tmp_path / "a/runs", scores, False),
        compared(tmp_path / "b/runs", scores, True),
    )
    plain, turned = json.loads(as_json(higher)), json.loads(as_json(lower))
    for row in (*plain, *turned):  # their folders, and the adapter's name, differ
        del row["runs"], row["task"], row["chosen"]
        row.pop("unfinished")
        # it names a folder, and has no number here
        assert row.pop("testset")["reason"]
    assert near(mirrored(plain), turned) == []
    assert plain[0]["pairs"] and plain[0]["legs"][1]["saving"] is not None
    one, other = (list(csv.DictReader(io.StringIO(as_csv(found)))) for found in (higher, lower))
    for first, second in zip(one, other, strict=True):
        assert (first.pop("lower_is_better"), second.pop("lower_is_better")) == ("False", "True")
        for name in (
            "labels_needed",
            "labels_saved",
            "seeds_with_random",
            "claim",
            "strategy",
            "seeds",
        ):
            assert first[name] == second[name], name
        if first["area_mean"]:
            assert float(first["area_mean"]) == pytest.approx(-float(second["area_mean"]))
            assert first["final_std"] == "" or float(first["final_std"]) == pytest.approx(
                float(second["final_std"])
            )


def said(found: Any) -> tuple[str, str]:
    """The page without its charts, and what the terminal shows."""
    looks = styles(run.leg for one in found for run in one.comparison.runs)
    console = Console(file=io.StringIO(), width=400)
    show(found[0], console)
    return re.sub(
        r"<svg.*?</svg>", "", page(found, looks), flags=re.DOTALL
    ), console.file.getvalue()


def test_page_and_terminal_say_the_same_of_the_mirrored_runs(tmp_path: Path):
    scores = drawn(1, 5)
    higher, lower = (
        compared(tmp_path / "a/runs", scores, False),
        compared(tmp_path / "b/runs", scores, True),
    )
    (page_a, shown_a), (page_b, shown_b) = said(higher), said(lower)
    assert "score, higher is better" in page_a and "score, lower is better" in page_b
    assert "the largest is bold" in page_a and "the smallest is bold" in page_b
    assert "score (lower is better), final at 25 labels" in shown_b and "lower" not in shown_a
    bold = [re.findall(r"<strong>[−\d.]+ ±", content) for content in (page_a, page_b)]
    assert [len(found) for found in bold] == [1, 1] and bold[0][0].replace(
        "<strong>", "<strong>−"
    ) == bold[1][0]
    for told in ("larger area than", "final score", "by the mean curves"):
        lines_a = [line for line in re.findall(r"<li>(.*?)</li>", page_a) if told in line]
        wanted = "smaller area than" if told == "larger area than" else told
        lines_b = [line for line in re.findall(r"<li>(.*?)</li>", page_b) if wanted in line]
        assert len(lines_a) == len(lines_b) > 0
        assert [words(line).replace("−", "").replace("-", "") for line in lines_a] == [
            line.replace("−", "").replace("-", "") for line in lines_b
        ]
    gains = [
        re.findall(r"(<th[^>]*>ranking</th>.*?</tr>)", content, re.DOTALL)[0]
        for content in (page_a, page_b)
    ]
    assert "learning_loss − placebo" in gains[0] and "placebo − learning_loss" in gains[1]
    numbers = [re.findall(r"<td>([^<]*)</td>", row)[:2] for row in gains]
    assert numbers[0] == numbers[1]


def test_axes_say_that_lower_is_better(tmp_path: Path, monkeypatch, capsys):
    found = compared(tmp_path / "runs", {"random": [[1.0, 0.8, 0.7, 0.6]]}, True)
    content = page(found, styles(["random"]))
    assert ">score (lower is better)</text>" in content
    drawn = []
    monkeypatch.setattr(canvases, "canvas", lambda **k: drawn.append(canvas(**k)) or drawn[-1])
    rows = [{"labeled": 10, "mae": 0.5}]
    showing.draw(rows, "mae", "t", tmp_path / "curve.png", lower=True)
    assert drawn[0].axes[0].get_ylabel() == "mae (lower is better)"
    console = Console(file=io.StringIO(), width=100)
    showing.show(rows, "mae", console, lower=True)
    assert "mae (lower is better)" in console.file.getvalue()
    pytest.importorskip("wandb_workspaces")
    view = json.dumps(board.spec(board.build("c", "mae", "me", lower=True)))
    assert (
        "mae (lower is better) over labeled images" in view
        and "area under mae (lower is better)" in view
    )


def test_the_first_size_at_or_below_the_target_counts_by_hand():
    of = curve([comparekit.made("x", 0, [0.8, 0.6, 0.2], lower=True)])
    assert labels_needed(of, 0.4, less=True) == pytest.approx(17.5)
    assert labels_needed(of, 0.9, less=True) == 10.0 and labels_needed(of, 0.1, less=True) is None


def test_runs_of_two_directions_are_refused(tmp_path: Path, capsys):
    for seed, lower in enumerate((False, True)):
        told = Facts("score", lower)
        comparekit.write(
            tmp_path / f"runs/random/seed{seed}", comparekit.config("random", seed), told=told
        )
    assert al_compare.main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().out
    assert "seed0 and" in said and "seed1: the task's lower_is_better: False and True" in said
    with pytest.raises(ComparisonError, match="the task's metric: 'score' and 'mse'"):
        first = read(tmp_path / "runs/random/seed0")
        group([first, replace(first, seed=1, metric="mse")])


def test_a_metric_called_like_an_error_that_says_nothing_is_doubted(tmp_path: Path, capsys):
    for seed in range(2):
        settings, told = comparekit.config("random", seed), Facts("val_loss")
        comparekit.write(tmp_path / f"runs/random/seed{seed}", settings, told=told)
    assert al_compare.main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    told = (
        "val_loss counts as better where it is higher, though 'loss' in its name suggests an error"
    )
    assert told in capsys.readouterr().out
    assert told.replace("'", "&#39;") in (tmp_path / "out/report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_error_goes_through_training_sweep_and_comparison(tmp_path: Path, monkeypatch, capsys):
    """Of real runs, whose metric falls as they learn."""
    monkeypatch.chdir(tmp_path)
    config = str(REPOSITORY / "tests/examples/toy_config.py")
    options = ["--cfg-options", f"task.type={__name__}.Error"]
    for leg in ("random", "learning_loss"):
        assert al_train.main([config, "--strategy", leg, "--wandb", "disabled", *options]) == 0
        assert "lower is better" in capsys.readouterr().out
    given = [
        config,
        "--strategies",
        "random",
        "learning_loss",
        "--seeds",
        "0",
        "--wandb",
        "disabled",
        *options,
    ]
    assert al_sweep.main(given) == 0  # which are finished
    assert "final mse (lower is better)" in " ".join(capsys.readouterr().out.split())
    assert al_compare.main(["work_dirs", "--out", "out"]) == 0
    assert "mse (lower is better), final at 20 labels" in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert row["lower_is_better"] is True and row["metric"] == "mse"
    for leg in row["legs"]:
        scores = [estimate["mean"] for estimate in leg["curves"]["labeled"]["estimates"]]
        assert min(scores) > 0
        if leg["saving"]:
            below = [
                n
                for n, score in zip((10, 15, 20), scores, strict=True)
                if score <= leg["saving"]["target"]
            ]
            needed = leg["saving"]["needed"]
            assert (needed is None) == (not below) and (
                not below or below[0] - 5 < needed <= below[0]
            )
