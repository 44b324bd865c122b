"""Configs: all of them load, and whatever can be wrong with one is in one report with
path, value and nearest name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge
from mmengine.optim import MultiStepLR
from torch.optim import SGD, Adam, RMSprop

from acquisition.steps import Highest, RandomSubset
from tests.conftest import REPOSITORY
from tests.toy import Toy
from tools.experiment.config import load, rebuilt
from tools.experiment.options import ConfigError
from tools.experiment.settings import arguments, flat, resolved, typed, unknown

TOY = REPOSITORY / "tests" / "examples" / "toy_config.py"
CONFIGS = sorted((REPOSITORY / "configs").glob("*.py"))
BASE = """
from torch.optim import SGD, RMSprop
from tests.toy import Toy

task = dict(type=Toy)
budget = dict(initial=10, query=5, cycles=3)
training = dict(epochs=4, batch_size=4, optimizer=dict(type=SGD, lr=0.05))
scoring = dict(batch_size=8)
strategy = "random"
"""


def problems(path=TOY, **arguments) -> list[str]:
    """What the report says, a line each."""
    with pytest.raises(ConfigError, match=r": \d+ problem\(s\)") as error:
        load(path, **arguments)
    assert str(error.value) == f"{path}: {len(error.value.problems)} problem(s)" + "".join(
        f"\n  {line}" for line in error.value.problems
    )
    return error.value.problems


def write(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


# ---------------------------------------------------------------- what loads


def test_all_configs_are_found():
    assert [path.stem for path in CONFIGS] == [
        "cls_cifar10_small", "cls_cifar10_thin", "cls_negative", "cls_positive",
        "cls_resnet18_cifar10", "cls_resnet18_cifar10_warm", "cls_sandbox", "cls_timm_folder",
        "det_fasterrcnn_voc", "det_negative", "det_positive", "det_retinanet_voc",
        "det_rtmdet_coco", "det_sandbox", "det_ssd_voc",
        "pose_hourglass_mpii", "pose_negative", "pose_positive", "pose_sandbox", "pose_simple_coco",
    ]  # fmt: skip


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads_and_its_smoke_variant_is_smaller(path):
    whole, smoke = load(path), load(path, smoke=True)
    assert (whole.name, smoke.name) == (path.stem, f"{path.stem}-smoke")
    assert whole.strategy == smoke.strategy == "learning_loss"
    assert smoke.budget.sizes[-1] < whole.budget.sizes[-1]
    assert smoke.budget.cycles == 2  # both a query and what comes after it
    assert smoke.training.epochs < whole.training.epochs
    assert smoke.training.optimizer == whole.training.optimizer


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_experiment_can_be_built_again_from_its_config(path):
    """As in another process, which gets that as plain data."""
    first = load(path, smoke=True, options={"strategy": "learning_loss_kl", "seed": 7})
    plain = json.loads(json.dumps(first.config))
    again = rebuilt(first.name, plain)
    assert again.config == plain and again.name == first.name
    assert type(again.task) is type(first.task) and again.task is not first.task
    for field in ("steps", "seed", "budget", "training", "module", "scoring", "committee"):
        assert repr(getattr(again, field)) == repr(getattr(first, field)), field


def test_what_cannot_be_built_again_is_said():
    with pytest.raises(ConfigError, match=r"^mine: \d+ problem\(s\)\n  .*nowhere"):
        rebuilt("mine", {**load(TOY).config, "task": {"type": "nowhere.Task"}})


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("strategy", ["random", "learning_loss"])
def test_every_config_takes_every_strategy(path, strategy):
    experiment = load(path, options={"strategy": strategy})
    assert experiment.module_mode == {"random": "off", "learning_loss": "joint"}[strategy]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.clip_grad", {"max_norm": 3.0}),
        ("committee", {"members": 4}),
        ("module", {"width": 8}),
    ],
)
def test_a_dict_takes_the_place_of_what_is_none_and_adds_to_one(key, value):
    """Of a value that is none, of a section that is not there, and of a section."""
    experiment = load(TOY, options={key: value})
    section, _, name = key.partition(".")
    found = experiment.config[section]
    assert (found[name] if name else {k: found[k] for k in value}) == value


def test_the_settings_of_a_network_take_the_place_of_a_name():
    config = "retinanet/retinanet_r18_fpn_1x_coco.py"
    network = {"type": "mmdet", "config": config, "size": (128, 128)}
    path = REPOSITORY / "configs" / "det_sandbox.py"
    experiment = load(path, options={"task.network": network})
    assert experiment.config["task"]["network"] == network
    assert len(experiment.task.taps) == 5


def test_every_config_says_how_it_is_run():
    for path in CONFIGS:
        assert f"python tools/al_train.py configs/{path.name}" in path.read_text().split('"""')[1]


def test_the_papers_settings_are_in_the_paper_config():
    paper = load(REPOSITORY / "configs" / "det_ssd_voc.py")
    assert paper.budget.sizes == tuple(range(1000, 10001, 1000))
    assert (paper.training.epochs, paper.training.batch_size, paper.training.start) == (
        300,
        32,
        "scratch",
    )
    assert (paper.module.weight, paper.module.margin, paper.module.width) == (1.0, 1.0, 128)
    assert paper.module.detach_epoch == 240
    assert paper.subset is None
    assert paper.training.optimizer == {
        "type": SGD,
        "lr": 1e-3,
        "momentum": 0.9,
        "weight_decay": 5e-4,
    }


def test_the_papers_settings_are_in_the_classification_config():
    paper = load(REPOSITORY / "configs" / "cls_resnet18_cifar10.py")
    assert paper.budget.sizes == tuple(range(1000, 10001, 1000))
    assert (paper.training.epochs, paper.training.batch_size, paper.training.start) == (
        200,
        128,
        "scratch",
    )
    assert paper.training.optimizer == {
        "type": SGD,
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
    }
    assert list(paper.training.schedule) == [
        {"type": MultiStepLR, "milestones": [160], "gamma": 0.1}
    ]
    assert (paper.module.weight, paper.module.margin, paper.module.width) == (1.0, 1.0, 128)
    assert (paper.module.detach_epoch, paper.subset) == (120, 10_000)
    assert (paper.task.padding, paper.task.flip, paper.task.input_size) == (4, 0.5, 32)
    assert [tap.channels for tap in paper.task.taps] == [64, 128, 256, 512]


def test_the_papers_settings_are_in_the_config_of_cocos_poses():
    """Xiao et al. 2018, section 3.1, where the networks are concerned."""
    paper = load(REPOSITORY / "configs" / "pose_simple_coco.py")
    assert (paper.task.size, paper.task.sigma, paper.task.metric) == ((192, 256), 2.0, "AP")
    augmentation = paper.task.augmentation
    assert (augmentation.scale, augmentation.rotation, augmentation.flip) == (0.3, 40.0, 0.5)
    assert (paper.training.epochs, paper.training.optimizer) == (140, {"type": Adam, "lr": 1e-3})
    schedule = {"type": MultiStepLR, "milestones": [90, 120], "gamma": 0.1}
    assert list(paper.training.schedule) == [schedule]
    assert [tap.channels for tap in paper.task.taps] == [256, 512, 1024, 2048]


def test_the_papers_settings_are_in_the_pose_config():
    paper = load(REPOSITORY / "configs" / "pose_hourglass_mpii.py")
    assert paper.budget.sizes == tuple(range(1000, 10001, 1000))
    assert (paper.training.epochs, paper.training.batch_size, paper.training.start) == (
        125,
        6,
        "scratch",
    )
    # alpha: Torch's, as Newell
    assert paper.training.optimizer == {"type": RMSprop, "lr": 2.5e-4, "alpha": 0.99}
    assert list(paper.training.schedule) == [
        {"type": MultiStepLR, "milestones": [100], "gamma": 0.1}
    ]
    assert (paper.module.weight, paper.module.margin, paper.module.width) == (1e-4, 1.0, 128)
    assert (paper.module.detach_epoch, paper.subset) == (75, 5000)
    assert (paper.task.input_size, paper.task.sigma, paper.task.threshold) == (256, 1.0, 0.5)
    assert [tap.channels for tap in paper.task.taps] == [256, 256]


def test_what_is_loaded_is_what_is_written():
    experiment = load(TOY)
    assert experiment.name == "toy_config"
    assert type(experiment.task) is Toy
    assert experiment.budget.sizes == (10, 15, 20)
    assert (experiment.strategy, experiment.seed, experiment.subset) == ("learning_loss", 0, None)
    assert experiment.steps == (Highest("predicted_loss"),)
    assert experiment.training.optimizer == {"type": SGD, "lr": 0.05, "momentum": 0.9}
    assert experiment.training.schedule == ()
    assert (experiment.module.width, experiment.module.detach_epoch, experiment.module.mode) == (
        8,
        3,
        "auto",
    )
    assert experiment.scoring.control == 10
    assert "smoke" not in experiment.config
    assert experiment.config["task"]["type"] == "tests.toy.Toy"
    assert experiment.config["training"]["optimizer"]["type"] == "torch.optim.SGD"


def test_the_smoke_variant_lies_over_the_config_and_options_over_both():
    smoke = load(TOY, smoke=True)
    assert smoke.name == "toy_config-smoke"
    assert (smoke.budget.sizes, smoke.training.epochs, smoke.module.detach_epoch) == (
        (10, 15),
        2,
        1,
    )
    assert smoke.training.batch_size == 4
    both = load(TOY, smoke=True, options={"training.epochs": 3, "budget.initial": 7})
    assert (both.training.epochs, both.budget.sizes) == (3, (7, 12))


def test_options_override():
    options = {
        "strategy": "random",
        "seed": 3,
        "training.optimizer.lr": 0.5,
        "task.size": 40,
        "subset": 20,
    }
    experiment = load(TOY, options=options)
    assert (experiment.strategy, experiment.seed, experiment.subset) == ("random", 3, 20)
    assert experiment.training.optimizer == {"type": SGD, "lr": 0.5, "momentum": 0.9}
    assert len(experiment.task.dataset("pool")) == 40
    assert (experiment.config["seed"], experiment.config["task"]["size"]) == (3, 40)
    assert load(TOY).seed == 0  # nothing is left of them


def test_a_subset_becomes_a_step():
    assert load(TOY, options={"subset": 20}).steps == (RandomSubset(20), Highest("predicted_loss"))
    assert load(TOY, options={"subset": 5}).steps[0] == RandomSubset(5)  # as many as are asked for


@pytest.mark.parametrize(
    "mode, strategy, expected",
    [
        ("auto", "random", "off"), ("auto", "learning_loss", "joint"), ("joint", "random", "joint"),
        ("detached", "random", "detached"), ("detached", "learning_loss", "detached"), ("off", "random", "off"),
    ],
)  # fmt: skip
def test_module_modes(mode, strategy, expected):
    assert load(TOY, options={"module.mode": mode, "strategy": strategy}).module_mode == expected


@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_and_tuples_do(kind):
    schedule = kind([dict(type="mmengine.optim.MultiStepLR", milestones=kind([2, 3]))])
    experiment = load(TOY, options={"training.schedule": schedule, "task.faults": ["a", "b"]})
    assert list(experiment.training.schedule) == [{"type": MultiStepLR, "milestones": [2, 3]}]
    assert experiment.task.faults == ["a", "b"]


def test_defaults_fill_what_a_config_leaves_out(tmp_path):
    experiment = load(write(tmp_path, BASE))
    assert (experiment.name, experiment.seed, experiment.subset) == ("mine", 0, None)
    assert (experiment.module.mode, experiment.module.width, experiment.scoring.control) == (
        "auto",
        128,
        500,
    )


def test_an_adapter_elsewhere_on_the_path_is_named_by_its_class(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    write(
        tmp_path,
        "from tests.toy import Toy\nclass Mine(Toy):\n    metric = 'mine'\n",
        "elsewhere_adapter.py",
    )
    text = BASE.replace("from tests.toy import Toy", "from elsewhere_adapter import Mine")
    text = text.replace("type=Toy", "type=Mine")
    experiment = load(write(tmp_path, text))
    assert experiment.task.metric == "mine"
    assert experiment.config["task"]["type"] == "elsewhere_adapter.Mine"


ADAPTERS = '''
from __future__ import annotations
from typing import TYPE_CHECKING
from tests.toy import Toy
if TYPE_CHECKING:
    from nowhere import Path

class Passing(Toy):
    def __init__(self, *args, extra: int = 1, **kwargs):
        super().__init__(*args, **kwargs)
        self.extra = extra

class Hinted(Toy):
    def __init__(self, root: Path = None, size: int = 60):
        super().__init__(size)
        self.root = root

class Choosy(Toy):
    def __init__(self, first: int = 1, last: int = 2):
        if first > last:
            raise ValueError(f"expected first <= last, but got {first} and {last}")
        super().__init__()

class Lacking:
    """Has neither data attributes nor most methods."""
    def check(self, full=False): return []
    def build(self): ...

class Partly(Toy):
    """Has all methods and no metric."""
    def __getattribute__(self, name):
        if name == "metric":
            raise AttributeError(name)
        return super().__getattribute__(name)
    metric = property()
'''


@pytest.fixture
def adapter(tmp_path, monkeypatch):
    """Load the toy config with an adapter of the module above."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "odd_adapters", raising=False)
    write(tmp_path, ADAPTERS, "odd_adapters.py")

    def options(name: str, **settings) -> dict:
        return {"task": {"type": f"odd_adapters.{name}", **settings}}

    return options


def test_an_adapter_may_pass_settings_on_to_its_parent(adapter):
    task = load(TOY, options=adapter("Passing", extra=4, size=33)).task
    assert (task.extra, len(task.dataset("pool"))) == (4, 33)
    assert problems(options=adapter("Passing", extra="x")) == [
        "task.extra: input should be a valid integer, unable to parse string as an integer, but "
        "got 'x'"
    ]


def test_an_adapter_may_import_types_for_type_checkers_alone(adapter):
    assert load(TOY, options=adapter("Hinted", root="/data")).task.root == "/data"
    assert problems(options=adapter("Hinted", rot="/data")) == [
        "task.rot: unknown; did you mean 'root'?"
    ]


def test_what_an_adapter_itself_refuses_is_in_the_report(adapter):
    with pytest.raises(ConfigError, match="task: expected first <= last, but got 3 and 2"):
        load(TOY, options=adapter("Choosy", first=3))


def test_a_task_that_lacks_members_is_refused_with_their_names(adapter):
    lacking = [
        "collate",
        "dataset",
        "effort",
        "evaluator",
        "fields",
        "forward",
        "metric",
        "name",
        "predict",
        "taps",
    ]
    lacking.append("thumbnail")
    with pytest.raises(ConfigError, match="task.type: Lacking lacks") as error:
        load(TOY, options=adapter("Lacking"))
    assert error.value.problems == [f"task.type: Lacking lacks {lacking}; see tasks/base.py"]
    with pytest.raises(
        ConfigError, match=r"task\.type: Partly lacks \['metric'\]; see tasks/base\.py"
    ):
        load(TOY, options=adapter("Partly"))


# ---------------------------------------------------------------- what is refused

AT_LEAST = "input should be greater than or equal to"
INTEGER = "input should be a valid integer, unable to parse string as an integer, but got"
SCHEDULE = "mmengine.optim.MultiStepLR"
KEYS = (
    "task, budget, training, module, scoring, committee, label, seeds, oracle, strategy, subset, "
    "keep, seed, test_in_pool, processes, people"
)
REFUSED = {
    # unknown names, in every section
    "trainin": ({"epochs": 1}, "trainin: unknown; did you mean 'training'?"),
    "xyz": (1, f"xyz: unknown; expected one of {KEYS}; a name of the config's own begins with _"),
    "task.siz": (9, "task.siz: unknown; did you mean 'size'?"),
    "task.qqq": (9, "task.qqq: unknown; expected one of size, test_size, faults"),
    "budget.cycle": (9, "budget.cycle: unknown; did you mean 'cycles'?"),
    "training.epoch": (9, "training.epoch: unknown; did you mean 'epochs'?"),
    "module.detach": (9, "module.detach: unknown; did you mean 'detach_epoch'?"),
    "scoring.batchsize": (9, "scoring.batchsize: unknown; did you mean 'batch_size'?"),
    "strategy": ("learningloss", "strategy: learningloss: unknown; did you mean 'learning_loss'?"),
    "training.optimizer.momentun": (
        0.9,
        "training.optimizer.momentun: unknown; did you mean 'momentum'?",
    ),
    # wrong types
    "seed": ("x", f"seed: {INTEGER} 'x'"),
    "subset": ("all", f"subset: {INTEGER} 'all'"),
    "task.size": ("big", f"task.size: {INTEGER} 'big'"),
    "task.faults": ("x", "task.faults: input should be a valid list, but got 'x'"),
    "budget.query": (
        2.5,
        "budget.query: input should be a valid integer, got a number with a fractional part, but "
        "got 2.5",
    ),
    "training.amp": (
        "perhaps",
        "training.amp: input should be a valid boolean, unable to interpret input, but got "
        "'perhaps'",
    ),
    "training.start": ("hot", "training.start: input should be 'scratch' or 'warm', but got 'hot'"),
    "module.mode": (
        "on",
        "module.mode: input should be 'auto', 'joint', 'detached' or 'off', but got 'on'",
    ),
    "module": (5, "module: expected a dict, but got 5"),
    "scoring": ([1], "scoring: expected a dict, but got [1]"),
    "budget": (None, "budget: expected a dict, but got None"),
    # booleans, which are no numbers
    "budget.validation": (False, "budget.validation: expected a number, but got False"),
    "keep": (True, "keep: expected a number, but got True"),
    "seeds.model": (True, "seeds.model: expected a number, but got True"),
    "oracle": (
        dict(type="tasks.noise.Noisy", flipped=True),
        "oracle.flipped: expected a number, but got True",
    ),
    "task.test_size": (True, "task.test_size: expected a number, but got True"),
    "scoring.batch_size": (True, "scoring.batch_size: expected a number, but got True"),
    # out of range
    "training.epochs": (0, f"training.epochs: {AT_LEAST} 1, but got 0"),
    "training.batch_size": (1, f"training.batch_size: {AT_LEAST} 2, but got 1"),
    "training.workers": (-1, f"training.workers: {AT_LEAST} 0, but got -1"),
    "budget.initial": (1, f"budget.initial: {AT_LEAST} 2, but got 1"),
    "budget.cycles": (0, f"budget.cycles: {AT_LEAST} 1, but got 0"),
    "module.width": (0, f"module.width: {AT_LEAST} 1, but got 0"),
    "module.margin": (0, "module.margin: input should be greater than 0, but got 0"),
    "module.weight": (float("nan"), "module.weight: input should be greater than 0, but got nan"),
    "scoring.control": (-1, f"scoring.control: {AT_LEAST} 0, but got -1"),
    # not classes
    "task": (5, "task.type: expected a task class, such as `tasks.detection.Detection`, but got 5"),
    "task.type": (
        "tests.toy.Toi",
        "task.type: expected a task class, such as `tasks.detection.Detection`, but got "
        "'tests.toy.Toi' "
        "(tests.toy.Toi: unknown; did you mean 'Toy'?)",
    ),
    "training.optimizer.type": (
        "torch.optim.SDG",
        "training.optimizer.type: expected a class, such as `torch.optim.SGD`, but got "
        "'torch.optim.SDG' "
        "(torch.optim.SDG: unknown; did you mean 'SGD'?)",
    ),
    "training.schedule": (
        [dict(type=SCHEDULE, milestones=[1]), dict(type=SCHEDULE, milestone=[1])],
        "training.schedule[1].milestone: unknown; did you mean 'milestones'?",
    ),
    # right alone, wrong together
    "module.detach_epoch": (
        5,
        "module.detach_epoch: expected at most training.epochs (4), but got 5",
    ),
}


@pytest.mark.parametrize("key", REFUSED)
def test_a_wrong_setting_is_named_with_its_value(key):
    value, line = REFUSED[key]
    assert problems(options={key: value}) == [line]


def test_a_boolean_in_the_place_of_a_number_is_found_in_lists_and_left_where_it_belongs():
    assert typed(list[int], [1, True], "some") == (
        [1, 1], ["some[1]: expected a number, but got True"],
    )  # fmt: skip
    hint = dict[str, tuple[float, ...]]
    assert typed(hint, {"a": (0.5,), "b": [1, False]}, "some")[1] == [
        "some.b[1]: expected a number, but got False"
    ]
    for kind in (bool, int | bool, bool | None, Any):
        assert typed(kind, True, "some") == (True, [])
    schedule = [dict(type=SCHEDULE, milestones=[True])]
    assert problems(options={"training.schedule": schedule}) == [
        "training.schedule[0].milestones: expected a list of whole numbers, but got [True]"
    ]


@pytest.mark.parametrize("value, shown", [(4, "4"), (0, "0"), (-1, "-1")])
def test_a_subset_smaller_than_a_query_is_refused(value, shown):
    assert problems(options={"subset": value}) == [
        f"subset: expected at least budget.query (5), but got {shown}"
    ]


@pytest.mark.parametrize("value", [5, None, ["random"]])
def test_a_strategy_that_is_no_name_is_refused(tmp_path, value):
    path = write(tmp_path, BASE.replace('"random"', repr(value)))
    assert problems(path) == [f"strategy: input should be a valid string, but got {value!r}"]


@pytest.mark.parametrize(
    "value, why",
    [
        ("Toy", "'Toy'"), (5, "5"), (None, "None"), ("json.dumps", "<function dumps"),
        ("nowhere.at.all.Toy", r"'nowhere.at.all.Toy' \(No module named 'nowhere'\)"),
        ("tests.toy.NOISE", "0.5"),
    ],
)  # fmt: skip
def test_a_task_type_that_is_no_class_is_named_with_the_reason(value, why):
    with pytest.raises(ConfigError, match=rf"task\.type: expected a task class.*, but got {why}"):
        load(TOY, options={"task.type": value})


def test_an_adapter_whose_own_import_fails_says_so(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, "import not_installed_at_all\n", "needy_adapter.py")
    with pytest.raises(ConfigError, match="No module named 'not_installed_at_all'"):
        load(TOY, options={"task.type": "needy_adapter.Mine"})


def test_parts_of_a_training_that_are_no_dicts_are_refused():
    assert problems(options={"training.optimizer": 3})[0] == (
        "training.optimizer: input should be a valid dictionary, but got 3"
    )
    assert problems(options={"training.schedule": [3]})[0] == (
        "training.schedule[0]: input should be a valid dictionary, but got 3"
    )
    assert problems(options={"training.schedule": "x"}) == [
        "training.schedule: 'str' instances are not allowed as a Sequence value, but got 'x'"
    ]
    assert problems(options={"training": 5}) == ["training: expected a dict, but got 5"]


def test_an_optimizer_without_a_type_is_refused(tmp_path):
    path = write(tmp_path, BASE.replace("type=SGD, lr", "lr"))
    assert problems(path) == [
        "training.optimizer.type: expected a class, such as `torch.optim.SGD`, but got None"
    ]


@pytest.mark.parametrize("section", ["task", "budget", "training", "scoring", "strategy"])
def test_a_missing_section_is_named(tmp_path, section):
    text = "".join(
        line for line in BASE.splitlines(keepends=True) if not line.startswith(f"{section} =")
    )
    assert f"{section}: missing" in problems(write(tmp_path, text))
    load(write(tmp_path, BASE))  # the whole one is right


def test_a_missing_setting_is_named(tmp_path):
    path = write(tmp_path, BASE.replace("epochs=4, ", "").replace("cycles=3", ""))
    assert problems(path) == ["budget.cycles: missing", "training.epochs: missing"]


def test_one_report_holds_everything():
    options = {
        "trainin": {},
        "task.siz": 1,
        "budget.query": 0,
        "training.epoch": 1,
        "training.epochs": "x",
        "training.optimizer.lrr": 1,
        "module.pooling": "max",
        "scoring.batch_size": 0,
        "strategy": "entropi",
        "seed": None,
    }
    found = problems(options=options)
    assert sorted(line.split(":")[0] for line in found) == sorted(options)


def test_both_combinations_are_reported_together():
    options = {"module.detach_epoch": 99, "subset": 1}
    assert [line.split(":")[0] for line in problems(options=options)] == [
        "module.detach_epoch",
        "subset",
    ]


@pytest.mark.parametrize("smoke, options", [(True, {}), (True, {"training.epochs": 1})])
def test_a_mistake_in_the_smoke_variant_is_found_with_smoke(tmp_path, smoke, options):
    path = write(tmp_path, BASE + "smoke = dict(training=dict(epoch=1))\n")
    assert problems(path, smoke=smoke, options=options) == [
        "training.epoch: unknown; did you mean 'epochs'?"
    ]
    assert load(path).training.epochs == 4


def test_smoke_without_a_smoke_variant_is_refused_and_not_run_in_full(tmp_path):
    with pytest.raises(ConfigError, match="it has no smoke variant; add `smoke = dict"):
        load(write(tmp_path, BASE), smoke=True)


# ---------------------------------------------------------------- files


def test_a_missing_file_is_named_with_the_nearest_one():
    path = REPOSITORY / "configs" / "det_ssd_vok.py"
    (line,) = problems(path)
    assert line.startswith("no such file; expected a config such as configs/det_ssd_voc.py")
    assert line.endswith(f"; did you mean {REPOSITORY / 'configs' / 'det_ssd_voc.py'}?")


@pytest.mark.parametrize("path", ["zzz/qqq.py", ".", ""])
def test_a_path_that_leads_nowhere_is_named(path):
    (line,) = problems(path)
    assert line.startswith("no such file; expected a config such as configs/det_ssd_voc.py")
    assert "did you mean" not in line


@pytest.mark.parametrize(
    "text, reason",
    [
        ("task = dict(\n", "SyntaxError: .*was never closed"),
        ("raise ValueError('no value 17')\n", "ValueError: no value 17"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        (BASE + "raise OSError('lazy 5')\n", "OSError: lazy 5"),
    ],
)
def test_a_file_that_cannot_be_run_is_named_with_the_reason(tmp_path, text, reason):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=rf"mine\.py: 1 problem\(s\)\n  cannot be read: {reason}"):
        load(path)


def test_a_file_that_is_no_python_is_named(tmp_path):
    path = tmp_path / "mine.xyz"
    path.write_text("hello")
    with pytest.raises(ConfigError, match="cannot be read: OSError: .*py/yml/yaml/json"):
        load(path)


def test_an_option_below_a_number_is_refused():
    (line,) = problems(options={"seed.x": 1})
    assert line.startswith("cannot be read: TypeError: seed={'x': 1}")


# ---------------------------------------------------------------- parts


def test_unknown_names_the_nearest_or_all():
    assert unknown("epoch", ["epochs", "seed"]) == "epoch: unknown; did you mean 'epochs'?"
    assert (
        unknown("zz", ["epochs", "seed"], "a.b") == "a.b.zz: unknown; expected one of epochs, seed"
    )


def test_flat_has_dotted_keys_and_keeps_lists():
    assert flat({"a": {"b": {"c": 1}, "d": [1, {"e": 2}]}, "f": None}) == {
        "a.b.c": 1,
        "a.d": [1, {"e": 2}],
        "f": None,
    }
    assert flat({}) == {}


def test_resolved_turns_dotted_names_into_classes_at_any_depth():
    given = {
        "a": [{"type": "torch.optim.SGD", "lr": 1}],
        "type": "tests.toy.Toy",
        "b": {"type": "plain"},
    }
    given["c"] = ("x.y",)
    found = resolved(given)
    assert found == {
        "a": [{"type": SGD, "lr": 1}],
        "type": Toy,
        "b": {"type": "plain"},
        "c": ["x.y"],
    }
    assert resolved({"type": "no.such.Thing"}) == {"type": "no.such.Thing"}


def test_arguments_are_converted_as_their_types_say():
    def target(a: int, b: tuple[float, ...] = (), **rest):
        raise AssertionError("only looked at")

    assert arguments(target, {"a": "3", "b": [1, 2], "c": 4}, "x") == (
        {"a": 3, "b": (1.0, 2.0), "c": 4},
        [],
    )
    assert arguments(target, {}, "x") == ({}, ["x.a: missing"])
    assert arguments(target, {"a": 1, "b": [1, "q"]}, "x")[1] == [
        "x.b[1]: input should be a valid number, unable to parse string as a number, but got 'q'"
    ]


def test_a_milestone_that_is_never_reached_is_refused():
    late = {"training.schedule": [{"type": "mmengine.optim.MultiStepLR", "milestones": [2, 4, 9]}]}
    assert problems(options=late) == [
        "training.schedule[0].milestones: expected epochs before the last (training.epochs is 4), "
        "but got [4, 9]"
    ]


def test_each_wrong_item_of_a_list_has_a_line_of_its_own():
    hint = Sequence[Annotated[int, Ge(1)]]
    value, lines = typed(hint, [3, "x", 0, 5], "task.sizes")
    assert value == [3, "x", 0, 5]
    assert [line.partition(":")[0] for line in lines] == ["task.sizes[1]", "task.sizes[2]"]
    assert lines[1].endswith("greater than or equal to 1, but got 0")


def test_of_a_union_one_alternative_is_told():
    _, lines = typed(Annotated[int, Ge(1)] | Literal["auto"], "many", "scoring.batch_size")
    assert len(lines) == 1 and lines[0].endswith("but got 'many'")
