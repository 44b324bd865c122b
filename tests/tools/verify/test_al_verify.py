"""`al_verify.py`: right runs pass, and each planted fault makes its own check fail and no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config

from acquisition.strategies import named_strategies
from models.output import Bag, Output
from tasks.per_image import Ratio
from tests.conftest import REPOSITORY
from tests.toy import Told
from tools import al_verify
from tools.contract.matrix import Silent
from tools.experiment.config import load
from tools.record import facts
from tools.record.data import receipt_part
from tools.record.fingerprint import fingerprint
from tools.record.folder import RunFolder
from tools.record.plans import told
from tools.record.receipt import chained, content, digest, packed, receipt_digest, times_digest
from tools.train import loop
from tools.train.cycle import Cycle
from tools.verify import across
from tools.verify.checks import CHECKS

pytestmark = pytest.mark.slow

TOY = REPOSITORY / "tests" / "examples" / "toy_config.py"
FEW = {"task.type": "tests.toy.Told", "training.epochs": 1, "module.detach_epoch": 1}
Fault = Callable[[RunFolder], None]


class Chances(Told):
    """The toy with all fields that a strategy may need."""

    fields = frozenset({"loss", "probs", "gradient", "counts", "peaks"}) | frozenset(
        {"bag", "quality", "stability"}
    )

    def classes_decided(self) -> int:
        return 2

    def forward(self, network, batch, want) -> Output:
        taps, found = network(batch["x"])
        chance = torch.sigmoid(found)
        probs = torch.stack([chance, 1 - chance], dim=-1)
        feature = taps[1].flatten(1)
        both = feature[:, None].repeat(1, 2, 1)
        corners = torch.tensor([[0.0, 0.0, 8.0, 8.0], [4.0, 0.0, 16.0, 16.0]])
        bag = Bag(
            torch.tensor([[0, 1]]).expand(len(found), 2),
            probs,
            both,
            2,
            corners.expand(len(found), 2, 4),
        )
        return Output(
            taps,
            (found - batch["y"]) ** 2,
            probs[:, None],
            None,
            (probs - 0.5, feature),
            bag=bag,
            stability=probs,
            counts=(probs > 0.5).float(),
            peaks=probs[:, None],
            quality=torch.stack([probs, torch.ones_like(probs)], dim=2),
        )


def run(where: Path, **options) -> Path:
    experiment, folder = load(TOY, options={**FEW, **options}), RunFolder(where)
    folder.open(
        experiment.config,
        [f"vector {i}" for i in range(60)],
        "",
        told(experiment),
        fingerprint(experiment.task),
    )
    loop.run(Cycle.next_of(folder, experiment), Silent(), Silent())
    folder.finish()
    return where


def verify(capsys, *paths: Path, more: Sequence[str] = ()) -> tuple[int, dict[str, list[str]], str]:
    """Exit status, status -> names of checks, and all that was said."""
    code = al_verify.main([*map(str, paths), "--trust", str(REPOSITORY), *more])
    said = capsys.readouterr()
    found: dict[str, list[str]] = {"ok": [], "FAILED": [], "not compared": []}
    for line in said.out.splitlines():
        if line.startswith("  ") and line[2:15].strip() in found:
            found[line[2:15].strip()].append(line[16:30].strip())
    return code, found, said.out + said.err


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Path:
    """learning_loss on a random subset, so that there are unlabeled samples which are no
    candidates.
    """
    return run(tmp_path_factory.mktemp("calm") / "run", subset=20)


@pytest.fixture
def folder(calm: Path, tmp_path: Path) -> RunFolder:
    """A copy for a fault to be planted in."""
    return RunFolder(Path(shutil.copytree(calm, tmp_path / "run")))


def edit(
    folder: RunFolder, cycle: int, receipt: dict | None = None, sign: bool = True, **parts
) -> None:
    """Write a cycle's query with other parts, by default with the hashes of what is in it then."""
    query, there = folder.saved(cycle)
    arrays = dict(content(query)) | {
        name.replace("__", "/"): values for name, values in parts.items()
    }
    hashes = {name: digest(values) for name, values in arrays.items()} if sign else {}
    np.savez(
        folder.query_file(cycle),
        **arrays,
        **packed(None, {**there, **hashes} if receipt is None else receipt),
    )
    if sign and receipt is None:
        sign_all(folder)


def sign_all(folder: RunFolder, **changed: str) -> None:
    """Make the chain of receipts right for what is in the folder, as a forger would who
    knows of it.
    """
    cycles = len((folder.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    receipt, times = {}, [""]
    for cycle, row in enumerate(folder.rows(cycles)):
        query, there = folder.saved(cycle)
        kept = {k: v for k, v in there.items() if k not in ("row", "before")} | changed
        receipt = chained(kept, row, receipt)
        np.savez(folder.query_file(cycle), **packed(query, receipt))
        times.append(times_digest(row, times[-1]))
    (folder.path / "seconds.txt").write_text(
        "".join(f"{line}\n" for line in times[1:]), encoding="utf-8"
    )
    set_state(folder, receipt=receipt_digest(receipt))


def set_state(folder: RunFolder, **changed) -> None:
    path = folder.path / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def labels(folder: RunFolder) -> list[int]:
    return json.loads((folder.path / "state.json").read_text())["labeled"]


def sign_labels(folder: RunFolder, ids: list[int]) -> None:
    """Make the receipts' hashes of the labeled sets those of other labels."""
    for cycle, size in enumerate((10, 15, 20)):
        query, receipt = folder.saved(cycle)
        receipt["labeled"] = digest(np.array(ids[:size]))
        np.savez(folder.query_file(cycle), **packed(query, receipt))
    sign_all(folder)


# ---------------------------------------------------------------- right runs


def test_a_right_run_passes_every_check(calm: Path, capsys):
    code, found, said = verify(capsys, calm)
    assert (code, found) == (0, {"ok": list(CHECKS), "FAILED": [], "not compared": []})
    assert len(CHECKS) == 15 and f"{calm}: 3 of 3 cycles\n" in said


@pytest.mark.parametrize("strategy", named_strategies())
def test_picks_of_every_strategy_are_replayed(strategy: str, tmp_path: Path, capsys):
    options = {
        "strategy": strategy,
        "task.type": "tests.tools.verify.test_al_verify.Chances",
        "keep": 2,
        "budget.cycles": 2,
    }
    where = run(
        tmp_path / "run", **options, **{"committee.members": 2, "committee.passes": 2, "subset": 30}
    )
    code, found, said = verify(capsys, where)
    assert (code, found["FAILED"], found["not compared"]) == (0, [], []), said
    picks = RunFolder(where).query(0).picked
    edit(RunFolder(where), 0, picked=picks[::-1].copy())
    set_state(RunFolder(where), labeled=[*labels(RunFolder(where))[:10], *picks[::-1].tolist()])
    assert "replay" in verify(capsys, where)[1]["FAILED"]  # the replay looks at them, in order


def test_a_run_that_is_not_finished_is_checked_as_far_as_it_is(folder: RunFolder, capsys):
    (folder.path / "done").unlink()
    set_state(folder, cycle=2, receipt=receipt_digest(folder.receipt(1)))
    (folder.path / "metrics.jsonl").write_text(
        "".join((folder.path / "metrics.jsonl").open().readlines()[:2])
    )
    # the weights of no committed cycle
    shutil.move(folder.path / "cycles/02", folder.path / "cycles/03")
    code, found, said = verify(capsys, folder.path)
    assert code == 0 and found["FAILED"] == [] and found["not compared"] == ["weights"]
    assert (
        "2 of 3 cycles, not finished" in said
        and f"there is no {folder.path}/cycles/01/checkpoint.pth" in said
    )
    for name in ("state.json", "metrics.jsonl", "queries/01.npz", "queries/02.npz"):
        (folder.path / name).unlink()
    shutil.rmtree(folder.path / "cycles/03")
    code, found, said = verify(capsys, folder.path)
    assert code == 0 and "0 of 3 cycles, not finished" in said and found["ok"] == []


def test_without_vectors_the_picks_are_said_not_to_be_replayed(tmp_path: Path, capsys):
    where = run(tmp_path / "run", **{"strategy": "coreset", "scoring.keep_vectors": False})
    code, found, said = verify(capsys, where)
    assert code == 0 and found["FAILED"] == [] and found["not compared"] == ["replay"] * 2
    assert (
        "cycle 1: its picks cannot be replayed: ['embedding'] were not kept "
        "(scoring.keep_vectors=False)" in said
    )


def as_a_version_before_left_it(folder: RunFolder, cycles: int = 3) -> None:
    """No hashes of rows in receipts and state.json, and no seconds.txt."""
    for cycle in range(cycles):
        query, receipt = folder.saved(cycle)
        np.savez(
            folder.query_file(cycle),
            **packed(query, {k: v for k, v in receipt.items() if k in OLD}),
        )
        folder.judged_file(cycle).unlink()
    for name in ("seconds.txt", "config.json", "facts.json"):
        (folder.path / name).unlink()
    path = folder.path / "state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(
        json.dumps({key: state[key] for key in ("cycle", "size", "labeled")}), encoding="utf-8"
    )


OLD = (
    "labeled",
    "weights",
    "taps",
    "device",
    "made",
    "candidates",
    "picked",
    "signal/predicted_loss",
)


def test_a_folder_of_before_is_right_but_for_what_it_did_not_record(folder: RunFolder, capsys):
    as_a_version_before_left_it(folder)
    code, found, said = verify(capsys, folder.path)
    assert (code, found["FAILED"], found["not compared"]) == (0, [], ["settings", "history"]), said
    assert "the hash of the settings is not recorded, as an earlier version made it" in said
    assert "its rows: their hashes are not recorded, as an earlier version made them" in said
    folder.keep_judged(1, Ratio(np.ones(20), np.ones(20)))
    code, found, said = verify(capsys, folder.path)
    assert code == 0 and "judged" in found["not compared"], said
    assert "judged/01.npz: its hash is not recorded" in said


def test_a_run_of_before_goes_on_and_records_from_there(tmp_path: Path, capsys, monkeypatch):
    commit = RunFolder.commit

    def stopping(self, row, *rest):
        if row["cycle"] == 2:
            raise KeyboardInterrupt
        return commit(self, row, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "commit", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "run", subset=20)
    as_a_version_before_left_it(RunFolder(tmp_path / "run"), cycles=2)
    run(tmp_path / "run", subset=20)
    code, found, said = verify(capsys, tmp_path / "run")
    assert (code, found["FAILED"], found["not compared"]) == (0, [], ["settings", "history"]), said
    assert "the hash of the settings of cycles [0, 1] is not recorded" in said
    assert "the rows of cycles [0, 1]: their hashes are not recorded" in said
    assert (tmp_path / "run/seconds.txt").read_text(encoding="utf-8").split()[:2] == ["-", "-"]
    a_faster_training(RunFolder(tmp_path / "run"))
    assert (
        "cycle 2: metrics.jsonl, the row's seconds: expected the hash"
        in verify(capsys, tmp_path / "run")[2]
    )


# ---------------------------------------------------------------- planted faults


def half_a_file(folder: RunFolder) -> None:
    path = folder.query_file(1)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_file(folder: RunFolder) -> None:
    folder.query_file(2).unlink()


def no_receipts(folder: RunFolder) -> None:
    edit(folder, 1, receipt={})


def no_query(folder: RunFolder) -> None:
    receipt = {
        name: value
        for name, value in folder.saved(1)[1].items()
        if name in ("labeled", "weights", "taps", "device")
    }
    np.savez(folder.query_file(1), **packed(None, receipt))
    sign_all(folder)


def another_row(folder: RunFolder) -> None:
    path = folder.path / "metrics.jsonl"
    path.write_text(path.read_text().replace('"labeled": 15', '"labeled": 16'))
    sign_all(folder)


def a_better_score(folder: RunFolder) -> None:
    path = folder.path / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows[1]["score"] = 0.9
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def a_better_score_that_is_signed(folder: RunFolder) -> None:
    a_better_score(folder)
    query, receipt = folder.saved(1)
    before = {name: receipt[name] for name in receipt if name not in ("row", "before")}
    signed = chained(before, folder.rows(3)[1], folder.receipt(0))
    np.savez(folder.query_file(1), **packed(query, signed))


def rows_exchanged(folder: RunFolder) -> None:
    path = folder.path / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows[0]["score"], rows[2]["score"] = rows[2]["score"], rows[0]["score"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def a_faster_training(folder: RunFolder) -> None:
    path = folder.path / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows[2]["seconds/train"] = 0.001
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def no_seconds(folder: RunFolder) -> None:
    (folder.path / "seconds.txt").unlink()


def another_last_receipt(folder: RunFolder) -> None:
    query, receipt = folder.saved(2)
    np.savez(folder.query_file(2), **packed(query, receipt | {"made": "4 processes of 1 threads"}))


def another_first_receipt(folder: RunFolder) -> None:
    query, receipt = folder.saved(0)
    np.savez(folder.query_file(0), **packed(query, receipt | {"weights": "0" * 64}))


def a_state_that_names_no_receipt(folder: RunFolder) -> None:
    path = folder.path / "state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    del state["receipt"]
    path.write_text(json.dumps(state), encoding="utf-8")


def the_query_of_another_seed(folder: RunFolder) -> None:
    other = run(folder.path.parent / "other", subset=20, seed=1)
    shutil.copy(RunFolder(other).query_file(1), folder.query_file(1))


def no_fingerprint(folder: RunFolder) -> None:
    (folder.path / "data.npz").unlink()


def half_a_fingerprint(folder: RunFolder) -> None:
    path = folder.path / "data.npz"
    path.write_bytes(path.read_bytes()[:99])


def another_fingerprint(folder: RunFolder) -> None:
    with np.load(folder.path / "data.npz") as file:
        arrays = dict(file)
    arrays["test/labels"] = arrays["test/labels"][::-1]
    np.savez(folder.path / "data.npz", **arrays)


def another_fingerprint_that_is_signed(folder: RunFolder) -> None:
    another_fingerprint(folder)
    sign_all(folder, **receipt_part(folder.path))


def half_a_row(folder: RunFolder) -> None:
    path = folder.path / "metrics.jsonl"
    path.write_text(path.read_text()[:-40])


def another_initial_set(folder: RunFolder) -> None:
    ids = labels(folder)
    ids[0], ids[1] = ids[1], ids[0]
    set_state(folder, labeled=ids)
    sign_labels(folder, ids)


def a_labeled_candidate(folder: RunFolder) -> None:
    query = folder.query(1)
    unpicked = np.flatnonzero(~np.isin(query.candidates, query.picked))[0]
    edit(
        folder,
        1,
        candidates=np.where(np.arange(20) == unpicked, labels(folder)[12], query.candidates),
    )


def a_candidate_twice(folder: RunFolder) -> None:
    query = folder.query(1)
    unpicked = np.flatnonzero(~np.isin(query.candidates, query.picked))
    edit(
        folder,
        1,
        candidates=np.where(
            np.arange(20) == unpicked[0], query.candidates[unpicked[1]], query.candidates
        ),
    )


def a_candidate_of_another_pool(folder: RunFolder) -> None:
    query = folder.query(1)
    unpicked = np.flatnonzero(~np.isin(query.candidates, query.picked))[0]
    edit(folder, 1, candidates=np.where(np.arange(20) == unpicked, 60, query.candidates))


def pick(folder: RunFolder, picks: list[int]) -> None:
    """Let the last query have other picks, everywhere."""
    edit(folder, 1, picked=np.array(picks))
    ids = [*labels(folder)[:15], *picks]
    set_state(folder, labeled=ids)
    sign_labels(folder, ids)


def a_pick_that_is_no_candidate(folder: RunFolder) -> None:
    query = folder.query(1)
    others = sorted(set(range(60)) - set(query.candidates.tolist()) - set(labels(folder)))
    pick(folder, [others[0], *query.picked.tolist()[1:]])


def too_few_picks(folder: RunFolder) -> None:
    pick(folder, folder.query(1).picked.tolist()[:4])


def a_pick_that_is_labeled(folder: RunFolder) -> None:
    edit(folder, 1, picked=np.array([labels(folder)[3], *folder.query(1).picked[1:]]))


def a_pick_twice(folder: RunFolder) -> None:
    edit(folder, 1, picked=folder.query(1).picked[[0, 0, 2, 3, 4]])


def labels_in_another_order(folder: RunFolder) -> None:
    set_state(folder, labeled=[*labels(folder)[:18], *labels(folder)[:17:-1]])


def half_a_state(folder: RunFolder) -> None:
    path = folder.path / "state.json"
    path.write_text(path.read_text()[:-9])


def done_too_early(folder: RunFolder) -> None:
    set_state(folder, cycle=2, receipt=receipt_digest(folder.receipt(1)))


def a_score_that_is_no_number(folder: RunFolder) -> None:
    scores = folder.query(1).signals["predicted_loss"]
    edit(folder, 1, signal__predicted_loss=np.where(np.arange(20) == 4, np.float32(np.nan), scores))


def a_score_too_few(folder: RunFolder) -> None:
    edit(folder, 1, signal__predicted_loss=folder.query(1).signals["predicted_loss"][1:])


def a_score_changed_a_little(folder: RunFolder) -> None:
    edit(
        folder,
        1,
        sign=False,
        signal__predicted_loss=folder.query(1).signals["predicted_loss"] + np.float32(0.5),
    )


def other_weights(folder: RunFolder) -> None:
    path = folder.cycle_folder(2) / "checkpoint.pth"
    saved = torch.load(path, weights_only=True)
    next(iter(saved["state_dict"].values()))[0] += 1
    torch.save(saved, path)


def damaged_weights(folder: RunFolder) -> None:
    path = folder.cycle_folder(2) / "checkpoint.pth"
    there = path.read_bytes()
    path.write_bytes(b"\0" * 4000 + there[4000:])


def picks_in_another_order(folder: RunFolder) -> None:
    pick(folder, folder.query(1).picked.tolist()[::-1])


def scores_of_others(folder: RunFolder) -> None:
    edit(folder, 1, signal__predicted_loss=-folder.query(1).signals["predicted_loss"])


def candidates_in_another_order(folder: RunFolder) -> None:
    query = folder.query(1)
    edit(folder, 1, candidates=query.candidates[::-1].copy(),
         signal__predicted_loss=query.signals["predicted_loss"][::-1].copy())  # fmt: skip


def resettled(folder: RunFolder, config: dict) -> None:
    """Other settings, in both files."""
    (folder.path / "config.json").write_bytes(facts.as_json(config))
    (folder.path / "config.py").write_text(Config(config).pretty_text)


def another_strategy(folder: RunFolder) -> None:
    resettled(folder, facts.settings(folder.path) | {"strategy": "placebo"})


def a_split_that_nobody_drew(folder: RunFolder) -> None:
    set_state(folder, validation=[59])


def another_seed(folder: RunFolder) -> None:
    resettled(folder, facts.settings(folder.path) | {"seed": 1})


def another_config_for_people(folder: RunFolder) -> None:
    path = folder.path / "config.py"
    path.write_text(path.read_text().replace("seed = 0", "seed = 1"))


def code_in_the_config_for_people(folder: RunFolder) -> None:
    with open(folder.path / "config.py", "a") as file:
        file.write(f"open({str(folder.path / 'ran')!r}, 'w')\n")


def another_metric(folder: RunFolder) -> None:
    path = folder.path / "facts.json"
    path.write_text(path.read_text().replace('"score"', '"effort"'))


def half_a_config(folder: RunFolder) -> None:
    path = folder.path / "config.json"
    path.write_text(path.read_text()[:-30])


def no_names(folder: RunFolder) -> None:
    (folder.path / "samples.txt").unlink()


def no_state(folder: RunFolder) -> None:
    (folder.path / "state.json").unlink()


# fault -> the checks that fail, and what is said
def a_test_changed_a_little(folder: RunFolder) -> None:
    found = folder.judged(1)
    assert isinstance(found, Ratio)
    right = found.right.copy()
    right[3] += 1e-6
    folder.keep_judged(1, Ratio(right, found.counted))


def no_test(folder: RunFolder) -> None:
    folder.judged_file(2).unlink()


def half_a_test(folder: RunFolder) -> None:
    path = folder.judged_file(0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FAULTS: dict[Fault, tuple[set[str], str]] = {
    half_a_file: ({"files"}, "cycle 1: {run}/queries/01.npz is damaged (BadZipFile"),
    no_file: (
        {"files"},
        "cycle 2: expected a receipt in queries/02.npz, but it lacks ['labeled', 'weights'",
    ),
    no_receipts: ({"files"}, "cycle 1: expected a receipt in queries/01.npz, but it lacks"),
    no_query: ({"files"}, "cycle 1: expected a query in queries/01.npz, but there is none"),
    another_row: ({"rows"}, "cycle 1: metrics.jsonl: expected labeled 15, but got 16"),
    a_better_score: (
        {"history"},
        "cycle 1: metrics.jsonl, the row with score 0.9: expected the hash ",
    ),
    a_better_score_that_is_signed: (
        {"history"},
        "cycle 1: the receipt in queries/01.npz: expected the hash ",
    ),
    rows_exchanged: ({"history"}, "cycle 2: metrics.jsonl, the row with score "),
    a_faster_training: (
        {"history"},
        "cycle 2: metrics.jsonl, the row's seconds: expected the hash ",
    ),
    no_seconds: (
        {"history"},
        "metrics.jsonl, the row's seconds: expected the hash - of seconds.txt, but got ",
    ),
    another_last_receipt: (
        {"history"},
        "cycle 2: the receipt in queries/02.npz: expected the hash ",
    ),
    another_first_receipt: (
        {"history"},
        "cycle 0: the receipt in queries/00.npz: expected the hash ",
    ),
    a_state_that_names_no_receipt: (
        {"history"},
        "queries/02.npz: expected the hash (none) of state.json, but got ",
    ),
    the_query_of_another_seed: (
        {"settings", "history", "candidates", "state", "hashes", "judged"},
        "cycle 1: the receipt in queries/01.npz: expected the hash ",
    ),
    no_fingerprint: ({"data"}, "cycle 0: data.npz: expected the hash "),
    half_a_fingerprint: ({"data"}, "{run}/data.npz is damaged (BadZipFile"),
    another_fingerprint: ({"data"}, "cycle 0: data.npz: expected the hash "),
    another_fingerprint_that_is_signed: (
        {"data"},
        "the labels of the test set differ in 20 of 20 samples, first in ",
    ),
    half_a_row: ({"rows"}, "metrics.jsonl, line 3 is damaged"),
    another_initial_set: (
        {"initial set"},
        "cycle 0: the initial set of seed 0: from place 0 on expected [",
    ),
    a_labeled_candidate: ({"candidates"}, "cycle 1: expected candidates without labels, but got ["),
    a_candidate_twice: (
        {"candidates"},
        "cycle 1: expected distinct candidates, but got these twice: [",
    ),
    a_candidate_of_another_pool: (
        {"candidates"},
        "cycle 1: expected candidates from 0 to 59, but got [60]",
    ),
    a_pick_that_is_no_candidate: (
        {"picks"},
        "cycle 1: expected picks among the candidates, but got [",
    ),
    too_few_picks: ({"picks"}, "cycle 1: expected 5 picks, but got 4"),
    a_pick_that_is_labeled: (
        {"picks", "state", "hashes"},
        "cycle 1: expected picks without labels, but got [",
    ),
    a_pick_twice: (
        {"picks", "state", "hashes"},
        "cycle 1: expected distinct picks, but got these twice: [",
    ),
    labels_in_another_order: ({"state"}, "state.json's labels: from place 18 on expected ["),
    half_a_state: ({"readable"}, "state.json is damaged"),
    done_too_early: ({"state"}, "expected 3 committed cycles, as `done` exists, but got 2"),
    a_score_that_is_no_number: (
        {"signals"},
        "cycle 1: expected finite 'predicted_loss', but 1 of 20 numbers are not",
    ),
    a_score_too_few: (
        {"signals"},
        "expected a row of 'predicted_loss' for each candidate (20), but got shape (19,)",
    ),
    a_score_changed_a_little: ({"hashes"}, "cycle 1: signal/predicted_loss: expected the hash "),
    a_test_changed_a_little: ({"judged"}, "cycle 1: judged/01.npz: expected the hash "),
    no_test: ({"judged"}, "cycle 2: judged/02.npz: expected the hash "),
    half_a_test: ({"judged"}, "{run}/judged/00.npz is damaged ("),
    other_weights: ({"weights"}, "cycles/02/checkpoint.pth: expected the hash "),
    damaged_weights: ({"weights"}, "cycles/02/checkpoint.pth is damaged ("),
    picks_in_another_order: ({"replay"}, "cycle 1: picks: from place 0 on expected ["),
    scores_of_others: ({"replay"}, "cycle 1: picks: from place 0 on expected ["),
    candidates_in_another_order: ({"replay"}, "ValueError: candidates: from place 0 on expected ["),
    another_strategy: ({"settings", "replay"}, "cycle 0: picks: from place "),
    another_seed: (
        {"settings", "initial set", "replay"},
        "the initial set of seed 1: from place 0 on expected [",
    ),
    a_split_that_nobody_drew: (
        {"validation", "initial set", "hashes", "replay"},  # the others draw or hash without it
        "state.json's validation: from place 0 on expected no more, but got [59]",
    ),
    another_config_for_people: (
        {"settings"},
        "config.py has other settings than config.json, which counts",
    ),
    code_in_the_config_for_people: (
        {"settings"},
        'expected plain data, which is read and not run, but got "open(',
    ),
    another_metric: ({"settings"}, "cycle 2: facts.json: expected the hash "),
    half_a_config: ({"readable"}, "config.json is damaged (JSONDecodeError: "),
    no_names: (
        {"readable"},
        "{run} holds a run (done is there) without its samples.txt; restore what is lost",
    ),
    no_state: (
        {"readable"},
        "{run} holds a run (done is there) without its state.json; restore what is lost",
    ),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_a_planted_fault_fails_its_check_and_no_other(fault: Fault, folder: RunFolder, capsys):
    fault(folder)
    code, found, said = verify(capsys, folder.path)
    checks, text = FAULTS[fault]
    assert set(found["FAILED"]) == checks, said
    assert code == 1 and text.format(run=folder.path) in said, said
    assert "Traceback" not in said and not (folder.path / "ran").exists()


def test_every_check_has_a_fault():
    assert set().union(*(checks for checks, _ in FAULTS.values())) == {*CHECKS, "readable"}


# ---------------------------------------------------------------- several runs


@pytest.fixture(scope="module")
def legs(tmp_path_factory) -> dict[str, Path]:
    where = tmp_path_factory.mktemp("legs")
    options = {
        "learning_loss": {},
        "random": {"strategy": "random"},
        "joint": {"strategy": "random", "module.mode": "joint"},
        "mse": {"strategy": "learning_loss_mse"},
        "seed1": {"seed": 1},
        "longer": {"training.epochs": 2},
    }
    return {name: run(where / name, **more) for name, more in options.items()}


def test_runs_of_one_seed_share_the_initial_set_and_those_of_one_training_the_weights(legs, capsys):
    code, found, said = verify(capsys, *legs.values())
    assert code == 0 and found["FAILED"] == []
    lines = said.partition("together: ")[2].splitlines()
    assert lines[0] == ", ".join(
        str(legs[name]) for name in ("learning_loss", "random", "joint", "mse")
    )
    assert lines[1].split()[:3] == ["ok", "initial", "sets"]
    assert lines[2].split()[:3] == ["ok", "same", "data"] and lines[6].split()[:3] == [
        "ok",
        "first",
        "rows",
    ]
    del lines[6], lines[2]
    assert lines[2].endswith(f"module joint (ranking): {legs['learning_loss']}, {legs['joint']}")
    assert f"{legs['random']}: no other run here is trained with module off" in lines[3]
    assert f"{legs['mse']}: no other run here is trained with module joint (mse)" in lines[4]
    assert (
        lines[5] == f"together: {legs['seed1']}" and "no other run here has its config" in lines[6]
    )
    assert lines[10] == f"together: {legs['longer']}" and "not compared" in lines[11]


def test_another_initial_set_is_found(legs, tmp_path: Path, capsys):
    other = RunFolder(Path(shutil.copytree(legs["joint"], tmp_path / "other")))
    another_initial_set(other)
    code, found, said = verify(capsys, legs["learning_loss"], other.path)
    assert code == 1 and "initial sets" in found["FAILED"] and "first weights" in found["ok"]
    assert (
        f"{other.path}: expected [" in said and f"as in {legs['learning_loss']}, but got [" in said
    )


@pytest.mark.parametrize(
    ("device", "deterministic", "status"),
    [("cpu", False, "FAILED"), ("cuda", False, "not compared"), ("cuda", True, "FAILED")],
)
def test_other_first_weights_are_found(device, deterministic, status, legs, tmp_path: Path, capsys):
    """On a GPU the same training ends in the same bits where it was asked to alone."""
    names = ("learning_loss", "joint")
    folders = [RunFolder(Path(shutil.copytree(legs[name], tmp_path / name))) for name in names]
    for folder, changed in zip(folders, ({}, {"weights": "0" * 64}), strict=True):
        query, receipt = folder.saved(0)
        config = facts.settings(folder.path)
        config["training"]["deterministic"] = deterministic
        resettled(folder, config)
        np.savez(folder.query_file(0), **packed(query, receipt | {"device": device} | changed))
        sign_all(folder, settings=facts.digest(config))
    code, found, said = verify(capsys, *(folder.path for folder in folders))
    assert found[status] == ["first weights"] and code == (status == "FAILED")
    assert (
        f"{folders[1].path}: expected {receipt['weights'][:12]} as in {folders[0].path}, but got "
        "000000000000" in said
    )


def test_a_folder_that_is_no_run_is_said_with_status_2(calm: Path, tmp_path: Path, capsys):
    paths = {
        tmp_path: "holds no run folder",
        tmp_path / "nowhere": "is no folder",
        TOY: "is no folder",
    }
    for path, came in paths.items():
        code, found, said = verify(capsys, calm, path)
        assert (
            code == 2 and f"error: {path} {came}; expected one such as work_dirs/<config>" in said
        )
        assert found["ok"] == list(CHECKS)


def test_first_weights_of_other_numbers_of_threads_are_not_compared():
    first, other = (
        across_run("cpu", made, weights) for made, weights in (("1 x 1", "a"), ("1 x 2", "b"))
    )
    assert across._differ(first, other).status == "not compared"
    assert "made by 1 x 1, and by 1 x 2" in across._differ(first, other).text
    assert across._differ(first, across_run("cpu", "1 x 1", "b")).status == "FAILED"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("exact", [(True, False), (False, True)])
def test_first_weights_of_which_one_was_trained_deterministic_are_not_compared(exact, device):
    one, other = (
        across_run(device, "1 x 1", weights, flag)
        for weights, flag in zip("ab", exact, strict=True)
    )
    found = across._differ(one, other)
    assert (
        found.status == "not compared" and "only one was trained with --deterministic" in found.text
    )


def across_run(
    device: str, made: str, weights: str, deterministic: bool = False
) -> SimpleNamespace:
    cycle = SimpleNamespace(receipt={"device": device, "made": made, "weights": weights})
    folder, plain = SimpleNamespace(path="run"), SimpleNamespace(deterministic=deterministic)
    return SimpleNamespace(
        cycles=[cycle], folder=folder, experiment=SimpleNamespace(training=plain)
    )
