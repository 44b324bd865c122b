"""Sound exports of each tool, small, and ways to damage them."""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.label.labels import PoolImage

IMAGES = {
    "a/1.jpg": PoolImage("a/1.jpg", Path("/pool/a/1.jpg"), (200, 100), "aa"),
    "a/2.jpg": PoolImage("a/2.jpg", Path("/pool/a/2.jpg"), (200, 100), "bb"),
    "b/2.jpg": PoolImage("b/2.jpg", Path("/pool/b/2.jpg"), (100, 200), "cc", turned=True),
}
GONE = object()  # the value is taken out


def _region(kind: str, value: dict, name: str, **more: object) -> dict:
    size = {"original_width": 200, "original_height": 100, "image_rotation": 0}
    return {"id": name, "type": kind, "from_name": "x", "to_name": "image", "value": value, **size, **more}  # fmt: skip


def _rectangle(label: str, name: str) -> dict:
    value = {"x": 10, "y": 10, "width": 25, "height": 40, "rotation": 0, "rectanglelabels": [label]}
    return _region("rectanglelabels", value, name)


def _point(label: str, name: str) -> dict:
    value = {"x": 15, "y": 20, "width": 0.5, "keypointlabels": [label]}
    return _region("keypointlabels", value, name, parentID="r0")


RESULTS = {
    "boxes": [_rectangle("cat", "r0"), _rectangle("dog", "r1")],
    "poses": [_rectangle("person", "r0"), _point("nose", "k0"), _rectangle("person", "r1")],
    "classes": [_region("choices", {"choices": ["cat"]}, "c0")],
}


def label_studio(kind: str) -> list[dict[str, Any]]:
    """Two tasks, each done by one person."""
    tasks = []
    for number, key in enumerate(("a/1.jpg", "a/2.jpg")):
        annotation = {
            "id": number,
            "completed_by": 1,
            "was_cancelled": False,
            "lead_time": 3.5,
            "updated_at": f"2026-01-0{number + 1}T00:00:00.5Z",
            "result": copy.deepcopy(RESULTS[kind]),
        }
        data = {"image": f"/data/local-files/?d=pool/{key}", "key": key, "sha256": "aabb"[2 * number :][:2]}  # fmt: skip
        tasks.append({"id": 10 + number, "data": data, "annotations": [annotation]})
    return tasks


def coco(kind: str) -> dict[str, Any]:
    """Two images with two annotations each."""
    category: dict[str, Any] = {"id": 1, "name": "cat"}
    extra: dict[str, Any] = {}
    if kind == "poses":
        category = {"id": 1, "name": "person", "keypoints": ["nose", "left_wrist", "right_wrist"]}
        extra = {"keypoints": [30, 20, 2, 0, 0, 0, 60, 45, 1]}
    images = [
        {"id": number, "file_name": key, "width": 200, "height": 100}
        for number, key in enumerate(("a/1.jpg", "a/2.jpg"))
    ]
    annotations = [
        {
            "id": number,
            "image_id": number // 2,
            "category_id": 1,
            "bbox": [20, 10, 50, 40],
            **copy.deepcopy(extra),
        }  # fmt: skip
        for number in range(4)
    ]
    return {"images": images, "annotations": annotations, "categories": [category]}


_POINTS = """<points label="nose" outside="0" occluded="0" points="30,20"/>
<points label="left_wrist" outside="1" occluded="0" points="0,0"/>
<points label="right_wrist" outside="0" occluded="1" points="60,45"/>"""
_INSIDE = {
    "boxes": '<box label="cat" xtl="20" ytl="10" xbr="70" ybr="50" occluded="0"/>',
    "poses": f'<skeleton label="person">{_POINTS}</skeleton>',
    "classes": '<tag label="cat"/>',
}


def cvat(kind: str) -> str:
    """Two images with one shape each."""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<image id="0" name="a/1.jpg" width="200" height="100">{_INSIDE[kind]}</image>
<image id="1" name="a/2.jpg" width="200" height="100">{_INSIDE[kind]}</image></annotations>"""


VOC = """<annotation><filename>{}</filename><size><width>200</width><height>100</height></size>
<object><name>cat</name><bndbox><xmin>21</xmin><ymin>11</ymin><xmax>71</xmax><ymax>51</ymax></bndbox>
</object></annotation>"""
CSV = "file,class,seconds,state,by\na/1.jpg,cat,2.5,,ann\na/2.jpg,dog,,,\n"
LINES = {
    "boxes": "0 0.225 0.3 0.25 0.4\n1 0.5 0.5 0.1 0.1\n",
    "poses": "0 0.225 0.3 0.25 0.4 0.15 0.2 2 0 0 0 0.3 0.45 1\n",
}
NAMES = {
    "boxes": "names: [cat, dog, traffic light]\n",
    "poses": "names: [person]\nkpt_shape: [3, 3]\n",
}


def sound(folder: Path, name: str, kind: str) -> Path:
    """Write a sound export; of folders the folder is what is given."""
    folder.mkdir(parents=True, exist_ok=True)
    if name in ("label-studio", "coco"):
        data: object = label_studio(kind) if name == "label-studio" else coco(kind)
        return _put(folder / "export.json", json.dumps(data))
    if name == "cvat":
        return _put(folder / "annotations.xml", cvat(kind))
    if name == "csv":
        return _put(folder / "labels.csv", CSV)
    for key in ("a/1", "a/2"):
        if name == "voc":
            _put(folder / f"Annotations/{key}.xml", VOC.format(f"{key}.jpg"))
        else:
            _put(folder / f"labels/{key}.txt", LINES[kind])
            _put(folder / "data.yaml", NAMES[kind])
    return folder


def _put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


Damage = Callable[[Path], Path]


def at(*place: object, to: object) -> Damage:
    """Change the value at a place of a json; GONE takes it out."""

    def damage(path: Path) -> Path:
        data = json.loads(path.read_text(encoding="utf-8"))
        holder: Any = data
        for part in place[:-1]:
            holder = holder[part]
        if to is GONE:
            del holder[place[-1]]
        elif place:
            holder[place[-1]] = to
        else:
            data = to
        return _put(path, json.dumps(data))

    return damage


def text(old: str, new: str, file: str = "", every: bool = False) -> Damage:
    """Replace a text once, or everywhere."""

    def damage(path: Path) -> Path:
        target = path / file if file else path
        content = target.read_text(encoding="utf-8")
        assert old in content
        _put(target, content.replace(old, new) if every else content.replace(old, new, 1))
        return path

    return damage


def raw(content: bytes, file: str = "") -> Damage:
    """Replace a whole file."""

    def damage(path: Path) -> Path:
        (path / file if file else path).write_bytes(content)
        return path

    return damage


def without(file: str) -> Damage:
    """Take a file out."""

    def damage(path: Path) -> Path:
        (path / file).unlink()
        return path

    return damage


def zipped(*names: str, cut: int = 0, flip: bool = False) -> Damage:
    """Zip a file under names; with `cut` bytes missing, or one changed."""

    def damage(path: Path) -> Path:
        archive = path.with_suffix(".zip")
        with zipfile.ZipFile(archive, "w") as file:
            for name in names:
                file.writestr(zipfile.ZipInfo(name), path.read_bytes())
        content = bytearray(archive.read_bytes())
        if flip:
            content[60] ^= 0xFF
        archive.write_bytes(bytes(content[: len(content) - cut]))
        return archive

    return damage
