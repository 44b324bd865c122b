"""VOC's form as tools and people lay it out: where images and XML lie, what stands in
lists, what XML look like.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tasks.base import DataError
from tasks.detection import Detection, views
from tasks.detection.voc_faults import voc_faults
from tasks.images import ImageCheck
from tests import devkit
from tests.devkit import CLASSES, ORDER, SCENES

LIST = "VOC2007/ImageSets/Main/trainval.txt"
EFFORT = [len(objects) for _, objects in SCENES.values()]


def found(root: Path, *entries: str, full: bool = False) -> list[str]:
    return [str(fault) for fault in voc_faults(root, entries, CLASSES, look=ImageCheck(full))]


def names(root: Path, *entries: str, **settings) -> list[str]:
    """What the samples are called, after check and reading."""
    task = devkit.detection(root, train=list(entries), test=list(entries), **settings)
    assert task.check(full=True) == []
    pool = task.dataset("pool")
    for i in range(len(pool)):
        assert pool[i]["data_samples"].img_path == str(root / task.name(i))
    return [task.name(i) for i in range(len(pool))]


def boxes(root: Path, *entries: str) -> list[list[list[int]]]:
    dataset = views.read_voc(root, entries, CLASSES, [], train=False)
    return [[b["bbox"] for b in dataset.get_data_info(i)["instances"]] for i in range(len(dataset))]


def plain(root: Path, images: str, xmls: str, suffix: str = ".jpg") -> Path:
    """The scenes in two folders below `root`, or in one."""
    devkit.make_voc(root / "devkit")
    for kind, folder, end in (("JPEGImages", images, suffix), ("Annotations", xmls, ".xml")):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for path in (root / "devkit/VOC2007" / kind).iterdir():
            path.rename(root / folder / f"{path.stem}{end}")
    shutil.rmtree(root / "devkit")
    return root


# ---------------------------------------------------------------- where files lie


@pytest.mark.parametrize("images, xmls, entry", [
    ("train", "train", "train"),
    ("data/train", "data/train", "data/train"),
    (".", ".", "."),
    ("images", "annotations", "images:annotations"),
    ("train/images", "train/labels", "train/images:train/labels"),
])  # fmt: skip
def test_folders_without_lists(tmp_path: Path, images: str, xmls: str, entry: str) -> None:
    """Roboflow's and labelImg's: images beside XML, or in a folder of their own.

    Samples come by their paths.
    """
    plain(tmp_path, images, xmls)
    where = "" if images == "." else f"{images}/"
    assert names(tmp_path, entry) == [f"{where}{name}.jpg" for name in sorted(SCENES)]
    task = devkit.detection(tmp_path, train=[entry], test=[entry])
    assert [task.effort(i) for i in range(6)] == [len(SCENES[name][1]) for name in sorted(SCENES)]


def test_the_devkit_is_read_as_mmdet_reads_it(tmp_path: Path) -> None:
    from mmdet.datasets import VOCDataset

    devkit.make_voc(tmp_path)
    options = dict(metainfo=dict(classes=CLASSES), pipeline=[], filter_cfg=None, test_mode=True)
    prefix = dict(sub_data_root="VOC2007/")
    theirs = VOCDataset(data_root=str(tmp_path), ann_file=LIST, data_prefix=prefix, **options)
    ours = views.read_voc(tmp_path, ["VOC2007/trainval"], CLASSES, [], train=False)
    assert len(ours) == len(theirs) == 6
    for i in range(6):
        assert ours.get_data_info(i) == theirs.get_data_info(i)


def test_the_root_may_be_the_devkit_itself(tmp_path: Path) -> None:
    """As CVAT exports it: no folder of a year."""
    devkit.make_voc(tmp_path)
    assert names(tmp_path / "VOC2007", "trainval") == [f"JPEGImages/{name}.jpg" for name in ORDER]


def test_a_list_comes_before_a_folder_of_its_name(tmp_path: Path) -> None:
    devkit.make_voc(tmp_path)
    for folder in ("JPEGImages", "Annotations"):
        shutil.copytree(
            tmp_path / "VOC2007" / folder, tmp_path / "VOC2007/trainval", dirs_exist_ok=True
        )
    devkit_names = names(tmp_path, "VOC2007/trainval")
    assert devkit_names == [f"VOC2007/JPEGImages/{name}.jpg" for name in ORDER]
    folder = names(tmp_path, "VOC2007/trainval:VOC2007/trainval")
    assert folder == [f"VOC2007/trainval/{name}.jpg" for name in sorted(SCENES)]


def test_a_list_of_ones_own_in_two_folders(tmp_path: Path) -> None:
    plain(tmp_path, "images", "annotations")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/some.txt").write_text("000021\n000005\n")
    assert names(tmp_path, "images:annotations:lists/some.txt") == [
        "images/000021.jpg",
        "images/000005.jpg",
    ]


def test_sub_folders_links_and_litter(tmp_path: Path) -> None:
    """Samples in folders below count, also behind a link.

    What systems leave does not, nor a link that leads back.
    """
    plain(tmp_path, "images/a", "annotations/a")
    (tmp_path / "images/a/back").symlink_to(tmp_path / "images")
    for folder in ("images", "annotations"):
        (tmp_path / "elsewhere" / folder).mkdir(parents=True)
        (tmp_path / folder / "b").symlink_to(tmp_path / "elsewhere" / folder)
    (tmp_path / "images/a/000001.jpg").rename(tmp_path / "images/b/000001.jpg")
    (tmp_path / "annotations/a/000001.xml").rename(tmp_path / "annotations/b/000001.xml")
    for litter in ("._000003.jpg", ".DS_Store", "Thumbs.db", "README.roboflow.txt", "classes.txt"):
        (tmp_path / "images/a" / litter).write_text("no image")
    (tmp_path / "images/__MACOSX").mkdir()
    (tmp_path / "images/__MACOSX/000003.jpg").write_text("no image")
    right = [f"images/a/{name}.jpg" for name in sorted(SCENES) if name != "000001"] + [
        "images/b/000001.jpg"
    ]
    assert names(tmp_path, "images:annotations") == right
    task = devkit.detection(
        tmp_path, train=["images:annotations"], test=["images:annotations"], difficult="train"
    )
    note, other = task.notes()
    assert other.startswith(
        "train: 2 files are skipped that are neither images nor XML: 'README.roboflow.txt', 'classes"
    )
    assert (
        note.startswith("train: 4 files and folders without data are skipped: 1 ")
        and "'__MACOSX'" in note
    )


def test_several_folders_number_from_one_each(tmp_path: Path) -> None:
    for home in ("A", "B", "C"):
        plain(tmp_path, home, home)
    devkit.make_voc(tmp_path)
    (tmp_path / "VOC2007").rename(tmp_path / "VOC2008")
    devkit.make_voc(tmp_path)
    everything = names(tmp_path, "A", "B", "VOC2007/trainval", "VOC2008/trainval")
    assert len(set(everything)) == len(everything) == 24
    both = found(tmp_path, "A", "A")
    assert len(both) == 6 and all("expected every image once in a split" in line for line in both)
    plain(tmp_path / "C", "D", "D")
    assert len(found(tmp_path, "C/D", "C")) == 6  # a folder, and the one around it


def test_names_are_those_of_the_place(tmp_path: Path) -> None:
    task = devkit.detection(devkit.make_voc(tmp_path))
    assert [task.name(i) for i in range(6)] == [f"VOC2007/JPEGImages/{name}.jpg" for name in ORDER]


# ---------------------------------------------------------------- what is not there


@pytest.mark.parametrize("entry, said", [
    ("valid", "'valid', which is neither a list nor a folder"),
    ("images:labels", "labels: expected folder (a folder), but got nothing at this path"),
    ("images", "in {root}/images, but got 6 images and 0 XML files, none of one name; for COCO's json"),
    (".", "but got 6 images and 6 XML files, none of one name; name the two folders, such as '<entry>/images:"),
    ("annotations:images", "but got 0 images and 0 XML files"),
    ("images:../annotations", "'images:../annotations'; write paths below data_root"),
    ("images:annotations:none.txt", "none.txt: expected list (a file), but got nothing at this path"),
])  # fmt: skip
def test_an_entry_that_leads_nowhere(tmp_path: Path, entry: str, said: str) -> None:
    """One line that says the forms, what is there, and what to write."""
    plain(tmp_path, "images", "annotations")
    (line,) = found(tmp_path, entry)
    assert said.format(root=tmp_path) in line
    if entry == "valid":
        assert (
            "'VOC2007/trainval' (a list), 'train' (a folder) or 'images:annotations' (two folders)"
            in line
        )
        assert "it holds 'annotations', 'images'" in line
    with pytest.raises(DataError, match="expected"):
        views.read_voc(tmp_path, [entry], CLASSES, [], train=True)


def test_an_image_without_xml_and_an_xml_without_image(tmp_path: Path) -> None:
    plain(tmp_path, "train", "train")
    (tmp_path / "train/000001.xml").unlink()
    (tmp_path / "train/000003.jpg").unlink()
    first, second = found(tmp_path, "train")
    assert (
        first.startswith(str(tmp_path / "train/000001.xml"))
        and "or take the image away; labelImg" in first
    )
    assert (
        second.startswith(str(tmp_path / "train/000003.jpg")) and "or take its XML away" in second
    )


def test_two_images_of_one_xml(tmp_path: Path) -> None:
    plain(tmp_path, "train", "train")
    shutil.copy(tmp_path / "train/000001.jpg", tmp_path / "train/000001.png")
    (line,) = found(tmp_path, "train")
    assert "one image of the name '000001', but got '000001.jpg' and '000001.png'" in line


# ---------------------------------------------------------------- suffixes and lists


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".jpeg", ".JPEG", ".bmp", ".tif", ".webp"])
def test_images_of_another_suffix(tmp_path: Path, suffix: str) -> None:
    for path in list((devkit.make_voc(tmp_path) / "VOC2007/JPEGImages").iterdir()):
        with Image.open(path) as image:
            pixels = image.convert("RGB")
        path.unlink()
        pixels.save(path.with_suffix(suffix))
    assert names(tmp_path, "VOC2007/trainval") == [
        f"VOC2007/JPEGImages/{name}{suffix}" for name in ORDER
    ]


def test_vocs_own_suffix_comes_first(tmp_path: Path) -> None:
    """A copy beside it changes nothing; without it two others are one too many."""
    folder = devkit.make_voc(tmp_path) / "VOC2007/JPEGImages"
    (folder / "000001.png").write_text("a copy")
    assert names(tmp_path, "VOC2007/trainval")[-1] == "VOC2007/JPEGImages/000001.jpg"
    (folder / "000001.jpg").rename(folder / "000001.jpeg")
    lines = found(tmp_path, "VOC2007/trainval")
    assert "'000001.jpeg' and '000001.png'; take all but one away" in lines[0]


@pytest.mark.parametrize("change", [
    lambda ids: [f"{name}.jpg" for name in ids],
    lambda ids: [f"{name}.xml" for name in ids],
    lambda ids: ["\ufeff" + ids[0], *ids[1:]],
    lambda ids: [f"./{name}" for name in ids],
])  # fmt: skip
def test_names_in_lists_as_they_are_written(tmp_path: Path, change) -> None:
    devkit.make_voc(tmp_path)
    right = names(tmp_path, "VOC2007/trainval")
    (tmp_path / LIST).write_text("".join(f"{line}\n" for line in change(ORDER)), encoding="utf-8")
    assert names(tmp_path, "VOC2007/trainval") == right


def test_an_id_may_look_like_a_file(tmp_path: Path) -> None:
    """Roboflow's names hold the old suffix; an id that has an XML is an id."""
    devkit.make_voc(tmp_path)
    for folder, end in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
        for name in ORDER:
            home = tmp_path / "VOC2007" / folder
            (home / f"{name}{end}").rename(home / f"{name}.png{end}")
    (tmp_path / LIST).write_text("".join(f"{name}.png\n" for name in ORDER))
    assert names(tmp_path, "VOC2007/trainval") == [
        f"VOC2007/JPEGImages/{name}.png.jpg" for name in ORDER
    ]


def test_windows_separators_in_a_list(tmp_path: Path) -> None:
    home = devkit.make_voc(tmp_path) / "VOC2007"
    for folder, end in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
        (home / folder / "sub").mkdir()
        for name in ORDER:
            (home / folder / f"{name}{end}").rename(home / folder / f"sub/{name}{end}")
    (tmp_path / LIST).write_text("\r\n".join(f"sub\\{name}" for name in ORDER))
    assert names(tmp_path, "VOC2007/trainval") == [
        f"VOC2007/JPEGImages/sub/{name}.jpg" for name in ORDER
    ]
    (tmp_path / LIST).write_text("..\\000001\n")
    (line,) = found(tmp_path, "VOC2007/trainval")
    assert "expected a one-line path below the list's folder, but got '../000001'" in line


# ---------------------------------------------------------------- XML

XML = "VOC2007/Annotations/000012.xml"
SIZE = "<size><width>120</width><height>90</height><depth>3</depth></size>"


def changed(root: Path, old: str, new: str, encoding: str = "utf-8") -> None:
    text = (devkit.make_voc(root) / XML).read_text()
    assert old in text
    (root / XML).write_bytes(text.replace(old, new).encode(encoding))


@pytest.mark.parametrize("size", [
    "", "<size/>", "<size></size>", "<size><width/><height/><depth/></size>", "<size><depth>3</depth></size>",
    "<size><width>0</width><height>0</height><depth>3</depth></size>",
    "<size><width>120.0</width><height> 90 </height></size>",
])  # fmt: skip
def test_a_size_that_says_nothing_is_the_images_own(tmp_path: Path, size: str) -> None:
    changed(tmp_path, SIZE, size)
    assert len(names(tmp_path, "VOC2007/trainval")) == 6
    task = devkit.detection(tmp_path)
    info = task.pictures.train.get_data_info(0)
    assert (info["width"], info["height"]) == (120, 90)
    assert task.traits(0) == devkit.detection(devkit.make_voc(tmp_path / "again")).traits(0)


def test_a_size_is_of_the_image_as_it_is_turned(tmp_path: Path) -> None:
    changed(tmp_path, SIZE, "")
    path, exif = tmp_path / "VOC2007/JPEGImages/000012.jpg", Image.Exif()
    exif[0x0112] = 6
    with Image.open(path) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    assert len(names(tmp_path, "VOC2007/trainval")) == 6
    info = devkit.detection(tmp_path).pictures.train.get_data_info(0)
    assert (info["width"], info["height"]) == (120, 90)


@pytest.mark.parametrize("old, new", [
    ("<annotation>", "<annotation verified='yes'><folder>img</folder><filename>IMG 1</filename>"
                     "<path>C:\\Users\\a b\\IMG "
                     "1.jpg</path><source><database>Unknown</database></source>"),
    ("<name>dog</name>", "<name>\n\t\tdog\n\t</name><pose>Unspecified</pose><truncated>0</truncated>"),
    ("<difficult>0</difficult>", "<occluded>0</occluded><attributes><attribute><name>id</name></attribute>"
                                 "</attributes>"),
    ("<xmin>11</xmin><ymin>11</ymin>", "<ymin>11.484375</ymin><xmin>\n 11.9 \n</xmin>"),
    ("</bndbox>", "</bndbox><polygon><x1>11</x1><y1>11</y1><x2>60</x2><y2>60</y2></polygon>"),
    ("<annotation>", "<?xml version='1.0' encoding='GBK'?><annotation><path>D:\\图片\\1.jpg</path>"),
    ("<annotation>", "\ufeff<annotation>"),
    ("<annotation>", "<!-- labelImg --><annotation><?note x?>"),
])  # fmt: skip
def test_xml_as_tools_write_it(tmp_path: Path, old: str, new: str) -> None:
    """labelImg, CVAT, Labelbox, Roboflow, editors: the boxes are the same."""
    devkit.make_voc(tmp_path / "usual")
    changed(tmp_path, old, new, "gbk" if "GBK" in new else "utf-8")
    assert len(names(tmp_path, "VOC2007/trainval")) == 6
    assert boxes(tmp_path, "VOC2007/trainval") == boxes(tmp_path / "usual", "VOC2007/trainval")


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-8-sig", "latin-1", "gbk", "big5", "shift_jis", "euc-kr"]
)
def test_class_names_in_every_encoding_that_is_named(tmp_path: Path, encoding: str) -> None:
    name = {"latin-1": "chaîne", "euc-kr": "고양이"}.get(encoding, "犬")
    text = (devkit.make_voc(tmp_path) / XML).read_text().replace(">dog<", f">{name}<")
    head = f"<?xml version='1.0' encoding='{encoding.removesuffix('-sig')}'?>"
    (tmp_path / XML).write_bytes((head + text).encode(encoding))
    settings = dict(classes=[*CLASSES, name], train=["VOC2007/trainval"], test=["VOC2007/trainval"])
    task = devkit.detection(tmp_path, **settings)
    assert task.check() == [] and task.traits(0)["class"] == [name, "cat"]


@pytest.mark.parametrize("new, said", [
    ("<robndbox><cx>3</cx></robndbox>", "one <bndbox> in <object>, but got none (but <robndbox>)"),
    ("<polygon><x1>11</x1></polygon>", "one <bndbox> in <object>, but got none (but <polygon>)"),
    ("", "one <bndbox> in <object>, but got none;"),
])  # fmt: skip
def test_an_object_without_box_says_what_it_has(tmp_path: Path, new: str, said: str) -> None:
    box = "<bndbox><xmin>11</xmin><ymin>11</ymin><xmax>60</xmax><ymax>60</ymax></bndbox>"
    changed(tmp_path, box, new)
    (line,) = found(tmp_path, "VOC2007/trainval")
    assert said in line and "object 1" in line


def test_text_that_is_not_utf8_and_does_not_say_what_it_is(tmp_path: Path) -> None:
    changed(tmp_path, "<annotation>", "<annotation><path>D:\\照片\\1.jpg</path>", "gbk")
    (line,) = found(tmp_path, "VOC2007/trainval")
    assert "ParseError: not well-formed" in line and "name its encoding in the first line" in line


def test_no_entity_hides_in_an_encoding(tmp_path: Path) -> None:
    """UTF-7 can write the mark of a DOCTYPE in letters."""
    text = (
        "<?xml version='1.0' encoding='utf-7'?>+ADwAIQ-DOCTYPE a [+ADwAIQ-ENTITY x "
        "'y'>]><annotation/>"
    )
    (devkit.make_voc(tmp_path) / XML).write_bytes(text.encode())
    (line,) = found(tmp_path, "VOC2007/trainval")
    assert "XML without DOCTYPE and ENTITY" in line


# ------------------------------------------------------------- a part of the images as the test set


def split(root: Path, **settings) -> tuple[list[str], list[str]]:
    task: Detection = devkit.detection(root, **settings)
    assert task.check() == []
    both = []
    for view in ("pool", "test"):
        dataset = task.dataset(view)
        paths = [dataset[i]["data_samples"].img_path for i in range(len(dataset))]
        assert [str(source.file) for source in task.sources(view)] == paths
        both.append([os.path.relpath(path, root) for path in paths])
    assert [task.name(i) for i in range(len(both[0]))] == both[0]
    return both[0], both[1]


def many(root: Path, count: int) -> Path:
    """`count` images, number k with k % 3 boxes, in labelImg's two folders."""
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    box = "<object><name>cat</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
    for k in range(count):
        pixels = np.random.default_rng(k).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        assert cv2.imwrite(str(root / f"images/{k:03d}.jpg"), pixels)
        (root / f"annotations/{k:03d}.xml").write_text(f"<annotation>{box * (k % 3)}</annotation>")
    return root


@pytest.mark.parametrize("share, count", [(0.25, 10), (0.2, 8), (0.001, 1), (0.999, 39)])
def test_a_share_is_drawn_once_for_all(tmp_path: Path, share: float, count: int) -> None:
    options = dict(train=["images:annotations"], test=[], test_share=share)
    pool, test = split(many(tmp_path, 40), **options)
    assert len(test) == count and sorted([*pool, *test]) == [
        f"images/{k:03d}.jpg" for k in range(40)
    ]
    assert pool == sorted(pool) and test == sorted(test)  # in the order of the whole
    assert split(tmp_path, **options) == (pool, test)
    if 1 < count < 39:
        assert split(tmp_path, **options, split_seed=1)[1] != test


def test_the_draw_hangs_on_names_alone(tmp_path: Path) -> None:
    """Not on the order of the lists; and an image more moves at most one other."""
    many(tmp_path / "a", 20)
    many(tmp_path / "b", 20)
    options = dict(test=[], test_share=0.25)
    _, forth = split(
        tmp_path, train=["a/images:a/annotations", "b/images:b/annotations"], **options
    )
    _, back = split(tmp_path, train=["b/images:b/annotations", "a/images:a/annotations"], **options)
    assert len(forth) == 10 and set(forth) == set(back)
    for folder, end in (("images", "jpg"), ("annotations", "xml")):
        shutil.copy(tmp_path / f"a/{folder}/019.{end}", tmp_path / f"a/{folder}/020.{end}")
    _, more = split(tmp_path, train=["a/images:a/annotations", "b/images:b/annotations"], **options)
    assert len(set(more) ^ set(forth)) <= 2


def test_the_drawn_test_set_is_judged(tmp_path: Path) -> None:
    """Boxes, classes and effort go with their image, of COCO's json too."""
    devkit.make_coco(tmp_path)
    options = dict(format="coco", train=["images:train.json"], test=[], test_share=0.5)
    pool, test = split(tmp_path, **options)
    task = devkit.detection(tmp_path, **options)
    assert len(pool) == len(test) == 3
    assert [task.effort(i) for i in range(3)] == [len(SCENES[Path(name).stem][1]) for name in pool]
    metric = task.evaluator()
    metric.dataset_meta = task.dataset("test").metainfo
    network = task.build().eval()
    for i in range(3):
        judged = task.predict(network, task.collate([task.dataset("test")[i]]))[0]
        judged.pred_instances = judged.gt_instances.clone()
        judged.pred_instances.scores = judged.pred_instances.labels + 0.5
        metric.process({}, [judged.to_dict()])
    assert metric.evaluate(3)["mAP"] == pytest.approx(1.0)


@pytest.mark.parametrize("settings, said", [
    (dict(test=[]), "task.test: expected lists or folders, but got none; name them, or set task.test_share=0.2"),
    (dict(test=["b"], test_share=0.2), "task.test_share: expected None beside `test`"),
    (dict(train=[], test=[], test_share=0.2), "task.train: expected lists or folders, but got none"),
])  # fmt: skip
def test_a_test_set_is_named_or_drawn(tmp_path: Path, settings: dict, said: str) -> None:
    plain(tmp_path, "train", "train")
    lines = devkit.detection(tmp_path, **(dict(train=["train"]) | settings)).check()
    assert any(said in line for line in lines), lines
