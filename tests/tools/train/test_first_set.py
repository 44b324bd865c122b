"""The first labels by features, seeds of their own, and what `al_verify.py` makes of both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from acquisition.first import FIRST
from acquisition.pool import Pool
from acquisition.query import Query
from models.process.seeding import stream
from tests.conftest import REPOSITORY
from tools.contract.matrix import finished
from tools.experiment.config import load
from tools.experiment.options import ConfigError
from tools.record import first_set
from tools.record.fingerprint import PARTS, Fingerprint
from tools.record.folder import RunFolder, RunFolderError
from tools.train import cycle
from tools.train.cycle import Cycle
from tools.train.first_set import first_pool
from tools.verify import checks
from tools.verify.run import Record, read

TOY = REPOSITORY / "tests" / "examples" / "toy_config.py"
SHORT = {"strategy": "random", "budget.cycles": 2}


def experiment_of(**options):
    return load(TOY, options={**SHORT, **options})


def record_of(folder: RunFolder, experiment) -> Record:
    return read(folder, experiment)


def said(check, record: Record) -> list[tuple[str, str]]:
    return [(remark.status, remark.text) for remark in check(record)]


@pytest.mark.parametrize("first", [name for name in FIRST if name != "random"])
def test_features_choose_the_first_labels_and_al_verify_chooses_them_again(first, tmp_path: Path):
    experiment = experiment_of(**{"budget.first": first})
    folder = finished(experiment, tmp_path / "run")
    query = first_set.kept(folder.path)
    record = record_of(folder, experiment)
    count = experiment.budget.initial
    assert record.initial == tuple(query.picked.tolist()) and len(set(record.initial)) == count
    assert query.signals["embedding"].shape[0] == len(record.names)
    assert said(checks.initial_set, record) == [] and said(checks.hashes, record) == []
    assert folder.receipt(0)["first/picked"] == folder.receipt(1)["first/picked"]
    plain = Pool.initial(len(record.names), count, experiment.seed)
    assert set(record.initial) != set(plain.labeled)


def test_a_first_set_that_was_tampered_with_is_found(tmp_path: Path):
    experiment = experiment_of(**{"budget.first": "kmeans"})
    folder = finished(experiment, tmp_path / "run")
    query = first_set.kept(folder.path)
    others = Query(query.candidates, query.signals, query.picked[::-1].copy(), query.labeled)
    first_set.keep(folder.path, others)
    texts = [text for _, text in said(checks.initial_set, record_of(folder, experiment))]
    assert any(text.startswith("first/picked: expected the hash") for text in texts)
    assert any(text.startswith("the first labels: from place 0") for text in texts)
    assert any(text.startswith("the first labels, chosen again,: from place 0") for text in texts)
    (folder.path / first_set.NAME).unlink()
    ((status, text),) = said(checks.initial_set, record_of(folder, experiment))
    assert status == "FAILED" and "expected first.npz" in text
    (folder.path / first_set.NAME).write_bytes(b"broken")
    ((status, text),) = said(checks.initial_set, record_of(folder, experiment))
    assert status == "FAILED" and "first.npz" in text


def test_a_first_set_that_is_chosen_is_of_the_data_that_the_folder_began_with(tmp_path: Path):
    """A run that was killed before its first training is resumed with other data."""
    experiment = experiment_of(**{"budget.first": "cover"})
    folder, names = RunFolder(tmp_path / "run"), [str(i) for i in range(60)]
    before, after = (
        Fingerprint({part: np.full(60, i, "u8") for part in PARTS}, ()) for i in (1, 2)
    )
    for made_of in (before, after):  # nothing is chosen yet
        folder.open(experiment.config, names, made_of=made_of)
    first_pool(experiment, folder, 60)
    folder.open(experiment.config, names, made_of=after)
    with pytest.raises(RunFolderError, match="was begun with other data"):
        folder.open(experiment.config, names, made_of=before)


def test_the_batch_size_is_measured_with_the_runs_own_model(tmp_path: Path, monkeypatch):
    """Settings of a module that is off need not fit the task."""
    modules = []

    def measured(model, *_) -> int:
        modules.append(model.loss_prediction is not None)
        return 16

    monkeypatch.setattr(cycle, "fastest", measured)
    for mode in ("off", "joint"):
        experiment = experiment_of(**{"scoring.batch_size": "auto", "module.mode": mode})
        folder = RunFolder(tmp_path / mode)
        folder.path.mkdir()
        assert cycle.settled(experiment, folder).scoring.batch_size == 16
    assert modules == [False, True]


def test_without_vectors_it_is_said_that_they_cannot_be_chosen_again(tmp_path: Path):
    experiment = experiment_of(**{"budget.first": "cover", "scoring.keep_vectors": False})
    folder = finished(experiment, tmp_path / "run")
    assert first_set.kept(folder.path).signals == {}
    ((status, text),) = said(checks.initial_set, record_of(folder, experiment))
    assert status == "not compared" and "the features were not kept" in text


def test_a_run_that_was_killed_takes_the_set_that_was_kept(tmp_path: Path, monkeypatch):
    experiment = experiment_of(**{"budget.first": "kmeans"})
    folder = RunFolder(tmp_path / "run")
    pool = Cycle.next_of(folder, experiment).pool
    monkeypatch.setattr("tools.train.first_set.first_query", lambda *_: 1 / 0)
    assert Cycle.next_of(folder, experiment).pool == pool


def test_a_way_that_is_unknown_is_refused():
    with pytest.raises(ConfigError, match="budget.first: input should be 'random', 'cover'"):
        experiment_of(**{"budget.first": "covers"})
    with pytest.raises(ConfigError, match="seeds.quiry: unknown; did you mean 'query'"):
        experiment_of(**{"seeds.quiry": 3})


def test_parts_with_seeds_of_their_own(tmp_path: Path):
    """What has the same seed is the same whatever the run's seed is, and nothing else is."""
    runs = {}
    for name, options in {
        "plain": {"seed": 3},
        "set": {"seed": 9, "seeds.set": 3},
        "model": {"seed": 9, "seeds.set": 3, "seeds.model": 3},
        "query": {"seed": 9, "seeds.set": 3, "seeds.model": 3, "seeds.query": 3},
    }.items():
        experiment = experiment_of(**options)
        folder = finished(experiment, tmp_path / name)
        record = record_of(folder, experiment)
        assert said(checks.initial_set, record) == [] and said(checks.replay, record) == []
        weights = folder.receipt(0)["weights"]
        runs[name] = record.initial, weights, tuple(folder.query(0).picked.tolist())
    plain = runs["plain"]
    agreeing = {
        name: [ours == theirs for ours, theirs in zip(found, plain, strict=True)]
        for name, found in runs.items()
    }
    assert agreeing == {
        "plain": [True, True, True],
        "set": [True, False, False],
        "model": [True, True, False],
        "query": [True, True, True],
    }
    drawn = Pool.initial(len(record.names), experiment.budget.initial, 3).labeled
    assert plain[0] == drawn and json.dumps(plain[0])
    rest = np.setdiff1d(np.arange(len(record.names)), plain[0])
    expected = rest[stream(3, 0, "query").permutation(len(rest))[: experiment.budget.query]]
    assert plain[2] == tuple(expected.tolist())
