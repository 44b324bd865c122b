"""Configs are Python: what Python allows is taken, what is no setting is left aside, and
what cannot be is one line.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from torch.optim import SGD

from tests.conftest import REPOSITORY
from tests.tools.experiment.test_config import BASE, CONFIGS, TOY
from tools.experiment import source
from tools.experiment.checks import KNOWN
from tools.experiment.config import load
from tools.experiment.options import ConfigError
from tools.record import facts, literals

HELPERS = """
import json
import os
import subprocess
from dataclasses import dataclass
from os import environ
from pathlib import Path
import numpy as np
import torch.optim as optim

_root = Path("/data") / os.environ["LOSSTAP_TEST"]
_sizes = [10, 5]

def double(number):
    return 2 * number

class Helper:
    pass

@dataclass
class Typed:
    number: "int" = 3

task["faults"] = [_root / "a", str(Path("b"))]
budget = dict(initial=np.int64(_sizes[0]), query=double(2) + Typed().number - 2, cycles=np.array(3))
training["optimizer"] = dict(type=optim.SGD, lr=np.float32(0.5), momentum=np.float64(0.9), nesterov=np.bool_(True))
training["schedule"] = [dict(type="mmengine.optim.MultiStepLR", milestones=np.array([1, 2]))]
for _number in range(3):
    pass
seed = double(np.uint8(2))
"""


def config(folder: Path, text: str, name: str = "mine.py", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text(text, encoding=encoding)
    return path


def problems(path: Path, **arguments: Any) -> list[str]:
    with pytest.raises(ConfigError, match=r": \d+ problem\(s\)") as error:
        load(path, **arguments)
    return error.value.problems


# ---------------------------------------------------------------- the same as before


@pytest.mark.parametrize(
    "path", [*CONFIGS, TOY, REPOSITORY / "tests/examples/seg_voc.py"], ids=lambda path: path.stem
)
@pytest.mark.parametrize("smoke", [False, True])
def test_configs_have_the_values_and_the_text_that_mmengine_gives_them(
    path: Path, smoke: bool, monkeypatch
) -> None:
    monkeypatch.syspath_prepend(path.parent)
    theirs = Config.fromfile(path)
    variant = theirs.pop("smoke", None)
    theirs.merge_from_dict(dict(variant) if smoke else {})
    ours = Config(source.settings(path, {*KNOWN, "smoke"}))
    variant = ours.pop("smoke", None)
    ours.merge_from_dict(dict(variant) if smoke else {})
    assert ours.to_dict() == theirs.to_dict() and ours.pretty_text == theirs.pretty_text


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_what_is_written_for_people_reads_back_without_being_run(path: Path) -> None:
    written = load(path).config
    assert literals.settings(Config(written).pretty_text) == written  # tuples are tuples there
    assert facts.plain(literals.settings(Config(written).pretty_text)) == facts.plain(written)


def test_inheritance_as_mmengine_has_it(tmp_path: Path) -> None:
    """`read_base` and `_base_` give what `Config.fromfile` gives."""
    config(tmp_path, BASE, "base.py")
    reading = "from mmengine.config import read_base\nwith read_base():\n    from .base import *\n"
    child = config(
        tmp_path,
        f"{reading}task.update(size=40)\ntraining.optimizer.lr = 0.5\nseed = 3\n",
        "child.py",
    )
    names = {*KNOWN, "smoke"}
    assert source.settings(child, names) == Config.fromfile(child).to_dict()
    experiment = load(child)
    assert (experiment.seed, experiment.training.optimizer["lr"]) == (3, 0.5)
    assert experiment.config["training"]["optimizer"]["type"] == "torch.optim.SGD"
    assert (
        len(experiment.task.dataset("pool")) == 40
        and load(tmp_path / "base.py").training.optimizer["lr"] == 0.05
    )
    text = BASE.replace("from torch.optim import SGD, RMSprop\nfrom tests.toy import Toy\n", "")
    text = text.replace("type=Toy", "type='tests.toy.Toy'").replace(
        "type=SGD", "type='torch.optim.SGD'"
    )
    config(tmp_path, text, "dotted.py")
    older = config(tmp_path, "_base_ = ['dotted.py']\nbudget = dict(query=4)\n", "older.py")
    assert source.settings(older, names) == Config.fromfile(older).to_dict()
    assert load(older).budget.sizes == (10, 14, 18)
    for child, base in (("budget = dict(query=4)\n", "base"), (BASE, "dotted")):
        older = config(tmp_path, f"{child}_base_ = '{base}.py'\n", "older.py")
        (line,) = problems(older)
        assert "expected dotted texts such as type='torch.optim.SGD'" in line


# ---------------------------------------------------------------- what Python allows


def test_environment_paths_numpy_and_helpers(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LOSSTAP_TEST", "here")
    experiment = load(config(tmp_path, BASE + HELPERS))
    assert experiment.task.faults == ["/data/here/a", "b"] and experiment.seed == 4
    assert experiment.budget.sizes == (10, 15, 20)
    written = experiment.config
    assert written["training"]["optimizer"] == {
        "type": "torch.optim.SGD", "lr": 0.5, "momentum": 0.9, "nesterov": True
    }  # fmt: skip
    assert written["training"]["schedule"] == [
        {"type": "mmengine.optim.MultiStepLR", "milestones": [1, 2]}
    ]
    assert {type(value) for value in (written["seed"], *written["budget"].values())} == {int}
    assert not {"Helper", "double", "json", "environ", "np"} & written.keys()
    assert literals.settings(Config(written).pretty_text) == written


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-8"])
def test_a_config_in_the_encoding_that_it_names(tmp_path: Path, encoding: str) -> None:
    cookie = "# -*- coding: latin-1 -*-\n" if encoding == "latin-1" else ""
    path = config(tmp_path, f"{cookie}{BASE}\ntask['faults'] = ['Käse']\n", encoding=encoding)
    assert load(path).task.faults == ["Käse"]


def test_settings_that_are_imported_from_a_file_beside_the_config(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    config(tmp_path, BASE, "shared_settings.py")
    names = "budget, scoring, strategy, task, training"
    path = config(
        tmp_path, f"from shared_settings import {names}\nimport shared_settings\nseed = 7\n"
    )
    experiment = load(path)
    assert (experiment.seed, experiment.budget.sizes) == (7, (10, 15, 20))
    assert experiment.training.optimizer == {"type": SGD, "lr": 0.05}
    sys.modules.pop("shared_settings")


def test_what_a_config_changes_of_an_import_is_its_own_at_every_load(
    tmp_path: Path, monkeypatch
) -> None:
    """As often as it is run, also after another config on the same base, and after an error."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    own = BASE + "class Own(Toy): pass\ntask = dict(type=Own)\n"  # classes stay the same ones
    for folder, name in ((tmp_path, "base_beside"), (tmp_path / "package_of_bases", "base")):
        folder.mkdir(exist_ok=True)
        config(folder, own, f"{name}.py")
    names = "budget, scoring, strategy, task, training"
    change = "training['epochs'] += 1\ntraining['optimizer']['lr'] /= 10\n"
    every = "budget, scoring, strategy = base.budget, base.scoring, base.strategy\n"
    every += "task, training = base.task, base.training\n"
    texts = [
        f"from base_beside import {names}\n{change}",
        f"from base_beside import *\n{change}",
        f"import base_beside as base\n{every}{change}",
        f"if True:\n    from base_beside import {names}\n{change}",
        f"from package_of_bases.base import {names}\n{change}",
        f"import base_beside\nfrom base_beside import {names}\n"
        f"{change.replace('training[', 'base_beside.training[')}",
    ]
    paths = [config(tmp_path, text, f"on{i}.py") for i, text in enumerate(texts)]
    failing = config(tmp_path, f"{texts[0]}{texts[4]}raise RuntimeError('no')\n", "failing.py")
    found, classes = [], set()
    for path in paths * 2:
        assert len(problems(failing)) == 1
        experiment = load(path)
        found.append((experiment.training.epochs, experiment.training.optimizer["lr"]))
        classes.add(type(experiment.task))
    before = load(config(tmp_path, BASE, "alone.py")).training
    assert set(found) == {(before.epochs + 1, before.optimizer["lr"] / 10)}
    assert classes == {sys.modules[m].Own for m in ("base_beside", "package_of_bases.base")}
    for name in ("base_beside", "package_of_bases.base", "package_of_bases"):
        sys.modules.pop(name)


def test_the_config_of_the_docs_is_read_as_it_stands(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DATA", "/data")
    (text,) = re.findall(
        r"```python\n(.*?)```", (REPOSITORY / "docs/configs.md").read_text(), re.DOTALL
    )
    rest = (
        "budget = dict(initial=10, query=5, cycles=2)\nscoring = dict(batch_size=8)\nstrategy = "
        "'random'\n"
    )
    experiment = load(config(tmp_path, text + rest))
    assert (
        experiment.config["task"]["data_root"] == "/data/mine"
        and experiment.training.optimizer["type"] is SGD
    )
    assert problems(config(tmp_path, text)) == [
        "budget: missing",
        "scoring: missing",
        "strategy: missing",
    ]


# ---------------------------------------------------------------- what cannot be


def test_a_typo_of_a_setting_is_still_unknown_and_a_variable_is_told_how_to_be_none(
    tmp_path: Path,
) -> None:
    assert problems(config(tmp_path, f"{BASE}\nsedd = 3\nvw = ['a']\n")) == [
        "sedd: unknown; did you mean 'seed'?",
        f"vw: unknown; expected one of {', '.join(KNOWN)}; a name of the config's own begins with "
        "_",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("task['root'] = os.environ['LOSSTAP_NOT_SET']", "cannot be read: KeyError: 'LOSSTAP_NOT_SET'; line 13"),
        ("raise RuntimeError", "cannot be read: RuntimeError: ; line 13"),
        ("task['faults'] = {'a', 'b'}",
         "task.faults: expected numbers, texts, lists, dicts or an imported class, but got {'"),
        ("task['faults'] = [len]",
         "task.faults[0]: expected numbers, texts, lists, dicts or an imported class, but got <"),
        ("def strategy(): pass", "strategy: expected numbers, texts, lists, dicts or an imported class, but got <fun"),
        ("from .near import x", "cannot be read: ImportError: attempted relative import with no known parent package"),
        ("from nowhere import Other\nOther()", "cannot be read: ModuleNotFoundError: No module named 'nowhere'"),
    ],
)  # fmt: skip
def test_what_is_no_data_or_raises_is_one_line(tmp_path: Path, line: str, said: str) -> None:
    (found,) = problems(config(tmp_path, f"import os\n{BASE}\n\n{line}\n"))
    assert found.startswith(said)


def test_imports_that_fail_are_told_beside_all_else(tmp_path: Path) -> None:
    text = (
        BASE.replace("import SGD, RMSprop", "import SDG as SGD, RMSprop")
        + "\nbudget['cycle'] = 3\n"
    )
    assert problems(config(tmp_path, text)) == [
        "budget.cycle: unknown; did you mean 'cycles'?",
        "training.optimizer.type: expected a class, such as `torch.optim.SGD`, but got "
        "'torch.optim.SDG' "
        "(torch.optim.SDG: unknown; did you mean 'SGD'?)",
    ]


def test_a_try_of_the_configs_own_sees_the_error(tmp_path: Path) -> None:
    text = (
        "try:\n    from nowhere import fast\nexcept ImportError:\n    fast = None\nseed = 3 if "
        "fast is None else 4\n"
    )
    assert load(config(tmp_path, BASE + text)).seed == 3


def test_classes_of_two_configs_of_one_name_and_a_config_called_as_a_library(
    tmp_path: Path,
) -> None:
    """What runs under the name of somebody's module does not take its place."""
    import random

    text = f"{BASE}\nfrom acquisition.steps import RandomSubset\n"
    text += "class Own(RandomSubset): pass\nstrategy = dict(type=Own)\n"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        found = type(load(config(tmp_path / name, text, "twice.py")).steps[-1])
        assert found.__qualname__ == "Own" and found is sys.modules["twice"].Own
        assert Path(sys.modules["twice"].__file__).parent.name == name
    (line,) = problems(config(tmp_path, text, "random.py"))
    what = f"Own cannot be found as random.Own, as random is {random.__file__}; rename the config"
    assert line == f"cannot be read: ImportError: {what}"
    assert sys.modules["random"] is random
    sys.modules.pop("twice", None)
