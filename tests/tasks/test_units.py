"""Boxes in another unit or order than their format's, boxes of nearly no size, and boxes
that are there twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.detection import Detection
from tests import devkit
from tests.tasks.test_coco import CLASSES, judged, perfect
from tests.tasks.test_coco import task as coco_task

from mmdet.datasets import CocoDataset  # isort: skip  # after tasks.detection: it installs what mmdet needs

Corners = tuple[float, float, float, float]


def coco(root: Path, change: Callable[[Corners, tuple[int, int]], list[float]]) -> Detection:
    """The scenes as COCO's json, each box of the pool as `change` makes it of its corners
    and the image's size.
    """
    devkit.make_coco(root)
    data = devkit.read_json(root / "train.json")
    sizes = {image["id"]: (image["width"], image["height"]) for image in data["images"]}
    for record in data["annotations"]:
        x, y, w, h = record["bbox"]
        record["bbox"] = change((x, y, x + w, y + h), sizes[record["image_id"]])
    devkit.write_json(root / "train.json", data)
    return devkit.detection(
        root, format="coco", train=["images:train.json"], test=["images:test.json"]
    )


def voc(root: Path, change: Callable[[Corners, tuple[int, int]], list[float]]) -> Detection:
    """The same as VOC's XML."""
    devkit.make_voc(root)
    tags = ("xmin", "ymin", "xmax", "ymax")
    for path in (root / "VOC2007/Annotations").iterdir():
        size = devkit.SCENES[path.stem][0]

        def box(found: re.Match, size: tuple[int, int] = size) -> str:
            values = change(tuple(float(v) for v in re.findall(r">([\d.]+)<", found[0])), size)
            return "".join(
                f"<{tag}>{value}</{tag}>" for tag, value in zip(tags, values, strict=True)
            )

        path.write_text(re.sub("<xmin>.*?</ymax>", box, path.read_text()))
    return devkit.detection(root)


def shares(corners: Corners, size: tuple[int, int]) -> list[float]:
    return [value / size[i % 2] for i, value in enumerate(corners)]


def shares_of_sides(corners: Corners, size: tuple[int, int]) -> list[float]:
    x1, y1, x2, y2 = shares(corners, size)
    return [x1, y1, x2 - x1, y2 - y1]


BOXES = sum(len(objects) for _, objects in devkit.SCENES.values())


@pytest.mark.parametrize("make, change", [(coco, shares_of_sides), (voc, shares)])
def test_normalised_boxes_are_named(tmp_path: Path, make: Callable, change: Callable) -> None:
    """(100, 100) pixels' box of the fourth scene fills its image in VOC's form: its
    corners are 0.01 and 1.
    """
    faults = make(tmp_path, change).check()
    assert len(faults) == BOXES
    for fault in faults:
        assert (
            "in pixels, but got" in fault
            and "they look normalised: multiply those along x" in fault
        )


def test_a_box_of_the_first_pixel_is_none_of_shares(tmp_path: Path) -> None:
    """As pixels, 0, 0, 1, 1 is a box of one pixel; nothing that lies within it is one."""
    assert coco(tmp_path, lambda corners, _: [0, 0, 1, 1]).check() == []


def test_corners_in_coco_s_json_are_named(tmp_path: Path) -> None:
    faults = coco(tmp_path, lambda corners, _: list(corners)).check()
    assert len(faults) == 4  # the others are boxes inside of their images either way
    assert all(
        "where these are corners (x1, y1, x2, y2), write x2 - x1 and y2 - y1" in fault
        for fault in faults
    )


def test_a_box_that_is_outside_either_way_is_not_called_corners(tmp_path: Path) -> None:
    faults = coco(tmp_path, lambda corners, size: [5, 5, size[0] + 9, 9]).check()
    assert len(faults) == BOXES and all(fault.endswith("; correct or clip it") for fault in faults)


def test_sides_in_voc_s_xml_are_named(tmp_path: Path) -> None:
    faults = voc(tmp_path, lambda c, _: [c[0], c[1], c[2] - c[0], c[3] - c[1]]).check()
    assert len(faults) == 2
    assert all(
        "where these are x, y, width and height, write x + width and y + height" in fault
        for fault in faults
    )


def test_inverted_corners_that_are_no_sides_are_to_be_swapped(tmp_path: Path) -> None:
    faults = voc(tmp_path, lambda c, size: [size[0], size[1], c[0], c[1]]).check()
    assert len(faults) == BOXES and all(fault.endswith("; swap the corners") for fault in faults)


@pytest.mark.parametrize("root", ['annotation xmlns="http://x"', "annotations", "doc"])
def test_xml_of_another_format_is_no_image_without_objects(tmp_path: Path, root: str) -> None:
    """mmdet finds no <object> there and takes the image for an empty one."""
    devkit.make_voc(tmp_path)
    path = tmp_path / "VOC2007/Annotations/000001.xml"
    name = root.split()[0]
    path.write_text(f"<{root}><image><box/></image></{name}>")
    (fault,) = devkit.detection(tmp_path).check()
    assert (
        fault.startswith(f"{path}: expected <annotation> at the top, but got <") and name in fault
    )


# ---------------------------------------------------------------- boxes of nearly no size


def write(root: Path, tiny: int, count: int = 200) -> Path:
    """An image with `count` boxes, the last `tiny` of which are of no area, as annotation
    918 of COCO's train2017.
    """
    devkit.make_coco(root)
    data = devkit.read_json(root / "train.json")
    corners = np.random.default_rng(0).integers(0, 50, (count, 2)).tolist()
    boxes = [[x, y, 10 + i % 30, 10] for i, (x, y) in enumerate(corners)]
    boxes[count - tiny :] = [[29.65 + i, 38.33, 1.03, 0.0] for i in range(tiny)]
    data["annotations"] = [
        {
            "id": i,
            "image_id": 4,
            "category_id": 10 + 10 * (i % 3),
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
        }
        for i, box in enumerate(boxes, 1)
    ]
    for split in ("train", "test"):
        devkit.write_json(root / f"{split}.json", data)
    return root / "train.json"


def test_a_few_boxes_under_a_pixel_are_left_out_everywhere_and_said(tmp_path: Path) -> None:
    path = write(tmp_path, tiny=2)
    task = coco_task(tmp_path)
    assert task.check() == []
    said = (
        "2 of 200 annotations have a 'bbox' under 1 pixel a side (annotations[198] [29.65, "
        "38.33, 1.03, 0.0])"
    )
    assert f"{path}: {said}: left out, as mmdet does" in task.notes()
    options = dict(
        data_root=str(tmp_path),
        data_prefix=dict(img="images"),
        metainfo=dict(classes=CLASSES),
        pipeline=[],
    )
    theirs = CocoDataset(ann_file=str(path), **options)
    assert task.effort(3) == len(theirs.get_data_info(3)["instances"]) == 198
    assert (
        len(task.traits(3)["class"])
        == len(json.loads(task.sources("pool")[3].label)["boxes"])
        == 198
    )
    # pycocotools would miss those that nobody is shown
    assert judged(task, perfect(task))["mAP"] == 1


def test_more_than_a_hundredth_under_a_pixel_are_faults(tmp_path: Path) -> None:
    write(tmp_path, tiny=3)
    faults = coco_task(tmp_path).check()
    # three in each json
    assert len(faults) == 6 and all("1 pixel or more a side" in fault for fault in faults)


def test_an_inverted_box_is_a_fault_among_many(tmp_path: Path) -> None:
    path = write(tmp_path, tiny=1)
    path.write_text(path.read_text().replace("1.03, 0.0]", "1.03, -4]"))
    (fault,) = coco_task(tmp_path).check()
    assert (
        "annotations[199]: expected a 'bbox' of 1 pixel or more a side, but got [29.65, 38.33, "
        "1.03, -4]" in fault
    )


# ---------------------------------------------------------------- boxes that are there twice


def doubled_coco(root: Path) -> Detection:
    task = coco(root, lambda c, _: [c[0], c[1], c[2] - c[0], c[3] - c[1]])
    data = devkit.read_json(root / "train.json")
    again = [
        dict(record, id=100 + record["id"])
        for record in data["annotations"]
        if record["image_id"] == 4
    ]
    devkit.write_json(root / "train.json", data | {"annotations": data["annotations"] + again})
    return task


def doubled_voc(root: Path) -> Detection:
    devkit.make_voc(root)
    path = root / "VOC2007/Annotations/000003.xml"
    path.write_text(re.sub("(<object>.*</object>)", r"\1\1", path.read_text()))
    return devkit.detection(root)


@pytest.mark.parametrize("make", [doubled_coco, doubled_voc])
def test_boxes_that_are_there_twice_are_counted_in_a_note(tmp_path: Path, make: Callable) -> None:
    task = make(tmp_path)
    assert task.check() == [] and task.effort(3) == 6
    said = "3 boxes are the same as another one of their class in their image"
    splits = [note.partition(":")[0] for note in task.notes() if said in note]
    assert splits == (["pool"] if make is doubled_coco else ["pool", "test"])


def test_boxes_that_differ_in_class_or_place_are_not_twice_there(tmp_path: Path) -> None:
    task = doubled_voc(tmp_path)
    path = tmp_path / "VOC2007/Annotations/000003.xml"
    first, again = (
        path.read_text()[: len(path.read_text()) // 2],
        path.read_text()[len(path.read_text()) // 2 :],
    )
    for old, new in (
        (">dog<", ">cow<"),
        (">cat<", ">dog<"),
        (">cow<", ">cat<"),
        ("<xmax>100<", "<xmax>99<"),
    ):
        again = again.replace(old, new)
    path.write_text(first + again)
    assert task.check() == [] and task.effort(3) == 6
    assert not [note for note in task.notes() if "the same as another one" in note]


def test_a_drawn_test_set_without_boxes_says_what_draws_it(tmp_path: Path) -> None:
    devkit.make_voc(tmp_path)
    seeds = range(60)
    tasks = (
        devkit.detection(tmp_path, test=(), test_share=0.01, split_seed=seed) for seed in seeds
    )
    # one of six images is drawn, and one is empty
    faults = next(found for task in tasks if (found := task.check()))
    assert len(faults) == 1
    assert faults[0].endswith("raise task.test_share (0.01), or draw by another task.split_seed")


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda c, _: list(c), 0),
        (lambda c, _: [v + 0.5 for v in c], BOXES),
        (lambda c, _: [0, *c[1:]], BOXES),
    ],
    ids=["whole", "fractions", "from 0"],
)
def test_corners_that_are_no_whole_1_based_pixels_are_counted(
    tmp_path: Path, change: Callable, count: int
) -> None:
    """mmdet takes 1 from each and cuts fractions off.

    A box of another class is not read, whatever it says.
    """
    voc(tmp_path, change)
    path = tmp_path / "VOC2007/Annotations/000005.xml"
    other = "<object><name>cow</name><bndbox><xmin>a</xmin></bndbox></object></annotation>"
    path.write_text(path.read_text().replace("</annotation>", other))
    task = devkit.detection(tmp_path, others="drop")
    assert task.check() == []
    notes = [note for note in task.notes() if "have a corner at 0 or a fraction" in note]
    pool = (
        f"{path.parent}: {count} boxes have a corner at 0 or a fraction: read as mmdet does, as "
        "1-based"
    )
    assert [note.startswith(pool) for note in notes[:1]] == [True] * bool(count)
    assert len(notes) == (2 if count else 0)
