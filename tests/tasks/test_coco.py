"""COCO's json as different tools write it: one data set, one evaluation, and a word on
what is odd.
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tasks.base import DataError
from tasks.data import first_fault_raised
from tasks.detection import Detection
from tasks.detection.coco import Coco, coco_faults, read_coco
from tasks.detection.metrics import beside_truth

from mmdet.datasets import CocoDataset  # isort: skip  # after the tasks, which install what mmdet needs
from tasks.images import ImageCheck
from tasks.per_image import per_image

CLASSES = ("cat", "dog", "person")
SIZES = ((48, 36), (40, 30), (33, 47), (50, 20))  # (width, height) of each image
BOXES = (  # image, class, x, y, width, height, crowd; the last image has none
    (0, 1, 1, 1, 40, 30, 0),
    (0, 0, 5, 6, 15, 15, 0),
    (1, 2, 0, 0, 12, 30, 0),
    (1, 1, 20, 2, 8.5, 20, 1),
    (2, 0, 3, 4, 30, 36, 0),
    (2, 0, 1, 2, 9, 9, 0),
)
Json = dict[str, Any]
Change = Callable[[Json], object]


def scenes(folder: str = "") -> Json:
    """Images, boxes and categories as COCO's own json would have them."""
    images = [
        {"id": 5 + i, "file_name": f"{folder}{i}.png", "width": w, "height": h}
        for i, (w, h) in enumerate(SIZES)
    ]
    annotations = [
        {
            "id": n,
            "image_id": 5 + i,
            "category_id": 10 * (c + 1),
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": crowd,
        }
        for n, (i, c, *box, crowd) in enumerate(BOXES, 1)
    ]
    categories = [
        {"id": 10 * (i + 1), "name": name, "supercategory": "none"}
        for i, name in enumerate(CLASSES)
    ]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data set with the scenes as train.json and test.json."""
    for folder in ("images", "images/more"):
        (tmp_path / folder).mkdir()
        for seed, size in enumerate(SIZES):
            pixels = np.random.default_rng(seed).integers(
                0, 255, (size[1], size[0], 3), dtype=np.uint8
            )
            Image.fromarray(pixels).save(tmp_path / folder / f"{seed}.png")
    for split in ("train", "test"):
        write(tmp_path / f"{split}.json", scenes())
    return tmp_path


def write(path: Path, data: Json, encoding: str = "utf-8") -> Path:
    path.write_bytes(json.dumps(data, ensure_ascii=False).encode(encoding))
    return path


def changed(*changes: Change) -> Json:
    data = scenes()
    for change in changes:
        change(data)
    return data


def read(root: Path, *lists: str, classes: tuple[str, ...] = CLASSES, **options: Any) -> Coco:
    lists = lists or ("images:train.json",)
    assert [
        str(fault)
        for fault in coco_faults(root, lists, classes, look=ImageCheck(full=True), **options)
    ] == []
    return first_fault_raised(read_coco(root, lists, classes, **options))


def task(root: Path, **settings: Any) -> Detection:
    usual = dict(
        format="coco", train=["images:train.json"], test=["images:test.json"], classes=CLASSES
    )
    return Detection(
        str(root),
        **(usual | dict(network="small_ssd", pretrained=None, augmentation="flip") | settings),
    )


# One data set, however it is written
# ------------------------------------------------------------------------------


def each(key: str, change: Callable[[Json], object]) -> Change:
    """Changes every record of a list."""
    return lambda data: [change(record) for record in data[key]] and None


def put(key: str, name: str, value: Callable[[Any], Any]) -> Change:
    """Another value in a field of every record."""
    return each(key, lambda record: record.__setitem__(name, value(record.get(name))))


def drop(key: str, *names: str) -> Change:
    return each(key, lambda record: [record.pop(name) for name in names])


def ids(image: Callable = int, category: Callable = int) -> list[Change]:
    """Other ids of images and categories, wherever they stand."""
    return [
        put("images", "id", image), put("annotations", "image_id", image),
        put("categories", "id", category), put("annotations", "category_id", category),
    ]  # fmt: skip


def numbered(first: int) -> Change:
    return lambda data: [a.update(id=n) for n, a in enumerate(data["annotations"], first)]


def ignored(record: Json) -> None:
    """As mmdet's converter of VOC writes difficult boxes."""
    record.update(ignore=record["iscrowd"], iscrowd=0)


def supercategory(name: str) -> Change:
    """As Roboflow writes it: a category 0 that no annotation has."""
    return lambda data: data["categories"].insert(
        0, {"id": 0, "name": name, "supercategory": "none"}
    )


def backslashes(data: Json) -> None:
    for image in data["images"][:2]:
        image["file_name"] = f"more\\{image['file_name']}"


NO_IDS = "6 annotations have as 'id' 0, none, no number or another's: numbered anew in memory"
ODD: dict[str, tuple[list[Change], str]] = {  # what is written otherwise, and what is said of it
    "as COCO itself": ([], ""),
    "annotations from 0": ([numbered(0)], NO_IDS.replace("6", "1", 1)),
    "annotations without id": ([drop("annotations", "id")], NO_IDS),
    "annotations with texts": ([put("annotations", "id", str)], ""),
    "annotations with words": ([put("annotations", "id", "a{}".format)], NO_IDS),
    "annotations numbered in each image": (
        [put("annotations", "id", lambda i: 1 + i % 2)],
        NO_IDS.replace("6", "4"),
    ),
    "annotations with long ids": ([put("annotations", "id", lambda i: 10**400 + i)], ""),
    "categories upside down": ([lambda data: data["categories"].reverse()], ""),
    "categories numbered backwards": (ids(category=lambda i: 40 - i), ""),
    "categories from 0": (ids(category=lambda i: i // 10 - 1), ""),
    "categories with texts": (ids(category=str), "9 ids are texts or fractions, as '7' or 7.0"),
    "categories with words": (ids(category="c{}".format), ""),
    "categories with texts, annotations with numbers": (
        [put("categories", "id", str)],
        "3 ids are texts",
    ),
    "an entry for all": ([supercategory("animals")], ""),
    "an entry of a class's name": ([supercategory("dog")], ""),
    "an entry of a class's name behind it": (
        [supercategory("dog"), lambda data: data["categories"].reverse()],
        "",
    ),
    "images with words": (ids(image="i{}".format), ""),
    "images with fractions": (ids(image=float), "10 ids are texts or fractions"),
    "images from 0": (ids(image=lambda i: i - 5), ""),
    "annotations name images by text": (
        [put("annotations", "image_id", str)],
        "6 ids are texts or fractions",
    ),
    "ignore": ([each("annotations", ignored)], "1 annotations have 'ignore' 1: taken as crowds"),
    "ignore false": ([put("annotations", "ignore", lambda _: False)], ""),
    "crowds true and false": ([put("annotations", "iscrowd", bool)], ""),
    "no area": (
        [drop("annotations", "area")],
        "6 annotations have no number above 0 as 'area': it is the box's",
    ),
    "area 0": ([put("annotations", "area", lambda _: 0)], "6 annotations have no number above 0"),
    "area null": (
        [put("annotations", "area", lambda _: None)],
        "6 annotations have no number above 0",
    ),
    "area of an outline": ([put("annotations", "area", lambda area: area / 2)], ""),
    "no size": (
        [drop("images", "width", "height")],
        "4 images have no 'width' and 'height' in pixels: taken from",
    ),
    "size -1": ([put("images", "width", lambda _: -1)], "4 images have no 'width' and 'height'"),
    "size as texts": (
        [put("images", "width", str), put("images", "height", str)],
        "4 images have no 'width'",
    ),
    "outlines and more": (
        [
            put("annotations", "segmentation", lambda _: [[1, 1, 5, 1, 5, 5]]),
            put("annotations", "attributes", lambda _: {"occluded": False}),
            put("images", "coco_url", lambda _: ""),
            put("images", "license", lambda _: 0),
            lambda data: data.update(licenses=[{"id": 0}], info={"description": "exported"}),
        ],
        "",
    ),
    "no info": ([lambda data: data.pop("info")], ""),
}


def same(odd: Coco, plain: Coco) -> None:
    assert (odd.images, odd.annotations, odd.categories) == (
        plain.images,
        plain.annotations,
        plain.categories,
    )


@pytest.mark.parametrize("name", ODD)
def test_what_a_json_says_is_the_same_however_it_is_written(root: Path, name: str) -> None:
    changes, said = ODD[name]
    plain = read(root, "images:test.json")
    write(root / "train.json", changed(*changes))
    odd = read(root)
    same(odd, plain)
    assert len(odd.notes) == (said != ""), odd.notes
    assert all(note.startswith(f"{root}/train.json: {said}") for note in odd.notes), odd.notes


def test_what_is_read_of_it_is_what_stands_there(root: Path) -> None:
    found = read(root)
    assert [image["file_name"] for image in found.images] == [f"images/{i}.png" for i in range(4)]
    assert [(image["width"], image["height"]) for image in found.images] == list(SIZES)
    boxes = [
        (a["image_id"] - 1, a["category_id"] - 1, *a["bbox"], a["iscrowd"])
        for a in found.annotations
    ]
    assert boxes == list(BOXES)
    # width times height, by hand
    assert [a["area"] for a in found.annotations] == [1200, 225, 360, 170, 1080, 81]
    assert [a["id"] for a in found.annotations] == [1, 2, 3, 4, 5, 6]
    assert [(c["id"], c["name"]) for c in found.categories] == [
        (1, "cat"),
        (2, "dog"),
        (3, "person"),
    ]


def test_of_cocos_own_form_the_data_set_is_mmdets(root: Path) -> None:
    """To the bit, but for the number of an image and for outlines, which nothing here reads."""
    whole = task(root).dataset("train")
    names = dict(classes=CLASSES)
    with DefaultScope.overwrite_default_scope("mmdet"), redirect_stdout(io.StringIO()):
        own = CocoDataset(
            data_root=str(root),
            ann_file="train.json",
            data_prefix=dict(img="images"),
            metainfo=names,
            pipeline=[],
        )
    assert len(whole) == len(own) == 4
    for index in range(4):
        ours, theirs = whole.get_data_info(index), own.get_data_info(index)
        assert (ours.pop("img_id"), theirs.pop("img_id")) == (index + 1, index + 5)
        assert ours == theirs


@pytest.mark.parametrize("crowd", [0, 1])
def test_without_iscrowd_nothing_is_a_crowd(root: Path, crowd: int) -> None:
    write(
        root / "train.json",
        changed(
            drop("annotations", "iscrowd")
            if crowd
            else put("annotations", "iscrowd", lambda _: None)
        ),
    )
    found = read(root)
    assert [a["iscrowd"] for a in found.annotations] == [0] * 6
    assert found.notes == [f"{root}/train.json: 6 annotations have no 'iscrowd': taken as 0"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_a_json_with_and_without_a_byte_order_mark(root: Path, encoding: str) -> None:
    data = changed(lambda data: data["categories"][0].update(name="猫"))
    write(root / "train.json", data, encoding)
    found = read(root, classes=("猫", *CLASSES[1:]))
    assert len(found.annotations) == 6 and found.notes == []


def test_windows_separators(root: Path) -> None:
    write(root / "train.json", changed(backslashes))
    found = read(root)
    assert [i["file_name"] for i in found.images] == [
        f"images/{n}" for n in ("more/0.png", "more/1.png", "2.png", "3.png")
    ]
    (note,) = found.notes
    assert (
        note
        == rf"{root}/train.json: 2 names of image files have Windows' separators: '\' is taken as '/'"
    )


def test_a_backslash_that_belongs_to_a_files_name_stays(root: Path) -> None:
    for number in range(2):
        (root / "images" / f"{number}.png").rename(root / "images" / f"more\\{number}.png")
    write(root / "train.json", changed(backslashes))
    found = read(root)
    assert found.images[0]["file_name"] == "images/more\\0.png" and found.notes == []


def test_separators_do_not_lead_out_of_the_folder(root: Path) -> None:
    write(
        root / "train.json", changed(put("images", "file_name", "..\\..\\label-studio\\{}".format))
    )
    faults = coco_faults(root, ["images:train.json"], CLASSES)
    assert [fault.kind for fault in faults] == ["file_name"] * 4
    assert "'../../label-studio/0.png'" in str(faults[0])


def test_jsons_that_number_from_1_each_are_one_pool(root: Path) -> None:
    """Their categories have other ids and another order, too."""
    write(
        root / "more.json",
        changed(*ids(category=lambda i: 7 - i // 10), lambda data: data["categories"].reverse()),
    )
    both = read(root, "images:train.json", "images/more:more.json")
    one, two = read(root), read(root, "images/more:more.json")
    assert [i["file_name"] for i in both.images] == [
        i["file_name"] for i in one.images + two.images
    ]
    assert [i["id"] for i in both.images] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [a["id"] for a in both.annotations] == list(range(1, 13))
    for place, first, second in zip(range(6), one.annotations, both.annotations[6:], strict=True):
        assert both.annotations[place] == first
        assert second == {**first, "id": first["id"] + 6, "image_id": first["image_id"] + 4}
    pool = task(root, train=["images:train.json", "images/more:more.json"])
    assert pool.check() == [] and pool.notes() == []
    assert [pool.name(i) for i in range(8)] == [i["file_name"] for i in both.images]
    assert [pool.effort(i) for i in range(8)] == [2, 2, 2, 0] * 2


def test_a_class_may_be_missing_in_one_json_and_not_in_all(root: Path) -> None:
    def without(*names: str) -> Json:
        data = scenes()
        gone = [c["id"] for c in data["categories"] if c["name"] in names]
        data["categories"] = [c for c in data["categories"] if c["id"] not in gone]
        data["annotations"] = [a for a in data["annotations"] if a["category_id"] not in gone]
        return data

    write(root / "train.json", without("dog"))
    write(root / "more.json", without("cat"))
    lists = ["images:train.json", "images/more:more.json"]
    assert len(read(root, *lists).annotations) == 7
    (fault,) = coco_faults(root, lists, [*CLASSES, "dgo"])
    assert str(fault) == (
        f"{root}, all 2 jsons of the split: expected a category for 'dgo' of `classes`, but got "
        "none; did you mean "
        "'dog'? Correct `classes` or the json"
    )


# What contradicts itself
# ------------------------------------------------------------------------------------------


def test_a_box_beside_the_image_is_a_fault_as_mmdet_drops_it(root: Path) -> None:
    for box in ([-1, 3, 1, 9], [48, 3, 1, 9], [3, -1, 9, 1], [3, 36, 9, 1]):
        write(
            root / "train.json",
            changed(lambda data, box=box: data["annotations"][0].update(bbox=box)),
        )
        assert [fault.kind for fault in coco_faults(root, ["images:train.json"], CLASSES)] == [
            "box outside the image"
        ]
    write(
        root / "train.json",
        changed(lambda data: data["annotations"][0].update(bbox=[47, -1, 2, 9])),
    )
    assert len(read(root).annotations) == 6


def test_an_annotation_file_that_changed_after_the_check_is_no_traceback(root: Path) -> None:
    assert task(root).check() == []
    write(root / "train.json", changed(put("annotations", "bbox", lambda _: None)))
    with pytest.raises(
        DataError, match=r"train.json, annotations\[0\]: expected 'bbox' as four .* but got None"
    ):
        task(root).dataset("pool")


# Classes that are left out
# ----------------------------------------------------------------------------------------


def test_other_classes_are_a_fault_that_names_the_setting(root: Path) -> None:
    faults = task(root, classes=["cat", "person"]).check()
    assert faults == [
        f"{root}/{split}.json: expected annotations of `classes` alone, but got 2 of 'dog'; known "
        "are cat, person. Or "
        "add it to `classes`, or leave such boxes out: task.others='drop'"
        for split in ("train", "test")
    ]


def test_other_classes_are_left_out_where_that_is_asked_for(root: Path) -> None:
    fewer = task(root, classes=["person", "cat"], others="drop")
    assert fewer.check() == []
    assert [fewer.effort(i) for i in range(4)] == [1, 1, 2, 0]
    assert [fewer.traits(i)["class"] for i in range(3)] == [["cat"], ["person"], ["cat", "cat"]]
    assert fewer.notes() == [
        f"{root}/{split}.json: boxes of classes that `classes` lacks are left out: 2 of 'dog'"
        for split in ("train", "test")
    ]
    found = judged(fewer, perfect(fewer))
    names = ("mAP", "mAP_50", "mAP_75", "AP/person", "AP/cat")
    assert found == pytest.approx(dict.fromkeys(names, 1.0))


def test_a_class_without_a_box_may_still_be_misspelt(root: Path) -> None:
    assert any(
        "expected a category for 'catt'" in f
        for f in task(root, classes=["catt"], others="drop").check()
    )


# Judged as pycocotools judges
# -------------------------------------------------------------------------------------


def perfect(detection: Detection, labels: tuple[int, ...] = (0, 1, 2)) -> list[list[tuple]]:
    """The boxes of the test set themselves, a list for each image of (label, x1, y1, x2,
    y2, score).
    """
    test = detection.dataset("test")
    boxes = [test[i]["data_samples"].instances for i in range(len(test))]
    return [
        [(b["bbox_label"], *b["bbox"], 0.9) for b in image if b["bbox_label"] in labels]
        for image in boxes
    ]


def jittered(detection: Detection) -> list[list[tuple]]:
    """Boxes near those of the test set, some of other classes, some twice, with ties in
    the scores.
    """
    rng, found = np.random.default_rng(3), []
    for image in perfect(detection):
        near = [
            (label, *(np.array(box) + rng.integers(-2, 3, 4)), s) for label, *box, s in image * 2
        ]
        found.append(
            [
                (
                    int(rng.integers(3)) if rng.random() < 0.2 else b[0],
                    *b[1:5],
                    rng.choice([0.4, 0.7]),
                )
                for b in near
            ]
        )
    return found


def judged(detection: Detection, found: list[list[tuple]]) -> dict[str, float]:
    """What the task's evaluation says of detections."""
    test, metric = detection.dataset("test"), detection.evaluator()
    metric.dataset_meta = test.metainfo
    for index, boxes in enumerate(found):
        rows = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 6)
        given = InstanceData(bboxes=rows[:, 1:5], labels=rows[:, 0].long(), scores=rows[:, 5])
        metric.process({}, [beside_truth(test[index]["data_samples"], given).to_dict()])
    scores = metric.evaluate(len(found))
    kept = per_image(metric)
    assert kept is not None and kept.images == len(found)
    again = kept.metric(np.ones((1, len(found))))
    np.testing.assert_allclose(again, [scores["mAP"]], rtol=1e-12)
    return scores


def reference(
    path: Path, found: list[list[tuple]], categories: dict[str, Any], images: list
) -> dict[str, float]:
    """What pycocotools alone says of them, by the file itself.

    Args:
        path: of a json in COCO's own form.
        found: a list for each image.
        categories: id of each class, in the order of the labels.
        images: id of each image.
    """
    rows = [
        {
            "image_id": image,
            "category_id": list(categories.values())[int(label)],
            "score": float(np.float32(score)),
            "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
        }
        for image, boxes in zip(images, found, strict=True)
        for label, x1, y1, x2, y2, score in boxes
    ]
    with redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        judge = COCOeval(truth, truth.loadRes(rows), "bbox")
        judge.params.catIds = sorted(categories.values())
        judge.evaluate(), judge.accumulate(), judge.summarize()
    scores = dict(zip(("mAP", "mAP_50", "mAP_75"), judge.stats, strict=False))
    for name, number in categories.items():
        precision = judge.eval["precision"][:, :, judge.params.catIds.index(number), 0, -1]
        scores[f"AP/{name}"] = precision[precision > -1].mean()
    return scores


def agree(ours: dict[str, float], theirs: dict[str, float]) -> None:
    assert ours == pytest.approx(theirs, abs=1e-12)


IMAGES = [5, 6, 7, 8]


@pytest.mark.parametrize("numbers", [(10, 20, 30), (3, 1, 2), (2, 3, 1), (30, 20, 10)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_ap_per_class_is_that_of_the_class_by_pycocotools(
    root: Path, numbers: tuple, order: tuple
) -> None:
    """mmdet takes categories in the json's order, pycocotools in that of the ids."""
    data = changed(*ids(category=lambda i: numbers[i // 10 - 1]))
    data["categories"] = [data["categories"][place] for place in order]
    write(root / "test.json", data)
    detection = task(root)
    assert detection.check() == []
    known = dict(zip(CLASSES, numbers, strict=True))
    found = jittered(detection)
    ours = judged(detection, found)
    agree(ours, reference(root / "test.json", found, known, IMAGES))
    assert len({ours[f"AP/{name}"] for name in CLASSES}) == 3 and 0.1 < ours["mAP"] < 0.9
    one = perfect(detection, labels=(1,))
    alone = judged(detection, one)
    each = (alone["AP/cat"], alone["AP/dog"], alone["AP/person"])
    assert each == pytest.approx((0, 1, 0))
    agree(alone, reference(root / "test.json", one, known, IMAGES))


@pytest.mark.parametrize("name", ODD)
def test_a_json_is_judged_as_pycocotools_judges_coco_s_own_form_of_it(
    root: Path, name: str
) -> None:
    write(root / "test.json", changed(*ODD[name][0]))
    detection = task(root)
    found = jittered(detection)
    plain = reference(root / "train.json", found, {"cat": 10, "dog": 20, "person": 30}, IMAGES)
    agree(judged(detection, found), plain)
    assert [*judged(detection, perfect(detection)).values()] == pytest.approx([1] * 6)


def test_ignored_boxes_are_neither_found_nor_missed_and_cost_their_effort(root: Path) -> None:
    for split in ("train", "test"):
        write(root / f"{split}.json", changed(each("annotations", ignored)))
    detection = task(root)
    assert sum(detection.effort(i) for i in range(4)) == 6  # somebody drew the ignored one, too
    sample = detection.dataset("pool")[1]["data_samples"]
    assert (len(sample.gt_instances), len(sample.ignored_instances)) == (1, 1)
    without = [
        [box for box in image if box[0] != 1 or place != 1]
        for place, image in enumerate(perfect(detection))
    ]
    assert judged(detection, perfect(detection))["mAP"] == judged(detection, without)["mAP"] == 1.0


def test_several_jsons_are_one_test_set_as_pycocotools_judges_them_in_one(root: Path) -> None:
    write(root / "more.json", changed(*ids(category=lambda i: 7 - i // 10)))
    detection = task(root, test=["images:test.json", "images/more:more.json"])
    assert detection.check() == []
    found = jittered(detection)
    whole, second = scenes(), scenes("../images/more/")
    for image in second["images"]:
        image["id"] += 10
    for number, annotation in enumerate(second["annotations"], 7):
        annotation.update(id=number, image_id=annotation["image_id"] + 10)
    whole["images"] += second["images"]
    whole["annotations"] += second["annotations"]
    path = write(root / "whole.json", whole)
    agree(
        judged(detection, found),
        reference(path, found, {"cat": 10, "dog": 20, "person": 30}, [*IMAGES, 15, 16, 17, 18]),
    )


def crowded(count: int) -> Json:
    """An image with so many boxes of one class, beside one of another."""
    data = scenes()
    data["images"] = [{"id": 1, "file_name": "0.png", "width": 48, "height": 36}]
    corners = [(x, y) for x in range(0, 46, 2) for y in range(0, 34, 2)][:count]
    boxes = [(10, [x, y, 2, 2]) for x, y in corners] + [(20, [1, 1, 40, 30])]
    data["annotations"] = [
        {
            "id": n,
            "image_id": 1,
            "category_id": c,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
        }
        for n, (c, box) in enumerate(boxes, 1)
    ]
    return data


@pytest.mark.parametrize(
    ("count", "limits"),
    [(100, []), (101, ["one class"]), (150, ["one class"]), (250, ["boxes", "one class"])],
)
def test_one_limit_of_detections_and_a_word_on_it(
    root: Path, count: int, limits: list[str]
) -> None:
    path = write(root / "test.json", crowded(count))
    detection = task(root)
    assert detection.check() == []
    found = perfect(detection)
    ours = judged(detection, found)
    agree(
        {k: ours[k] for k in ours if k != "AP/person"},
        reference(path, found, {"cat": 10, "dog": 20}, [1]),
    )
    reached = int(100 * min(1, 100 / count) + 1) / 101  # points of recall up to 100 of them, of 101
    assert ours["AP/cat"] == pytest.approx(reached, abs=6e-4)
    assert ours["mAP"] == pytest.approx((ours["AP/cat"] + 1) / 2, abs=1.1e-3)
    texts = {
        "boxes": f"task.test: 1 images have more than 200 boxes (up to {count + 1}); the detector "
        "hands out the",
        "one class": f"task.test: 1 images have more than 100 boxes of one class (up to {count}); "
        "COCO's evaluation",
    }
    notes = [note for note in detection.notes() if note.startswith("task.test: ")]
    assert len(notes) == len(limits)
    for note, limit in zip(notes, limits, strict=True):
        assert note.startswith(texts[limit]) and note.endswith("so that AP cannot reach 1")


def test_the_truth_is_not_changed_by_judging(root: Path) -> None:
    """pycocotools writes flags into annotations; every cycle judges by the same ones."""
    detection = task(root)
    before = copy.deepcopy(detection.pictures.truth)
    found = jittered(detection)
    first = judged(detection, found)
    assert detection.pictures.truth == before and judged(detection, found) == first
    # pycocotools 2.0.9 and 2.0.10 want it
    assert detection.evaluator()._coco_api.dataset["info"] == {}
