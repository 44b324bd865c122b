"""A pool scored on a Ray cluster of two CPUs on this machine: the rows of one process, bit for bit,
though workers are lost; and what is said where that cannot be.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.hooks import RemovableHandle

from acquisition import table
from acquisition.canary import CanaryError
from acquisition.pool import Pool
from acquisition.scoring import Pass, Samples, score
from models.process.stopping import Stopped, listening
from models.training.committee import Member
from tasks.base import DataError
from tests.conftest import REPOSITORY
from tests.raykit import TwoPartsError
from tests.tools.sweep.test_sweep_worker import wait_for
from tests.toy import trained
from tools.cluster import scoring
from tools.data.sandbox import draw
from tools.experiment.config import Experiment, load
from tools.experiment.options import ConfigError
from tools.record.folder import RunFolder
from tools.train.cycle import Cycle, committee, next_query, start

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray", reason="Ray is not here: pip install -e '.[ray]'")

from tools.cluster import joining, packing, shards  # noqa: E402
from tools.cluster.shards import Shards  # noqa: E402

TOY = REPOSITORY / "tests/examples/toy_config.py"
NAMES = ("predicted_loss", "embedding", "loss")
SIZE = 203


@pytest.fixture(scope="module")
def joined():
    """A cluster on this machine, joined."""
    with joining.cluster("local", cpus=2):
        yield


@pytest.fixture
def said() -> list[str]:
    return []


def toy(**settings) -> Experiment:
    options = {f"task.{name}": value for name, value in settings.items()}
    options |= {"task.type": "tests.raykit.Odd", "task.size": SIZE, "task.home": os.getpid()}
    return load(TOY, options=options)


def samples(experiment: Experiment) -> Samples:
    ids = np.random.default_rng(0).permutation(SIZE)[:-3]
    return Samples(experiment.task.dataset("pool"), experiment.task.collate, ids)


def both(experiment: Experiment, scored: scoring.Scorer, how: Pass | None = None) -> None:
    """The rows of a cluster are those of this process, bit for bit."""
    model = trained(experiment.task)
    some = samples(experiment)
    here = score(model, some, NAMES, experiment.scoring, how)
    there = scored(model, some, NAMES, experiment.scoring, how)
    assert len(np.unique(here["loss"])) == SIZE - 3  # otherwise a wrong order would not show
    assert list(there) == list(here) == list(NAMES)
    for name, rows in here.items():
        assert (there[name].dtype, there[name].shape) == (rows.dtype, rows.shape)
        assert there[name].tobytes() == rows.tobytes()


@pytest.mark.parametrize("size", [None, 1, 24, 1000])
def test_the_rows_are_those_of_one_process_however_the_pass_is_cut(joined, said, size, capsys):
    experiment = toy()
    both(experiment, Shards(experiment, said.append, size))
    assert said == [] and capsys.readouterr() == ("", "")


def test_many_vectors_lie_in_a_file_here_too(joined, said, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "MAPPED", 4 * 200 * 2)
    experiment = toy()
    model, some = trained(experiment.task), samples(experiment)
    there = Shards(experiment, said.append, 40)(
        model, some, NAMES, experiment.scoring, Pass(scratch=tmp_path)
    )
    assert type(there["embedding"]) is np.memmap and type(there["loss"]) is np.ndarray
    here = score(model, some, NAMES, experiment.scoring)
    assert there["embedding"].tobytes() == here["embedding"].tobytes()


def test_no_samples_have_no_rows_and_one_has_its_own(joined, said):
    experiment = toy()
    model, task = trained(experiment.task), experiment.task
    scored = Shards(experiment, said.append)
    for ids in ([], [7]):
        part = Samples(task.dataset("pool"), task.collate, ids)
        here = score(model, part, NAMES, experiment.scoring)
        there = scored(model, part, NAMES, experiment.scoring)
        assert {n: r.tobytes() for n, r in there.items()} == {
            n: r.tobytes() for n, r in here.items()
        }


def test_a_trained_network_and_its_committee_pick_what_they_pick_in_one_process(
    joined, tmp_path, said
):
    """Images in files, a network with batch norm, uncertainty and vectors, votes of passes, and a
    temperature.
    """
    draw("cls", tmp_path, pool=300, test=20)
    options = {"task.data_root": str(tmp_path / "shapes"), "budget.initial": 30, "budget.query": 20}
    options |= {"training.epochs": 3, "training.checkpoint_every": 3, "module.detach_epoch": 2}
    options |= {"scoring.batch_size": 32, "scoring.workers": 1, "committee.passes": 3}
    for strategy in ("entropy_coreset", "dropout_bald", "uherding"):
        experiment = load(
            REPOSITORY / "configs/cls_sandbox.py", options={**options, "strategy": strategy}
        )
        folder, pool = RunFolder(tmp_path / strategy), Pool.initial(300, 30, seed=0)
        cycle = Cycle(experiment, folder, pool)
        with start(cycle) as runner:
            runner.train()
            model = runner.model
        members = committee(cycle, model) if strategy == "dropout_bald" else []
        shared = Shards(experiment, said.append, 64)
        here, there = (
            next_query(experiment, model, members, pool, tmp_path, scored, temperature=2.5)
            for scored in (None, shared)
        )
        assert there.picked.tolist() == here.picked.tolist()
        assert set(here.signals) == set(there.signals) and len(here.candidates) == 270
        for name, rows in here.signals.items():
            assert len(np.unique(rows, axis=0)) > 200, name
            assert there.signals[name].tobytes() == rows.tobytes(), name
    assert said == []


def test_workers_that_are_lost_are_replaced_by_ray_and_by_us(joined, tmp_path, said):
    """The third loss is the first that Ray gives up."""
    experiment = toy(does="die", at=100, times=3, notes=str(tmp_path))
    both(experiment, Shards(experiment, said.append, 40))
    assert len(list(tmp_path.iterdir())) == 3
    [line] = said
    assert line.endswith("of the pass: their worker was lost; begun anew")


def test_a_shard_that_kills_its_workers_is_given_up(joined, tmp_path, said, monkeypatch):
    monkeypatch.setattr(shards, "RETRIES", 0)
    monkeypatch.setattr(shards, "LOSSES", 1)
    ids = samples(toy()).ids.tolist()
    experiment = toy(does="die", at=ids[9], times=99, notes=str(tmp_path))
    with pytest.raises(ConfigError, match=r"samples 8 to 15 of the pass: .* 2 workers were lost"):
        both(experiment, Shards(experiment, said.append, 8))
    assert said == ["samples 8 to 15 of the pass: their worker was lost; begun anew"]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("does", "says"),
    [
        (
            "other data",
            rf"node [\d.]+: expected the pool of this machine \({SIZE} samples, \w{{16}}\), but it "
            rf"sees another \({SIZE} samples, \w{{16}}\); nodes must share one file system",
        ),
        ("no data", r"node [\d.]+: expected the config and the data of this machine, but .*images"),
    ],
)
def test_a_worker_that_sees_other_data_refuses(joined, tmp_path, said, does, says):
    experiment = toy(does=does, notes=str(tmp_path))
    with pytest.raises(ConfigError, match=says):
        both(experiment, Shards(experiment, said.append))


@pytest.mark.parametrize(
    ("module", "name", "says"),
    [
        (torch, "__version__", r"expected torch elsewhere, as on this machine, but got \d"),
        (shards, "CODE", f"expected the losstap of elsewhere, .* but got {REPOSITORY}; install"),
    ],
)
def test_a_worker_with_other_code_refuses(joined, said, monkeypatch, module, name, says):
    experiment = toy()
    with monkeypatch.context() as patch:
        patch.setattr(module, name, "elsewhere")
        scored = Shards(experiment, said.append)
    with pytest.raises(ConfigError, match=says):
        both(experiment, scored)


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        ("data", DataError, "^7.jpg cannot be read; restore it$"),
        ("unsendable", RuntimeError, "^TwoPartsError: this and that$"),
    ],
)
def test_an_error_of_a_sample_is_the_one_that_one_process_raises(joined, said, error, kind, says):
    experiment = toy(does="raise", at=150, error=error)
    with pytest.raises(kind, match=says):
        both(experiment, Shards(experiment, said.append))


def test_two_parts_error_is_one_that_cannot_be_sent():
    """Otherwise the test above would show nothing."""
    import pickle

    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(TwoPartsError("this", "that")))


def test_rows_that_differ_from_those_of_samples_computed_here_are_refused(
    joined, said, monkeypatch
):
    """The weights that are sent are others than the ones here."""
    experiment = toy()
    pack = shards.packed

    def changed(models: packing.Models, task) -> bytes:
        other = trained(task)
        with torch.no_grad():
            other.network.head.bias += 1
        return pack(packing.Models(other), task)

    monkeypatch.setattr(shards, "packed", changed)
    with pytest.raises(CanaryError, match="loss is .* in the pass, but .* alone"):
        both(experiment, Shards(experiment, said.append))


def test_more_threads_than_a_node_has_cpus_are_refused(joined, said):
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(
            ConfigError, match="OMP_NUM_THREADS: expected at most 2, as no node .* but got 3"
        ):
            Shards(toy(), said.append)
    finally:
        torch.set_num_threads(threads)


def test_ctrl_c_ends_the_pass_in_order(joined, tmp_path, said):
    experiment = toy(does="wait", at=100, notes=str(tmp_path))

    def press() -> None:
        wait_for(lambda: any(tmp_path.glob("waiting*")))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    with pytest.raises(Stopped, match="stopped by SIGINT"), listening():
        thread.start()
        both(experiment, Shards(experiment, said.append, 40))
    thread.join()
    numbers = [path.name.removeprefix("waiting") for path in tmp_path.glob("waiting*")]
    assert numbers
    wait_for(lambda: not any(Path(f"/proc/{one}").exists() for one in numbers), seconds=60)


# ---------------------------------------------------------------- without a cluster that is joined


def test_models_that_are_sent_take_the_task_of_the_other_process_and_stay_one():
    here, there = toy().task, toy().task
    model = trained(here)
    members = [Member(model, seed) for seed in (1, 2)]
    content = packing.packed(packing.Models(model, members), here)
    assert b"Vectors" not in content, "the data stay here"
    found = packing.unpacked(content, there)
    assert found.model._task_forward.__self__ is there
    assert [member.model is found.model for member in found.committee] == [True, True]
    assert [member.seed for member in found.committee] == [1, 2] and not found.model.training
    for name, value in model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], value)


def test_hooks_that_come_with_a_model_keep_their_places(monkeypatch):
    """torch would give their numbers again in a process that has made none yet."""
    task = toy().task
    model = trained(task)
    model.network.first.register_forward_hook(Doubled())
    content = packing.packed(packing.Models(model), task)
    monkeypatch.setattr(RemovableHandle, "next_id", 0)
    found = packing.unpacked(content, task).model
    for _ in range(99):
        found.network.first.register_forward_hook(Doubled()).remove()
    x = torch.ones(2, 6, 1, 1)
    assert torch.equal(found.network.first(x), model.eval().network.first(x))


class Doubled:
    """A hook that doubles what a layer returns."""

    def __call__(self, layer, _, out: torch.Tensor) -> torch.Tensor:
        return 2 * out


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("size", [1, 7, 8, 100])
def test_shards_are_of_whole_batches_and_have_every_sample_once(batch, size):
    ids = np.arange(50)[::-1]
    found = list(shards.cut(ids, size, batch))
    assert np.concatenate([shard.ids for shard in found]).tolist() == ids.tolist()
    assert all(shard.start % batch == 0 for shard in found)
    assert all(size <= len(shard.ids) < size + batch for shard in found[:-1])
    assert [shard.start for shard in found] == list(
        np.cumsum([0, *(len(shard.ids) for shard in found[:-1])])
    )


def test_without_an_address_it_is_the_pass_of_one_process(said):
    with scoring.scorer(None, toy(), said.append) as scored:
        assert scored is score
    assert not said


def test_no_ray_is_an_error_that_says_how_to_get_it(said, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(ConfigError, match=r"expected Ray, but got .*pip install -e '\.\[ray\]'"),
        scoring.scorer("", toy(), said.append),
    ):
        pytest.fail("it has begun")


def test_with_an_address_it_is_the_cluster_there(joined, said, monkeypatch):
    began = []

    @contextmanager
    def cluster(address: str, store: int | None):
        began.append(address)
        yield
        began.append("left")

    monkeypatch.setattr(joining, "cluster", cluster)
    experiment = toy()
    with scoring.scorer("10.0.0.1:6379", experiment, said.append, 16) as scored:
        both(experiment, scored)
        assert began == ["10.0.0.1:6379"] and isinstance(scored, Shards)
    assert began == ["10.0.0.1:6379", "left"]


def test_an_address_where_nobody_answers_is_refused(said):
    with (
        pytest.raises(ConfigError, match="expected host:port .* but got '127.0.0.1:1'"),
        scoring.scorer("127.0.0.1:1", toy(), said.append),
    ):
        pytest.fail("it has begun")
