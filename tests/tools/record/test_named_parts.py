"""What a run folder names inside its task's settings is run only where the user trusts it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.record import plans
from tools.record.files import RunFolderError


def folder_of(path: Path, network: object) -> Path:
    """A folder with the settings of a task with this network."""
    task = {
        "type": "tasks.detection.Detection",
        "data_root": "nowhere",
        "train": ["train"],
        "classes": ["a"],
        "network": network,
        "pretrained": None,
    }
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"task": task}))
    return path


def evil(path: Path, suffix: str) -> tuple[Path, Path]:
    """A file of settings that leaves a mark where it is run, and the mark."""
    mark = path / "mark"
    code = path / "evil.py"
    code.write_text(f"open({str(mark)!r}, 'w')\nmodel = dict(type='RetinaNet')\n")
    if suffix == ".py":
        return code, mark
    other = path / f"evil{suffix}"
    other.write_text(json.dumps({"_base_": ["evil.py"]}))
    return other, mark


@pytest.mark.parametrize("suffix", plans.SETTINGS)
def test_a_file_that_a_network_names_is_not_run(suffix: str, tmp_path: Path):
    path, mark = evil(tmp_path, suffix)
    run = folder_of(tmp_path / "run", {"type": "mmdet", "config": str(path)})
    with pytest.raises(RunFolderError, match=rf"network\.config .*evil{suffix}.*--trust"):
        plans.task(run)
    assert not mark.exists()
    with pytest.raises(Exception, match="data_preprocessor|backbone|bbox_head|head"):
        plans.task(run, [tmp_path])
    assert mark.exists()


@pytest.mark.parametrize("name", ["os.system", "mmengine.utils.mkdir_or_exist", "shutil.rmtree"])
def test_a_function_that_a_model_names_is_not_called(name: str, tmp_path: Path):
    inner = {"type": name, "dir_name": str(tmp_path / "mark"), "command": "true"}
    model = {"type": "mmdet.RetinaNet", "backbone": {"type": "X", "depths": [inner]}}
    run = folder_of(tmp_path / "run", {"type": "mmdet", "config": model})
    with pytest.raises(RunFolderError, match=rf"{name} is code that is not losstap's own"):
        plans.task(run)
    assert not (tmp_path / "mark").exists()


def test_a_config_of_mmdets_is_named_without_trust(tmp_path: Path):
    network = {"type": "mmdet", "config": "retinanet/retinanet_r18_fpn_1x_coco.py"}
    assert plans.task(folder_of(tmp_path / "run", network)).labels() == ("a",)
