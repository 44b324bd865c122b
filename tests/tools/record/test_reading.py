"""Run folders are read as they were written, and what differs in more than strategy and
seed is not compared.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests import comparekit
from tests.conftest import REPOSITORY
from tools import al_train
from tools.compare.grouping import SHOWN, group
from tools.experiment.config import load
from tools.experiment.settings import flat
from tools.record.comparable import BETWEEN_LEGS
from tools.record.finding import find
from tools.record.folder import RunFolderError
from tools.record.reading import ComparisonError, read


def test_a_run_of_al_train_is_read(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    command = [
        str(REPOSITORY / "tests/examples/toy_config.py"),
        "--module",
        "detached",
        "--seed",
        "3",
    ]
    assert al_train.main(command) == 0
    (folder,), _ = find(["work_dirs"])
    run = read(folder)
    experiment = load(command[0], options={"module.mode": "detached", "seed": 3})
    assert (run.config, run.leg, run.strategy, run.module, run.seed, run.metric, run.task) == (
        experiment.name,
        experiment.leg,
        "learning_loss",
        "detached",
        3,
        experiment.task.metric,
        "tests.toy.Toy",
    )
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert (run.finished, run.labeled, run.values) == (
        True,
        (10, 15, 20),
        tuple(row["score"] for row in rows),
    )
    assert run.column("seconds/train") == tuple(row["seconds/train"] for row in rows)
    assert run.settings == flat(experiment.config)


def test_finished_and_unfinished_runs_and_null_metrics(tmp_path: Path):
    whole = read(comparekit.write(tmp_path / "whole", comparekit.config(), (0.1, None, 0.3)))
    assert whole.finished and whole.values[::2] == (0.1, 0.3) and math.isnan(whole.values[1])
    assert math.isnan(whole.column("seconds/train")[0])
    part = read(comparekit.write(tmp_path / "part", comparekit.config(), (0.1, 0.2)))
    assert (part.finished, part.labeled, part.values) == (False, (10, 15), (0.1, 0.2))
    empty = read(comparekit.write(tmp_path / "empty", comparekit.config(), ()))
    assert (empty.finished, empty.labeled, empty.values) == (False, (), ())


def test_a_row_beyond_the_last_commit_does_not_count(tmp_path: Path):
    folder = comparekit.write(tmp_path / "run", comparekit.config(), (0.1, 0.2))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"cycle": 2, "labe')  # killed in the third
    assert read(folder).values == (0.1, 0.2)


@pytest.mark.parametrize(
    ("strategy", "mode", "leg"),
    [
        ("random", "auto", "random"),
        ("random", "joint", "random-joint"),
        ("learning_loss", "detached", "learning_loss-detached"),
        (dict(type="acquisition.steps.Densest"), "auto", "Densest"),
    ],
)
def test_legs_are_called_as_al_train_calls_them(strategy, mode, leg, tmp_path: Path):
    run = read(comparekit.write(tmp_path, comparekit.config(strategy, module__mode=mode)))
    text = (REPOSITORY / "tests/examples/toy_config.py").read_text()
    (tmp_path / "own.py").write_text(
        text.replace('strategy = "learning_loss"', f"strategy = {strategy!r}")
    )
    assert run.leg == leg == load(tmp_path / "own.py", options={"module.mode": mode}).leg


@pytest.mark.parametrize(
    ("place", "name"),
    [("toy/random/seed0", "toy"), ("toy/a", "toy"), ("toy/random/seed1", "random")],
)
def test_the_config_is_named_by_the_folder(place, name, tmp_path: Path):
    assert read(comparekit.write(tmp_path / place, comparekit.config())).config == name


def damaged(tmp_path: Path, name: str, text: str | None) -> Path:
    folder = comparekit.write(tmp_path / "run", comparekit.config())
    (folder / name).unlink() if text is None else (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("config.json", "{", r"config\.json is damaged \(JSONDecodeError: "),
        ("config.json", '{"seed": 0}', r"config\.json is not what a run has \(KeyError: 'strategy'\)"),
        ("facts.json", '{"metric": "score"}', r"facts\.json is damaged \(KeyError: 'lower_is_better'\)"),
        ("samples.txt", None, r"run holds a run \(done is there\) without its samples\.txt; restore what is lost"),
        ("samples.txt", "a\nb\n", r"state\.json is of a pool of 60 samples, but the data set has 2"),
        ("metrics.jsonl", '{"cycle": 0}\n{"cycle"\n', r"line 2 is damaged"),
        ("metrics.jsonl", '{"cycle": 0, "labeled": 10, "score": 1}\n{"cycle": 1, "labeled": 15, "mAP": 1}\n'
         '{"cycle": 2, "labeled": 20, "score": 1}\n', "'score' in every row, but cycle 1 lacks 'score'"),
        ("state.json", '{"cycle": 1, "size": 60, "labeled": [1, 2]}', "expected 3 cycles, but got 1"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_an_error(name, text, match, tmp_path: Path):
    folder = damaged(tmp_path, name, text)
    with pytest.raises(RunFolderError, match=match):
        read(folder)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        (
            "labeled",
            10,
            r"metrics\.jsonl: expected more labeled samples in each cycle, but got \[10, 10, 20\]",
        ),
        ("labeled", None, r"each cycle, but got \[10, None, 20\]"),
        ("labeled", 12.5, r"each cycle, but got \[10, 12\.5, 20\]"),
        ("score", "high", "line 2 is damaged .*64 bits or null, but got 'score': 'high'"),
        ("score", math.inf, "cycle 1 has score = inf"),
        ("score", True, "cycle 1 has score = True"),
        ("seconds/train", [1], r"line 2 is damaged .*or null, but got 'seconds/train': \[1\]"),
    ],
)
def test_rows_that_no_run_wrote_are_an_error(key, value, match, tmp_path: Path):
    folder = comparekit.write(tmp_path / "run", comparekit.config())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rows[1][key] = value
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RunFolderError, match=match):
        read(folder)


@pytest.mark.parametrize(("cycles", "count", "told"), [(3, 19, 20), (3, 21, 20), (2, 14, 15)])
def test_rows_and_state_that_disagree_are_an_error(cycles, count, told, tmp_path: Path):
    folder = comparekit.write(tmp_path / "run", comparekit.config(), [0.1] * cycles)
    state = {"cycle": cycles, "size": 60, "labeled": list(range(count))}
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(
        RunFolderError, match=f"last row has {told} labeled samples, but state.json has {count}"
    ):
        read(folder)


def test_a_score_that_is_not_a_number_counts_as_null(tmp_path: Path):
    folder = comparekit.write(tmp_path / "run", comparekit.config())
    text = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text(text.replace('"score": 0.2', '"score": NaN'))
    assert math.isnan(read(folder).values[1])


def grouped(*folders: Path):
    return group([read(folder) for folder in folders])


def test_legs_and_seeds_of_each_config_come_together(tmp_path: Path):
    write, config = comparekit.write, comparekit.config
    comparisons = grouped(
        write(tmp_path / "b/2", config("learning_loss", 1)),
        write(tmp_path / "b/1", config("learning_loss", 0)),
        write(tmp_path / "b/3", config("random", 1)),
        write(tmp_path / "b/4", config("coreset", 0), (0.1, 0.2)),
        write(tmp_path / "b/5", config("random", 2, module__mode="joint"), (0.1,)),
        write(tmp_path / "a/1", config("random", 0, cycles=2), (0.1, 0.2)),
    )
    assert [(c.config, c.metric, len(c.runs)) for c in comparisons] == [
        ("a", "score", 1),
        ("b", "score", 5),
    ]
    both = comparisons[1]
    assert [(leg, [run.seed for run in runs]) for leg, runs in both.legs.items()] == [
        ("random", [1]),
        ("learning_loss", [0, 1]),
    ]
    assert [run.leg for run in both.unfinished] == ["coreset", "random-joint"]
    assert group([]) == []


SETTINGS = dict(
    subset=30,
    keep=2,
    committee__members=5,
    module__objective="mse",
    module__mode="joint",
    scoring__embedding="first",
    scoring__control=7,
    scoring__aggregate="max",
)


def test_what_a_leg_is_made_of_may_differ_between_legs_alone(tmp_path: Path):
    assert {key.replace("__", ".") for key in SETTINGS} >= {
        k for k in BETWEEN_LEGS if k not in ("strategy", "committee")
    }
    base = comparekit.write(tmp_path / "base", comparekit.config("random"))
    for number, (key, value) in enumerate(SETTINGS.items()):
        name = key.replace("__", ".")
        other = comparekit.write(
            tmp_path / f"other{number}", comparekit.config("coreset", **{key: value})
        )
        assert len(grouped(base, other)) == 1
        if key != "module__mode":  # which makes another leg
            same = comparekit.write(
                tmp_path / f"same{number}", comparekit.config("random", 1, **{key: value})
            )
            with pytest.raises(
                ComparisonError,
                match=rf"base and .*same{number}: {name}: '\(missing\)' and {value!r}",
            ):
                grouped(base, same)


MACHINE = dict(
    training__workers=7,
    training__checkpoint_every=3,
    training__deterministic=True,
    scoring__workers=1,
    scoring__batch_size=2,
)


def test_the_machine_may_differ_anywhere(tmp_path: Path):
    base = comparekit.write(tmp_path / "base", comparekit.config("random"))
    same = comparekit.write(tmp_path / "same", comparekit.config("random", 1, **MACHINE))
    other = comparekit.write(tmp_path / "other", comparekit.config("coreset", 1, **MACHINE))
    assert len(grouped(base, same, other)) == 1


@pytest.mark.parametrize("strategy", ["random", "coreset"])
@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("budget__query", 4, "budget.query: 5 and 4"),
        ("training__epochs", 5, "training.epochs: 4 and 5"),
        ("training__amp", True, r"training.amp: '\(missing\)' and True"),
        ("module__weight", 0.1, r"module.weight: '\(missing\)' and 0.1"),
        ("subsets", 3, r"subsets: '\(missing\)' and 3"),  # begins as one that may differ
        ("task__test_size", 30, r"task.test_size: '\(missing\)' and 30"),
    ],
)
def test_other_settings_are_refused_by_name_with_both_values(
    key, value, told, strategy, tmp_path: Path
):
    base = comparekit.write(tmp_path / "base", comparekit.config("random"))
    other = comparekit.write(
        tmp_path / "other", comparekit.config(strategy, 1, **{key: value}), (0.1,)
    )
    with pytest.raises(ComparisonError, match=f"base and .*other: {told}"):
        grouped(base, other)


def test_other_samples_are_refused_with_the_first_that_differs(tmp_path: Path):
    base = comparekit.write(tmp_path / "base", comparekit.config("random"))
    names = [f"vector {i}" if i != 17 else "person 17" for i in range(60)]
    other = comparekit.write(tmp_path / "other", comparekit.config("random", 1), names=names)
    with pytest.raises(ComparisonError, match="sample 17: 'vector 17' and 'person 17'"):
        grouped(base, other)
    longer = comparekit.write(
        tmp_path / "more", comparekit.config("coreset"), names=[f"vector {i}" for i in range(61)]
    )
    with pytest.raises(ComparisonError, match=r"sample 60: '\(missing\)' and 'vector 60'"):
        grouped(base, longer)


def test_a_leg_with_a_seed_twice_is_refused_with_both_folders(tmp_path: Path):
    a = comparekit.write(tmp_path / "a", comparekit.config("random", 4))
    b = comparekit.write(tmp_path / "b", comparekit.config("random", 4), (0.1,))
    with pytest.raises(ComparisonError, match=r"/a and .*/b: random with seed 4, twice"):
        grouped(a, b)


def test_all_differences_come_in_one_message_that_ends(tmp_path: Path):
    base = comparekit.write(tmp_path / "base", comparekit.config("random"))
    many = {f"task__key{i:02d}": i for i in range(SHOWN + 5)}
    first = read(base)
    other = type(first)(
        **{**vars(first), "seed": 1, "settings": flat(comparekit.config("random", 1, **many))}
    )
    with pytest.raises(ComparisonError, match="task.key00.*(?s:.*)task.key19.*\n  and 5 more$"):
        group([first, other])
