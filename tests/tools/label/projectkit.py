"""Small labeling projects: a folder of made images, the truth about it, and a config."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests import annotator, labelkit
from tools import al_label
from tools.label.labels import Joint, Shape
from tools.label.project import Project, read

CLASSES = ("bolt", "nut", "screw")
JOINTS = ("nose", "left_paw", "right_paw")
NAMES = tuple(f"{'night' if k % 3 else 'day'}/{k:02d}.png" for k in range(14))
TASKS = {
    "boxes": "from tasks.detection import Detection as Adapter\n"
    f"task = dict(type=Adapter, data_root='/nowhere', train=['none'], classes={CLASSES!r},\n"
    "    network='small_ssd', pretrained=None, augmentation='flip')\n",
    "poses": "from tasks.pose import Pose as Adapter\n"
    "task = dict(type=Adapter, data_root='/nowhere', network='simple:resnet10t', input_size=32,\n"
    "    format='coco', train=['a:b'], test_share=0.5, category='dog',\n"
    f"    joints={JOINTS!r})\n",
    "classes": "from tasks.classification import Classification as Adapter\n"
    f"task = dict(type=Adapter, data_root='/nowhere', classes={CLASSES!r}, input_size=32,\n"
    "    network='resnet10_cifar_w8', augmentation='resized_crop')\n",
}
REST = """
from torch.optim import SGD

training = dict(epochs=2, batch_size=4, workers=0, checkpoint_every=1,
    optimizer=dict(type=SGD, lr=0.01, momentum=0.9))
module = dict(width=8, detach_epoch=1)
scoring = dict(batch_size=8, workers=0)
committee = dict(members=2, passes=2, dropout=0.1, dropout_at=["*"])
strategy = "learning_loss"
subset = None
seed = 3
"""
LABEL = {"validation": 3, "random": 0.25, "blind": 0.25, "drafts": 0.45}
DRAFTS = {"poses": {"drafts": 0.0}}  # a network of two epochs is not sure of a joint


@dataclass
class Bench:
    """A project of a test.

    Args:
        root: holds photos, config.py and the project `run`.
        kind: of labels.
    """

    root: Path
    kind: str

    @property
    def photos(self) -> Path:
        return self.root / "photos"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def config(self) -> Path:
        return self.root / "config.py"

    @property
    def project(self) -> Project:
        return read(self.run)

    def call(self, *arguments: object) -> tuple[int, str]:
        """Run the command: its exit status, and all that it said."""
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            status = al_label.main([str(one) for one in arguments])
        return status, out.getvalue()

    def good(self, *arguments: object) -> str:
        """Run the command, which must end well."""
        status, said = self.call(*arguments)
        assert status == 0, said
        return said

    def init(self, *more: object) -> str:
        return self.good("init", self.config, "--images", self.photos, "--run", self.run, *more)

    def next(self, count: int, *more: object) -> str:
        return self.good("next", self.run, "--count", count, *more)

    def person(self, **settings) -> annotator.Person:
        return annotator.Person(self.truth(), **settings)

    def back(self, form: str, person: annotator.Person | None = None, *more: object) -> str:
        """Let a person label the newest batch, and add what comes back."""
        status, said = self.tried(form, person, *more)
        assert status == 0, said
        return said

    def tried(
        self, form: str, person: annotator.Person | None = None, *more: object
    ) -> tuple[int, str]:
        out = self.export(form, person)
        return self.call("add", self.run, out[0], *out[1:], *more)

    def export(self, form: str, person: annotator.Person | None = None) -> list[object]:
        """The file that comes back, and what else is to be given."""
        place = self.root / f"back{len(list(self.root.glob('back*')))}"
        out = place if form in ("yolo", "voc") else place.with_suffix(SUFFIXES[form])
        return [out, *annotator.answer(self.run, person or self.person(), form, out)]

    def truth(self) -> dict[str, list[Shape]]:
        """What is to be seen on each file that is there now, drawn from its bytes."""
        found = {}
        for path in self.photos.rglob("*"):
            if path.is_file():
                sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
                found[sha256] = shapes(self.kind, sha256)
        return found


SUFFIXES = {"label-studio": ".json", "cvat": ".xml", "coco": ".json", "csv": ".csv"}


def shapes(kind: str, sha256: str) -> list[Shape]:
    """One or two objects, by chance that the image's hash seeds; in boxes and poses none at times.

    Coordinates are quarters of pixels.
    """
    rng = np.random.default_rng(int(sha256[:12], 16))
    if kind == "classes":
        return [Shape(CLASSES[int(rng.integers(3))])]
    found = []
    for _ in range(int(rng.integers(1, 3))):
        x, y = rng.integers(0, 120) / 4, rng.integers(0, 80) / 4
        width, height = rng.integers(60, 160) / 4, rng.integers(60, 120) / 4
        box = (float(x), float(y), float(width), float(height))
        if kind == "boxes":
            found.append(Shape(CLASSES[int(rng.integers(3))], box))
            continue
        joints = []
        for _ in JOINTS:
            a, b = rng.integers(1, 4 * width) / 4, rng.integers(1, 4 * height) / 4
            joints.append(Joint(float(x + a), float(y + b), int(rng.integers(1, 3))))
        found.append(Shape("dog", box, tuple(joints)))
    return found


def bench(root: Path, kind: str, names: Sequence[str] = NAMES, more: str = "") -> Bench:
    """A folder of images, and a config beside it."""
    labelkit.make_images(root / "photos", names)
    settings = TASKS[kind] + REST + f"label = {LABEL | DRAFTS.get(kind, {})}\n" + more
    (root / "config.py").write_text(settings, encoding="utf-8")
    return Bench(root, kind)


def started(root: Path, kind: str, *options: str, names: Sequence[str] = NAMES) -> Bench:
    """A project of which nothing is labeled yet."""
    made = bench(root, kind, names)
    made.init(*(["--cfg-options", *options] if options else []))
    return made
