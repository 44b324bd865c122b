"""Odd data sets kept as cases, a folder each, where they are at hand: `AL_CASES` names their
folder.

A case is `detection/<case>/config.py` with its data in `detection/<case>/data`. Other tests draw
the same oddities; these are files as tools and people left them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch
from mmengine.structures import InstanceData

from tasks.detection.metrics import beside_truth
from tools.experiment import preflight
from tools.experiment.config import Experiment, load

# case -> boxes of the pool: what is taken as it is
TAKEN = {
    "01_category_ids_not_sorted": 22,
    "01b_category_ids_strings": 22,
    "02_ignore_field": 22,
    "03_roboflow_ids_from_0": 22,
    "04_label_studio_backslashes": 22,
    "05_no_area": 22,
    "09_json_bom": 22,
    "12e_smoke_first_test_images_empty": 22,
    "15_two_jsons_numbered_from_1": 44,
    "31_size_missing": 22,
    "37b_list_extension": 22,
    "39_png_images": 22,
    "40_two_folders_same_ids": 44,
    "42_roboflow_voc_layout": 22,
}
# case -> what its fault says
REFUSED = {
    "12b_test_without_annotations": "expected a box in the test set .* but got none in 6 images",
    "13_subset_of_classes": "1 of 'washer'.* task.others='drop'",
    "19_test_images_are_in_the_pool": "6 of 6 samples .* test_in_pool=True",
    "21b_xmp_orientation_annotated_upright": "XMP says orientation 6, which is not followed",
    "22_exif6_size_and_boxes_in_stored_pixels": "EXIF orientation 6 .* do not correct the json's "
    "size",
    "23_one_by_one_pixel_image_ssd": "1 of 6 samples .*000013.jpg = .*000001.jpg",
}


@pytest.fixture
def cases() -> Path:
    folder = os.environ.get("AL_CASES")
    if not folder or not Path(folder, "detection").is_dir():
        pytest.skip(f"AL_CASES is {folder!r}: set it to a folder with detection/<case>/config.py")
    return Path(folder).resolve() / "detection"


def experiment(folder: Path, smoke: bool = False, **options: object) -> Experiment:
    return load(
        folder / "config.py",
        smoke=smoke,
        options={"task.data_root": str(folder / "data"), **options},
    )


def scores(found: Experiment, given: tuple[str, ...]) -> dict[str, float]:
    """What the evaluation says of the true boxes of the classes `given`, and none of the others."""
    task = found.task
    test, metric = task.dataset("test"), task.evaluator()
    metric.dataset_meta = test.metainfo
    for i in range(len(test)):
        sample = test[i]["data_samples"]
        kept = [b for b in sample.instances if task.classes[b["bbox_label"]] in given]
        boxes = torch.tensor([b["bbox"] for b in kept], dtype=torch.float32).reshape(-1, 4)
        labels = torch.tensor([b["bbox_label"] for b in kept], dtype=torch.long)
        sure = torch.full((len(kept),), 0.9)
        judged = InstanceData(bboxes=boxes, labels=labels, scores=sure)
        metric.process({}, [beside_truth(sample, judged).to_dict()])
    return metric.evaluate(len(test))


def test_every_case_is_known_here(cases):
    assert {path.parent.name for path in cases.glob("*/config.py")} == TAKEN.keys() | REFUSED.keys()


@pytest.mark.parametrize("case", TAKEN)
def test_what_is_merely_odd_is_taken_and_judged_as_it_is(cases, case):
    found = experiment(cases / case)
    for full in (False, True):
        assert preflight.problems(found, full) == []
    task = found.task
    assert sum(task.effort(i) for i in range(len(task.dataset("pool")))) == TAKEN[case]
    for first, second in (task.classes, task.classes[::-1]):
        one = scores(found, (first,))
        assert one[f"AP/{first}"] == pytest.approx(1.0)
        assert one[f"AP/{second}"] == 0
    both = scores(found, task.classes)
    assert both["mAP"] == pytest.approx(1.0)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_right_is_a_fault_that_says_so(cases, case):
    found = experiment(cases / case)
    for full in (False, True):
        faults = "\n".join(preflight.problems(found, full))
        assert re.search(REFUSED[case], faults), faults


def test_a_knowing_subset_of_the_classes_is_taken(cases):
    found = experiment(cases / "13_subset_of_classes", **{"task.others": "drop"})
    assert preflight.problems(found, True) == []
    assert scores(found, found.task.classes)["mAP"] == pytest.approx(1.0)


def test_test_images_in_the_pool_are_taken_where_that_is_meant(cases):
    found = experiment(cases / "19_test_images_are_in_the_pool", test_in_pool=True)
    assert preflight.problems(found, True) == []


def test_an_image_of_one_pixel_is_cropped_as_others_are(cases):
    found = experiment(cases / "23_one_by_one_pixel_image_ssd", test_in_pool=True)
    assert preflight.problems(found, True) == []
    train, seen = found.task.dataset("train"), 0
    for _ in range(20):  # the crop is drawn by chance
        seen += train[0]["inputs"].shape[0] == 3
    assert seen == 20


def test_a_smoke_variant_is_judged_by_images_that_hold_boxes(cases):
    folder = cases / "12e_smoke_first_test_images_empty"
    found = experiment(folder, smoke=True)
    assert preflight.problems(found, False) == []
    assert scores(found, found.task.classes)["mAP"] == pytest.approx(1.0)
