"""First trainings that runs share: the same bytes as without, and taken from another run
only where all is the same.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from acquisition.pool import Pool
from models.training.checkpoint import CHECKPOINT
from tests.conftest import REPOSITORY
from tests.tools.train.test_al_train import main, outcome, rows, same, weights
from tests.toy import Toy, Vectors
from tools.experiment.config import load
from tools.train import first_model
from tools.train.first_model import FirstModels, key

pytestmark = pytest.mark.slow

CONFIG = REPOSITORY / "tests" / "examples" / "toy_config.py"
POOL = Pool.initial(60, 10, 0)


@pytest.fixture
def trained(monkeypatch) -> list[bool]:
    """A training batch each."""
    calls: list[bool] = []
    forward = Toy.forward
    monkeypatch.setattr(
        Toy,
        "forward",
        lambda self, n, b, want: (
            (calls.append(True) if n.training else None) or forward(self, n, b, want)
        ),
    )
    return calls


def test_the_second_run_trains_no_first_model_and_ends_the_same(tmp_path, trained):
    shared = ["--first-models", str(tmp_path / "first")]
    assert main(tmp_path / "alone", "--strategy", "random", "--module", "joint") == 0
    alone = len(trained)
    assert alone == 4 * (3 + 4 + 5)  # epochs of batches of 4 over 10, 15 and 20 labels
    assert main(tmp_path / "one", *shared) == 0
    assert len(trained) == 2 * alone
    assert main(tmp_path / "two", "--strategy", "random", "--module", "joint", *shared) == 0
    assert len(trained) == 3 * alone - 4 * 3, "the first training was taken over"
    assert outcome(tmp_path / "two") == outcome(tmp_path / "alone")
    assert same(weights(tmp_path / "two", 2), weights(tmp_path / "alone", 2))
    assert [len(list((tmp_path / "first").glob(f"*.{kind}"))) for kind in ("pth", "json")] == [1, 1]
    (kept,) = (tmp_path / "first").glob("*.json")
    assert [row.get("seconds/spared") for row in rows(tmp_path / "two")] == [
        json.loads(kept.read_text())["seconds"]
    ] + 2 * [None]
    assert not any("seconds/spared" in row for row in rows(tmp_path / "one"))


def test_a_stopped_first_training_is_not_shared(tmp_path, monkeypatch, trained):
    forward, stopped = Toy.forward, []

    def stop(self, network, batch, want):
        if len(trained) == 7:
            stopped.append(True)
            trained.append(True)
            raise KeyboardInterrupt
        return forward(self, network, batch, want)

    with monkeypatch.context() as patch:
        patch.setattr(Toy, "forward", stop)
        assert main(tmp_path / "one", "--first-models", str(tmp_path / "first")) == 130
    assert stopped and not (tmp_path / "first").exists()
    assert main(tmp_path / "one", "--first-models", str(tmp_path / "first")) == 0
    assert len(list((tmp_path / "first").glob("*.pth"))) == 1, "the resumed one is whole, and kept"


def test_an_own_checkpoint_is_not_replaced(tmp_path):
    models = FirstModels(tmp_path / "first")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / CHECKPOINT).write_bytes(b"own")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / CHECKPOINT).write_bytes(b"other's")
    models.keep("k", tmp_path / "other", 2.5)
    models.take("k", tmp_path / "one")
    assert (tmp_path / "one" / CHECKPOINT).read_bytes() == b"own" and models.spared == 0
    models.take("missing", tmp_path / "two")
    assert not (tmp_path / "two").exists() and models.spared == 0
    models.take("k", tmp_path / "three")
    assert (tmp_path / "three" / CHECKPOINT).read_bytes() == b"other's" and models.spared == 2.5


def keyed(
    names: Sequence[str] = ("a", "b"),
    pool: Pool = POOL,
    member: int = 0,
    tested: str = "",
    **options,
) -> str:
    return key(
        load(CONFIG, options={"strategy": "learning_loss", **options}), pool, names, member, tested
    )


def test_strategies_with_one_module_mode_share_a_key_and_others_do_not():
    joint = keyed()
    assert (
        keyed(strategy="placebo")
        == keyed(strategy="oracle_loss", **{"module.mode": "joint"})
        == joint
    )
    assert keyed(**{"module.mode": "joint"}) == joint, "what auto stands for"
    random = keyed(strategy="random")
    assert random != joint and keyed(strategy="learning_loss", **{"module.mode": "off"}) == random
    assert keyed(strategy="random", subset=20, keep=2) == random, "no part of the training"
    assert keyed(strategy="random", **{"module.width": 4}) == random, "no module, no settings of it"


@pytest.mark.parametrize("other", [
    {"seed": 1}, {"training.epochs": 5}, {"training.amp": True}, {"module.margin": 0.5}, {"task.size": 59},
    {"strategy": "learning_loss_mse"}, {"module.mode": "detached"},
])  # fmt: skip
def test_other_settings_have_another_key(other):
    assert keyed(**other) != keyed()


def test_other_labels_data_members_code_and_machines_have_another_key(monkeypatch):
    first = keyed()
    assert keyed(pool=replace(POOL, labeled=POOL.labeled[::-1])) != first, (
        "the order of labels is that of the sampler"
    )
    assert keyed(names=("a", "c")) != first and keyed(member=1) != first
    assert keyed(tested="another test set") != first
    assert keyed() == first
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    assert keyed() != first
    monkeypatch.undo()
    monkeypatch.setattr(first_model, "ROOT", Path(REPOSITORY / "tests"))
    assert keyed() != first


def test_the_tasks_own_file_is_part_of_the_code(tmp_path, monkeypatch):
    task = load(CONFIG).task
    before = first_model.code(task, task.build())
    (tmp_path / "toy.py").write_text("# another adapter\n")
    monkeypatch.setattr(first_model.inspect, "getsourcefile", lambda kind: str(tmp_path / "toy.py"))
    assert first_model.code(task, task.build()) != before
    assert first_model.code(task, nn.ReLU()) == first_model.code(task, task.build()), (
        "all of them are in that file"
    )


def test_each_package_is_part_of_the_code(tmp_path, monkeypatch):
    """What makes seeds, networks and loaders is spread over all of them."""
    monkeypatch.setattr(first_model, "ROOT", tmp_path)
    for room in ("models", "tasks", "acquisition", "tools/part"):
        (tmp_path / room).mkdir(parents=True)
        (tmp_path / room / "a.py").write_text("x = 1\n", encoding="utf-8")
    found = [keyed()]
    for room in ("models", "tasks", "acquisition", "tools/part"):
        (tmp_path / room / "a.py").write_text("x = 2\n", encoding="utf-8")
        found.append(keyed())
    (tmp_path / "models/a.py").rename(tmp_path / "models/b.py")
    found.append(keyed())
    (tmp_path / "models/b.py").write_text("x = 2\nx", encoding="utf-8")
    found.append(keyed())
    assert len(set(found)) == len(found) == 7
    (tmp_path / "models/b.py").write_text("x = 2\n", encoding="utf-8")
    assert keyed() == found[-2], "the same files, the same key"


def test_a_network_from_elsewhere_and_a_base_of_the_task_are_part_of_the_code(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    for name, source in (("we_nets", "from torch import nn\nclass Net(nn.Identity): pass\n"),
                         ("we_base", "class Base: pass\n")):  # fmt: skip
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    net, base = import_module("we_nets").Net, import_module("we_base").Base
    task = type("Own", (Toy, base), {"__module__": Toy.__module__})()
    found = [first_model.code(task, net())]
    for name in ("we_nets", "we_base"):
        with (tmp_path / f"{name}.py").open("a", encoding="utf-8") as file:
            file.write("# changed\n")
        found.append(first_model.code(task, net()))
    assert len(set(found)) == 3


def test_other_samples_and_first_weights_under_the_same_names_have_another_key(monkeypatch):
    first, build, read = keyed(), Toy.build, Vectors.__getitem__

    def other_weights(self):
        network = build(self)
        network.head.bias.data += 1
        return network

    def other_label(changed: int):
        def get(self, index):
            x, y, i = read(self, index)
            return x, y + (index == changed), i

        return get

    with monkeypatch.context() as patch:
        patch.setattr(Toy, "build", other_weights)
        assert keyed() != first
    for sample, counts in ((POOL.labeled[-1], True), (POOL.unlabeled[0], False)):
        with monkeypatch.context() as patch:
            patch.setattr(Vectors, "__getitem__", other_label(int(sample)))
            assert (keyed() != first) == counts
    assert keyed() == first


def test_values_of_any_kind_are_told_apart():
    def told(value) -> str:
        first_model._add(found := hashlib.sha256(), value)
        return found.hexdigest()

    image = Image.new("L", (2, 3), 5)
    values = [
        1,
        1.0,
        "1",
        True,
        None,
        [1],
        (1,),
        [[1], []],
        [[], [1]],
        {"a": 1},
        {"a": 2},
        {1, 2},
        torch.ones(2),
        torch.ones(1, 2),
        np.ones(2),
        np.ones(2, np.float32),
        np.array([None, 1]),
        image,
        Image.new("L", (3, 2), 5),
        Instance(1),
        Instance(2),
    ]
    assert len({told(value) for value in values}) == len(values)
    again = [torch.ones(2), np.ones(2), {2, 1}, Instance(1), image.copy()]
    assert {told(value) for value in again} < {told(value) for value in values}


class Instance:
    """As data sets have them."""

    def __init__(self, label: int) -> None:
        self.label = label


def test_a_damaged_or_cleared_first_model_is_trained_anew(tmp_path, trained):
    shared, first = ["--first-models", str(tmp_path / "first")], tmp_path / "first"
    assert main(tmp_path / "one", *shared) == 0
    (kept,) = first.glob("*.pth")
    whole, about, once = kept.read_bytes(), kept.with_suffix(".json").read_text(), len(trained)
    for place, spoil in enumerate(
        [
            lambda: kept.write_bytes(whole[:5000]),
            lambda: kept.write_bytes(b""),
            lambda: kept.with_suffix(".json").unlink(),
            lambda: kept.with_suffix(".json").write_text("[]"),
            lambda: kept.with_suffix(".json").write_text("{"),
        ]
    ):
        spoil()
        trained.clear()
        assert main(tmp_path / str(place), *shared) == 0
        assert len(trained) == once and outcome(tmp_path / str(place)) == outcome(tmp_path / "one")
        assert json.loads(kept.with_suffix(".json").read_text()).keys() == json.loads(about).keys()
    trained.clear()
    assert main(tmp_path / "last", *shared) == 0
    assert len(trained) == once - 4 * 3, "the one that was kept anew is taken over"


def _keep(folder: Path, number: int, told) -> None:
    try:
        FirstModels(folder / "first").keep("k", folder / str(number), 1.0)
        told.put("")
    except OSError as error:
        told.put(str(error))


def test_two_processes_may_keep_the_same(tmp_path):
    for number in (0, 1):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / CHECKPOINT).write_bytes(bytes([number]) * 3_000_000)
    told = multiprocessing.Queue()
    for _ in range(10):
        both = [
            multiprocessing.Process(target=_keep, args=(tmp_path, number, told))
            for number in (0, 1)
        ]
        [process.start() for process in both], [process.join() for process in both]
        assert [told.get(), told.get()] == ["", ""]
        FirstModels(tmp_path / "first").take("k", tmp_path / "into")
        assert len(set((tmp_path / "into" / CHECKPOINT).read_bytes())) == 1
        shutil.rmtree(tmp_path / "into"), shutil.rmtree(tmp_path / "first")


def test_the_processor_is_named():
    assert first_model._processor().partition(",")[0]
