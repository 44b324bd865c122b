"""The data that are copied for a proof, and the bugs: each alters what it says, and nothing else."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.mat import read_arrays
from tests import devkit, imagekit, posekit
from tests.toy import Toy
from tools.proving import data
from tools.proving.bugs import BUGS
from tools.proving.data import LackingError, written
from tools.proving.looks import hold_still
from tools.proving.proofs import SMALL
from tools.proving.session import set_up

# ---------------------------------------------------------------- data


def test_images_of_a_devkit_with_their_boxes(tmp_path):
    root = devkit.make_voc(tmp_path / "all")
    count = len(devkit.ORDER) // 2
    data.voc(root, tmp_path / "few", count)
    whole = devkit.detection(root)
    few = devkit.detection(
        tmp_path / "few", train=[f"VOC2007/{data.LIST}"], test=[f"VOC2007/{data.LIST}"]
    )
    size = len(devkit.ORDER)
    expected = [devkit.ORDER[k * size // count] for k in range(count)]
    assert [Path(few.name(i)).stem for i in range(count)] == expected
    for k, name in enumerate(expected):
        i = devkit.ORDER.index(name)
        assert few.sources("test")[k].label == whole.sources("pool")[i].label
        assert (
            few.sources("pool")[k].file.read_bytes() == whole.sources("pool")[i].file.read_bytes()
        )


def test_persons_keep_their_heads(tmp_path):
    root = posekit.make_mpii(tmp_path / "all")
    data.mpii(root, tmp_path / "few", 3)
    persons = json.loads((root / "annot/valid.json").read_text())
    kept = [0, 2, 4]  # of six
    for split in ("train", "valid"):
        found = json.loads((tmp_path / f"few/annot/{split}.json").read_text())
        assert found == [persons[i] for i in kept]
    before, after = (
        read_arrays((folder / "annot/gt_valid.mat").read_bytes())
        for folder in (root, tmp_path / "few")
    )
    assert all(np.array_equal(after[name], before[name][..., kept]) for name in data.HEADS)
    task = posekit.pose(tmp_path / "few")
    assert task.check() == [] and len(task.dataset("test")) == 3


def test_images_of_folders_are_train_and_test(tmp_path):
    root = imagekit.make_folder(tmp_path / "all")
    data.folders(root, tmp_path / "few", 6)
    task = imagekit.classification(tmp_path / "few")
    assert task.check() == []
    names = [f"train/{name}/00{k}.png" for name in imagekit.CLASSES for k in range(2)]
    assert [task.name(i) for i in range(6)] == names
    for split in ("pool", "test"):
        for source, name in zip(task.sources(split), names, strict=True):
            assert source.file.read_bytes() == (root / name).read_bytes()


def test_too_little_data_is_an_error(tmp_path):
    voc, mpii = devkit.make_voc(tmp_path / "voc"), posekit.make_mpii(tmp_path / "mpii")
    images = imagekit.make_folder(tmp_path / "images")
    with pytest.raises(LackingError, match="expected at least 99 samples, but got"):
        data.voc(voc, tmp_path / "out", 99)
    with pytest.raises(LackingError, match="mpii: expected at least 7 samples, but got 6"):
        data.mpii(mpii, tmp_path / "out", 7)
    with pytest.raises(LackingError, match="expected classes that divide 7, but got 3"):
        data.folders(images, tmp_path / "out", 7)
    with pytest.raises(LackingError, match="bird: expected 4 images, but got 3"):
        data.folders(images, tmp_path / "out", 12)


def test_data_are_written_whole_and_once(tmp_path):
    def broken(folder: Path) -> None:
        (folder / "half").touch()
        raise LackingError("no more")

    with pytest.raises(LackingError, match="no more"):
        written(tmp_path / "few", broken)
    assert not (tmp_path / "few").exists()
    written(tmp_path / "few", lambda folder: (folder / "whole").touch())
    written(tmp_path / "few", broken)
    assert [path.name for path in (tmp_path / "few").iterdir()] == ["whole"]


# ---------------------------------------------------------------- bugs


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Data of each of the small proofs, in their layouts."""
    root = tmp_path_factory.mktemp("data")
    voc = devkit.make_voc(root / "voc")
    lists = voc / "VOC2007/ImageSets/Main"
    (lists / f"{data.LIST}.txt").write_text("000001\n")  # a dog, one of VOC's classes
    return {
        "resnet18": imagekit.make_folder(root / "images"),
        "hourglass": posekit.make_mpii(root / "mpii"),
        "ssd300": voc,
    }


def task_of(name: str, folders: dict[str, Path], bug: str | None = None):
    (proof,) = [proof for proof in SMALL if proof.name == name]
    return set_up(proof, folders[name], BUGS[bug] if bug else None).task


def test_labels_shuffled_every_class_is_another_in_training_alone(folders):
    true, wrong = (task_of("resnet18", folders, bug) for bug in (None, "labels_shuffled"))
    size = len(true.dataset("pool"))
    assert all(wrong.dataset("train")[i][1] != true.dataset("train")[i][1] for i in range(size))
    for split in ("pool", "test"):
        labels = [[task.dataset(split)[i][1] for i in range(6)] for task in (true, wrong)]
        assert labels[0] == labels[1]


def test_joints_swapped_left_is_right_in_training_alone(folders):
    true, wrong = (task_of("hourglass", folders, bug) for bug in (None, "joints_swapped"))
    order = true.mirrored
    assert sum(a != b for a, b in enumerate(order)) == 12
    one, other = (task.dataset("train")[2] for task in (true, wrong))
    known = one["annotated"][order]
    assert torch.equal(other["annotated"], known) and known.sum() > 8
    torch.testing.assert_close(other["joints"][known], one["joints"][order][known])
    one, other = (task.dataset("pool")[2] for task in (true, wrong))
    assert torch.equal(one["joints"], other["joints"])


def test_boxes_off_priors_are_a_stride_off_in_the_loss_alone(folders):
    true, wrong = (task_of("ssd300", folders, bug) for bug in (None, "boxes_off"))
    heads = [task.build().bbox_head for task in (true, wrong)]
    sizes = [(16, 16), (8, 8), (4, 4), (2, 2)]
    metas = [{"pad_shape": (128, 128)}]
    (priors, *_), (moved, *_) = (head.get_anchors(sizes, metas, device="cpu")[0] for head in heads)
    for one, other, stride in zip(priors, moved, (8, 16, 32, 64), strict=True):
        assert torch.equal(other, one + stride)
    grids = [head.prior_generator.grid_priors(sizes, device="cpu") for head in heads]
    assert all(map(torch.equal, *grids))


@pytest.mark.parametrize("name", ["resnet18", "hourglass", "ssd300"])
def test_taps_of_another_are_those_of_the_neighbour_in_training_alone(name, folders):
    task = task_of(name, folders, "taps_of_another")
    pool = task.dataset("pool")
    batch = task.collate([pool[0], pool[1 if len(pool) > 1 else 0]])
    network = task.build()
    moved = task.forward(network.train(), batch, frozenset()).taps
    with torch.no_grad():
        still = task.forward(network.eval(), batch, frozenset()).taps
        alone = task.forward(network, task.collate([pool[0]]), frozenset()).taps
    torch.testing.assert_close(still[0][:1], alone[0])
    plain = task_of(name, folders).forward(network.train(), batch, frozenset()).taps
    assert all(torch.equal(a, b.flip(0)) for a, b in zip(moved, plain, strict=True))


@pytest.mark.parametrize("name", ["resnet18", "hourglass", "ssd300"])
def test_held_still_a_network_in_training_is_read_as_in_a_test(name, folders):
    (proof,) = [proof for proof in SMALL if proof.name == name]
    plain, still, mixed = (
        task_of(name, folders),
        set_up(proof, folders[name], still=True).task,
        set_up(proof, folders[name], BUGS["taps_of_another"], still=True).task,
    )
    pool = plain.dataset("pool")
    batch = plain.collate([pool[0], pool[1 if len(pool) > 1 else 0]])
    network, want = plain.build(), plain.fields - {"probs"}
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        expected = plain.forward(network.eval(), batch, want)
    for task, turned in ((still, False), (mixed, True)):
        for _ in range(2):  # the second time it is known
            read = task.forward(network.train(), batch, want)
            assert torch.equal(read.loss, expected.loss) and not read.objective.requires_grad
            for tap, known in zip(read.taps, expected.taps, strict=True):
                assert torch.equal(tap, known.flip(0) if turned else known)
                assert not tap.requires_grad
    after = network.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_held_still_a_network_is_asked_once_of_each_sample_in_training_and_always_in_a_test():
    task, asked = Toy(), []
    forward = task.forward

    def counted(network, batch, want):
        asked.append(batch["index"].tolist())
        return forward(network, batch, want)

    task.forward = counted
    hold_still(task)
    network, pool = task.build(), task.dataset("pool")
    batches = [task.collate([pool[i] for i in ids]) for ids in ([0, 1], [2, 3], [3, 0], [1, 2, 0])]
    losses = [task.forward(network, batch, frozenset({"loss"})).loss for batch in batches]
    assert asked == [[0, 1], [2, 3]]
    assert torch.equal(losses[2], torch.stack([losses[1][1], losses[0][0]]))
    assert torch.equal(losses[3], torch.stack([losses[0][1], losses[1][0], losses[0][0]]))
    with torch.no_grad():
        task.forward(network, batches[2], frozenset({"loss"}))
    assert asked[2:] == [[3, 0]]
