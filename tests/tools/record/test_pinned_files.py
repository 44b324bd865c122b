"""Files that settings name and that shape a network: a run goes on with the same content alone."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from models.networks import weights
from tasks.base import Pinned
from tasks.classification import Classification
from tasks.detection import Detection
from tests import deploykit, devkit, posekit
from tests.tasks.test_detection_networks import RETINANET, thin
from tests.tools.record.test_fingerprint import names
from tools.deploy.trained import DeployError, trained
from tools.record import data
from tools.record.fingerprint import Fingerprint, difference, fingerprint, unpacked
from tools.record.folder import RunFolder, RunFolderError

SIZE = [64, 64]
SCALE = "octave_base_scale=4"
LOSS = "alpha=0.25"
TOLD = "task.network.config.model.bbox_head.anchor_generator.octave_base_scale differs: 4 and 8"


def own_config(folder: Path) -> Path:
    """A config of a small RetinaNet that builds on another file, which has its model."""
    folder.mkdir(parents=True, exist_ok=True)
    base, own = folder / "base.py", folder / "own.py"
    base.write_text(Config(dict(model=thin()["config"])).pretty_text, encoding="utf-8")
    anchors = f"model = dict(bbox_head=dict(anchor_generator=dict({SCALE})))"
    own.write_text(f'_base_ = "base.py"\n{anchors}\n', encoding="utf-8")
    return own


def replaced(old: str, new: str, path: Path) -> None:
    before = path.read_text(encoding="utf-8")
    assert before.count(old) == 1
    path.write_text(before.replace(old, new), encoding="utf-8")


def detection(root: Path, config: Path | str, **settings) -> Detection:
    return devkit.detection(root, network=dict(type="mmdet", config=str(config), **settings))


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return devkit.make_voc(tmp_path_factory.mktemp("voc"))


# a change of the folder of `own_config`, and what is said of it
CHANGES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "the file": (
        lambda folder: replaced(SCALE, "octave_base_scale=8", folder / "own.py"),
        [TOLD],
    ),
    "a file that it builds on": (
        lambda folder: replaced(LOSS, "alpha=0.5", folder / "base.py"),
        ["task.network.config.model.bbox_head.loss_cls.alpha differs: 0.25 and 0.5"],
    ),
    "a setting is new": (
        lambda folder: replaced(LOSS, f"{LOSS}, reduction='sum'", folder / "base.py"),
        ["task.network.config.model.bbox_head.loss_cls.reduction differs: '(missing)' and 'sum'"],
    ),
    "a comment": (
        lambda folder: replaced("model = ", "# changes nothing\nmodel = ", folder / "own.py"),
        [],
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_config_of_mmdet_is_told_by_its_setting(case: str, voc: Path, tmp_path: Path):
    change, told = CHANGES[case]
    config = own_config(tmp_path / "configs")
    task = detection(voc, config, size=SIZE)
    before, called = fingerprint(task), names(task)
    change(tmp_path / "configs")
    assert difference(before, fingerprint(detection(voc, config, size=SIZE)), called) == told
    folder = RunFolder(tmp_path / "run")
    settings = dict(task=dict(network="any"))
    folder.open(settings, called, made_of=before)
    (tmp_path / "run/cycles").mkdir()  # it was begun
    now = fingerprint(detection(voc, config, size=SIZE))
    if not told:
        assert folder.open(settings, called, made_of=now) is None
        return
    with pytest.raises(RunFolderError, match="was begun with other data or files") as refusal:
        folder.open(settings, called, made_of=now)
    assert str(refusal.value).endswith(f"--work-dir:\n  {told[0]}")


def test_many_changes_are_told_in_short(voc: Path, tmp_path: Path):
    task = detection(voc, own_config(tmp_path), size=SIZE)
    before = fingerprint(task)
    other = fingerprint(detection(voc, "yolox/yolox_tiny_8xb8-300e_coco.py", size=SIZE))
    found = difference(before, other, names(task))
    assert len(found) == 9 and found[-1].startswith("and ")
    assert all(len(line) < 300 for line in found)


def test_a_config_is_pinned_by_what_it_says_wherever_it_lies(voc: Path, tmp_path: Path):
    one, other = own_config(tmp_path / "a"), own_config(tmp_path / "b")
    tasks = [detection(voc, config, size=SIZE) for config in (one, other)]
    assert tasks[0].pinned() == tasks[1].pinned()
    assert fingerprint(tasks[0]).whole == fingerprint(tasks[1]).whole


def test_mmdets_own_configs_are_pinned_and_dicts_are_settings(voc: Path):
    pinned = detection(voc, RETINANET, size=SIZE).pinned()
    assert pinned.keys() == {"task.network.config"}
    assert pinned["task.network.config"]["model"]["type"] == "RetinaNet"
    assert devkit.detection(voc, network=thin()).pinned() == {}


# ---------------------------------------------------------------- weights


def _ssd(root: Path, path: str):
    return devkit.detection(devkit.make_voc(root), network="ssd300_vgg16", pretrained=path)


def _detector(root: Path, path: str):
    return devkit.detection(devkit.make_voc(root), network=thin(), pretrained=path)


def _timm(root: Path, path: str):
    return Classification(
        str(root), network="timm:test_resnet", input_size=32, classes=["a", "b"], pretrained=path
    )


def _pose(root: Path, path: str):
    return posekit.pose(root, network="simple:test_resnet", input_size=64, pretrained=path)


@pytest.mark.parametrize("make", [_ssd, _detector, _timm, _pose])
def test_weights_that_a_setting_names_are_pinned_by_their_content(make, tmp_path: Path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"some weights")
    task = make(tmp_path / "data", str(path))
    assert isinstance(task, Pinned)
    assert task.pinned() == {"task.pretrained": hashlib.sha256(b"some weights").hexdigest()}
    path.write_bytes(b"same weights")
    assert task.pinned() == {"task.pretrained": hashlib.sha256(b"same weights").hexdigest()}
    path.unlink()
    assert task.pinned() == {}, "what is not there is not compared, and nothing is downloaded"


def test_weights_that_a_config_names_are_pinned(voc: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(weights.torch.hub, "get_dir", lambda: str(tmp_path))
    given = dict(network=dict(type="mmdet", config=RETINANET, size=SIZE), pretrained="backbone")
    task = devkit.detection(voc, **given)
    assert task.pinned().keys() == {"task.network.config"}, "nothing was downloaded yet"
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    address = weights._address("torchvision://resnet18")
    (folder / address.rpartition("/")[2]).write_bytes(b"of ImageNet")
    assert task.pinned()["task.pretrained"] == hashlib.sha256(b"of ImageNet").hexdigest()


def test_several_files_are_told_with_their_names(tmp_path: Path):
    paths = [str(tmp_path / name) for name in "abc"]
    for path in paths[:2]:
        Path(path).write_bytes(b"")
    empty = hashlib.sha256(b"").hexdigest()
    found = weights.hashes("task.pretrained", [*paths, paths[0]])
    assert found == {f"task.pretrained ({path})": empty for path in paths[:2]}


# ---------------------------------------------------------------- what is kept


def of(**pinned) -> Fingerprint:
    """A fingerprint of no samples."""
    parts = {f"{split}/{kind}" for split in ("pool", "test") for kind in ("images", "labels")}
    return Fingerprint(dict.fromkeys(parts, np.zeros(0, "<u8")), (), pinned)


def test_what_is_pinned_comes_back_and_is_hashed():
    one = of(weights="ab", config={"a": {"b": [1, 2.5, None, "x"]}})
    again = unpacked(one.packed())
    assert again.pinned == one.pinned and again.whole == one.whole
    assert again.whole["pinned"] != of(weights="ab").whole["pinned"]
    assert of().packed().keys() == of().digests.keys() | {"test/names"}, "as in earlier versions"
    assert "pinned" not in of().whole


def test_what_only_one_has_is_not_compared():
    assert difference(of(), of(weights="ab"), []) == []
    assert difference(of(weights="ab"), of(), []) == []
    assert difference(of(weights="ab", more="c"), of(weights="cd"), []) == [
        "weights differs: 'ab' and 'cd'"
    ]


@pytest.mark.parametrize(
    "content", [b"[1]", b"{", b"\xff", b'{"a":' + b"[" * 5000, b'{"a":1,"a":2}']
)
def test_a_damaged_pin_is_named(content: bytes, tmp_path: Path):
    arrays = of(weights="ab").packed() | {"pinned": np.frombuffer(content, np.uint8)}
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(RunFolderError, match=r"data.npz is damaged \("):
        data.kept(tmp_path)


# ---------------------------------------------------------------- a whole run


@pytest.mark.slow
def test_a_run_on_a_config_of_ones_own(tmp_path: Path, capsys, monkeypatch):
    drawn = deploykit.sandbox(tmp_path / "data", "det", pool=24, test=4)
    config = own_config(tmp_path / "configs")
    options = {
        "task.network": dict(type="mmdet", config=str(config), size=SIZE),
        "budget.initial": 8,
        "budget.query": 4,
        "training.epochs": 1,
    }
    run = partial(deploykit.run, tmp_path / "run", "det", drawn, **options)

    def killed(*arguments, **given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(RunFolder, "commit", killed)
        run()
    shutil.copy(config, tmp_path / "kept.py")
    replaced(SCALE, "octave_base_scale=8", config)
    capsys.readouterr()
    with pytest.raises(AssertionError):
        run()
    said = capsys.readouterr().out
    assert "other data or files; put them back as they were, or start anew" in said
    assert TOLD in said
    shutil.copy(tmp_path / "kept.py", config)
    run()
    network = trained(tmp_path / "run", trust=[tmp_path / "configs"]).network
    assert network.bbox_head.prior_generator.octave_base_scale == 4
    replaced(SCALE, "octave_base_scale=8", config)
    with pytest.raises(DeployError, match="was made with other files") as refusal:
        trained(tmp_path / "run", trust=[tmp_path / "configs"])
    assert TOLD in str(refusal.value)
