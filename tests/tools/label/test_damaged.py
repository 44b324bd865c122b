"""Damaged exports: exactly what is said of each, and that the other image is taken all the same."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.tools.label import damagekit as kit
from tests.tools.label.damagekit import GONE, Damage, at, raw, text, without, zipped
from tests.tools.label.labelkit import LABELINGS
from tools.label.checking import check
from tools.label.formats import FORMATS, kinds, recognised, sources
from tools.label.formats.sources import Damaged

R0 = (0, "annotations", 0, "result", 0)
VALUE = (*R0, "value")
NAN, INF = float("nan"), float("inf")


def again(path: Path) -> Path:
    """The first task, twice in a file."""
    tasks = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps([tasks[0], *tasks]), encoding="utf-8")
    return path


def other_person(**changes: object) -> Damage:
    """A second annotation of the first task."""

    def damage(path: Path) -> Path:
        tasks = json.loads(path.read_text(encoding="utf-8"))
        tasks[0]["annotations"].append(tasks[0]["annotations"][0] | changes)
        path.write_text(json.dumps(tasks), encoding="utf-8")
        return path

    return damage


LABEL_STUDIO = [
    # of the file
    ("boxes", raw(b""), kinds.BROKEN_JSON),
    ("boxes", raw(b'[{"id": 1, "data": {"im'), kinds.BROKEN_JSON),
    ("boxes", raw(b"[" * 100_000), kinds.BROKEN_JSON),
    ("boxes", raw(b'"\xff\xfe\xff"'), kinds.BROKEN_JSON),
    ("boxes", at(to={"images": []}), kinds.WRONG_FORM),
    ("boxes", at(to=7), kinds.WRONG_FORM),
    ("boxes", at(to=[{"image": "a/1.jpg", "label": [], "annotation_id": 1}]), kinds.WRONG_FORM),
    ("boxes", at(to=[{"data": {"image": "a/1.jpg"}, "completions": []}]), kinds.WRONG_FORM),
    ("boxes", at(to=[{"data": {"image": "a/1.jpg"}, "predictions": []}]), kinds.WRONG_FORM),
    # of a task
    ("boxes", at(0, to=5), {"": [kinds.BROKEN_RECORD]}),
    ("boxes", at(0, "data", to=None), {"": [kinds.BROKEN_RECORD]}),
    ("boxes", at(0, "data", to={"n": 1}), {"": [kinds.NO_IMAGE]}),
    ("boxes", at(0, "data", to={"image": "x/9.jpg"}), {"x/9.jpg": [kinds.UNKNOWN_IMAGE]}),
    ("boxes", at(0, "data", to={"image": "2.jpg"}), {"2.jpg": [kinds.AMBIGUOUS_IMAGE]}),
    ("boxes", at(0, "data", "sha256", to="dd"), {"a/1.jpg": [kinds.CHANGED_IMAGE]}),
    ("boxes", at(0, "annotations", to="none"), {"a/1.jpg": [kinds.BROKEN_RECORD]}),
    ("boxes", at(0, "annotations", 0, "result", to=None), {"a/1.jpg": [kinds.BROKEN_RECORD]}),
    ("boxes", at(0, "annotations", 0, "was_cancelled", to="yes"), {"a/1.jpg": [kinds.BAD_STATE]}),
    ("boxes", at(0, "annotations", 0, "lead_time", to=-1), {"a/1.jpg": [kinds.BAD_SECONDS]}),
    ("boxes", at(0, "annotations", 0, "lead_time", to="1 h"), {"a/1.jpg": [kinds.BAD_SECONDS]}),
    ("boxes", other_person(completed_by=2), {"a/1.jpg": [kinds.TWO_PERSONS]}),
    ("boxes", other_person(completed_by=2, was_cancelled=True), {"a/1.jpg": [kinds.TWO_PERSONS]}),
    ("boxes", again, {"a/1.jpg": [kinds.TWICE]}),
    # of a region
    ("boxes", at(*R0, to="box"), {"a/1.jpg": [kinds.BROKEN_RECORD]}),
    ("boxes", at(*R0, "value", to=GONE), {"a/1.jpg": [kinds.BROKEN_RECORD]}),
    ("boxes", at(*R0, "type", to="polygonlabels"), {"a/1.jpg": [kinds.SHAPE]}),
    ("boxes", at(*R0, "type", to="keypointlabels"), {"a/1.jpg": [kinds.SHAPE]}),
    ("boxes", at(*R0, "type", to="choices"), {"a/1.jpg": [kinds.SHAPE]}),
    ("boxes", at(*R0, "type", to=["brush"]), {"a/1.jpg": [kinds.SHAPE]}),
    ("boxes", at(*VALUE, "rotation", to=30), {"a/1.jpg": [kinds.ROTATED]}),
    ("boxes", at(*VALUE, "rotation", to=NAN), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", at(*VALUE, "x", to="10"), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", at(*VALUE, "x", to=NAN), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", at(*VALUE, "width", to=INF), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", at(*VALUE, "width", to=10**400), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", at(*VALUE, "height", to=GONE), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", at(*VALUE, "x", to=-3), {"a/1.jpg": [kinds.SCALE]}),
    ("boxes", at(*VALUE, "x", to=150), {"a/1.jpg": [kinds.SCALE]}),
    ("boxes", at(*VALUE, "x", to=80), {"a/1.jpg": [kinds.BOX_OUTSIDE]}),
    ("boxes", at(*VALUE, "width", to=0.1), {"a/1.jpg": [kinds.SMALL_BOX]}),
    ("boxes", at(*VALUE, "rectanglelabels", to=["cta"]), {"a/1.jpg": [kinds.WRONG_CLASS]}),
    ("boxes", at(*VALUE, "rectanglelabels", to=[]), {"a/1.jpg": [kinds.NO_CLASS]}),
    ("boxes", at(*VALUE, "rectanglelabels", to=["cat", "dog"]), {"a/1.jpg": [kinds.SEVERAL_CLASSES]}),
    ("boxes", at(*R0, "image_rotation", to=90), {"a/1.jpg": [kinds.TURNED_IMAGE]}),
    ("boxes", at(*R0, "original_width", to=0), {"a/1.jpg": [kinds.WRONG_SIZE]}),
    ("boxes", at(*R0, "original_width", to=199), {"a/1.jpg": [kinds.WRONG_SIZE, kinds.WRONG_SIZE]}),
    ("boxes", text('"original_width": 200', '"original_width": 400', every=True), {"a/1.jpg": [kinds.WRONG_SIZE], "a/2.jpg": [kinds.WRONG_SIZE]}),
    ("poses", at(0, "annotations", 0, "result", 1, "parentID", to="r9"), {"a/1.jpg": [kinds.JOINT_ALONE]}),
    ("poses", at(0, "annotations", 0, "result", 1, "parentID", to=GONE), {"a/1.jpg": [kinds.JOINT_ALONE]}),
    ("poses", at(0, "annotations", 0, "result", 1, "value", "keypointlabels", to=["knee"]), {"a/1.jpg": [kinds.JOINT_NAME]}),
    ("poses", at(0, "annotations", 0, "result", 2, to=kit.RESULTS["poses"][1]), {"a/1.jpg": [kinds.JOINT_TWICE]}),
    ("poses", at(0, "annotations", 0, "result", 2, "id", to="r0"), {"a/1.jpg": [kinds.BROKEN_RECORD]}),
    ("classes", at(*VALUE, "choices", to=["cat", "dog"]), {"a/1.jpg": [kinds.SEVERAL_CLASSES]}),
    ("classes", at(*VALUE, "choices", to="cat"), {"a/1.jpg": [kinds.NO_CLASS]}),
    ("classes", at(0, "annotations", 0, "result", to=[]), {"a/1.jpg": [kinds.NO_CLASS]}),
    ("classes", at(*R0, to=kit.RESULTS["boxes"][0]), {"a/1.jpg": [kinds.SHAPE]}),
]  # fmt: skip

CVAT = [
    ("boxes", raw(b"<annotations><image"), kinds.BROKEN_XML),
    ("boxes", text("<annotations>", '<!DOCTYPE x [<!ENTITY a "b">]><annotations>'), kinds.REFUSED_XML),
    ("boxes", text('encoding="utf-8"', 'encoding="utf-99"'), kinds.BROKEN_XML),
    ("boxes", text("annotations>", "annotation>", every=True), kinds.WRONG_FORM),
    ("boxes", text("<version>", '<track id="0" label="cat"></track><version>'), kinds.WRONG_FORM),
    ("boxes", zipped("../annotations.xml"), kinds.LEADS_OUT),
    ("boxes", zipped("/annotations.xml"), kinds.LEADS_OUT),
    ("boxes", zipped("annotations.xml", cut=30), kinds.UNREADABLE),
    ("boxes", zipped("annotations.xml", flip=True), kinds.UNREADABLE),
    ("boxes", zipped("images/1.jpg", "images/2.jpg"), kinds.WRONG_FORM),
    ("boxes", text(' name="a/1.jpg"', ""), {"": [kinds.NO_IMAGE]}),
    ("boxes", text("a/1.jpg", "a/2.jpg"), {"a/2.jpg": [kinds.TWICE]}),
    ("boxes", text('width="200"', 'width="wide"'), {"a/1.jpg": [kinds.WRONG_SIZE]}),
    ("boxes", text('width="200" height="100"', 'width="100" height="200"'), {"a/1.jpg": [kinds.WRONG_SIZE]}),
    ("boxes", text("<box", "<ellipse"), {"a/1.jpg": [kinds.SHAPE]}),
    ("boxes", text("<box", '<polygon label="cat" points="1,1;2,2;3,1"/><box'), {"a/1.jpg": [kinds.SHAPE]}),
    ("boxes", text('label="cat"', 'label=""'), {"a/1.jpg": [kinds.NO_CLASS]}),
    ("boxes", text('label="cat"', 'label="Cat"'), {"a/1.jpg": [kinds.WRONG_CLASS]}),
    ("boxes", text('xtl="20"', 'xtl="nan"'), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", text('xtl="20"', 'xtl="2,0"'), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", text('xtl="20" ', ""), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", text('xtl="20"', 'xtl="20" rotation="12.5"'), {"a/1.jpg": [kinds.ROTATED]}),
    ("boxes", text('xtl="20"', 'xtl="90"'), {"a/1.jpg": [kinds.SMALL_BOX]}),
    ("boxes", text('xbr="70"', 'xbr="270"'), {"a/1.jpg": [kinds.BOX_OUTSIDE]}),
    ("boxes", text("<box", '<tag label="image: skipped"/><box'), {"a/1.jpg": [kinds.BAD_STATE]}),
    ("boxes", text("<box", '<tag label="good"/><box'), {"a/1.jpg": [kinds.SHAPE]}),
    ("poses", text("<points", "<box"), {"a/1.jpg": [kinds.SHAPE]}),
    ("poses", text('"nose"', '"Nose"'), {"a/1.jpg": [kinds.JOINT_NAME]}),
    ("poses", text('"nose"', '"left_wrist"'), {"a/1.jpg": [kinds.JOINT_TWICE]}),
    ("poses", text('<points label="nose" outside="0" occluded="0" points="30,20"/>', ""), {"a/1.jpg": [kinds.JOINT_COUNT]}),
    ("poses", text('occluded="0"', 'occluded="maybe"'), {"a/1.jpg": [kinds.VISIBILITY]}),
    ("poses", text("30,20", "30,20;40,20"), {"a/1.jpg": [kinds.COORDINATE]}),
    ("poses", text("30,20", "230,20"), {"a/1.jpg": [kinds.JOINT_OUTSIDE]}),
    ("classes", text("<tag", '<tag label="dog"/><tag'), {"a/1.jpg": [kinds.SEVERAL_CLASSES]}),
]  # fmt: skip

COCO = [
    ("boxes", raw(b'{"images": ['), kinds.BROKEN_JSON),
    ("boxes", at("categories", to=GONE), kinds.WRONG_FORM),
    ("boxes", at(to=[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]), kinds.WRONG_FORM),
    ("boxes", at("categories", 0, "name", to=5), kinds.WRONG_FORM),
    ("boxes", at("categories", to=[{"id": 1, "name": "cat"}] * 2), kinds.WRONG_FORM),
    ("poses", at("categories", 0, "keypoints", to=GONE), kinds.NO_NAMES),
    ("poses", at("categories", 0, "keypoints", 0, to="noes"), kinds.JOINT_NAME),
    ("boxes", at("images", 0, "file_name", to=GONE), {"": [kinds.NO_IMAGE]}),
    ("boxes", at("images", 1, "id", to=0), {"": [kinds.BROKEN_RECORD] * 2, "a/2.jpg": [kinds.BROKEN_RECORD]}),
    ("boxes", at("images", 0, "width", to="200"), {"a/1.jpg": [kinds.WRONG_SIZE]}),
    ("boxes", at("images", 0, "height", to=90), {"a/1.jpg": [kinds.WRONG_SIZE]}),
    ("boxes", at("images", 0, "file_name", to="b/2.jpg"), {"b/2.jpg": [kinds.WRONG_SIZE]}),
    ("boxes", at("annotations", 0, "image_id", to=7), {"": [kinds.BROKEN_RECORD]}),
    ("boxes", at("annotations", 0, "category_id", to=7), {"a/1.jpg": [kinds.NO_CLASS]}),
    ("boxes", at("categories", 0, "name", to="cow"), {"a/1.jpg": [kinds.WRONG_CLASS] * 2, "a/2.jpg": [kinds.WRONG_CLASS] * 2}),
    ("boxes", at("annotations", 0, "bbox", to=[1, 2, 3]), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", at("annotations", 0, "bbox", to=[1, 2, 3, NAN]), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", at("annotations", 0, "bbox", to=[20, 10, 220, 40]), {"a/1.jpg": [kinds.BOX_OUTSIDE]}),
    ("boxes", at("annotations", 0, "bbox", to=[20, 10, 0, 40]), {"a/1.jpg": [kinds.SMALL_BOX]}),
    ("boxes", at("annotations", 0, to={"image_id": 0, "category_id": 1, "segmentation": [[1, 2, 3, 4, 5, 6]]}), {"a/1.jpg": [kinds.SHAPE]}),
    ("boxes", at("annotations", 0, "attributes", to={"rotation": 10.0}), {"a/1.jpg": [kinds.ROTATED]}),
    ("boxes", at("annotations", 0, "iscrowd", to=1), {"a/1.jpg": [kinds.CROWD]}),
    ("boxes", at("annotations", 0, "ignore", to=1), {"a/1.jpg": [kinds.CROWD]}),
    ("poses", at("annotations", 0, "keypoints", to=GONE), {"a/1.jpg": [kinds.SHAPE]}),
    ("poses", at("annotations", 0, "keypoints", to=[1, 2, 2]), {"a/1.jpg": [kinds.JOINT_COUNT]}),
    ("poses", at("annotations", 0, "keypoints", 2, to=3), {"a/1.jpg": [kinds.VISIBILITY]}),
    ("poses", at("annotations", 0, "keypoints", 0, to=None), {"a/1.jpg": [kinds.COORDINATE]}),
    ("poses", at("annotations", 0, "keypoints", 0, to=-20), {"a/1.jpg": [kinds.JOINT_OUTSIDE]}),
]  # fmt: skip

FIRST = "labels/a/1.txt"
YOLO = [
    ("boxes", without("data.yaml"), kinds.NO_NAMES),
    ("boxes", raw(b"names: [cat, dog", "data.yaml"), kinds.BROKEN_YAML),
    ("boxes", raw(b"names: !!python/object/apply:os.system [ls]", "data.yaml"), kinds.BROKEN_YAML),
    ("boxes", raw(b"names: {cat: 0}", "data.yaml"), kinds.NO_NAMES),
    ("poses", text("kpt_shape: [3, 3]", "", "data.yaml"), kinds.NO_NAMES),
    ("poses", text("[3, 3]", "[17, 3]", "data.yaml"), kinds.JOINT_COUNT),
    ("poses", text("kpt_shape", "kpt_names: {0: [a, b, c]}\nkpt_shape", "data.yaml"), kinds.JOINT_NAME),
    ("boxes", raw(b"\xff\xff\xff", FIRST), {"a/1.jpg": [kinds.UNREADABLE]}),
    ("boxes", text("0 0.2", "cat 0.2", FIRST), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", text("0 0.2", "0.5 0.2", FIRST), {"a/1.jpg": [kinds.WRONG_CLASS]}),
    ("boxes", text("0 0.2", "3 0.2", FIRST), {"a/1.jpg": [kinds.WRONG_CLASS]}),
    ("boxes", text("cat", "cow", "data.yaml"), {"a/1.jpg": [kinds.WRONG_CLASS], "a/2.jpg": [kinds.WRONG_CLASS]}),
    ("boxes", text("0.4\n", "0.4 0.93\n", FIRST), {"a/1.jpg": [kinds.SHAPE]}),
    ("boxes", text("0.4\n", "0.4 0.1 0.2 0.3 0.4\n", FIRST), {"a/1.jpg": [kinds.SHAPE]}),
    ("boxes", text("0.225", "45", FIRST), {"a/1.jpg": [kinds.SCALE]}),
    ("boxes", text("0.225", "nan", FIRST), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", text("0.225", "0.1", FIRST), {"a/1.jpg": [kinds.BOX_OUTSIDE]}),
    ("boxes", text("0.25 0.4", "0.001 0.4", FIRST), {"a/1.jpg": [kinds.SMALL_BOX]}),
    ("poses", text(" 1\n", "\n", FIRST), {"a/1.jpg": [kinds.JOINT_COUNT]}),
    ("poses", text(" 2 0", " 0.9 0", FIRST), {"a/1.jpg": [kinds.VISIBILITY]}),
    ("poses", text("0.15", "30", FIRST), {"a/1.jpg": [kinds.SCALE]}),
]  # fmt: skip

FIRST = "Annotations/a/1.xml"
VOC = [
    ("boxes", raw(b"<annotation><obj", FIRST), {"a/1.jpg": [kinds.BROKEN_XML]}),
    ("boxes", raw(b"", FIRST), {"a/1.jpg": [kinds.BROKEN_XML]}),
    ("boxes", text("<annotation>", "<!DOCTYPE x><annotation>", FIRST), {"a/1.jpg": [kinds.REFUSED_XML]}),
    ("boxes", text("annotation>", "svg>", FIRST, every=True), {"a/1.jpg": [kinds.WRONG_FORM]}),
    ("boxes", text("a/1.jpg", "a/9.jpg", FIRST), {"a/9.jpg": [kinds.UNKNOWN_IMAGE]}),
    ("boxes", text("<width>200", "<width>x", FIRST), {"a/1.jpg": [kinds.WRONG_SIZE]}),
    ("boxes", text("<width>200", "<width>100", FIRST), {"a/1.jpg": [kinds.WRONG_SIZE]}),
    ("boxes", text("<name>cat</name>", "", FIRST), {"a/1.jpg": [kinds.NO_CLASS]}),
    ("boxes", text("cat", "cats", FIRST), {"a/1.jpg": [kinds.WRONG_CLASS]}),
    ("boxes", text("bndbox>", "polygon>", FIRST, every=True), {"a/1.jpg": [kinds.SHAPE]}),
    ("boxes", text("bndbox>", "robndbox>", FIRST, every=True), {"a/1.jpg": [kinds.ROTATED]}),
    ("boxes", text("<bndbox>", "<difficult>1</difficult><bndbox>", FIRST), {"a/1.jpg": [kinds.CROWD]}),
    ("boxes", text("<xmin>21", "<xmin>inf", FIRST), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", text("<xmax>71</xmax>", "", FIRST), {"a/1.jpg": [kinds.COORDINATE]}),
    ("boxes", text("<xmax>71", "<xmax>20", FIRST), {"a/1.jpg": [kinds.SMALL_BOX]}),
    ("boxes", text("<ymax>51", "<ymax>151", FIRST), {"a/1.jpg": [kinds.BOX_OUTSIDE]}),
]  # fmt: skip

CSV = [
    ("classes", raw(b""), kinds.WRONG_FORM),
    ("classes", text("class", "klass"), kinds.WRONG_FORM),
    ("classes", text("by\n", "class\n"), kinds.WRONG_FORM),
    ("classes", raw(b'file,class\n"a/1.jpg,cat\n'), kinds.BROKEN_TABLE),
    ("classes", raw(b"file,class\n\xe4.jpg,cat\n"), kinds.BROKEN_TABLE),
    ("classes", raw(b"file,class,p_bird,p_cat,p_dog\na/1.jpg,cat,0.1,0.8,0.1\n"), kinds.WRONG_FORM),
    ("classes", text("a/1.jpg", ""), {"": [kinds.NO_IMAGE]}),
    ("classes", text("a/1.jpg", "a/9.jpg"), {"a/9.jpg": [kinds.UNKNOWN_IMAGE]}),
    ("classes", text("a/1.jpg", "a/2.jpg"), {"a/2.jpg": [kinds.TWICE]}),
    ("classes", text("cat", "cta"), {"a/1.jpg": [kinds.WRONG_CLASS]}),
    ("classes", text("2.5", "soon"), {"a/1.jpg": [kinds.BAD_SECONDS]}),
    ("classes", text("2.5", "-2"), {"a/1.jpg": [kinds.BAD_SECONDS]}),
    ("classes", text("2.5,,", "2.5,skip,"), {"a/1.jpg": [kinds.BAD_STATE]}),
    ("classes", text("2.5,,", "2.5,skipped,"), {"a/1.jpg": [kinds.BAD_STATE]}),
    ("classes", text("cat,2.5,,", ",2.5,labeled,"), {"a/1.jpg": [kinds.NO_CLASS]}),
    ("classes", text("cat,2.5,,", ",2.5,empty,"), {"a/1.jpg": [kinds.NO_CLASS]}),
    ("classes", text("ann", "ann,and,more"), {"a/1.jpg": [kinds.BROKEN_RECORD]}),
]  # fmt: skip

ALL = {"label-studio": LABEL_STUDIO, "cvat": CVAT, "coco": COCO, "yolo": YOLO, "voc": VOC, "csv": CSV}  # fmt: skip
CASES = [
    pytest.param(name, kind, damage, said, id=f"{name}-{place}-{said if isinstance(said, str) else '+'.join(said)}")
    for name, cases in ALL.items()
    for place, (kind, damage, said) in enumerate(cases)
]  # fmt: skip


def test_there_are_many_of_each_format():
    assert all(len(cases) > 14 for cases in ALL.values()) and len(CASES) > 150


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, f in FORMATS.items() for k in sorted(f.kinds)])  # fmt: skip
def test_the_exports_are_sound_before_they_are_damaged(name: str, kind: str, tmp_path: Path):
    path = kit.sound(tmp_path / "export", name, kind)
    assert recognised(path) == name
    entries = FORMATS[name].load().read(path, LABELINGS[kind], kit.IMAGES)
    checked = check(entries, kit.IMAGES, LABELINGS[kind])
    assert checked.faults == {} and checked.notes == ()
    assert [answer.key for answer in checked.answers] == ["a/1.jpg", "a/2.jpg"]


@pytest.mark.parametrize(("name", "kind", "damage", "said"), CASES)
def test_what_is_said_of_damaged_exports(
    name: str, kind: str, damage: Damage, said: str | dict[str, list[str]], tmp_path: Path
):
    path = damage(kit.sound(tmp_path / "export", name, kind))
    read = FORMATS[name].load().read
    if isinstance(said, str):
        with pytest.raises(Damaged) as error:
            read(path, LABELINGS[kind], kit.IMAGES)
        assert error.value.fault.kind == said
        assert str(error.value).startswith(str(tmp_path))
        return
    checked = check(read(path, LABELINGS[kind], kit.IMAGES), kit.IMAGES, LABELINGS[kind])
    found = {key: [fault.kind for fault in faults] for key, faults in checked.faults.items()}
    assert found == said
    for faults in checked.faults.values():
        for fault in faults:
            assert fault.where.startswith(str(tmp_path)) and fault.remedy and fault.came
    taken = {answer.key for answer in checked.answers}
    assert taken.isdisjoint(said)
    assert "a/2.jpg" in taken or "a/2.jpg" in said


@pytest.mark.parametrize("more", ["", '<tag label="image: done"/>'])
def test_an_image_of_polygons_alone_is_not_empty(more: str, tmp_path: Path):
    path = kit.sound(tmp_path, "cvat", "boxes")
    box = '<box label="cat" xtl="20" ytl="10" xbr="70" ybr="50" occluded="0"/>'
    polygon = '<polygon label="cat" points="1,1;20,1;20,20"/>'
    path = text(box, polygon + more)(path)
    entries = FORMATS["cvat"].load().read(path, LABELINGS["boxes"], kit.IMAGES)
    checked = check(entries, kit.IMAGES, LABELINGS["boxes"], lenient=True)
    assert [fault.kind for fault in checked.faults["a/1.jpg"]] == [kinds.SHAPE]
    assert [answer.key for answer in checked.answers] == ["a/2.jpg"]


@pytest.mark.parametrize("kind", ["boxes", "poses"])
def test_every_json_of_a_folder_is_read_but_those_of_the_other_kind(kind: str, tmp_path: Path):
    """As in COCO's own folder, where objects and keypoints lie beside each other."""
    data = json.loads(kit.sound(tmp_path / "one", "coco", kind).read_text(encoding="utf-8"))
    folder = tmp_path / "annotations"
    folder.mkdir()
    own, other = ("instances", "person_keypoints")[:: 1 if kind == "boxes" else -1]
    halves = {f"{own}_train.json": data["images"][:1], "val.json": data["images"][1:]}
    for name, images in halves.items():
        ids = {image["id"] for image in images}
        records = [one for one in data["annotations"] if one["image_id"] in ids]
        part = {**data, "images": images, "annotations": records}
        (folder / name).write_text(json.dumps(part), encoding="utf-8")
    (folder / f"{other}_train.json").write_text("not read", encoding="utf-8")
    entries = FORMATS["coco"].load().read(folder, LABELINGS[kind], kit.IMAGES)
    assert [(entry.name, len(entry.shapes)) for entry in entries] == [
        ("a/1.jpg", 2),
        ("a/2.jpg", 2),
    ]


def test_a_file_that_is_not_there(tmp_path: Path):
    for name, known in FORMATS.items():
        kind = sorted(known.kinds)[0]
        with pytest.raises(Damaged, match="nothing at this path") as error:
            known.load().read(tmp_path / name, LABELINGS[kind], kit.IMAGES)
        assert error.value.fault.kind == kinds.MISSING


def test_files_that_are_too_large_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "FILE_BYTES", 100)
    for name, kind in (("label-studio", "boxes"), ("cvat", "boxes"), ("coco", "boxes")):
        path = kit.sound(tmp_path / name, name, kind)
        with pytest.raises(Damaged, match="at most 100 bytes") as error:
            FORMATS[name].load().read(path, LABELINGS[kind], kit.IMAGES)
        assert error.value.fault.kind == kinds.TOO_LARGE


def test_a_zip_that_unpacks_to_more_than_it_may_is_not_unpacked(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sources, "FILE_BYTES", 1 << 20)
    path = tmp_path / "export.xml"
    path.write_bytes(b"<annotations>" + b" " * (2 << 20) + b"</annotations>")
    with pytest.raises(Damaged) as error:
        FORMATS["cvat"].load().read(zipped_well(path), LABELINGS["boxes"], kit.IMAGES)
    assert error.value.fault.kind == kinds.TOO_LARGE


def zipped_well(path: Path) -> Path:

    archive = path.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(path, "annotations.xml")
    assert archive.stat().st_size < 10_000
    return archive


@pytest.mark.parametrize(
    ("name", "kind"), [("coco", "classes"), ("yolo", "classes"), ("voc", "classes"), ("voc", "poses"), ("csv", "boxes"), ("csv", "poses")]
)  # fmt: skip
def test_formats_refuse_kinds_that_they_cannot_hold(name: str, kind: str, tmp_path: Path):
    with pytest.raises(Damaged, match=f"a format that holds {kind}") as error:
        FORMATS[name].load().read(tmp_path, LABELINGS[kind], kit.IMAGES)
    assert error.value.fault.kind == kinds.KIND


def test_a_zip_with_windows_separators_is_read_and_one_with_a_name_twice_is_not(tmp_path: Path):
    folder = kit.sound(tmp_path / "voc", "voc", "boxes")
    content = (folder / "Annotations/a/1.xml").read_bytes()
    read = FORMATS["voc"].load().read
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as file:
        file.writestr("Annotations\\a\\1.xml", content)
        file.writestr("Annotations\\a\\2.xml", content.replace(b"1.jpg", b"2.jpg"))
    entries = read(tmp_path / "one.zip", LABELINGS["boxes"], kit.IMAGES)
    assert [entry.name for entry in entries] == ["a/1.jpg", "a/2.jpg"]
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as file:
        file.writestr("a.xml", content)
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.xml", content)
    with pytest.raises(Damaged, match="each name once") as error:
        read(tmp_path / "two.zip", LABELINGS["boxes"], kit.IMAGES)
    assert error.value.fault.kind == kinds.UNREADABLE


@pytest.mark.parametrize(
    ("name", "file", "image"),
    [("yolo", "labels/a/1.txt", "images/a/1.jpg"), ("voc", "Annotations/a/1.xml", "JPEGImages/a/1.jpg")],
)  # fmt: skip
def test_an_image_without_a_file_of_labels_can_be_declared_empty(
    name: str, file: str, image: str, tmp_path: Path
):
    folder = kit.sound(tmp_path / "export", name, "boxes")
    (folder / file).unlink()
    for one in (image, image.replace("1.jpg", "2.jpg"), image.replace("1.jpg", "other.jpg")):
        (folder / one).parent.mkdir(parents=True, exist_ok=True)
        (folder / one).write_bytes(b"")
    entries = FORMATS[name].load().read(folder, LABELINGS["boxes"], kit.IMAGES)
    checked = check(entries, kit.IMAGES, LABELINGS["boxes"])
    assert checked.unclear == ("a/1.jpg",) and checked.faults == {}
    declared = check(entries, kit.IMAGES, LABELINGS["boxes"], ["a/1.jpg"])
    states = {answer.key: answer.state for answer in declared.answers}
    assert states == {"a/1.jpg": "empty", "a/2.jpg": "labeled"}


@pytest.mark.parametrize("name", ["", "."])
def test_a_zip_with_a_file_without_a_name(name: str, tmp_path: Path):
    path = kit.zipped(name)(kit.sound(tmp_path / "export", "cvat", "boxes"))
    with pytest.raises(Damaged) as error:
        FORMATS["cvat"].load().read(path, LABELINGS["boxes"], kit.IMAGES)
    assert error.value.fault.kind == kinds.LEADS_OUT
