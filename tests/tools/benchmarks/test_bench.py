"""The benchmark: contenders on the same rows agree, and what is reported is what was measured."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from acquisition.herding import herd
from acquisition.kcenter import k_center
from tests import imagekit
from tools import bench
from tools.benchmarks import by_place, choosing, report, timed
from tools.benchmarks import kcenter as bench_kcenter
from tools.benchmarks.names import BY_PLACE, REFERENCES

pytestmark = pytest.mark.slow

TINY = ["kcenter", "--n", "60", "--d", "4", "--labeled", "5", "--budget", "7", "--repeats", "2"]


class Means(nn.Module):
    """A network whose last stage is the image itself, so that its pooled features are the
    means of the channels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        self.modes.append(self.training)
        return [images], self.fc(images.mean(dim=(2, 3)))


@pytest.fixture
def no_activeml(monkeypatch):
    monkeypatch.setitem(sys.modules, "skactiveml", None)


@pytest.fixture
def activeml(monkeypatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """A stand-in that keeps what it is given and picks the rows without a label, last first."""
    given: list[tuple[np.ndarray, np.ndarray]] = []

    def k_greedy_center(rows, labels, batch_size, random_state):
        given.append((rows, labels))
        return np.flatnonzero(np.isnan(labels))[::-1][:batch_size].copy(), None

    package, pool = ModuleType("skactiveml"), ModuleType("skactiveml.pool")
    package.__version__, pool.k_greedy_center = "9.8", k_greedy_center
    monkeypatch.setitem(sys.modules, "skactiveml", package)
    monkeypatch.setitem(sys.modules, "skactiveml.pool", pool)
    return given


@pytest.mark.parametrize("features", ["random", "clustered"])
def test_the_plain_version_picks_what_k_center_picks(features: str):
    rows, labeled = bench_kcenter.arrays(features, 700, 8, 300, None)
    wanted = k_center(rows, labeled, 40).positions
    assert bench_kcenter.plain(rows, labeled, 40).tolist() == wanted.tolist()
    assert len(set(wanted.tolist())) == 40


def test_the_plain_version_by_hand():
    line = torch.tensor([[0.0], [1.0], [4.0], [9.0], [10.0]])
    assert bench_kcenter.plain(line, torch.tensor([[1.0]]), 3).tolist() == [4, 2, 0]


def test_scikit_activeml_gets_labeled_rows_first_and_its_picks_count_from_the_candidates(activeml):
    rows, labeled = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[8.0], [9.0]])
    found = bench_kcenter.contenders()
    assert list(found) == ["losstap", "plain float32", "scikit-activeml 9.8"]
    assert found["scikit-activeml 9.8"](rows, labeled, 2).tolist() == [2, 1]
    [(given, labels)] = activeml
    assert given.tolist() == [[8.0], [9.0], [1.0], [2.0], [3.0]]
    assert labels.tolist()[:2] == [0, 0] and np.isnan(labels[2:]).all()


def test_scikit_activeml_itself_picks_the_same():
    pytest.importorskip(
        "skactiveml", reason="scikit-activeml is not installed: pip install -e '.[bench]'"
    )
    rows, labeled = bench_kcenter.arrays("random", 200, 8, 20, None)
    assert (
        bench_kcenter.scikit_activeml(rows, labeled, 30).tolist()
        == k_center(rows, labeled, 30).positions.tolist()
    )


def test_scikit_activeml_missing_is_said(no_activeml, capsys):
    assert list(bench_kcenter.contenders()) == ["losstap", "plain float32"]
    assert "scikit-activeml is not installed and not measured" in capsys.readouterr().out


def test_made_rows_are_the_same_every_time_and_labeled_rows_are_none_of_the_candidates():
    for name in ("random", "clustered"):
        rows, labeled = bench_kcenter.arrays(name, 50, 6, 10, None)
        assert (
            rows.shape == (50, 6)
            and labeled.shape == (10, 6)
            and rows.dtype == labeled.dtype == torch.float32
        )
        again = bench_kcenter.arrays(name, 50, 6, 10, None)
        assert torch.equal(rows, again[0]) and torch.equal(labeled, again[1])
        assert len(torch.cat([rows, labeled]).unique(dim=0)) == 60


def test_clustered_rows_lie_near_one_of_a_hundred_centres_and_random_ones_do_not():
    """With D = 256, rows of a cluster are about sqrt(2 D) = 23 apart and clusters sqrt(2 D
    (9 + 1)) = 72.
    """
    rows, _ = bench_kcenter.arrays("clustered", 1000, 256, 1, None)
    near = torch.cdist(rows, rows) < 40
    assert len(near.unique(dim=0)) == bench_kcenter.CLUSTERS == int((1 / near.sum(1)).sum().round())
    rows, _ = bench_kcenter.arrays("random", 1000, 256, 1, None)
    assert float(rows.mean()) == pytest.approx(0, abs=0.01) and float(rows.std()) == pytest.approx(
        1, abs=0.01
    )


def test_rows_of_a_file_are_drawn_without_repetition(tmp_path: Path):
    made = np.arange(24, dtype=np.float32).reshape(12, 2)
    np.save(tmp_path / "made.npy", made)
    rows, labeled = bench_kcenter.arrays(str(tmp_path / "made.npy"), 8, 512, 4, None)
    assert sorted(torch.cat([rows, labeled]).tolist()) == made.tolist()
    assert rows.tolist() != made[4:].tolist()
    with pytest.raises(ValueError, match=r"at most 12 rows \(.*made\.npy\) in all, but got 13"):
        bench_kcenter.arrays(str(tmp_path / "made.npy"), 9, 512, 4, None)


def test_features_of_images_are_pooled_from_both_splits_train_first(
    tmp_path: Path, monkeypatch, capsys
):
    root = imagekit.make_folder(tmp_path)
    network = Means()
    monkeypatch.setattr(bench_kcenter, "build", lambda name, classes: network)
    monkeypatch.setattr(bench_kcenter, "EPOCHS", 2)
    got = bench_kcenter.cifar(root)
    files = [path for split in ("train", "test") for path in sorted((root / split).glob("*/*.png"))]
    means = np.stack([cv2.imread(str(path))[..., ::-1].mean((0, 1)) / 255 for path in files])
    wanted = (means - (0.491, 0.482, 0.447)) / (0.247, 0.243, 0.262)
    np.testing.assert_allclose(got.numpy(), wanted, rtol=0, atol=1e-5)
    assert got.shape == (18, 3) and network.modes == [True, True, False]
    assert "epoch 2 of 2: " in capsys.readouterr().out


def test_features_of_a_real_network(tmp_path: Path, monkeypatch):
    root = imagekit.make_folder(tmp_path)
    monkeypatch.setattr(bench_kcenter, "NETWORK", "resnet10_cifar_w8")
    monkeypatch.setattr(bench_kcenter, "EPOCHS", 1)
    rows, labeled = bench_kcenter.arrays("cifar", 14, 512, 4, root)
    assert (rows.shape, labeled.shape) == ((14, 64), (4, 64))
    assert rows.isfinite().all() and len(rows.unique(dim=0)) == 14


@pytest.mark.parametrize("missing", ["train", "test", None])
def test_a_missing_split_is_refused(missing: str | None, tmp_path: Path):
    for split in {"train", "test"} - {missing}:
        (tmp_path / split).mkdir()
    root = tmp_path if missing else None
    said = str(tmp_path) if missing else "None"
    with pytest.raises(ValueError, match=rf"--data-root: expected .*train/<class>.*but got {said}"):
        bench_kcenter.arrays("cifar", 3, 512, 1, root)


def test_contenders_take_turns_after_one_round_to_warm_up():
    calls: list[str] = []
    runs = {name: (lambda name=name: (calls.append(name), len(calls))[1]) for name in ("a", "b")}
    seconds, results = report.side_by_side(runs, 3)
    assert calls == ["a", "b", "a", "b", "b", "a", "a", "b"], "each round begins with another one"
    assert results == {"a": 7, "b": 8}
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}
    assert min(seconds["a"] + seconds["b"]) >= 0


def test_ratios_are_of_the_same_round_by_hand():
    first, other = report.rows(
        {"a": [1.0, 2.0, 4.0], "b": [10.0, 10.0, 10.0]}, {"b": {"same picks": 3}}
    )
    assert (first.ratio, first.ratios, first.notes) == (1.0, (1.0, 1.0), {})
    assert (other.ratio, other.ratios, other.notes) == (5.0, (2.5, 10.0), {"same picks": 3})


def test_the_report_is_shown_and_written_whole(tmp_path: Path, no_activeml, capsys, monkeypatch):
    monkeypatch.setattr(report, "LIBRARIES", ("numpy", "no such library"))
    monkeypatch.setenv("COLUMNS", "200")
    assert bench.main([*TINY, "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    assert found["settings"] == {
        "features": "random",
        "n": 60,
        "d": 4,
        "labeled": 5,
        "budget": 7,
        "repeats": 2,
    }
    assert [row["name"] for row in found["rows"]] == ["losstap", "plain float32"]
    assert [row["notes"] for row in found["rows"]] == [{"same picks": 7}] * 2
    assert [len(row["seconds"]) for row in found["rows"]] == [2, 2] and found["rows"][0][
        "ratio"
    ] == 1
    assert found["machine"]["threads"] == 1
    assert found["machine"]["versions"] == {"numpy": np.__version__, "no such library": None}
    shown = capsys.readouterr().out
    assert "plain float32" in shown and "same picks 7" in shown


@pytest.mark.parametrize(("wrong", "said"), [
    (["--budget", "61"], "budget: expected 0 to 60"),
    (["--repeats", "0"], "--repeats: expected at least 1, but got 0"),
    (["--n", "-3"], "--n: expected at least 1, but got -3"),
    (["--threads", "0"], "--threads: expected at least 1, but got 0"),
    (["--features", "randon"], "--features: expected random, clustered, cifar or PATH.npy, but got randon"),
    (["--features", "nowhere.npy"], "nowhere.npy"),
    (["--features", "cifar"], "--data-root: expected a folder"),
])  # fmt: skip
def test_wrong_settings_end_with_status_1_and_leave_the_json_as_it_was(
    wrong, said, tmp_path, no_activeml, capsys
):
    path = tmp_path / "out.json"
    path.write_text("before")
    assert bench.main([*TINY, *wrong, "--json", str(path)]) == 1
    assert said in capsys.readouterr().err
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_a_json_without_a_folder_is_refused_before_measuring(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(bench_kcenter, "arrays", lambda *args: pytest.fail("measured first"))
    assert bench.main([*TINY, "--json", str(tmp_path / "missing" / "out.json")]) == 1
    assert (
        f"--json: expected a file in a folder that exists, but got {tmp_path}"
        in capsys.readouterr().err
    )


# ---------------------------------------------------------------- strategies by place

SELECT = ["select", *TINY[1:-2], "--strategy"]


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    made = bench_kcenter.arrays("clustered", 120, 6, 20, None)
    return made[0].numpy(), made[1].numpy()


def answered(pickers: dict, data: dict, folder: Path) -> dict[str, np.ndarray]:
    """What a script writes, run here."""
    np.savez(folder / "asked.npz", **data)
    timed.main(pickers, [str(folder / "asked.npz"), str(folder / "told.npz")])
    with np.load(folder / "told.npz") as told:
        return dict(told)


def test_every_strategy_by_place_picks_distinct_rows_and_says_what_it_took(
    rows, tmp_path: Path, monkeypatch
):
    assert tuple(by_place.OURS) == BY_PLACE and set(REFERENCES) < set(BY_PLACE)
    monkeypatch.setattr(by_place, "BOXES", 3)
    for strategy in BY_PLACE:
        data = choosing.questions(strategy, *rows, 9)
        found = answered(by_place.OURS, data, tmp_path)
        assert len(set(found["picked"].tolist())) == 9 and found["picked"].max() < 120
        assert found["seconds"] > 0
        assert np.isnan(found["peak"]) or found["peak"] >= found["before"] > 1e7
    direct = herd(*rows, 9)
    assert answered(by_place.OURS, choosing.questions("maxherding", *rows, 9), tmp_path)[
        "picked"
    ].tolist() == (direct.tolist())


def test_memory_is_not_a_number_where_the_system_does_not_say(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(timed, "STATUS", tmp_path / "nothing")
    found = answered(
        {"a": lambda data: lambda: data["rows"]}, {"strategy": "a", "rows": 3}, tmp_path
    )
    assert np.isnan(found["peak"]) and np.isnan(found["before"]) and found["picked"] == 3


def test_a_contender_runs_in_a_process_of_its_own(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "out.json"
    assert bench.main([*SELECT, "badge", "--json", str(out)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["settings"]["strategy"] == "badge" and found["settings"]["repeats"] == 1
    [row] = found["rows"]
    assert row["name"] == "losstap" and row["notes"]["same picks"] == 7
    assert len(row["seconds"]) == 1 and row["seconds"][0] > 0
    assert "same picks 7" in capsys.readouterr().out


def test_an_environment_without_python_is_named(tmp_path: Path, capsys):
    assert bench.main([*SELECT, "maxherding", "--environment", str(tmp_path)]) == 1
    assert f"there is no {tmp_path / 'bin' / 'python'}" in capsys.readouterr().err
    assert bench.main([*SELECT, "uherding", "--environment", str(tmp_path)]) == 0, "no reference"


@pytest.mark.skipif("AL_ACTIVEML" not in os.environ, reason="AL_ACTIVEML: an environment with it")
def test_scikit_activeml_is_asked_the_same(rows):
    environment = Path(os.environ["AL_ACTIVEML"])
    for strategy in REFERENCES:
        found = choosing.measure(strategy, *rows, 8, 1, environment)
        assert [row.name for row in found.rows] == ["losstap", choosing.LIBRARY]
        if strategy == "maxherding":
            assert found.rows[1].notes["same picks"] == 8
