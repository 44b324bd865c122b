"""A task, a strategy and a signal beside a config: trained, swept, compared without their
code, verified by trust.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tools import al_compare, al_sweep, al_train, al_verify
from tools.experiment.config import load
from tools.experiment.options import ConfigError
from tools.record import facts
from tools.record.files import RunFolderError
from tools.record.folder import RunFolder

pytestmark = pytest.mark.slow

DOCS = "\n".join(
    re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs/strategies.md").read_text(), re.DOTALL)
)
ADAPTER = '''
from tests.tools.verify.test_al_verify import Chances


class Mine(Chances):
    """The toy under another metric's name."""

    metric = "fit"

    def evaluator(self):
        found = super().evaluator()
        compute = found.compute_metrics
        found.compute_metrics = lambda results: {"fit": compute(results)["score"]}
        return found
'''
CONFIG = """
from torch.optim import SGD
from adapter import Mine
from mine import Undecided

task = dict(type=Mine)
budget = dict(initial=10, query=5, cycles=2)
training = dict(epochs=1, batch_size=4, optimizer=dict(type=SGD, lr=0.05), workers=0)
module = dict(width=8)
scoring = dict(batch_size=8, workers=0, control=10)
strategy = dict(type=Undecided, share=0.3)
"""
OURS = ("adapter", "mine", "own_config")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the docs' code, an adapter and a config.

    Nothing of it is imported before or after.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    # other tests' configs are called so, too
    elsewhere = [place for place in sys.path if "pytest-" not in place]
    monkeypatch.setattr(sys, "path", elsewhere)
    folder = tmp_path / "own"
    folder.mkdir()
    for name, text in {"mine": DOCS, "adapter": ADAPTER, "own_config": CONFIG}.items():
        (folder / f"{name}.py").write_text(text)
    forget()
    yield folder
    forget()


def forget() -> None:
    """As in a process that never heard of them."""
    for name in OURS:
        sys.modules.pop(name, None)
    sys.path[:] = [place for place in sys.path if Path(place).name != "own"]


def train(config: Path, where: str, *arguments: str) -> Path:
    assert al_train.main([str(config), "--work-dir", where, *arguments]) == 0
    forget()
    return Path(where).resolve()


# ---------------------------------------------------------------- sweep, compare, verify


def test_a_strategy_of_ones_own_is_swept_compared_and_verified(
    own: Path, tmp_path: Path, capsys
) -> None:
    config, strategies = own / "own_config.py", ["random", "mine.Undecided"]
    arguments = [str(config), "--strategies", *strategies, "--seeds", "0", "--jobs", "2"]
    assert al_sweep.main(arguments) == 0, capsys.readouterr().out
    runs = tmp_path / "work_dirs/own_config"
    assert (
        sorted(path.name for path in runs.glob("*/seed0")) == ["seed0", "seed0"]
        and (runs / "Undecided").is_dir()
    )
    settings = facts.settings(runs / "Undecided/seed0")
    assert settings["strategy"] == {"type": "mine.Undecided", "share": 0.3}  # as the config has it
    assert facts.facts(runs / "Undecided/seed0") == facts.Facts(
        "fit", False, {"adapter.Mine": str(own), "mine.Undecided": str(own)}
    )
    forget()
    capsys.readouterr()
    assert al_compare.main([str(runs), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Undecided" in said and "fit" in said and not {*OURS} & sys.modules.keys()
    advice = "its adapter.Mine is code that is not losstap's own, which is run only if you trust it"
    assert advice in (tmp_path / "out/report.html").read_text().replace("&#39;", "'")
    assert al_verify.main([str(runs / "Undecided/seed0"), str(runs / "random/seed0")]) == 1
    said = capsys.readouterr().out
    why = "its mine.Undecided is code that is not losstap's own, which is run only if you trust it"
    why = "its mine.Undecided is code that is not losstap's own, which is run only if you trust it"
    assert f"readable       {why}: look at it, then add --trust {own}\n" in said
    # the other one is verified
    assert "random/seed0: 2 of 2 cycles" in said and not {*OURS} & sys.modules.keys()
    assert al_verify.main([str(runs / "Undecided/seed0"), "--trust", str(own)]) == 0
    assert "ok            replay" in capsys.readouterr().out
    assert al_compare.main([str(runs), "--out", str(tmp_path / "out"), "--trust", str(own)]) == 0
    assert advice not in (tmp_path / "out/report.html").read_text().replace("&#39;", "'")


def test_a_signal_of_ones_own_is_asked_for_and_replayed(own: Path, capsys) -> None:
    config = own / "own_config.py"
    text = CONFIG.replace("from mine import Undecided", "from acquisition.steps import Highest")
    config.write_text(
        text.replace("type=Undecided, share=0.3", 'type=Highest, signal="mine.second"')
    )
    run = train(config, "run")
    query = RunFolder(run).query(0)
    scores = dict(zip(query.candidates.tolist(), query.signals["mine.second"], strict=True))
    best = sorted(scores, key=lambda i: -scores[i])[:5]
    assert query.picked.tolist() == best and np.ptp(query.signals["mine.second"]) > 0
    assert max(scores.values()) <= 0.5  # the second of two probabilities
    assert facts.facts(run).code == {"adapter.Mine": str(own), "mine.second": str(own)}
    capsys.readouterr()
    assert al_verify.main([str(run)]) == 1 and "its mine.second is code" in capsys.readouterr().out
    assert al_verify.main([str(run), "--trust", str(own)]) == 0
    assert "ok            replay" in capsys.readouterr().out


def test_a_strategy_that_the_config_itself_defines(own: Path, capsys) -> None:
    config = own / "own_config.py"
    defined = (
        "from acquisition.steps import Step\n\nclass Last(Step):\n    def __call__(self, "
        "seen, budget, rng):\n"
    )
    defined += "        import numpy\n        return numpy.arange(seen.count)[-budget:]\n"
    config.write_text(
        CONFIG.replace("from mine import Undecided", defined).replace(
            "Undecided, share=0.3", "Last"
        )
    )
    run = train(config, "run")
    assert facts.settings(run)["strategy"] == {"type": "own_config.Last"}
    query = RunFolder(run).query(0)
    assert query.picked.tolist() == query.candidates[-5:].tolist()
    assert al_verify.main([str(run), "--trust", str(own)]) == 0


def test_settings_of_a_strategy_on_the_command_line(own: Path) -> None:
    config = own / "own_config.py"
    options = {"strategy": "mine.Undecided", "strategy.share": 0.9}
    assert load(config, options=options).steps[-1].share == 0.9
    # the config's own, by its name
    assert load(config, options={"strategy": "Undecided"}).steps[-1].share == 0.3
    config.write_text(CONFIG.replace("dict(type=Undecided, share=0.3)", "'random'"))
    assert load(config, options=options).steps[-1].share == 0.9
    assert load(config, options={"strategy": "mine.Undecided"}).steps[-1].share == 0.5
    with pytest.raises(
        ConfigError,
        match="strategy.share is for a strategy of one's own, but the strategy is 'random'",
    ):
        load(config, options=options | {"strategy": "random"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "mine.nothing",
            "the signal mine.nothing cannot be loaded (ImportError: 'mine.nothing' (mine.nothing: "
            "unknown; ",
        ),
        (
            "mine.Undecided",
            "expected mine.Undecided to be an `acquisition.signals.Signal`, but got <class",
        ),
        (
            "nowhere.signal",
            "the signal nowhere.signal cannot be loaded (ImportError: 'nowhere.signal' (No module "
            "named ",
        ),
        ("entropi", "entropi: unknown; did you mean 'entropy'?"),
    ],
)
def test_a_signal_that_is_none_is_told(own: Path, text: str, said: str) -> None:
    options = {"strategy": "acquisition.steps.Highest", "strategy.signal": text}
    with pytest.raises(ConfigError, match=r"strategy\.needs") as error:
        load(own / "own_config.py", options=options)
    (line,) = error.value.problems
    assert said in line


# ---------------------------------------------------------------- two of one name


def test_two_classes_of_one_name_do_not_mix(own: Path, tmp_path: Path, capsys) -> None:
    (own / "other.py").write_text(DOCS)
    config = own / "own_config.py"
    config.write_text(CONFIG.replace("dict(type=Undecided, share=0.3)", "'random'"))
    arguments = [str(config), "--strategies", "mine.Undecided", "other.Undecided", "--seeds", "0"]
    assert al_sweep.main(arguments) == 2
    assert (
        "Undecided, seed 0 is named twice (mine.Undecided and other.Undecided have one class name"
        in (capsys.readouterr().out)
    )
    train(config, "runs/a/seed0", "--strategy", "mine.Undecided")
    assert (
        al_train.main([str(config), "--work-dir", "runs/a/seed0", "--strategy", "other.Undecided"])
        == 2
    )
    assert "strategy.type: 'mine.Undecided' there, 'other.Undecided' now" in capsys.readouterr().out
    train(config, "runs/b/seed1", "--strategy", "other.Undecided", "--seed", "1")
    for seed in (0, 1):
        (tmp_path / f"runs/{'ab'[seed]}/seed{seed}/name.txt").write_text("one\n")
    assert al_compare.main(["runs", "--out", "out"]) == 2
    assert "strategy.type: 'mine.Undecided' and 'other.Undecided'" in capsys.readouterr().out


def test_of_two_folders_with_a_module_of_one_name_the_runs_own_is_taken_or_none(
    own: Path, tmp_path: Path, capsys
):
    run = train(own / "own_config.py", "run")
    twin = tmp_path / "twin"
    twin.mkdir()
    (twin / "mine.py").write_text(DOCS.replace("[:budget]", "[::-1][:budget]"))
    assert al_verify.main([str(run), "--trust", str(twin), "--trust", str(own)]) == 0
    forget()
    capsys.readouterr()
    # it is trusted, and picks otherwise
    assert al_verify.main([str(run), "--trust", str(twin)]) == 1
    assert "FAILED        replay         cycle 0: picks: from place 0" in capsys.readouterr().out
    assert al_verify.main([str(run), "--trust", str(own)]) == 1
    said = capsys.readouterr().out
    assert (
        f"expected mine of {own}, but {twin / 'mine.py'} is imported; read these runs apart" in said
    )


def test_a_run_of_before_says_its_metric_where_its_task_is_trusted(own: Path) -> None:
    from tools.record.reading import read

    run = train(own / "own_config.py", "run", "--strategy", "random")
    for name in ("facts.json", "config.json"):
        (run / name).unlink()
    with pytest.raises(
        RunFolderError,
        match="its adapter.Mine is code .* add --trust FOLDER, the one that adapter is in",
    ):
        read(run)
    assert "adapter" not in sys.modules
    assert read(run, [own]).metric == "fit"
