"""Exported weights, loaded by a Python that lacks this project, give the network's numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.process.seeding import seeded
from tasks.classification import Classification
from tasks.detection import Detection
from tasks.pose import Pose
from tests import deploykit
from tests.deploykit import alone
from tools import al_export
from tools.deploy import exporting
from tools.deploy.trained import Trained, trained

pytestmark = pytest.mark.slow
INPUT = "torch.linspace(-2, 2, 3 * {0} * {0}).reshape(1, 3, {0}, {0})"


def untrained(task, labels, where: Path) -> Trained:
    """A network with random weights, and numbers in its batch norms that are not all the same."""
    deployment = task.deployment(labels)
    with seeded(0):
        network = deployment.build().eval()
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
    return Trained(where, 0, tuple(labels), deployment, network)


def image(path: Path, width: int = 96, height: int = 96) -> str:
    """The path of an image of soft noise."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), cv2.resize(noise, (width, height)))
    return str(path)


@pytest.mark.parametrize("cycle", [0, 1])
def test_a_classifier_of_a_run_is_loaded_by_torch_alone(runs, cycle: int, tmp_path: Path, capsys):
    out = tmp_path / "out"
    assert al_export.main([str(runs["cls"]), "--cycle", str(cycle), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"{runs['cls']}, cycle {cycle}: 9 classes" in said
    assert (out / "load.py").read_text() in said
    asked = f"(network({INPUT.format(32)})[1], kept['meta'])"
    came, meta = alone(out / "load.py", asked, tmp_path)
    network = trained(runs["cls"], cycle).network
    assert torch.equal(came, network(eval(INPUT.format(32)))[1])
    other = trained(runs["cls"], 1 - cycle).network
    assert not torch.allclose(came, other(eval(INPUT.format(32)))[1])
    assert meta["cycle"] == cycle and len(meta["classes"]) == 9 and meta["mean"] == [0.5] * 3


@pytest.mark.parametrize("name", ["resnet18_cifar", "resnet18", "mobilenet_v3_small"])
def test_classifiers_have_torchvisions_names(name: str, tmp_path: Path):
    task = Classification("nowhere", network=name, input_size=32, classes=["a", "b", "c"])
    one = untrained(task, ["a", "b", "c"], tmp_path)
    export = exporting.write(one, tmp_path)
    assert export.files == {} and "import torchvision\n" in export.load
    came = alone(tmp_path / "load.py", f"network({INPUT.format(32)})", tmp_path)
    with torch.inference_mode():
        expected = one.network(eval(INPUT.format(32)))[1]
    assert torch.allclose(came, expected, atol=1e-6) and came.shape == (1, 3)


@pytest.mark.parametrize("name", ["test_convnext", "test_vit"])
def test_classifiers_of_timm_have_timms_names(name: str, tmp_path: Path):
    task = Classification("nowhere", network=f"timm:{name}", input_size=64, classes=["a", "b", "c"])
    one = untrained(task, ["a", "b", "c"], tmp_path)
    export = exporting.write(one, tmp_path)
    assert export.files == {} and f'timm.create_model("{name}", num_classes=3' in export.load
    came = alone(tmp_path / "load.py", f"network({INPUT.format(64)})", tmp_path)
    with torch.inference_mode():
        expected = one.network(eval(INPUT.format(64)))[1]
    assert torch.allclose(came, expected, atol=1e-6) and came.shape == (1, 3)


@pytest.mark.parametrize("name", ["simple:test_resnet", "hrnet:hrnet_w18_small"])
def test_pose_networks_of_timm_are_loaded_by_torch_and_timm(name: str, tmp_path: Path):
    joints = ["nose", "left_eye", "right_eye"]
    task = Pose(
        "nowhere",
        train="images:train.json",
        test="images:test.json",
        joints=joints,
        format="coco",
        network=name,
        input_size=64,
    )
    one = untrained(task, joints, tmp_path)
    exporting.write(one, tmp_path)
    came = alone(tmp_path / "load.py", f"network({INPUT.format(64)})[1][-1]", tmp_path)
    with torch.inference_mode():
        expected = one.network(eval(INPUT.format(64)))[1][-1]
    assert torch.allclose(came, expected, atol=1e-6) and came.shape == (1, 3, 16, 16)


def test_a_pose_network_of_a_run_is_loaded_by_torch_alone(runs, tmp_path: Path):
    assert al_export.main([str(runs["pose"]), "--out", str(tmp_path / "out")]) == 0
    came = alone(tmp_path / "out/load.py", f"network({INPUT.format(64)})[1][-1]", tmp_path)
    network = trained(runs["pose"]).network
    assert torch.equal(came, network(eval(INPUT.format(64)))[1][-1])
    assert came.shape == (1, 16, 16, 16)


def boxes_of(one: Trained, path: str) -> dict[str, torch.Tensor]:
    """What the run's network finds in an image."""
    from tasks.deployable import Subject

    samples = one.deployment.images([Subject(Path(path))])
    with torch.inference_mode():
        found = one.deployment.records(one.network, one.deployment.collate([samples[0]]))[0]
    boxes = torch.tensor([record["bbox"] for record in found]).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = torch.tensor([record["category_id"] - 1 for record in found])
    return {
        "bboxes": boxes,
        "scores": torch.tensor([record["score"] for record in found]),
        "labels": labels,
    }


FOUND = "{k: v for k, v in inference_detector(model, %r).pred_instances.items()}"


def test_a_detector_of_a_run_is_loaded_by_mmdet_alone(runs, tmp_path: Path):
    out = tmp_path / "out"
    assert al_export.main([str(runs["det"]), "--out", str(out)]) == 0
    path = image(tmp_path / "image.png", 120, 90)
    asked = f"({FOUND % path}, model.dataset_meta['classes'])"
    came, classes = alone(out / "load.py", asked, tmp_path)
    expected = boxes_of(trained(runs["det"]), path)
    assert len(expected["scores"]) > 0
    for key, value in expected.items():
        assert torch.allclose(came[key], value, atol=1e-4), key
    assert classes == ["circle", "square", "triangle"]


NETWORKS = {
    "ssd300": "ssd300_vgg16",
    "retinanet": dict(
        type="mmdet", config="retinanet/retinanet_r18_fpn_1x_coco.py", size=[128, 128]
    ),
    "ssdlite": dict(
        type="mmdet",
        config="ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py",
        size=[320, 320],
    ),
    "faster": dict(
        type="mmdet", config="faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", size=[128, 128]
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_detectors_of_mmdet_are_loaded_by_mmdet_alone(name: str, tmp_path: Path):
    classes = ["bolt", "nut"]
    task = Detection("nowhere", ["train"], classes=classes, network=NETWORKS[name], pretrained=None)
    one = untrained(task, classes, tmp_path)
    for parameter in one.network.parameters():
        if parameter.dim() == 1 and parameter.max() < -4:  # where a class is rare at first
            torch.nn.init.zeros_(parameter)
    export = exporting.write(one, tmp_path)
    assert set(export.files) == {"model.py"}
    path = image(tmp_path / "image.png")
    asked = f"(model.extract_feat({INPUT.format(320)}), {FOUND % path})"
    came, found = alone(tmp_path / "load.py", asked, tmp_path)
    with torch.inference_mode():
        expected = one.network.extract_feat(eval(INPUT.format(320)))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(came, expected, strict=True))
    own = boxes_of(one, path)
    assert len(own["scores"]) > 0 and len(found["scores"]) == len(own["scores"])
    for key, value in own.items():
        assert torch.allclose(found[key].float(), value.float(), atol=1e-3), key


def test_a_network_that_no_library_has_is_refused(tmp_path: Path):
    task = Pose("nowhere", stacks=1, features=8, depth=1, input_size=16)
    one = untrained(task, task.joints, tmp_path / "run")
    one = Trained(one.folder, 0, one.labels, one.deployment, torch.nn.Identity())
    with pytest.raises(exporting.DeployError, match="a StackedHourglass, but got Identity"):
        exporting.write(one, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_lies_beside_the_run_and_never_in_it(runs, tmp_path: Path, capsys):
    run = Path(shutil.copytree(runs["cls"], tmp_path / "run"))
    before = sorted(run.rglob("*"))
    assert al_export.main([str(run)]) == 0
    assert sorted(run.rglob("*")) == before
    names = {path.name for path in (tmp_path / "run-export").iterdir()}
    assert names == {"weights.pth", "network.py", "load.py"}
    assert f"{tmp_path / 'run-export'}: weights.pth, network.py, load.py" in capsys.readouterr().out


def refused(capsys, *arguments: object) -> str:
    """What is said by an export that ends with 2."""
    assert al_export.main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err


def test_what_is_no_run_is_refused(runs, tmp_path: Path, capsys):
    assert "there is no such folder" in refused(capsys, tmp_path / "nothing")
    assert "but it holds none" in refused(capsys, tmp_path)
    begun = Path(shutil.copytree(runs["cls"], tmp_path / "begun"))
    for name in ("state.json", "metrics.jsonl", "done", "queries", "cycles/01"):
        path = begun / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "a finished cycle, but none is committed yet" in refused(capsys, begun)
    said = refused(capsys, runs["cls"], "--cycle", 2)
    assert "--cycle: expected 0 to 1" in said and "but got 2" in said
    with pytest.raises(SystemExit, match="2"):
        al_export.main([str(runs["cls"]), "--cfg-options", "training.epochs=1"])
    assert "expected settings of the task, which find its data, but got training.epochs" in (
        capsys.readouterr().err
    )


def test_weights_that_were_not_kept_or_are_others_are_refused(runs, tmp_path: Path, capsys):
    run = Path(shutil.copytree(runs["cls"], tmp_path / "run"))
    kept = run / "weights/00.pth"
    whole = kept.read_bytes()
    kept.unlink()
    said = refused(capsys, run, "--cycle", 0)
    assert "the weights of cycle 0 were not kept; cycle 1 has its weights" in said
    assert "training.keep_weights=all" in said
    kept.write_bytes((run / "weights/01.pth").read_bytes())
    assert "00.pth: expected weights with the hash " in refused(capsys, run, "--cycle", 0)
    kept.write_bytes(whole[:-40])
    assert "00.pth is damaged" in refused(capsys, run, "--cycle", 0)
    kept.write_bytes(whole)
    assert al_export.main([str(run), "--cycle", "0", "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    for path in (run / "weights/01.pth", run / "cycles/01/checkpoint.pth"):
        path.unlink()
    said = refused(capsys, run)
    assert "cycle 1 were not kept; restore" in said and "cycles/01/checkpoint.pth" in said


def test_the_newest_weights_are_found_without_the_setting(runs, tmp_path: Path):
    run = Path(shutil.copytree(runs["cls"], tmp_path / "run"))
    shutil.rmtree(run / "weights")
    came = trained(run).network.state_dict()
    expected = trained(runs["cls"]).network.state_dict()
    assert came.keys() == expected.keys()
    assert all(torch.equal(came[name], expected[name]) for name in came)


def test_classes_come_from_the_run_and_its_data_need_not_be_there(runs, tmp_path: Path, capsys):
    run = Path(shutil.copytree(runs["cls"], tmp_path / "run"))
    facts = run / "facts.json"
    about = json.loads(facts.read_text())
    assert len(about["labels"]) == 9
    moved = ["--cfg-options", f"task.data_root={tmp_path / 'gone'}"]
    assert al_export.main([str(run), "--out", str(tmp_path / "out"), *moved]) == 0
    del about["labels"]  # as an earlier version wrote it
    facts.write_text(json.dumps(about))
    assert al_export.main([str(run), "--out", str(tmp_path / "again")]) == 0
    capsys.readouterr()
    said = refused(capsys, run, *moved)
    assert "an earlier version of losstap left in the data" in said
    assert "give --cfg-options task.data_root=FOLDER" in said
    facts.write_text(json.dumps(about | {"labels": ["a", "b"]}))
    assert "expected weights and classes that fit its task" in refused(capsys, run)


def test_weights_are_kept_without_the_optimiser(runs):
    for kind, run in runs.items():
        sizes = [(run / f"weights/{cycle:02d}.pth").stat().st_size for cycle in (0, 1)]
        assert 0 < max(sizes) < 0.7 * (run / "cycles/01/checkpoint.pth").stat().st_size, kind
        assert not (run / "cycles/00").exists() or kind
    state = torch.load(runs["cls"] / "weights/01.pth", weights_only=True)
    assert set(state) == {"state_dict"}


def test_by_default_no_weights_are_kept_beside_the_checkpoint(tmp_path: Path):
    data = deploykit.sandbox(tmp_path / "data", "cls")
    run = deploykit.run(tmp_path / "run", "cls", data)
    assert not (run / "weights").exists()
