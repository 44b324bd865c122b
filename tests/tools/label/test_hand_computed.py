"""Coordinates computed by hand, in files as the tools themselves write them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from tasks.labelable import Labeling
from tests.tools.label.labelkit import BOXES, CLASSES, POSES
from tools.label.formats import FORMATS
from tools.label.labels import Entry, Joint, LabelError, Outgoing, Pick, PoolImage, Shape

IMAGE = PoolImage("a/b.jpg", Path("/pool/a/b.jpg"), (200, 100), "00ff")  # 200 wide, 100 high
IMAGES = {IMAGE.key: IMAGE}
# 20 from the left, 10 from the top, 50 wide, 40 high
CAT = Shape("cat", (20.0, 10.0, 50.0, 40.0))
PERSON = Shape(
    "person",
    (20.0, 10.0, 50.0, 40.0),
    (Joint(30.0, 20.0, 2), Joint(0.0, 0.0, 0), Joint(60.0, 45.0, 1)),
)


def read(path: Path, name: str, labeling: Labeling) -> Entry:
    (entry,) = FORMATS[name].load().read(path, labeling, IMAGES)
    assert entry.faults == ()
    return entry


def write(folder: Path, name: str, labeling: Labeling, shape: Shape, tmp_path: Path) -> list[str]:
    path = tmp_path / "pool" / IMAGE.key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"pixels")
    image = PoolImage(IMAGE.key, path, IMAGE.size, IMAGE.sha256)
    pick = Pick(image, 1, "why", {"entropy": 0.5}, (shape,))
    outgoing = Outgoing(0, labeling, (pick,), tmp_path / "pool", "net")
    return FORMATS[name].load().write(outgoing, folder)


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# ---------------------------------------------------------------- Label Studio: percent


def region(kind: str, value: dict, name: str = "r1", **fields: object) -> dict:
    size = {"original_width": 200, "original_height": 100, "image_rotation": 0}
    return (
        {"id": name, "type": kind, "from_name": "x", "to_name": "image", "value": value}
        | size
        | fields
    )


def exported(path: Path, result: list, data: dict | None = None, **fields: object) -> Path:
    annotation = {
        "id": 1,
        "completed_by": {"id": 7, "email": "ann@x.org"},
        "result": result,
        "lead_time": 8.25,
    }
    task = {
        "id": 3,
        "data": data or {"image": "/data/local-files/?d=pool/a/b.jpg"},
        "annotations": [annotation | fields],
    }
    return put(path, json.dumps([task]))


def test_label_studio_counts_percent(tmp_path: Path):
    value = {"x": 10, "y": 10, "width": 25, "height": 40, "rotation": 0, "rectanglelabels": ["cat"]}
    entry = read(
        exported(tmp_path / "x.json", [region("rectanglelabels", value)]), "label-studio", BOXES
    )
    assert entry.shapes == (Shape("cat", CAT.box, id="r1"),)
    assert (entry.state, entry.size, entry.seconds, entry.by) == (
        "labeled",
        (200, 100),
        8.25,
        "ann@x.org",
    )


def test_label_studio_relations_between_regions_are_left_out(tmp_path: Path):
    value = {"x": 10, "y": 10, "width": 25, "height": 40, "rotation": 0, "rectanglelabels": ["cat"]}
    boxes = [region("rectanglelabels", value, name) for name in ("r1", "r2")]
    relation = {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right"}
    entry = read(exported(tmp_path / "x.json", [*boxes, relation]), "label-studio", BOXES)
    assert [shape.id for shape in entry.shapes] == ["r1", "r2"]


def test_label_studio_persons_have_their_joints_by_parent(tmp_path: Path):
    box = {
        "x": 10,
        "y": 10,
        "width": 25,
        "height": 40,
        "rotation": 0,
        "rectanglelabels": ["person"],
    }
    nose = {"x": 15, "y": 20, "width": 0.5, "keypointlabels": ["nose"]}
    wrist = {"x": 30, "y": 45, "width": 0.5, "keypointlabels": ["right_wrist"]}
    result = [
        region("keypointlabels", wrist, "k2", parentID="p"),
        region("choices", {"x": 30, "y": 45, "width": 0.5, "choices": ["hidden"]}, "k2"),
        region("rectanglelabels", box, "p"),
        region("keypointlabels", nose, "k1", parentID="p"),
    ]
    entry = read(exported(tmp_path / "x.json", result), "label-studio", POSES)
    assert entry.shapes == (Shape("person", PERSON.box, PERSON.joints, id="p"),)


def test_label_studio_one_person_alone_needs_no_parent(tmp_path: Path):
    box = {
        "x": 10,
        "y": 10,
        "width": 25,
        "height": 40,
        "rotation": 0,
        "rectanglelabels": ["person"],
    }
    nose = {"x": 15, "y": 20, "width": 0.5, "keypointlabels": ["nose"]}
    result = [region("rectanglelabels", box, "p"), region("keypointlabels", nose, "k1")]
    entry = read(exported(tmp_path / "x.json", result), "label-studio", POSES)
    assert [joint.visibility for joint in entry.shapes[0].joints] == [2, 0, 0]


def test_label_studio_task_as_it_goes_out(tmp_path: Path):
    lines = write(tmp_path / "out", "label-studio", POSES, PERSON, tmp_path)
    (task,) = json.loads((tmp_path / "out/tasks.json").read_text(encoding="utf-8"))
    assert task["data"] == {
        "image": "/data/local-files/?d=pool/a/b.jpg",
        "key": "a/b.jpg",
        "batch": 0,
        "sha256": "00ff",
        "rank": 1,
        "reason": "why",
        "entropy": 0.5,
    }
    (prediction,) = task["predictions"]
    box, nose, wrist, hidden = prediction["result"]
    assert box["value"] == {
        "x": 10,
        "y": 10,
        "width": 25,
        "height": 40,
        "rotation": 0,
        "rectanglelabels": ["person"],
    }
    assert nose["value"] == {"x": 15, "y": 20, "width": 0.5, "keypointlabels": ["nose"]}
    assert wrist["value"] == {"x": 30, "y": 45, "width": 0.5, "keypointlabels": ["right_wrist"]}
    assert hidden["value"] == {"x": 30, "y": 45, "width": 0.5, "choices": ["hidden"]}
    assert nose["parentID"] == wrist["parentID"] == box["id"]
    assert hidden["id"] == wrist["id"] and len({box["id"], nose["id"], wrist["id"]}) == 3
    assert (box["original_width"], box["original_height"], box["image_rotation"]) == (200, 100, 0)
    assert prediction["model_version"] == "net" and "score" not in prediction
    assert "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true" in lines[0]
    assert f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={tmp_path} " in lines[0]


def test_label_studio_controls_are_those_that_the_results_name(tmp_path: Path):
    for labeling, shape in ((BOXES, CAT), (POSES, PERSON), (CLASSES, Shape("cat"))):
        folder = tmp_path / labeling.kind
        write(folder, "label-studio", labeling, shape, tmp_path)
        view = ET.parse(folder / "labeling_config.xml").getroot()
        controls = {one.get("name"): one for one in view if one.get("toName") == "image"}
        (task,) = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
        for one in task["predictions"][0]["result"]:
            control = controls[one["from_name"]]
            assert control.tag.lower() == one["type"]
            offered = {child.get("value") for child in control}
            assert set(one["value"][one["type"]]) <= offered
        picture = view.find("Image")
        assert picture is not None and picture.get("value") == "$image"
        assert picture.get("rotateControl") == "false"


def test_a_predictions_score_is_the_mean_of_its_shapes(tmp_path: Path):
    write(tmp_path / "out", "label-studio", BOXES, Shape("cat", CAT.box, score=0.75), tmp_path)
    (task,) = json.loads((tmp_path / "out/tasks.json").read_text(encoding="utf-8"))
    (prediction,) = task["predictions"]
    assert prediction["score"] == prediction["result"][0]["score"] == 0.75


# ---------------------------------------------------------------- CVAT: corners, from 0

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><job><id>4</id></job></meta>
<image id="0" name="a/b.jpg" subset="default" task_id="4" width="200" height="100">{}</image></annotations>"""


def test_cvat_counts_corners(tmp_path: Path):
    box = '<box label="cat" source="manual" occluded="0" xtl="20.00" ytl="10.00" xbr="70.00" ybr="50.00" z_order="0"></box>'
    entry = read(put(tmp_path / "annotations.xml", CVAT.format(box)), "cvat", BOXES)
    assert entry.shapes == (CAT,) and entry.state == "labeled" and entry.size == (200, 100)


SKELETON = """<skeleton label="person" source="manual" z_order="0">
<points label="right_wrist" source="manual" outside="0" occluded="1" points="60.00,45.00"></points>
<points label="left_wrist" source="manual" outside="1" occluded="0" points="33.00,44.00"></points>
<points label="nose" source="manual" outside="0" occluded="0" points="30.00,20.00"></points></skeleton>"""


def test_cvat_skeletons_are_joined_by_name_and_outside_comes_before_occluded(tmp_path: Path):
    path = put(tmp_path / "annotations.xml", CVAT.format(SKELETON))
    assert read(path, "cvat", POSES).shapes == (Shape("person", None, PERSON.joints),)
    both = SKELETON.replace('outside="1" occluded="0"', 'outside="1" occluded="1"')
    put(path, CVAT.format(both))
    assert read(path, "cvat", POSES).shapes == (Shape("person", None, PERSON.joints),)


def test_cvat_classes_are_tags(tmp_path: Path):
    path = put(tmp_path / "annotations.xml", CVAT.format('<tag label="dog" source="manual"></tag>'))
    assert read(path, "cvat", CLASSES).shapes == (Shape("dog"),)


@pytest.mark.parametrize(
    ("inside", "state"),
    [
        ("", None),
        ('<tag label="image: done"/>', "empty"),
        ('<tag label="image: skipped"/>', "skipped"),
        ('<box label="cat" source="file" xtl="1" ytl="1" xbr="9" ybr="9"/>', None),
        (
            '<box label="cat" source="file" xtl="1" ytl="1" xbr="9" ybr="9"/><tag label="image: done"/>',
            "labeled",
        ),
        (
            '<box label="cat" source="file" xtl="1" ytl="1" xbr="9" ybr="9"/><tag label="image: skipped"/>',
            "skipped",
        ),
        (
            '<box label="cat" source="file" xtl="1" ytl="1" xbr="9" ybr="9"/><box label="cat" xtl="1" ytl="1" xbr="9" ybr="9"/>',
            "labeled",
        ),
    ],
)
def test_cvats_tags_say_what_was_done(inside: str, state: str | None, tmp_path: Path):
    entry = read(put(tmp_path / "annotations.xml", CVAT.format(inside)), "cvat", BOXES)
    assert entry.state == state


def test_cvat_files_as_they_go_out(tmp_path: Path):
    write(tmp_path / "out", "cvat", POSES, PERSON, tmp_path)
    root = ET.parse(tmp_path / "out/annotations.xml").getroot()
    assert root.findtext("version") == "1.1"
    labels = {one.findtext("name"): one for one in root.iterfind("meta/task/labels/label")}
    assert labels["person"].findtext("type") == "skeleton"
    assert [labels[name].findtext("parent") for name in POSES.joints] == ["person"] * 3
    picture = ET.fromstring(f"<svg>{labels['person'].findtext('svg')}</svg>")
    nodes = {one.get("data-label-name"): one for one in picture.iter("circle")}
    assert list(nodes) == list(POSES.joints)
    assert {one.get("data-type") for one in nodes.values()} == {"element node"}
    edges = [(one.get("data-node-from"), one.get("data-node-to")) for one in picture.iter("line")]
    assert edges == [("1", "2"), ("1", "3")]  # bones 0-1 and 0-2
    image = root.find("image")
    assert image is not None and dict(image.attrib) == {
        "id": "0",
        "name": "a/b.jpg",
        "width": "200",
        "height": "100",
    }
    points = [
        (p.get("label"), p.get("outside"), p.get("occluded"), p.get("points"))
        for p in image.iterfind("skeleton/points")
    ]
    assert points == [
        ("nose", "0", "0", "30,20"),
        ("left_wrist", "1", "0", "0,0"),
        ("right_wrist", "0", "1", "60,45"),
    ]
    raw = json.loads((tmp_path / "out/labels.json").read_text(encoding="utf-8"))
    assert [one["type"] for one in raw] == ["skeleton", "tag", "tag"]
    assert [one["name"] for one in raw[0]["sublabels"]] == list(POSES.joints)
    assert raw[0]["svg"] == labels["person"].findtext("svg")


def test_cvat_scores_are_attributes(tmp_path: Path):
    write(tmp_path / "out", "cvat", BOXES, Shape("cat", CAT.box, score=0.5, id="d1"), tmp_path)
    root = ET.parse(tmp_path / "out/annotations.xml").getroot()
    box = root.find("image/box")
    assert box is not None and [box.get(side) for side in ("xtl", "ytl", "xbr", "ybr")] == [
        "20",
        "10",
        "70",
        "50",
    ]
    assert {one.get("name"): one.text for one in box} == {"score": "0.5", "draft": "d1"}


# ---------------------------------------------------------------- COCO: x, y, width, height, from 0


def coco(path: Path, annotation: dict, **category: object) -> Path:
    data = {
        "images": [{"id": 9, "file_name": "b.jpg", "width": 200, "height": 100}],
        "annotations": [{"id": 5, "image_id": 9, "category_id": 4} | annotation],
        "categories": [{"id": 4, "name": "cat"} | category],
    }
    return put(path, json.dumps(data))


def test_coco_counts_from_the_corner(tmp_path: Path):
    entry = read(
        coco(tmp_path / "x.json", {"bbox": [20, 10, 50, 40], "segmentation": [[1, 2, 3, 4, 5, 6]]}),
        "coco",
        BOXES,
    )
    assert entry.shapes == (Shape("cat", CAT.box, id="5"),) and entry.name == "b.jpg"


def test_coco_keypoints_are_joined_by_name(tmp_path: Path):
    joints = ["right_wrist", "nose", "left_wrist"]
    values = [60, 45, 1, 30, 20, 2, 0, 0, 0]
    path = coco(
        tmp_path / "x.json",
        {"bbox": [20, 10, 50, 40], "keypoints": values},
        name="person",
        keypoints=joints,
    )
    assert read(path, "coco", POSES).shapes == (Shape("person", PERSON.box, PERSON.joints, id="5"),)


def test_coco_persons_beside_an_empty_category_of_the_same_name(tmp_path: Path):
    """As Roboflow writes it; one that has persons must name their joints."""
    values = [30, 20, 2, 0, 0, 0, 60, 45, 1]
    path = coco(
        tmp_path / "x.json",
        {"bbox": [20, 10, 50, 40], "keypoints": values},
        name="person",
        keypoints=list(POSES.joints),
    )
    data = json.loads(path.read_text(encoding="utf-8"))
    data["categories"].insert(0, {"id": 0, "name": "person", "supercategory": "none"})
    put(path, json.dumps(data))
    assert read(path, "coco", POSES).shapes == (Shape("person", PERSON.box, PERSON.joints, id="5"),)
    data["annotations"][0]["category_id"] = 0
    put(path, json.dumps(data))
    with pytest.raises(LabelError, match=r"categories\[0\]: expected the names of the joints"):
        read(path, "coco", POSES)


def test_coco_as_it_goes_out(tmp_path: Path):
    write(tmp_path / "out", "coco", POSES, PERSON, tmp_path)
    data = json.loads(
        (tmp_path / "out/annotations/person_keypoints_default.json").read_text(encoding="utf-8")
    )
    assert data["images"] == [{"id": 1, "file_name": "a/b.jpg", "width": 200, "height": 100}]
    (record,) = data["annotations"]
    assert (
        record["bbox"] == [20, 10, 50, 40]
        and record["area"] == 2000
        and record["num_keypoints"] == 2
    )
    assert record["keypoints"] == [30, 20, 2, 0, 0, 0, 60, 45, 1]
    (category,) = data["categories"]
    assert category["keypoints"] == list(POSES.joints) and category["skeleton"] == [[1, 2], [1, 3]]


def test_pycocotools_reads_what_goes_out(tmp_path: Path, capsys):
    from pycocotools.coco import COCO

    write(tmp_path / "out", "coco", BOXES, CAT, tmp_path)
    found = COCO(str(tmp_path / "out/annotations/instances_default.json"))
    (record,) = found.loadAnns(found.getAnnIds(catIds=found.getCatIds(["cat"])))
    assert record["bbox"] == [20, 10, 50, 40]


# ---------------------------------------------------------------- YOLO: shares, of the middle


def test_yolo_counts_shares_of_the_middle(tmp_path: Path):
    put(tmp_path / "data.yaml", "names: [dog, cat]\n")
    put(tmp_path / "labels/train/a/b.txt", "1 0.225 0.3 0.25 0.4\n\n")  # 45 of 200, 30 of 100
    entry = read(tmp_path, "yolo", BOXES)
    assert entry.name == "a/b.jpg" and entry.shapes[0].label == "cat"
    assert entry.shapes[0].box == pytest.approx(CAT.box, abs=1e-9)


def test_yolo_poses(tmp_path: Path):
    put(tmp_path / "data.yaml", "names: {0: person}\nkpt_shape: [3, 3]\n")
    put(tmp_path / "labels/b.txt", "0 0.225 0.3 0.25 0.4 0.15 0.2 2.000000 0 0 0 0.3 0.45 1\n")
    (shape,) = read(tmp_path, "yolo", POSES).shapes
    assert shape.joints == PERSON.joints


def test_yolo_poses_of_two_numbers_a_joint_know_only_whether_it_is_there(tmp_path: Path):
    put(
        tmp_path / "data.yaml",
        "names: {0: person}\nkpt_shape: [3, 2]\nkpt_names:\n  0: [right_wrist, nose, left_wrist]\n",
    )
    put(tmp_path / "labels/b.txt", "0 0.225 0.3 0.25 0.4 0.3 0.45 0.15 0.2 0 0\n")
    (shape,) = read(tmp_path, "yolo", POSES).shapes
    assert shape.joints == (Joint(30, 20, 2), Joint(0, 0, 0), Joint(60, 45, 2))


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ("classes.txt", "labels/b.txt"),
        ("obj.names", "obj_train_data/a/b.txt"),
        ("classes.txt", "b.txt"),
    ],
)
def test_yolo_of_other_tools(names: str, labels: str, tmp_path: Path):
    put(tmp_path / names, "dog\ncat\n")
    put(tmp_path / "train.txt", "data/obj_train_data/a/b.jpg\n")
    put(tmp_path / labels, "1 0.225 0.3 0.25 0.4\n")
    assert read(tmp_path, "yolo", BOXES).shapes[0].box == pytest.approx(CAT.box, abs=1e-9)


def test_yolo_as_it_goes_out(tmp_path: Path):
    write(tmp_path / "out", "yolo", POSES, PERSON, tmp_path)
    text = (tmp_path / "out/labels/a/b.txt").read_text(encoding="utf-8")
    assert [float(word) for word in text.split()] == [
        0,
        0.225,
        0.3,
        0.25,
        0.4,
        0.15,
        0.2,
        2,
        0,
        0,
        0,
        0.3,
        0.45,
        1,
    ]
    data = yaml.safe_load((tmp_path / "out/data.yaml").read_text(encoding="utf-8"))
    assert data == {
        "train": "images",
        "val": "images",
        "names": {0: "person"},
        "kpt_shape": [3, 3],
        "flip_idx": [0, 2, 1],
        "kpt_names": {0: list(POSES.joints)},
    }


# ---------------------------------------------------------------- VOC: corners, from 1

VOC = """<annotation><folder>x</folder><filename>b.jpg</filename><size><width>200</width><height>100</height><depth>3</depth></size>
<object><name> cat </name><difficult>0</difficult><bndbox><xmin>21</xmin><ymin>11</ymin><xmax>71</xmax><ymax>51</ymax></bndbox>
<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object></annotation>"""


def test_voc_counts_from_one(tmp_path: Path):
    entry = read(put(tmp_path / "b.xml", VOC), "voc", BOXES)
    assert entry.shapes == (CAT,) and entry.size == (200, 100) and entry.name == "b.jpg"


def test_voc_as_it_goes_out(tmp_path: Path):
    write(tmp_path / "out", "voc", BOXES, CAT, tmp_path)
    root = ET.parse(tmp_path / "out/Annotations/a/b.xml").getroot()
    assert [
        root.findtext(f"object/bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")
    ] == ["21", "11", "71", "51"]
    assert root.findtext("filename") == "a/b.jpg" and root.findtext("size/width") == "200"
    assert (tmp_path / "out/ImageSets/Main/default.txt").read_text(encoding="utf-8") == "a/b\n"


def test_voc_ends_at_the_last_pixel(tmp_path: Path):
    write(tmp_path / "out", "voc", BOXES, Shape("cat", (0.0, 0.0, 200.0, 100.0)), tmp_path)
    root = ET.parse(tmp_path / "out/Annotations/a/b.xml").getroot()
    assert [
        root.findtext(f"object/bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")
    ] == ["1", "1", "200", "100"]


# ---------------------------------------------------------------- csv


@pytest.mark.parametrize(
    "text",
    [
        "file,class,seconds,state,by\nb.jpg,dog,3.5,,ann\n",
        "﻿file;class;seconds;state;by\r\nb.jpg;dog;3.5;labeled;ann\r\n\r\n",
        "File\tClass\tSeconds\tBy\tmore\nb.jpg\tdog\t3.5\tann\t7\n",
    ],
)
def test_tables_of_spreadsheets(text: str, tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8", newline="")
    entry = read(path, "csv", CLASSES)
    assert (entry.name, entry.state, entry.shapes) == ("b.jpg", "labeled", (Shape("dog"),))
    assert (entry.seconds, entry.by) == (3.5, "ann")


def test_a_table_in_utf_16_as_excel_saves_it(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_bytes("file\tclass\r\nb.jpg\tdog\r\n".encode("utf-16"))
    assert read(path, "csv", CLASSES).shapes == (Shape("dog"),)


@pytest.mark.parametrize(
    ("row", "state"),
    [
        ("b.jpg,,,", None),
        ("b.jpg,,,skipped", "skipped"),
        ("b.jpg,,,empty", "empty"),
        ("b.jpg,dog,,", "labeled"),
    ],
)
def test_the_states_of_a_table(row: str, state: str | None, tmp_path: Path):
    entry = read(put(tmp_path / "x.csv", f"file,class,seconds,state\n{row}\n"), "csv", CLASSES)
    assert entry.state == state
