"""Small finished runs of every task, and Python that does not know this project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY
from tools import al_predict, al_train
from tools.data.sandbox import draw

HOMES = {"cls": "shapes", "det": "VOCdevkit", "pose": "figures"}  # of the drawn data
# the project is installed as editable: its packages are found from anywhere unless they are hidden
ALONE = """
import importlib.util, json, runpy, sys
from pathlib import Path

script, expression, out, repository = sys.argv[1:]
sys.meta_path = [one for one in sys.meta_path if "editable" not in str(one)]
sys.path = [p for p in sys.path if Path(p or ".").resolve() != Path(repository)]
names = ("models", "tasks", "acquisition", "tools", "tests")
assert not [name for name in names if importlib.util.find_spec(name)]
if Path("stand_in.py").exists():  # this machine's mmcv has no compiled operators
    sys.path.insert(0, ".")
    __import__("stand_in").install()
sys.path.insert(0, str(Path(script).parent))
import torch
torch.set_num_threads(1)
made = runpy.run_path(script)
with torch.inference_mode():
    value = eval(expression, {"torch": torch, **made})
torch.save(value, out)
"""


def sandbox(root: Path, kind: str, pool: int = 40, test: int = 20) -> Path:
    """Drawn data of a task; returns its `data_root`."""
    draw(kind, root, pool=pool, test=test)
    return root / HOMES[kind]


def run(folder: Path, kind: str, data: Path, **options: Any) -> Path:
    """A finished smoke run of a sandbox's config, two cycles of two epochs."""
    settings = {
        "task.data_root": str(data),
        "task.test_limit": None,
        "training.workers": 0,
        "scoring.workers": 0,
        "subset": None,
        **options,
    }
    config = REPOSITORY / "configs" / f"{kind}_sandbox.py"
    arguments = [str(config), "--smoke", "--strategy", "random", "--wandb", "disabled"]
    given = [f"{key}={value!r}" for key, value in settings.items()]
    assert al_train.main([*arguments, "--work-dir", str(folder), "--cfg-options", *given]) == 0
    return folder


def alone(script: Path, expression: str, folder: Path) -> Any:
    """The value of an expression after a script was run by a Python without this project."""
    import torch

    shutil.copy(REPOSITORY / "models/networks/mmcv_ops.py", folder / "stand_in.py")
    out = folder / "value.pt"
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    given = [str(script.absolute()), expression, str(out.absolute()), str(REPOSITORY)]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *given],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return torch.load(out, weights_only=True)


def json_of(path: Path) -> Any:
    """The content of a json."""
    return json.loads(path.read_text(encoding="utf-8"))


def predicted(run: Path, images: Path, out: Path, *more: object) -> int:
    """The exit status of a call in this process."""
    given = [run, "--images", images, "--out", out, "--workers", 0, *more]
    return al_predict.main([str(word) for word in given])


def as_coco(data: Path, names: list[str]) -> dict[str, Any]:
    """The boxes of the drawn scenes as COCO's json, read by mmdet's own reader of VOC."""
    from tasks.detection import Detection

    task = Detection(
        str(data),
        train=["VOC2007/trainval"],
        test=["VOC2007/test"],
        classes=names,
        network="small_ssd",
        pretrained=None,
    )
    found: dict[str, dict[str, Any]] = {}
    for split, part in (("train", task.pictures.train), ("test", task.pictures.tested)):
        images, annotations = [], []
        for k in range(len(part)):
            info = part.get_data_info(k)
            name = Path(info["img_path"]).name
            size = {"width": info["width"], "height": info["height"]}
            images.append({"id": k + 1, "file_name": name, **size})
            for box in info["instances"]:
                x1, y1, x2, y2 = map(float, box["bbox"])
                place = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
                one = {"id": len(annotations) + 1, "image_id": k + 1, "iscrowd": 0, **place}
                annotations.append({**one, "category_id": box["bbox_label"] + 1})
        categories = [{"id": k, "name": name} for k, name in enumerate(names, 1)]
        content = {"info": {}, "images": images, "annotations": annotations}
        found[split] = {**content, "categories": categories}
    return found
