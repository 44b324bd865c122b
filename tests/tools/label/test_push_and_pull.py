"""A batch goes to a Label Studio by command and comes back; a pool is scored on Ray by command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.studio import Studio, studio
from tests.tools.label.projectkit import Bench, started
from tools.label.batches import read


def label(there: Studio, made: Bench) -> None:
    """A person labels the newest batch in the server."""
    export = made.export("label-studio")[0]
    tasks = json.loads(Path(str(export)).read_text(encoding="utf-8"))
    done = {task["data"]["key"]: task["annotations"] for task in tasks}
    for task in there.tasks:
        task["annotations"] = done.get(task["data"]["key"], [])


def test_a_batch_goes_to_a_server_and_comes_back(tmp_path, monkeypatch):
    made, other = (started(tmp_path / name, "boxes") for name in ("one", "two"))
    with studio() as there:
        there.served = tuple(str(one.photos.resolve()) for one in (made, other))
        monkeypatch.setenv("LABEL_STUDIO_TOKEN", there.token)
        said = made.next(4, "--export", "label-studio", "--push", there.url)
        assert f"batch 0 is in project 1 of {there.url}" in said and len(there.tasks) == 4
        made.good("next", made.run, "--again", "--push", there.url)
        assert len(there.tasks) == 4, "what is there is not sent again"
        label(there, made)
        assert "4 images are new, 0 changed" in made.good("add", made.run, "--pull", there.url)
        assert "0 images are new, 0 changed, 4 were known" in made.good(
            "add", made.run, "--pull", there.url
        )
        # a project of the same name, in another folder, is another one there
        assert f"is in project 2 of {there.url}" in other.next(4, "--push", there.url)
    labels = made.project.labels.labels
    drawn = {sha256: one.answer.shapes for sha256, one in labels.items()}
    for sha256, shapes in drawn.items():
        truth = made.truth()[sha256]
        assert [shape.label for shape in shapes] == [shape.label for shape in truth]
        for shape, own in zip(shapes, truth, strict=True):
            assert shape.box == pytest.approx(own.box, abs=0.01)
    files = [path for path in made.run.rglob("*") if path.is_file()]
    assert files and not any(there.token.encode() in path.read_bytes() for path in files)


def test_a_server_that_no_batch_went_to_is_not_asked(tmp_path, monkeypatch):
    made = started(tmp_path, "classes")
    monkeypatch.setenv("LABEL_STUDIO_TOKEN", "a.b.c")
    status, said = made.call("add", made.run, "--pull", "http://127.0.0.1:9")
    assert status == 2
    assert "--pull: expected a server that batches were sent to by `next --push" in said


@pytest.mark.slow
def test_a_pool_scored_on_ray_gives_the_same_batch(tmp_path):
    pytest.importorskip("ray", reason="Ray is not here: pip install -e '.[ray]'")
    chosen = []
    for name, more in {"here": (), "ray": ("--ray",)}.items():
        made = started(tmp_path / name, "classes")
        made.next(8)
        made.back("csv")
        made.next(4, *more)
        batch = read(made.run)[-1]
        assert batch.trained
        chosen.append([(one.key, one.by, one.signals) for one in batch.choices])
    assert chosen[0] == chosen[1] and len(chosen[0]) == 4
