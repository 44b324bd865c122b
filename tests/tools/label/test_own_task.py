"""The journey with a task of one's own, whose code lies beside its config."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests import annotator, labelkit
from tests.conftest import REPOSITORY
from tests.tools.label.projectkit import NAMES, REST, Bench
from tools.label.curve import curve
from tools.label.labels import Shape


@pytest.fixture
def made(tmp_path: Path, monkeypatch) -> Bench:
    """A config with its adapter beside it, of a name that nothing else has."""
    labelkit.make_images(tmp_path / "photos", NAMES)
    home = tmp_path / "mine"
    home.mkdir()
    shutil.copy(REPOSITORY / "tests/examples/bolts.py", home / "adapter_of_bolts.py")
    head = "from adapter_of_bolts import Bolts\ntask = dict(type=Bolts)\n"
    (home / "config.py").write_text(f"{head}{REST}label = dict(validation=3, blind=0)\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield Own(tmp_path, "classes")
    sys.modules.pop("adapter_of_bolts", None)


class Own(Bench):
    @property
    def config(self) -> Path:
        return self.root / "mine/config.py"


def person(made: Bench) -> annotator.Person:
    return annotator.Person(
        {sha256: [Shape(("bolt", "nut")[int(sha256[0], 16) % 2])] for sha256 in made.truth()}
    )


def test_the_journey(made: Bench, monkeypatch):
    made.init()
    made.next(7, "--export", "csv")
    made.back("csv", person(made))
    # another process knows nothing of the folder of the config, which may be gone, too
    monkeypatch.setattr(sys, "path", [p for p in sys.path if Path(p) != made.config.parent])
    sys.modules.pop("adapter_of_bolts", None)
    made.config.unlink()
    said = made.next(4, "--export", "label-studio")
    assert "round 1: trained on 5 labeled samples; right " in said
    batch = annotator.newest(made.run)
    assert all(one.drafts[0].label in ("bolt", "nut") for one in batch.choices)
    assert all(0 < (one.drafts[0].score or 0) <= 1 for one in batch.choices)
    made.back("label-studio", person(made))
    costs = [one.cost for one in annotator.kept(made.run).values() if one.batch == 1]
    assert all(cost.kept + cost.renamed == 1 for cost in costs) and len(costs) == 4
    (point,) = curve(made.project)
    assert point.row["labeled"] == 5 and point.halves is not None and point.halves.samples == 2
    assert "right" in made.good("status", made.run)
    made.good("labels", made.run, "--as", "folders", "--out", made.root / "out")
    assert len(list((made.root / "out").glob("*/*.png"))) == 11


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("labeling", "lacks `labeling` and `on_labels`; see tasks/labelable.py"),
        ("sources", "lacks `sources`, by which the images of its samples are found"),
        ("deployment", "lacks `labels` and `deployment`, for predictions that people begin with"),
    ],
)
def test_what_it_lacks_is_said_before_anything_is_labeled(made: Bench, name: str, said: str):
    path = made.config.parent / "adapter_of_bolts.py"
    path.write_text(path.read_text().replace(f"def {name}(self", f"def not_{name}(self"))
    status, told = made.call("init", made.config, "--images", made.photos, "--run", made.run)
    assert status == 2 and said in told, told
    assert not made.run.exists()
