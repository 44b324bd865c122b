"""Strategies asked on a finished run: its own chooses what it chose, others as they would have."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquisition.query import ask
from acquisition.steps import Highest, KCenter, RandomSubset
from tests import commands
from tests.conftest import REPOSITORY
from tests.toy import Toy
from tools import al_replay, al_verify
from tools.experiment.config import load
from tools.experiment.fitting import fit
from tools.experiment.options import ConfigError
from tools.record import plans
from tools.record.folder import RunFolder
from tools.replay.asking import Refused, answers
from tools.train import loop
from tools.verify import checks
from tools.verify.run import Record, read

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
TRUST = ["--trust", str(REPOSITORY)]


def trained(folder: Path, strategy: str, *options: str, module: Sequence[str] = ()) -> Path:
    given = [TOY, "--smoke", "--wandb", "disabled", "--work-dir", str(folder)]
    given += ["--strategy", strategy, *module, "--cfg-options", "budget.cycles=3", *options]
    assert commands.train(given, loop.run) == 0
    return folder


def record(folder: Path) -> Record:
    return read(RunFolder(folder), plans.plan(folder, [REPOSITORY]))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    saved = "scoring.save=[loss,embedding]"
    return {
        "plain": trained(root / "plain", "coreset", "subset=30"),
        "rich": trained(root / "rich", "learning_loss", saved, "subset=30"),
        "random": trained(root / "random", "random", saved),
    }


@pytest.mark.parametrize(
    "name, strategy", [("plain", "coreset"), ("rich", "learning_loss"), ("random", "random")]
)
def test_the_runs_own_strategy_chooses_what_it_chose(made, name: str, strategy: str):
    found = answers(record(made[name]), strategy)
    assert [row.cycle for row in found] == [0, 1] and [row.labeled for row in found] == [10, 15]
    for row in found:
        assert row.would.tolist() == row.chosen.tolist() and row.shared == 5


def test_another_strategy_chooses_as_its_run_would_have_on_that_network(made):
    """By hand: the same random subset, then k-center on the saved embeddings."""
    run = record(made["rich"])
    for row, cycle in zip(answers(run, "coreset"), run.cycles, strict=False):
        query = cycle.query
        place = {int(i): k for k, i in enumerate(query.candidates)}
        distances = np.linalg.norm(
            query.signals["embedding"][:, None] - query.labeled["embedding"], axis=2
        ).min(axis=1)
        assert place[int(row.would[0])] == distances.argmax()
        assert set(row.would.tolist()) <= set(query.candidates.tolist())
        losses = query.signals["loss"]
        assert row.loss(row.would) == pytest.approx(
            losses[[place[int(i)] for i in row.would]].mean()
        )
        assert row.loss() == pytest.approx(losses.mean()) and len(losses) == 30
        assert row.by_chance == pytest.approx(25 / 30)
    top = answers(run, "oracle_loss")[0]
    best = np.sort(run.cycles[0].query.signals["loss"])[-5:]
    assert top.loss(top.would) == pytest.approx(best.mean()) and top.loss() <= top.loss(top.would)


def test_saved_vectors_that_were_not_kept_are_read_by_nobody(tmp_path: Path, capsys):
    for strategy in ("learning_loss", "random"):
        saved = ["scoring.save=[loss,embedding]", "scoring.keep_vectors=False"]
        folder = trained(tmp_path / strategy, strategy, *saved)
        run = record(folder)
        assert all(set(c.query.signals) >= {"loss"} for c in run.cycles[:2])
        assert not any({"embedding"} & {*c.query.signals, *c.query.labeled} for c in run.cycles[:2])
        for row in answers(run, strategy):
            assert row.would.tolist() == row.chosen.tolist()
        capsys.readouterr()
        assert al_verify.main([str(folder), *TRUST]) == 0
        said = capsys.readouterr().out
        assert re.search("ok +replay ", said) and "keep_vectors" not in said
    with pytest.raises(Refused, match="reads embedding, .* unless scoring.keep_vectors is False"):
        answers(run, "coreset")


def test_a_saved_signal_that_is_lost_is_told(made, tmp_path: Path):
    run = record(made["random"])
    query = run.cycles[0].query
    for part in ("signals", "labeled"):
        rest = {n: rows for n, rows in getattr(query, part).items() if n != "embedding"}
        (remark,) = checks._replayed(run, run.cycles[0], replace(query, **{part: rest}))
        assert "cannot be repeated: KeyError: 'embedding'" in remark.text


@pytest.mark.slow
def test_what_is_saved_besides_changes_no_choice_and_is_verified(made, tmp_path: Path, capsys):
    for name, strategy in (("rich", "learning_loss"), ("random", "random")):
        options = ["subset=30"] if name == "rich" else []
        bare = trained(tmp_path / name, strategy, *options)
        with_all, without = RunFolder(made[name]), RunFolder(bare)
        for cycle in range(2):
            ours, theirs = with_all.query(cycle), without.query(cycle)
            assert ours is not None and theirs is not None
            assert ours.picked.tolist() == theirs.picked.tolist()
        assert with_all.receipt(2)["weights"] == without.receipt(2)["weights"]
        assert al_verify.main([str(made[name]), *TRUST]) == 0, capsys.readouterr().out
    query = RunFolder(made["random"]).query(0)
    assert query is not None and len(query.candidates) == 50, "random scores all unlabeled samples"


def test_random_runs_answer_for_strategies_with_a_subset_of_their_own(made):
    found = answers(record(made["random"]), "coreset")
    assert all(set(row.would.tolist()) <= set(row.candidates.tolist()) for row in found)
    assert len(answers(record(made["rich"]), "random")) == 2, "it reads no signal"


@pytest.mark.parametrize(
    "name, strategy, why",
    [
        ("plain", "learning_loss", r"it reads predicted_loss, which the run did not save; a run with "
         r"scoring.save=\[predicted_loss\] saves it, where it trains the module"),
        ("rich", "learning_loss_mse", "its module learns mse, but that of the run learned ranking"),
        ("rich", "tidal", "its module learns dynamics, but that of the run learned ranking"),
        ("rich", "entropy", r"it reads entropy, .* scoring.save=\[entropy\] saves it$"),
        ("rich", "ensemble_bald", r"ensemble_bald counts votes \(ensemble\), which only a run of"),
        ("rich", "badge", r"it reads residual, feature, .*unless scoring.keep_vectors is False"),
        ("rich", "learning_los", r"learning_los: unknown; did you mean 'learning_loss'\?"),
    ],
)  # fmt: skip
def test_a_strategy_that_reads_what_was_not_saved_is_refused(made, name, strategy, why):
    with pytest.raises(Refused, match=why):
        answers(record(made[name]), strategy)


def test_other_candidates_than_the_runs_are_refused(made):
    class Other(RandomSubset):
        def __call__(self, seen: Any, budget: int, rng: np.random.Generator) -> np.ndarray:
            return np.arange(seen.count)[:40]

    from tools.replay import asking

    run = record(made["plain"])
    with pytest.raises(Refused, match="samples that the run did not score"):
        asking._answer(run, run.cycles[0], run.cycles[0].query, (Other(40), KCenter()))


def test_the_command_says_and_writes_what_would_have_been_chosen(made, tmp_path: Path, capsys):
    out = tmp_path / "replay.json"
    code = al_replay.main(
        [str(made["rich"]), "--strategy", "coreset", "learning_loss", "--out", str(out), *TRUST]
    )
    said = capsys.readouterr().out
    assert code == 0, said
    assert "coreset asked in the cycles of learning_loss, seed 0" in said
    assert said.count("5 of 5") == 2 and "annotations a sample" in said
    content = json.loads(out.read_text())
    run = record(made["rich"])
    expected = answers(run, "coreset")
    rows = content["strategies"]["coreset"]
    assert [row["would"] for row in rows] == [[run.names[i] for i in a.would] for a in expected]
    assert content["strategies"]["learning_loss"][0]["jaccard"] == 1
    ids = [int(i) for a in expected for i in a.would]
    assert content["samples"]["effort"]["coreset"] == np.mean([Toy().effort(i) for i in ids])
    assert content["refused"] == {}


def test_the_command_ends_with_2_where_one_is_refused_and_answers_the_rest(made, tmp_path, capsys):
    given = [str(made["plain"]), "--strategy", "entropy", "coreset", *TRUST]
    assert al_replay.main(given) == 2
    said = capsys.readouterr().out
    assert "entropy cannot be asked on" in said and "5 of 5" in said
    assert "true losses are unknown: a run with scoring.save=[loss] saves them" in said


def test_a_strategy_whose_objective_the_runs_strategy_replaced_is_refused(made):
    run = record(made["rich"])
    plan = replace(run.experiment, strategy="learning_loss_mse")
    other = replace(run, experiment=replace(plan, module=replace(plan.module, objective="mse")))
    with pytest.raises(Refused, match="learns the config's objective, but that of the run learned"):
        answers(other, "power_learning_loss")
    assert len(answers(other, "learning_loss_mse")) == 2


def test_what_the_task_cannot_give_is_not_advised(made):
    with pytest.raises(Refused, match=r"it needs \['peaks'\], but the task gives \['loss'\]"):
        answers(record(made["rich"]), "mpe", frozenset({"loss"}))


def test_what_is_no_run_or_damaged_is_said_before_anything_is_asked(made, tmp_path, capsys):
    def said(folder: Path, *more: str) -> str:
        assert al_replay.main([str(folder), "--strategy", "random", *TRUST, *more]) == 2
        return capsys.readouterr().out

    assert "none holds no run; expected a folder such as" in said(tmp_path / "none")
    for name, wanted in (("lost", "is lost"), ("cut", "is damaged")):
        copy = Path(shutil.copytree(made["random"], tmp_path / name))
        file = copy / "queries" / "00.npz"
        content = file.read_bytes()
        file.unlink()
        if name == "cut":
            file.write_bytes(content[:100])
        text = said(copy)
        assert wanted in text and "queries/00.npz" in text and "has no query" not in text
    assert "--out: expected a file" in said(made["random"], "--out", str(tmp_path))
    assert "task.foo: unknown" in said(made["random"], "--cfg-options", "task.foo=1")
    with pytest.raises(SystemExit, match="2"):
        said(made["random"], "--cfg-options", "seed=1")


def test_other_data_are_said(made, capsys):
    given = [str(made["random"]), "--strategy", "random", *TRUST, "--cfg-options", "task.size=30"]
    assert al_replay.main(given) == 0
    assert "annotations and traits are unknown: the data are not those of the run" in (
        capsys.readouterr().out
    )


# ------------------------------------------------------------------ what a run saves


def test_signals_to_save_are_checked_before_a_run(capsys):
    with pytest.raises(ConfigError, match="scoring.save.entrpy: unknown; did you mean 'entropy'"):
        load(TOY, options={"scoring.save": ["entrpy"]})
    random = load(TOY, options={"strategy": "random", "scoring.save": ["predicted_loss", "loss"]})
    assert any("'predicted_loss' needs the loss-prediction module" in line for line in fit(random))
    other = load(TOY, options={"scoring.save": ["dynamics_entropy"]})
    assert any(
        "is not what a module with module.objective 'ranking'" in line for line in fit(other)
    )
    votes = load(TOY, options={"scoring.save": ["dropout_bald"]})
    assert any("'dropout_bald' counts votes (dropout)" in line for line in fit(votes))
    probs = load(TOY, options={"scoring.save": ["entropy"]})
    assert any("with scoring.save needs ['probs']" in line for line in fit(probs))


def test_saved_signals_are_computed_in_one_pass_and_read_by_no_step():
    calls: list[tuple[int, tuple[str, ...]]] = []

    def score(ids: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        calls.append((len(ids), tuple(names)))
        return {name: np.asarray(ids, dtype=np.float32) for name in names}

    def asked(steps: Any, save: Sequence[str]) -> Any:
        calls.clear()
        rng = np.random.default_rng(0)
        return ask(steps, np.arange(4, 20), np.arange(4), 3, rng, score, save=save)

    steps = (RandomSubset(9), Highest("entropy"))
    plain, more = asked(steps, ()), asked(steps, ("loss", "embedding"))
    assert more.picked.tolist() == plain.picked.tolist()
    assert calls == [(9, ("entropy", "loss", "embedding")), (4, ("embedding",))]
    assert set(more.signals) == {"entropy", "loss", "embedding"} and set(more.labeled) == {
        "embedding"
    }
    plain, more = asked((RandomSubset(),), ()), asked((RandomSubset(),), ("loss",))
    assert more.picked.tolist() == plain.picked.tolist()
    assert calls == [(16, ("loss",))] and len(more.candidates) == 16
