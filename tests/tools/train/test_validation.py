"""`budget.validation`: labeled samples of the pool that judge, neither learned nor asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, InstanceData

from acquisition.pool import Budget, Pool, drawn_slice
from models.training.checkpoint import read
from tasks.detection.metrics import beside_truth
from tasks.evaluation import metric_of
from tests import commands, devkit, imagekit, keypointkit, posekit
from tests.comparekit import made
from tests.conftest import REPOSITORY
from tests.tools.train.test_noisy_people import rows, timeless, written
from tests.tools.train.test_noisy_people import run as run_config
from tests.toy import Toy
from tools import al_compare, al_verify
from tools.compare.curves import ANY
from tools.compare.held import by_validation, choice
from tools.experiment.config import load
from tools.experiment.preflight import _sizes, _validation
from tools.record.folder import RunFolder
from tools.record.reading import ComparisonError
from tools.train import loop
from tools.train.models import untrained

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
HELD = ["--cfg-options", "budget.validation=8", "training.keep_weights=all"]


def main(folder: Path, *more: str, through: Any = loop.run) -> int:
    given = [TOY, "--smoke", "--wandb", "disabled", "--work-dir", str(folder), *more]
    return commands.train(given, through)


def verified(folder: Path) -> int:
    return al_verify.main([str(folder), "--trust", str(REPOSITORY)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("held") / "toy" / "learning_loss" / "seed0"
    assert main(folder, *HELD) == 0
    return folder


# ------------------------------------------------------------------ the pool


def test_the_slice_is_drawn_by_the_seed_alone_and_nothing_of_it_is_labeled_or_asked():
    held = drawn_slice(20, 6, seed=3)
    assert held == drawn_slice(20, 6, 3) != drawn_slice(20, 6, 4) and len(set(held)) == 6
    assert drawn_slice(20, 4, 3) == held[:4]
    pool = Pool.initial(20, 5, 3, held)
    assert not set(pool.labeled) & set(held)
    assert sorted([*pool.labeled, *held, *pool.unlabeled.tolist()]) == list(range(20))
    after = pool.label(pool.unlabeled[:2].tolist())
    assert after.validation == held and len(after.unlabeled) == 7
    with pytest.raises(ValueError, match=rf"these are labeled: \[{held[0]}\]"):
        pool.label([held[0]])
    with pytest.raises(ValueError, match=r"Expected at most 14 initial samples"):
        Pool.initial(20, 15, 3, held)
    assert Pool.initial(20, 14, 3, held).unlabeled.tolist() == []
    with pytest.raises(ValueError, match=r"these came twice: \[1\]"):
        Pool(4, (0, 1), validation=(1,))


@pytest.mark.parametrize(
    "given, size, count", [(0, 9, 0), (4, 9, 4), (0.25, 40, 10), (0.001, 40, 1), (0.5, 5, 2)]
)
def test_a_number_is_that_and_a_share_is_of_the_pool(given, size, count):
    assert Budget(2, 1, 1, validation=given).held(size) == count


# ------------------------------------------------------------------ a run


def test_a_run_keeps_the_slice_out_of_all_but_the_evaluation(finished: Path):
    state = json.loads((finished / "state.json").read_text())
    held = drawn_slice(60, 8, seed=0)
    assert tuple(state["validation"]) == held and not set(held) & set(state["labeled"])
    folder = RunFolder(finished)
    query = folder.query(0)
    assert query is not None and not set(held) & set(query.candidates.tolist())
    assert len(query.candidates) == 60 - 10 - 8
    assert Toy().effort(1) == 2
    effort = [sum(1 + i % 3 for i in (*state["labeled"][:n], *held)) for n in (10, 15)]
    assert [row["effort"] for row in rows(finished)] == effort, "people labeled the slice, too"


def test_its_metric_is_that_of_the_cycles_weights_on_the_slice(finished: Path):
    """Computed here from the kept weights, sample by sample."""
    experiment = load(TOY, smoke=True)
    task = experiment.task
    for cycle, row in enumerate(rows(finished)):
        model = untrained(experiment, "joint")
        model.load_state_dict(read(RunFolder(finished).weights_file(cycle))["state_dict"])
        model.eval()
        errors = []
        for i in drawn_slice(60, 8, 0):
            x, y, _ = task.dataset("pool")[i]
            with torch.no_grad():
                errors.append((model.network(x[None])[1].item() - y.item()) ** 2)
        assert row["validation/score"] == pytest.approx(-np.mean(errors), rel=1e-5)
        assert row["validation/score"] != row["score"]


def test_it_is_verified_and_another_slice_is_found(finished: Path, tmp_path: Path, capsys):
    assert verified(finished) == 0, capsys.readouterr().out
    assert (
        "validation     The validation split is the one that the seed draws"
        in capsys.readouterr().out
    )
    state = finished / "state.json"
    before = state.read_text()
    changed = json.loads(before)
    free = next(i for i in range(60) if i not in changed["validation"] + changed["labeled"])
    changed["validation"][2] = free
    try:
        state.write_text(json.dumps(changed))
        assert verified(finished) == 1
        said = capsys.readouterr().out
        assert "state.json's validation: from place 2 on expected" in said
        assert f"expected candidates outside of the validation split, but got [{free}]" in said
        assert "validation: expected the hash" in said
    finally:
        state.write_text(before)


def test_a_stopped_run_goes_on_with_the_same_slice(finished: Path, tmp_path: Path):
    def one_cycle(cycle, tracker, console):
        found = loop.run_cycle(
            loop.replace(cycle, experiment=loop.settled(cycle.experiment, cycle.folder))
        )
        cycle.folder.commit(*found)
        raise KeyboardInterrupt

    assert main(tmp_path / "run", *HELD, through=one_cycle) == 130
    assert len(rows(tmp_path / "run")) == 1
    assert main(tmp_path / "run", *HELD) == 0
    assert timeless(tmp_path / "run") == timeless(finished)
    assert json.loads((tmp_path / "run" / "state.json").read_text()) == json.loads(
        (finished / "state.json").read_text()
    )


def test_without_it_nothing_is_other_than_before(tmp_path: Path):
    assert main(tmp_path / "run") == 0
    assert "validation" not in (tmp_path / "run" / "state.json").read_text()
    assert not any("valid" in key for row in rows(tmp_path / "run") for key in row)


# ------------------------------------------------------------------ checks before a run


def test_what_is_left_of_the_pool_must_do(capsys, tmp_path: Path):
    assert _sizes(Toy(), Budget(10, 5, 3, validation=41)) == [
        "budget: expected at most 19 labels in the end (the pool without 41 that validate), but got 20"
    ]
    assert _sizes(Toy(), Budget(10, 5, 3, validation=40)) == []
    assert _sizes(Toy(), Budget(10, 5, 3, validation=60)) == [
        "budget.validation: expected fewer samples than the whole pool of 60, but got 60"
    ]
    options = ["--cfg-options", "budget.validation=0.5"]
    assert main(tmp_path / "run", "--dry-run", *options) == 0
    said = capsys.readouterr().out
    assert "pool 60, test 20, 30 of the pool validate" in said
    assert "20 samples for 1 query" in said


@pytest.mark.parametrize("given", [-1, 1.0, 1.5, 0.0, True, "all"])
def test_what_is_no_number_and_no_share_is_refused(given, capsys, tmp_path: Path):
    code = main(tmp_path / "run", "--dry-run", "--cfg-options", f"budget.validation={given!r}")
    assert code == (0 if given == 0.0 else 2)
    if code:
        assert "budget.validation: " in capsys.readouterr().out


def test_a_task_that_does_not_judge_its_pool_is_refused_with_the_reason(tmp_path: Path):
    class Other(Toy):
        pool_evaluator = None

    some = Budget(10, 5, 3, validation=5)
    assert _validation(Other(), some) == [
        "budget.validation: expected 0, but got 5: Other lacks `pool_evaluator`; see tasks/base.py"
    ]
    assert _validation(Toy(), some) == []
    heads = posekit.pose(posekit.make_mpii(tmp_path))
    assert "PCKh needs the heads of the pool's persons" in _validation(heads, some)[0]


# ------------------------------------------------------------------ the three tasks


def judged(task: Any, elements: list[BaseDataElement]) -> float:
    metric = Evaluator([metric_of(task, "pool")])
    metric.dataset_meta = getattr(task.dataset("pool"), "metainfo", {})
    metric.process(data_samples=elements, data_batch=None)
    return metric.evaluate(len(elements))[task.metric]


def test_classes_of_the_pool_are_judged(tmp_path: Path):
    task = imagekit.classification(imagekit.make_folder(tmp_path))
    found = [task.collate([task.dataset("pool")[i]])["labels"].item() for i in (5, 2, 7)]
    right = [BaseDataElement(label=one, predicted=one) for one in found]
    wrong = [BaseDataElement(label=one, predicted=1 - one) for one in found[:1]]
    assert judged(task, right) == 1 and judged(task, [*right, *wrong]) == 0.75


@pytest.mark.parametrize("kind", ["voc", "coco"])
def test_boxes_of_the_pool_are_judged_by_the_pools_truth(kind: str, tmp_path: Path):
    if kind == "voc":
        task = devkit.detection(devkit.make_voc(tmp_path))
    else:
        lists = dict(train=["images:train.json"], test=["images:test.json"])
        task = devkit.detection(devkit.make_coco(tmp_path), format="coco", **lists)

    def perfect(i: int, move: float = 0) -> Any:
        sample = task.dataset("pool")[i]["data_samples"]
        boxes = [one for one in sample.instances if not one["ignore_flag"]]
        corners = torch.tensor([one["bbox"] for one in boxes]).reshape(-1, 4) + move
        labels = torch.tensor([one["bbox_label"] for one in boxes], dtype=torch.long)
        return beside_truth(
            sample, InstanceData(bboxes=corners, labels=labels, scores=torch.ones(len(boxes)))
        )

    assert task.check() == []
    ids = [2, 0, 1]
    assert judged(task, [perfect(i) for i in ids]) == pytest.approx(1)
    assert judged(task, [perfect(i, move=500) for i in ids]) == 0


def test_joints_of_the_pool_are_judged_by_the_pools_truth(tmp_path: Path):
    task = keypointkit.pose(keypointkit.make_coco(tmp_path / "own"))
    mpii = posekit.pose(posekit.make_mpii(tmp_path / "mpii"), measure="PCK", heads=None)
    for one, people in ((task, task.form.people("train")), (mpii, mpii.form.people("train"))):
        assert one.check() == []
        ids = [3, 1]

        def found(i: int, move: float, people: Any = people) -> BaseDataElement:
            joints = people.joints[i] + move
            return BaseDataElement(person=i, joints=joints, maxima=np.ones(len(joints)))

        assert judged(one, [found(i, 0) for i in ids]) == pytest.approx(1)
        assert judged(one, [found(i, 5000) for i in ids]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classes", "boxes", "poses"])
def test_each_task_validates_resumes_and_is_verified(kind: str, tmp_path: Path, capsys):
    config = written(tmp_path, kind)
    options = ["--cfg-options", "oracle=None", "budget.validation=1", "budget.cycles=2"]
    assert run_config(config, tmp_path / "run", *options) == 0
    metric = load(config).task.metric
    assert all(f"validation/{metric}" in row for row in rows(tmp_path / "run"))
    assert verified(tmp_path / "run") == 0, capsys.readouterr().out


def test_the_temperature_of_a_query_is_fitted_on_it(tmp_path: Path, capsys):
    """Computed here from the kept weights, sample by sample."""
    config = written(tmp_path)
    options = ["--strategy", "uherding", "--cfg-options", "oracle=None", "budget.cycles=2"]
    options += ["training.keep_weights=all", "scoring.keep_vectors=True"]
    assert run_config(config, tmp_path / "without", *options) == 0
    assert not any("query/temperature" in row for row in rows(tmp_path / "without"))
    assert run_config(config, tmp_path / "run", *options, "budget.validation=3") == 0
    first, last = rows(tmp_path / "run")
    assert "query/temperature" not in last, "nothing is asked"

    experiment = load(config)
    task, folder = experiment.task, RunFolder(tmp_path / "run")
    assert task.check() == []
    model = untrained(experiment, "off")
    kept = read(folder.weights_file(0))["state_dict"]
    model.load_state_dict({k: v for k, v in kept.items() if not k.startswith("loss_prediction")})
    model.eval()

    def logits(i: int) -> torch.Tensor:
        with torch.no_grad():
            batch = task.collate([task.dataset("pool")[i]])
            return model.output(batch, frozenset({"probs"})).probs[0, 0].double().log()

    held = json.loads((tmp_path / "run" / "state.json").read_text())["validation"]
    rights = [int(task.collate([task.dataset("pool")[i]])["labels"]) for i in held]
    outputs = torch.stack([logits(i) for i in held])

    def surprise(temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(outputs / temperature, torch.tensor(rights)))

    grid = np.geomspace(0.05, 20, 2001)
    best = grid[np.argmin([surprise(one) for one in grid])]
    assert first["query/temperature"] == pytest.approx(best, rel=3e-3)
    query = folder.query(0)
    for i, row in zip(query.candidates.tolist(), query.signals["calibrated_margin"], strict=True):
        two = (logits(i) / first["query/temperature"]).softmax(dim=0).topk(2).values
        assert row == pytest.approx(1 - float(two[0] - two[1]), abs=1e-5)
    assert verified(tmp_path / "run") == 0, capsys.readouterr().out


# ------------------------------------------------------------------ comparisons


def scored(leg: str, seed: int, test: list[float], held: list[float]) -> Any:
    run = made(leg, seed, test, validation__score=held)
    run.settings["budget.validation"] = 8
    return run


def test_a_comparison_can_go_by_the_slice():
    run = scored("entropy", 0, [0.1, 0.5], [0.3, 0.4])
    (turned,) = by_validation([run])
    assert turned.metric == "validation/score" and turned.values == (0.3, 0.4)
    with pytest.raises(ComparisonError, match=r"seed0 has none; .*budget.validation=0.1"):
        by_validation([run, made("random", 0, [0.1, 0.5])])
    lost = made("random", 0, [0.1, 0.5])
    lost.settings["budget.validation"] = 8
    with pytest.raises(ComparisonError, match="expected validation/score in every row"):
        by_validation([lost])


def test_what_the_slice_would_choose_and_what_that_costs():
    legs = {
        "random": tuple(scored("random", s, [0.4, 0.6], [0.3, 0.5]) for s in (0, 1)),
        "entropy": tuple(scored("entropy", s, [0.4, 0.4], [0.5, 0.6]) for s in (0, 1)),
    }
    found = choice(legs, ANY)
    assert found is not None and (found.chosen, found.best) == ("entropy", "random")
    assert found.cost == pytest.approx(0.5 - 0.4)  # areas on the test set
    assert [one.validation.mean for one in found.judged] == pytest.approx([0.4, 0.55])
    assert [one.final_test.mean for one in found.judged] == pytest.approx([0.6, 0.4])
    held = {leg: tuple(by_validation(runs)) for leg, runs in legs.items()}
    assert choice(held, ANY) is None, "compared by it already"
    assert choice({"random": (made("random", 0, [0.1, 0.2]),)}, ANY) is None


def test_reports_say_it_and_compare_by_it(finished: Path, tmp_path: Path, capsys):
    trust = ["--trust", str(REPOSITORY)]
    assert al_compare.main([str(finished), "--out", str(tmp_path / "a"), *trust]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "By the validation split learning_loss is best" in said
    (one,) = json.loads((tmp_path / "a" / "summary.json").read_text())
    last = rows(finished)[-1]
    assert one["held"]["judged"][0]["final_validation"]["mean"] == last["validation/score"]
    assert "By the validation split" in (tmp_path / "a" / "report.html").read_text()
    more = ["--by", "validation", *trust]
    assert al_compare.main([str(finished), "--out", str(tmp_path / "b"), *more]) == 0
    (one,) = json.loads((tmp_path / "b" / "summary.json").read_text())
    assert one["metric"] == "validation/score" and one["held"] is None
    assert one["legs"][0]["final"]["mean"] == last["validation/score"]
