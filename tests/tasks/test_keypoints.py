"""COCO's keypoints as the pose task reads them: contract, crops, sides, splits."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.process.seeding import seeded
from tasks.pose.keypoint_form import swapped
from tasks.pose.keypoint_people import COCO_JOINTS, crop_widths
from tasks.pose.views import crop_matrix
from tests import contract, keypointkit
from tests.keypointkit import LISTS, make_coco, pose
from tools.contract.matrix import run_cell
from tools.data.sandbox.pose import make_pose


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return make_coco(tmp_path_factory.mktemp("keypoints"))


def content(root: Path, split: str = "train") -> dict:
    return json.loads((root / f"annotations/{split}.json").read_text())


def rewritten(root: Path, split: str, data: dict) -> None:
    (root / f"annotations/{split}.json").write_text(json.dumps(data))


def people_of(data: dict) -> list[dict]:
    return [p for p in data["annotations"] if not p["iscrowd"] and p["num_keypoints"]]


# ---------------------------------------------------------------- the contract


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"flip_test": True, "input_size": [32, 64], "pose_loss": "all"},
        {"network": "hrnet:hrnet_w18_small"},
        {"network": "hourglass", "features": 16, "depth": 1, "stacks": 1, "input_size": [24, 32]},
        {"measure": "PCK", "test": None, "test_share": 0.5},
    ],
    ids=["simple", "a rectangle", "hrnet", "hourglass", "PCK of a drawn test set"],
)
@pytest.mark.slow
def test_the_adapter_keeps_the_contract(root: Path, settings: dict):
    task = pose(root, **settings)
    contract.check_all(task)
    keys = {"AP", "AP_50", "AP_75"}
    if task.metric == "PCK":
        keys = {"PCK", *(f"PCK/{name}" for name in COCO_JOINTS)}
    assert contract.evaluated(task, 3).keys() == keys


def test_mpiis_form_takes_timms_networks_too(tmp_path: Path):
    from tests import posekit

    task = posekit.pose(posekit.make_mpii(tmp_path), network="simple:resnet10t")
    assert task.check() == []
    assert [tap.channels for tap in task.taps] == [64, 128, 256, 512]
    assert contract.evaluated(task)["PCKh"] >= 0


def test_samples_are_the_persons_with_joints_in_the_jsons_order(root: Path):
    task, persons = pose(root), people_of(content(root))
    assert len(task.dataset("pool")) == len(persons) == 12
    assert [task.effort(i) for i in range(12)] == [p["num_keypoints"] for p in persons]
    names = ["images/train000.png person 1", "images/train000.png person 2"]
    assert [task.name(i) for i in (0, 1, 2)] == [*names, "images/train001.png person 1"]
    for i, person in enumerate(persons):
        points = np.array(person["keypoints"], float).reshape(-1, 3)
        seen = points[:, 2] > 0  # v of 1, hidden, is as good as 2
        people = task._people
        assert people.annotated[i].tolist() == seen.tolist()
        np.testing.assert_array_equal(people.joints[i][seen], points[seen, :2])
        traits = task.traits(i)
        assert traits["height of a person (pixels)"] == [person["bbox"][3]]
    assert {2, 1, 0} == {v for p in persons for v in p["keypoints"][2::3]}


# ---------------------------------------------------------------- crops


@pytest.mark.parametrize("size", [(192, 256), (64, 64), (96, 48)])
def test_a_crop_is_the_box_extended_to_the_inputs_ratio(size: tuple[int, int]):
    """Written anew after Xiao et al.'s `_xywh2cs`: the ratio, then times 1.25."""
    boxes = np.random.default_rng(0).uniform(5, 90, (50, 4))
    for box, found in zip(boxes, crop_widths(boxes, size), strict=True):
        _, _, w, h = box
        ratio = size[0] / size[1]
        if w > ratio * h:
            h = w / ratio
        elif w < ratio * h:
            w = h * ratio
        assert found == pytest.approx(w * 1.25)


def test_pool_views_are_the_boxes(root: Path):
    """A crop of 64 x 96 by OpenCV from three corners of the extended box."""
    task, persons = pose(root, input_size=(64, 96)), people_of(content(root))
    for i, person in enumerate(persons):
        x, y, w, h = person["bbox"]
        width = 1.25 * max(w, h * 64 / 96)
        height, middle = width * 96 / 64, np.array([x + w / 2, y + h / 2])
        corner = middle - [width / 2, height / 2]
        source = np.float32([corner, corner + [width, 0], corner + [0, height]])
        matrix = cv2.getAffineTransform(source, np.float32([[0, 0], [64, 0], [0, 96]]))
        path = task.sources("pool")[i].file
        pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        crop = cv2.warpAffine(pixels, matrix, (64, 96), flags=cv2.INTER_LINEAR)
        sample = task.dataset("pool")[i]
        assert sample["image"].shape == (3, 96, 64)
        assert np.abs(sample["image"].permute(1, 2, 0).numpy().astype(int) - crop).max() <= 4
        points = np.array(person["keypoints"], float).reshape(-1, 3)
        expected = np.c_[points[:, :2], np.ones(17)] @ matrix.T
        seen = points[:, 2] > 0
        np.testing.assert_allclose(sample["joints"].numpy()[seen], expected[seen], atol=2e-3)


def test_a_mirrored_rectangle_keeps_its_joints_on_their_pixels():
    centre = np.array([30.0, 40.0])
    plain, mirror = (crop_matrix(centre, 20, (64, 96), 10.0, flip) for flip in (False, True))
    spot = np.array([33.0, 45.0, 1.0])
    (x, y), (mirrored_x, mirrored_y) = plain @ spot, mirror @ spot
    assert (mirrored_x, mirrored_y) == (pytest.approx(63 - x), pytest.approx(y))


def test_training_views_swap_sides_where_they_are_mirrored(root: Path):
    task = pose(root, rotation=0.0, scale=0.0, colour=0.0)
    plain = task.dataset("pool")[0]
    seen = 0
    for seed in range(20):
        with seeded(seed):
            sample = task.dataset("train")[0]
        if torch.linalg.det(sample["inverse"][:, :2]) > 0:
            assert torch.equal(sample["annotated"], plain["annotated"])
            continue
        seen += 1
        assert torch.equal(sample["annotated"], plain["annotated"][task.mirrored])
        expected = 31 - plain["joints"][task.mirrored][:, 0]
        torch.testing.assert_close(sample["joints"][:, 0], expected)
    assert 4 < seen < 16
    left = COCO_JOINTS.index("left_knee")
    assert COCO_JOINTS[task.mirrored[left]] == "right_knee" and task.mirrored[0] == 0


def test_images_are_turned_as_their_exif_says(tmp_path: Path):
    """As detection reads COCO's images; MPII's are as stored."""
    from PIL import Image

    root = make_coco(tmp_path / "turned")
    data = content(root)
    turned = data["images"][1]
    rough = np.random.default_rng(0).integers(0, 255, (4, 5, 3), np.uint8)
    pixels = cv2.resize(rough, (80, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned |= {"file_name": "turned.jpg", "width": 60, "height": 80}
    Image.fromarray(pixels).save(root / "images/turned.jpg", exif=exif, quality=95)
    rewritten(root, "train", data)
    task = pose(root)
    assert task.check() == []
    place = [source.file.name for source in task.sources("pool")].index("turned.jpg")
    inverse = task.dataset("pool")[place]["inverse"].numpy()
    upright = cv2.rotate(pixels[..., ::-1], cv2.ROTATE_90_CLOCKWISE)[..., ::-1]
    matrix = cv2.invertAffineTransform(inverse.astype(np.float64))
    crop = cv2.warpAffine(np.ascontiguousarray(upright), matrix, (32, 32))
    found = task.dataset("pool")[place]["image"].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(found - crop).mean() < 4  # JPEG's own
    turned |= {"width": 80, "height": 60}
    rewritten(root, "train", data)
    faults = pose(root).check()
    assert sum("as its EXIF orientation 6 turns it" in fault for fault in faults) == 1


# ---------------------------------------------------------------- sides


def test_sides_by_names_and_by_the_setting():
    joints = ("nose", "left_a", "right_a", "b1", "b2")
    assert swapped(joints, None) == [0, 2, 1, 3, 4]
    assert swapped(joints, [("b1", "b2")]) == [0, 1, 2, 4, 3]
    assert swapped(joints, []) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"\['c', 'nose'\], which are no joints or come twice"):
        swapped(joints, [("nose", "c"), ("nose", "b1")])


def test_names_that_say_nothing_of_sides_are_told(tmp_path: Path):
    root = make_coco(tmp_path / "own", joints=("1", "2", "3"))
    said = "no joint's name begins with left_ or right_"
    told = {}
    for name, settings in {
        "usual": {},
        "set": {"sides": [("1", "2")]},
        "none": {"sides": []},
        "no flip": {"flip": 0.0},
    }.items():
        task = pose(root, **settings)
        assert task.check() == []
        told[name] = any(said in note for note in task.notes())
    assert told == {"usual": True, "set": False, "none": False, "no flip": False}
    assert pose(root, sides=[("1", "2")]).mirrored == [1, 0, 2]


# ---------------------------------------------------------------- splits


def test_a_drawn_test_set_keeps_the_persons_of_an_image_together(root: Path):
    task = pose(root, test=None, test_share=0.4)
    assert task.check() == []
    files = {split: {s.file for s in task.sources(split)} for split in ("pool", "test")}
    assert len(files["test"]) == 3 and len(files["pool"]) == 5 and not files["pool"] & files["test"]
    assert len(task.dataset("pool")) + len(task.dataset("test")) == 12
    again = pose(root, test=None, test_share=0.4, split_seed=1)
    assert {s.file for s in again.sources("test")} != files["test"]


def test_several_jsons_are_one_split(root: Path):
    task = pose(root, train=[LISTS["train"], LISTS["test"]])
    assert len(task.dataset("pool")) == 12 + 6
    last = content(root, "test")["images"][-1]["file_name"]
    assert task.name(17) == f"images/{last} person 1"


def test_the_category_can_be_named(tmp_path: Path):
    root = make_coco(tmp_path / "two")
    for split in ("train", "test"):
        data = content(root, split)
        horse = {"id": 7, "name": "horse", "keypoints": ["head", "tail"], "skeleton": []}
        data["categories"].append(horse)
        spots = data["annotations"][0]["keypoints"][:3] * 2
        extra = data["annotations"][0] | {"id": 900, "category_id": 7, "keypoints": spots}
        data["annotations"].append(extra)
        rewritten(root, split, data)
    (fault,) = pose(root, test=None, test_share=0.5).check()
    assert fault.endswith(
        "expected one category with names of joints as 'keypoints', but got ['horse', 'person']; "
        "say which are the persons: task.category='horse'"
    )
    task = pose(root, category="person")
    assert task.check() == [] and len(task.joints) == 17
    assert any("1 annotations of other categories are not looked at" in n for n in task.notes())
    assert pose(root, category="horse").joints == ("head", "tail")
    (fault,) = pose(root, category="hors", test=None, test_share=0.5).check()
    assert "the category 'hors' of task.category" in fault and "horse" in fault


def test_the_skeleton_is_drawn_from_joints_that_count_from_one(root: Path):
    assert pose(root).form.bones == ((0, 1), (1, 2))
    picture = pose(root, input_size=(32, 64)).thumbnail(0)
    assert picture.size == (128, 256)


def test_the_label_of_a_person_knows_its_box_and_area(root: Path):
    task, persons = pose(root), people_of(content(root, "test"))
    for source, person in zip(task.sources("test"), persons, strict=True):
        label = json.loads(source.label)
        assert (label["box"], label["area"]) == (person["bbox"], person["area"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"measure": "PCKh"}, "measure: expected 'OKS' or 'PCK' for format='coco'.*got 'PCKh'"),
        ({"test_share": 0.2}, "test_share: expected None beside `test`.*but got 0.2"),
        ({"train": None}, "train: expected '<image folder>:<json>'.*but got None"),
        ({"test": None}, "test: expected '<image folder>:<json>'.*test_share=0.2"),
        ({"network": "simple:resnet10tt"}, "got 'resnet10tt'; near it are .'resnet10t'"),
        (
            {"network": "hourglass", "depth": 1, "pretrained": True},
            "pretrained: expected None for the network",
        ),
        ({"input_size": (32, 40)}, "but got 32 x 40, with heatmaps of 8 x 16"),
        ({"format": "mpii"}, "train: expected one json for format='mpii', but got .'a', 'b'."),
        ({"format": "mpii", "measure": "OKS"}, "'PCKh' or 'PCK' for format='mpii'.*got 'OKS'"),
        ({"format": "mpii", "sides": []}, r"sides: expected None for format='mpii', but got \[\]"),
        ({"format": "mpii", "test_share": 0.5}, "test_share: expected None for format='mpii'"),
    ],
)
def test_settings_that_cannot_be_are_refused(root: Path, settings: dict, message: str):
    usual: dict = {"train": ["a", "b"]} if settings.get("format") == "mpii" else {}
    with pytest.raises(ValueError, match=message):
        keypointkit.Pose(
            str(root), **({"format": "coco"} | keypointkit.SMALL | LISTS | usual | settings)
        )


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> Path:
    return make_pose(tmp_path_factory.mktemp("sandbox"), 40, 24, 5, 0.3)


@pytest.mark.parametrize("strategy", ["learning_loss", "dropout_bald"])
@pytest.mark.slow
def test_strategies_run_on_the_configs_smoke_variant(strategy: str, figures: Path, tmp_path: Path):
    cell = run_cell("pose_simple_coco", strategy, figures, tmp_path / "run")
    assert cell.status == "ok", cell.told
    rows = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["labeled"] for row in rows] == [12, 18]
    assert all(0 <= json.loads(row)["AP"] <= 1 for row in rows)


@pytest.mark.slow
def test_a_trained_network_finds_joints(figures: Path):
    """On the persons that it was trained on, so that crops, targets and decoding fit each other."""
    lists = {
        "train": "images:annot/person_keypoints_train.json",
        "test": "images:annot/person_keypoints_train.json",
    }
    task = pose(figures, input_size=64, sigma=1.5, **lists)
    with seeded(0):
        network = task.build().train()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    batches = [contract.a_batch(task, "pool", list(range(k, k + 8))) for k in (0, 8)]
    for step in range(70):
        loss = task.forward(network, batches[step % 2], frozenset({"loss"})).loss.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    metric = task.evaluator()
    metric.dataset_meta = {}
    with torch.no_grad():
        for batch in batches:
            metric.process({}, [one.to_dict() for one in task.predict(network, batch)])
    found = metric.evaluate(16)
    assert found["AP_50"] > 0.5
