"""Configs and options of any kind: one report that ends the command with status 2, or a plan.

Never a traceback.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD

from models.process.text import told
from models.training.settings import TrainingSettings
from tasks.base import DataError
from tests import commands
from tests.conftest import REPOSITORY
from tests.fuzzkit import VALUES, fuzz, mutated
from tests.toy import Toy, ToyNetwork
from tools.experiment import cost, last_batch, preflight
from tools.experiment.config import load
from tools.experiment.fitting import optimiser
from tools.experiment.options import ConfigError
from tools.experiment.settings import flat
from tools.train import arguments

TOY = REPOSITORY / "tests" / "examples" / "toy_config.py"
SOURCE = TOY.read_text()
BIG = 1 << 63


def never(*_: Any) -> None:
    raise AssertionError("nothing must be run")


def dry_run(config: Path, folder: Path, *arguments: str) -> int:
    return commands.train(
        [str(config), "--dry-run", "--wandb", "disabled", "--work-dir", str(folder), *arguments],
        never,
    )


def report(options: dict[str, Any], path: Path = TOY) -> list[str]:
    with pytest.raises(ConfigError, match=r": \d+ problem\(s\)") as error:
        load(path, options=options)
    return error.value.problems


# ---------------------------------------------------------------- one report


def test_one_report_holds_names_types_combinations_and_the_pool(tmp_path: Path, capsys) -> None:
    options = {
        "training.epoch": 3,
        "scoring.batch_size": "big",
        "module.detach_epoch": 9,
        "budget.query": 70,
        "budget.initial": 61,
        "subset": 69,
        "training.workers": 2000,
    }
    given = [f"{key}={value}" for key, value in options.items()]
    assert dry_run(TOY, tmp_path / "run", "--cfg-options", *given) == 2
    said = capsys.readouterr().out
    # what is wrong with `training` hides its combinations
    assert said.startswith(f"error: {TOY}: 5 problem(s)\n")
    for line in (
        "training.epoch: unknown; did you mean 'epochs'?",
        "scoring.batch_size: input should be a valid integer, unable to parse string as an "
        "integer, but got 'big'",
        "subset: expected at least budget.query (70), but got 69",
        "budget.initial: expected at most 60 (the whole pool), but got 61",
        "budget.query: expected at most 60 (the whole pool), but got 70",
    ):
        assert f"\n  {line}\n" in said
    assert dry_run(TOY, tmp_path / "run", "--cfg-options", *given[1:]) == 2
    said = capsys.readouterr().out
    assert "module.detach_epoch: expected at most training.epochs (4), but got 9" in said
    assert "training.workers: expected at most 1024 processes, but got 2000" in said
    assert "6 problem(s)" in said and not (tmp_path / "run").exists()


def test_faults_of_data_are_in_the_report_of_the_config_too(tmp_path: Path, capsys) -> None:
    assert (
        dry_run(TOY, tmp_path / "run", "--cfg-options", "subset=1", "task.faults=[a.jpg is broken]")
        == 2
    )
    said = capsys.readouterr().out
    assert (
        "2 problem(s)\n  subset: expected at least budget.query (5), but got 1\n  a.jpg is broken\n"
        in said
    )


@pytest.mark.parametrize(
    "options, lines",
    [
        ({"budget.initial": 61}, ["budget.initial: expected at most 60 (the whole pool), but got 61"]),
        ({"budget.query": 61}, ["budget.query: expected at most 60 (the whole pool), but got 61"]),
        ({"budget.query": 61, "budget.cycles": 1}, []),
        ({"budget.query": 26}, ["budget: expected at most 60 labels in the end (the whole pool), but got 62"]),
        ({"budget.query": 25}, []),
        ({"budget.cycles": 10**12},
         ["budget: expected at most 60 labels in the end (the whole pool), but got 5000000000005"]),
        ({"task.test_size": 0}, ["task: expected a test set of at least one sample, but got none"]),
    ],
)  # fmt: skip
def test_what_the_pool_cannot_give_is_known_before_any_list_of_cycles_is_made(
    options, lines
) -> None:
    assert preflight.problems(load(TOY, options=options), full=False) == lines


@pytest.mark.parametrize(
    "options, lines",
    [
        ({"strategy": "learning_loss_coreset", "subset": 20}, ["keep: expected less than subset / budget.query, as 20 "
          "of 20 candidates would be kept by score, but got 4"]),
        ({"strategy": "learning_loss_coreset", "subset": 21}, []),
        ({"strategy": "learning_loss_coreset", "subset": 20, "seed": "x"}, ["seed: ", "keep: "]),
        ({"module.detach_epoch": 5, "subset": 4, "strategy": "entropi"}, ["strategy: ", "module.detach_epoch: "]),
        ({"module.detach_epoch": 5, "task.size": "x"}, ["task.size: ", "module.detach_epoch: "]),
    ],
)  # fmt: skip
def test_combinations_are_told_beside_other_errors(options, lines) -> None:
    found = report(options) if lines else load(TOY, options=options) and []
    assert len(found) == len(lines)
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True)), found


# ---------------------------------------------------------------- a last batch of one sample


@pytest.mark.parametrize(
    "batch, initial, query, cycles, lone",
    [(4, 13, 4, 3, "13, 17, 21"), (4, 10, 7, 3, "17"), (7, 10, 5, 3, "15"), (9, 10, 9, 6, "10, 19, 28, 37, ..."),
     (4, 10, 5, 3, None), (9, 9, 9, 3, None), (2, 3, 3, 1, "3")],
)  # fmt: skip
def test_a_last_batch_of_one_sample_is_refused_where_the_network_cannot_train_on_it(
    batch, initial, query, cycles, lone
):
    options = {
        "training.batch_size": batch,
        "budget.initial": initial,
        "budget.query": query,
        "budget.cycles": cycles,
    }
    found = preflight.problems(load(TOY, options=options), full=False)
    why = (
        "ValueError: Expected more than 1 value per channel when training, got input size "
        "torch.Size([1, 8, 1, 1])"
    )
    assert (
        found == []
        if lone is None
        else found
        == [
            "training.batch_size: expected a last batch of more than one sample, as the network "
            "cannot train on one "
            f"({why}), but got {batch} with {lone} labels; change it, budget.initial or "
            "budget.query"
        ]
    )


class Plain(Toy):
    """Without batch norm one sample is enough."""

    def build(self) -> nn.Module:
        network = ToyNetwork()
        network.first[1] = nn.Identity()
        return network


def test_where_the_network_can_train_on_one_sample_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {
        "training.batch_size": 4,
        "budget.initial": 13,
        "task.type": "tests.tools.experiment.test_bad_config.Plain",
    }
    experiment = load(TOY, options=options)
    assert preflight.problems(experiment, full=False) == []
    # ceil(13 / 4) = 4, ceil(18 / 4) = 5, ceil(23 / 4) = 6
    monkeypatch.setattr(last_batch, "get_world_size", lambda: 4)
    assert (
        "but got 4 with 18 labels"
        in preflight.problems(load(TOY, options=options | {"task.type": Toy}), False)[0]
    )


@pytest.mark.parametrize(
    "batch, initial, query, least, sizes",
    [(8, 8, 9, 1, "17"), (16, 18, 16, 2, "18, 34, 50"), (16, 17, 1, 1, "17, 18, 19"),
     (8, 10, 8, None, None),  # 2 is a quarter
     (16, 16, 16, None, None), (16, 12, 16, None, None),
     (64, 10, 2, None, None),  # all that there is
     (5, 101, 5, None, None)],  # one of more than 20 batches
)  # fmt: skip
def test_a_small_last_batch_of_few_is_noted(batch, initial, query, least, sizes) -> None:
    budget = {"budget.initial": initial, "budget.query": query, "budget.cycles": 3}
    experiment = load(TOY, options={"training.batch_size": batch, **budget})
    found = last_batch.small_rest(experiment, ToyNetwork())
    if least is None:
        assert found == []
        return
    plural = "" if least == 1 else "s"
    assert found == [
        f"training.batch_size: the last of an epoch's batches of {batch} has as few as {least} "
        f"sample{plural} at {sizes} labels, which can cost a network with batch norm more than a "
        "strategy gains (docs/compare.md); sizes of the budget that leave none over avoid it"
    ]
    assert last_batch.small_rest(experiment, nn.Conv2d(3, 3, 1)) == [], "no batch norm"


def test_a_small_last_batch_is_a_note_of_the_preflight() -> None:
    options = {"training.batch_size": 16, "budget.initial": 18}
    problems, notes = preflight.findings(load(TOY, options=options), full=False)
    assert problems == []
    assert [note.partition(":")[0] for note in notes] == ["training.batch_size"]


class Told(Toy):
    """Its network says what the samples are, too."""

    fields = frozenset({"loss", "probs", "embedding", "truth"})


class Untold(Told):
    """Its network tells no true outcomes."""

    fields = Told.fields - {"truth"}


def test_a_temperature_that_nothing_can_be_fitted_on_is_noted() -> None:
    options = {"strategy": "uherding", "budget.validation": 4, "task.type": Untold}
    problems, notes = preflight.findings(load(TOY, options=options), full=False)
    assert problems == []
    assert notes == [
        "strategy 'uherding': probabilities are taken as they are (temperature 1), as the task's "
        "`output` has no `truth` to fit a temperature on the validation split with"
    ]
    for odd in ({"task.type": Told}, {"budget.validation": 0}, {"strategy": "entropy"}):
        assert preflight.findings(load(TOY, options=options | odd), full=False) == ([], [])


@pytest.mark.parametrize("query, keep, labels", [(5, 4, None), (10, 4, 20), (9, 3, None)])
def test_a_chain_that_keeps_all_candidates_is_noted(query: int, keep: int, labels) -> None:
    """The toy has 60 samples: 4 times 10 are all that 20 labels leave."""
    options = {"strategy": "learning_loss_coreset", "budget.query": query, "keep": keep}
    problems, notes = preflight.findings(load(TOY, options=options), full=False)
    assert problems == [] and len(notes) == (labels is not None)
    for note in notes:
        assert note.startswith(
            "keep: strategy 'learning_loss_coreset' keeps 40 candidates by score, but only 40 are "
            "unlabeled at 20 labels: from there on its last step"
        )


def test_a_subset_that_no_keep_fits_is_what_is_named() -> None:
    options = {"strategy": "learning_loss_coreset", "subset": 5, "keep": 1}
    assert report(options) == [
        "subset: expected more than budget.query (5), as 'learning_loss_coreset' chooses twice, "
        "but got 5"
    ]
    load(TOY, options={**options, "subset": 6})


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    "options, lines",
    [
        ({"clip_grad": {}}, ["clip_grad.max_norm: missing"]),
        ({"clip_grad": {"max_norm": -1}}, ["clip_grad.max_norm: expected more than 0, but got -1"]),
        ({"clip_grad": {"max_norm": 0}}, ["clip_grad.max_norm: expected more than 0, but got 0"]),
        ({"clip_grad": {"max_norm": float("nan")}},
         ["clip_grad.max_norm: expected more than 0, but got nan"]),
        ({"clip_grad": {"max_norm": 0.1, "norm_type": "inf"}}, []),
        ({"optimizer.lr": "1e-2", "clip_grad": {"max_norm": "3"}},
         ["optimizer.lr: expected a number, but got the text '1e-2'; write 0.01",
          "clip_grad.max_norm: expected a number, but got the text '3'; write 3.0"]),
        ({"optimizer.lr": "5e-5"},
         ["optimizer.lr: expected a number, but got the text '5e-5'; write 5.0e-05"]),
        ({"schedule": [{"type": "mmengine.optim.ExponentialLR", "gamma": ".5"}]},
         ["schedule[0].gamma: expected a number, but got the text '.5'; write 0.5"]),
        ({"schedule": [{"type": "mmengine.optim.ReduceOnPlateauLR", "monitor": "score"}]},
         ["schedule[0]: ReduceOnPlateauLR needs a validation loop, which a training here has not; "
          "choose a schedule of epochs or iterations"]),
    ],
)  # fmt: skip
def test_what_would_train_nothing_or_something_else_is_a_fault(options, lines) -> None:
    experiment = load(TOY, options={f"training.{key}": value for key, value in options.items()})
    assert optimiser(experiment.training) == [f"training.{line}" for line in lines]


def test_a_number_that_yaml_reads_is_what_is_advised() -> None:
    for text in ("1e-2", "5e-5", "1e20", "3", ".5"):
        (line,) = optimiser(TrainingSettings(1, 2, {"type": SGD, "lr": text}))
        assert yaml.safe_load(line.rpartition(" ")[2]) == float(text)


def test_the_plan_counts_one_processs_iterations(monkeypatch, tmp_path: Path) -> None:
    """4 epochs of 10, 15 and 20 samples: 3, 4 and 5 batches of 4 alone; a half each: 2, 2, 3."""
    experiment = load(TOY, options={"strategy": "random"})
    for processes, said in ((1, "48 iterations of 4"), (2, "28 iterations of 4")):
        monkeypatch.setattr(last_batch, "get_world_size", lambda n=processes: n)
        assert said in cost.plan(experiment, tmp_path, 0)


@pytest.mark.parametrize(
    "key, value, said",
    [
        ("seed", BIG, "seed: expected a number of at most 64 bits, but got 9223372036854775808"),
        ("seed", BIG - 1, None),
        ("budget.initial", 10**400, "budget.initial: expected a number of at most 64 bits, but got 1000000"),
        ("training.optimizer.lr", float("nan"), "training.optimizer.lr: expected a finite number, but got nan"),
        ("training.optimizer.lr", -float("inf"), "training.optimizer.lr: expected a finite number, but got -inf"),
        ("module.weight", "inf", "module.weight: expected a finite number, but got inf"),
        ("training.schedule", [{"type": "mmengine.optim.LinearLR", "start_factor": float("nan")}],
         "training.schedule[0].start_factor: expected a finite number, but got nan"),
        ("training.clip_grad", {"max_norm": 1.0, "norm_type": float("inf")}, None),
        ("scoring.workers", 1024, None),
        ("scoring.workers", 1025, "scoring.workers: expected at most 1024 processes, but got 1025"),
    ],
)  # fmt: skip
def test_numbers_that_no_setting_takes(key, value, said) -> None:
    if said is None:
        load(TOY, options={key: value})
    else:
        (line,) = report({key: value})
        assert line.startswith(said)


def test_a_number_that_cannot_be_printed() -> None:
    (line,) = report({"seed": 10**5000})
    assert (
        line
        == "seed: expected a number of at most 64 bits, but got one of type int that cannot be printed"
    )


def test_a_module_that_no_memory_holds_is_refused() -> None:
    (line,) = preflight.problems(load(TOY, options={"module.width": 10**14}), full=False)
    assert line.startswith(
        "module: expected settings of a module that can be built, but got RuntimeError: "
    )


@pytest.mark.parametrize("milestones", [3, "abc", None, ["a"], [1.5], {"a": 1}])
def test_milestones_of_another_type_are_told(milestones) -> None:
    schedule = [{"type": "mmengine.optim.MultiStepLR", "milestones": milestones}]
    assert report({"training.schedule": schedule}) == [
        f"training.schedule[0].milestones: expected a list of whole numbers, but got {milestones!r}"
    ]


# ---------------------------------------------------------------- what others wrote

RAISING = {
    "KeyError": "raise KeyError('root')",
    "SystemExit": "import sys; sys.exit(3)",
    "RuntimeError": "raise RuntimeError('Could not determine\\n home')",
    "MemoryError": "raise MemoryError",
}


@pytest.mark.parametrize("name", RAISING)
def test_whatever_an_adapters_constructor_raises_is_in_the_report(
    tmp_path: Path, monkeypatch, capsys, name
) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, "raising_adapter", raising=False)
    (tmp_path / "raising_adapter.py").write_text(
        "from tests.toy import Toy\nclass Mine(Toy):\n    def __init__(self):\n        "
        f"{RAISING[name]}\n"
    )
    config = tmp_path / "mine.py"
    config.write_text(
        SOURCE.replace("tests.toy import Toy", "raising_adapter import Mine").replace(
            "=Toy", "=Mine"
        )
    )
    assert dry_run(config, tmp_path / "run", "--cfg-options", "module.detach_epoch=99") == 2
    said = capsys.readouterr().out
    assert f"error: {config}: 2 problem(s)\n  module.detach_epoch: expected at most" in said
    assert f"task: Mine cannot be made of these settings ({name}: " in said
    assert f"; {tmp_path / 'raising_adapter.py'}, line 4)" in said
    sys.modules.pop("raising_adapter", None)


class Unbuilt(Toy):
    def build(self) -> nn.Module:
        raise KeyError("layer9")


class Unnamed(Toy):
    def name(self, index: int) -> str:
        return ("vector\n7", "vector \udcff", "vector 8")[index % 3]


class Unread(Toy):
    def build(self) -> nn.Module:
        raise DataError("weights.pth: broken")


def test_what_an_adapter_does_wrong_later_is_told_before_the_run(tmp_path: Path, capsys) -> None:
    def found(kind: str) -> list[str]:
        return preflight.problems(
            load(TOY, options={"task.type": f"tests.tools.experiment.test_bad_config.{kind}"}),
            full=False,
        )

    assert found("Unbuilt") == [
        "task: expected `build` to return a network, but got KeyError: 'layer9'"
    ]
    assert found("Unnamed") == [
        r"task.name: expected names in one line of UTF-8, but got 'vector\n7' (40 such); rename the files"
    ]
    assert (
        dry_run(
            TOY,
            tmp_path,
            "--cfg-options",
            "task.type=tests.tools.experiment.test_bad_config.Unread",
        )
        == 2
    )
    assert capsys.readouterr().out == "error: weights.pth: broken\n"


@pytest.mark.parametrize(
    "source, said",
    [
        ("import sys\nsys.exit(3)\n", "cannot be read: SystemExit: 3"),
        ("raise SystemExit\n", "cannot be read: SystemExit: "),
        (f"{SOURCE}\ndef f(): return f()\nf()\n", "cannot be read: RecursionError: maximum recursion depth exceeded"),
        (f"{SOURCE}\nx = {{}}\nx['a'] = x\n", "cannot be read: RecursionError: maximum recursion depth exceeded"),
        (f"{SOURCE}\0", "cannot be read: SyntaxError: source code string cannot contain null bytes"),
        (f"{SOURCE}\ntask = dict(type=dict)\n", "task.type: expected a class with named parameters, but got <class 'd"),
        (f"{SOURCE}\ntask = {{1: 2, 'type': Toy}}\n", "task.1: unknown; expected one of size, test_size, faults"),
        (f"{SOURCE}\nbudget[None] = 2\n", "budget.None: unknown; expected one of initial, query, cycles"),
        (SOURCE.replace("SGD", "SDG"), "training.optimizer.type: expected a class, such as `torch.optim.SGD`, but got "
         "'torch.optim.SDG' (torch.optim.SDG: unknown; did you mean 'SGD'?)"),
        (SOURCE.replace("torch.optim", "no_such_library"), "training.optimizer.type: expected a class, such as "
         "`torch.optim.SGD`, but got 'no_such_library.SGD' (No module named 'no_such_library')"),
    ],
)  # fmt: skip
def test_a_config_that_is_odd_python_is_one_line(
    tmp_path: Path, capsys, source: str, said: str
) -> None:
    config = tmp_path / "mine.py"
    config.write_text(source)
    assert dry_run(config, tmp_path / "run") == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"error: {config}: 1 problem(s)" and lines[1].startswith(f"  {said}")


@pytest.mark.parametrize("path", ["a" * 5000 + ".py", "a\0b.py", "\udcff.py", "."])
def test_a_path_that_no_file_can_have_is_named(tmp_path: Path, capsys, path: str) -> None:
    assert dry_run(Path(path), tmp_path / "run") == 2
    assert (
        "no such file; expected a config such as configs/det_ssd_voc.py" in capsys.readouterr().out
    )


def test_brackets_in_brackets_on_the_command_line(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        dry_run(TOY, tmp_path, "--cfg-options", f"seed={'[' * 3000}{']' * 3000}")
    assert (
        "seed: expected a value, but got too many brackets in brackets" in capsys.readouterr().err
    )
    assert dry_run(TOY, tmp_path, "--cfg-options", f"seed={'-' * 9000}1") == 2
    assert "seed: input should be a valid integer" in capsys.readouterr().out


def test_what_is_told_is_short_and_can_be_printed(tmp_path: Path, capsys) -> None:
    assert (
        dry_run(
            TOY,
            tmp_path,
            "--cfg-options",
            "strategy=\udcff\x1b[2J",
            f"{'k' * 9000}=1",
            f"seed={'x' * 9000}",
        )
        == 2
    )
    said = capsys.readouterr().out
    assert "strategy: \\udcff\\x1b[2J: unknown" in said and len(said) < 2000 and said.isascii()
    assert told(ValueError("a\n  b")) == "ValueError: a b"


# ---------------------------------------------------------------- anything at all

KEYS = sorted(flat(load(TOY).config)) + [
    "training",
    "budget",
    "task",
    "module",
    "strategy",
    "subset",
    "keep",
    "x",
    "a.b",
]
NUMBERS = st.sampled_from(
    [-1, 0, 1, 2, 3, 60, 61, 10**6, BIG, 10**400, 1e400, -1e400, float("nan"), 1e-300]
)
NESTED = st.dictionaries(
    st.sampled_from(["type", "lr", "epochs", "size", "x"]), VALUES | NUMBERS, max_size=2
)
TEXTS = st.sampled_from(
    ["entropy", "tests.toy.Toy", "torch.optim.SGD", "a.b", ".", "", "\udcff", "os.system", "[1,"]
)
PIECES = (
    b"",
    b"(",
    b")",
    b"=",
    b"\n",
    b"0",
    b"'",
    b"dict(",
    b"None",
    b"[",
    b"-",
    b"\xff",
    b"\0",
    b"type=Toy",
    b"1e999",
)


def check_plan(config: Path, folder: Path, options: dict[str, Any], capsys) -> bool:
    """The command as it would be run; whether there is a plan."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arguments, "option", lambda text: (text, options[text]))
        status = dry_run(config, folder, *(["--cfg-options", *options] if options else []))
    said = capsys.readouterr().out
    assert said.startswith("error: ") if status else "trainings of" in said
    assert status in (0, 2) and len(said) < 20_000 and not folder.exists()
    return status == 0


def test_fuzzed_options(tmp_path: Path, capsys) -> None:
    planned = []

    @fuzz(150)
    @given(
        st.dictionaries(
            st.sampled_from(KEYS), NUMBERS | VALUES | NESTED | TEXTS, min_size=1, max_size=3
        )
    )
    def check(options: dict[str, Any]) -> None:
        planned.append(check_plan(TOY, tmp_path / "run", options, capsys))

    check()
    assert 3 < sum(planned) < len(planned) - 50  # both were put to the test


def test_fuzzed_sources(tmp_path: Path, capsys) -> None:
    planned, config = [], tmp_path / "mine.py"

    @fuzz(150)
    @given(mutated(SOURCE.encode(), PIECES))
    def check(content: bytes) -> None:
        config.write_bytes(content)
        planned.append(check_plan(config, tmp_path / "run", {}, capsys))

    check()
    assert 3 < sum(planned) < len(planned) - 50
