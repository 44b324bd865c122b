"""Whatever looks like a run is read or named: links, closed folders, damaged runs, and
runs below others.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.comparekit import config, write
from tests.conftest import REPOSITORY
from tests.tools.compare.test_al_compare import Page
from tests.tools.record.test_folder import in_child
from tools import al_compare, al_verify, wandb_push
from tools.experiment.config import load
from tools.record import finding
from tools.record.finding import find
from tools.record.reading import ComparisonError, read


def four(root: Path, settings: Callable[[str, int], dict] = config) -> list[Path]:
    """Runs of two strategies and two seeds."""
    legs = ("random", "entropy")
    return [
        write(root / f"toy/{leg}/seed{seed}", settings(leg, seed))
        for leg in legs
        for seed in (0, 1)
    ]


def test_runs_are_found_once_and_what_looks_like_one_is_none(tmp_path: Path):
    a = write(tmp_path / "work/toy/random/seed0", config())
    b = write(tmp_path / "work/toy/random/seed1", config(seed=1))
    (tmp_path / "work/vis_data").mkdir()
    (tmp_path / "work/vis_data/config.py").write_text("")  # as mmengine leaves it
    assert find([tmp_path / "work", a, a.parent / "../random"]) == ([a, b], [])


def test_a_run_below_another_one_is_found(tmp_path: Path):
    outer = write(tmp_path / "work", config())
    inner = write(tmp_path / "work/toy/random/seed1", config(seed=1))
    deep = write(inner / "cycles/again", config(seed=2))
    assert find([outer]) == ([outer, inner, deep], [])


@pytest.mark.parametrize(("make", "came"), [(True, "holds no run folder"), (False, "is no folder")])
def test_nothing_found_is_an_error(make, came, tmp_path: Path):
    path = tmp_path / "nothing"
    path.mkdir() if make else None
    with pytest.raises(ComparisonError, match=f"nothing {came}"):
        find([path])


# ---------------------------------------------------------------- links


def test_links_are_followed_and_each_real_folder_comes_once(tmp_path: Path):
    elsewhere = write(tmp_path / "scratch/abc", config(seed=1))
    own = write(tmp_path / "work/toy/random/seed0", config())
    (tmp_path / "work/toy/random/seed1").symlink_to(elsewhere)
    (tmp_path / "work/toy/aaa").symlink_to(own)  # a second name, before its own in the alphabet
    (tmp_path / "work/toy/loop").symlink_to(tmp_path / "work")
    linked = tmp_path / "work/toy/random/seed1"
    assert find([tmp_path / "work"]) == ([own, linked], [])
    assert find([tmp_path / "work", tmp_path / "scratch"]) == ([own, elsewhere], []), (
        "by its own name where that is"
    )
    assert find([tmp_path / "work/toy/aaa"]) == ([tmp_path / "work/toy/aaa"], [])
    assert (read(linked).config, read(linked).folder) == ("toy", linked), (
        "named by where the link lies"
    )


def test_a_folder_of_runs_that_is_a_link_is_looked_into(tmp_path: Path):
    runs = four(tmp_path / "scratch")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/toy").symlink_to(tmp_path / "scratch/toy")
    (tmp_path / "scratch/toy/random/back").symlink_to(tmp_path / "work")
    found, left_out = find([tmp_path / "work"])
    assert [path.relative_to(tmp_path / "work") for path in found] == sorted(
        path.relative_to(tmp_path / "scratch") for path in runs
    )
    assert left_out == []


@pytest.mark.parametrize("target", ["nowhere", "itself"])
def test_a_link_that_leads_to_nothing_is_named(target, tmp_path: Path):
    run = write(tmp_path / "work/seed0", config())
    link = tmp_path / "work/itself"
    link.symlink_to(tmp_path / "work" / target)
    # what a run leaves within itself is no other run
    (run / "latest").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    (tmp_path / "work/notes").symlink_to(tmp_path / "file")
    found, (left,) = find([tmp_path / "work"])
    assert found == [run]
    assert (
        str(left)
        == f"{link}, because it is a link that leads to nothing: {tmp_path / 'work' / target}"
    )


# ---------------------------------------------------------------- what cannot be read


def close(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a folder be one that may not be listed.

    The tests' user may be one who may read anything.
    """
    scandir = os.scandir

    def refusing(place):
        if not isinstance(place, int) and Path(place) == path:
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refusing)


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch):
    runs = four(tmp_path)
    close(runs[1], monkeypatch)
    found, (left,) = find([tmp_path])
    assert sorted(found) == sorted(run for run in runs if run != runs[1])
    assert str(left) == f"{runs[1]}, because it cannot be read (Permission denied)"
    close(tmp_path / "toy", monkeypatch)
    assert find([tmp_path])[0] == [] and str(find([tmp_path])[1][0]).startswith(
        f"{tmp_path / 'toy'}, because"
    )


def test_so_it_is_for_a_real_user(tmp_path_factory):
    """Folders that may be listed and not entered, or neither."""
    root = Path(
        shutil.copytree(tmp_path_factory.mktemp("runs"), f"/tmp/losstap-finding-{os.getpid()}")
    )
    try:
        root.chmod(0o755)
        runs = four(root)
        runs[0].chmod(0o000), runs[1].chmod(0o444)

        def as_nobody() -> None:
            if os.geteuid() == 0:  # who may read anything
                os.setgroups([]), os.setgid(65534), os.setuid(65534)
            found, (left,) = find([root])
            assert found == sorted(runs[1:]) and left.path == runs[0], (found, left)
            # the others are read
            assert al_compare.main([str(root), "--out", f"{os.devnull}/out"]) == 2
            left_out = finding.read_all([root])[1]
            assert [one.path for one in left_out] == runs[:2], left_out

        assert in_child(as_nobody) == ""
    finally:
        for run in runs[:2]:
            run.chmod(0o755)
        shutil.rmtree(root)


# ---------------------------------------------------------------- the commands


def without_state(path: Path) -> str:
    (path / "state.json").unlink()
    return (
        f"{path}, because {path} holds a run (done is there) without its state.json; restore "
        "what is lost"
    )


def half_a_state(path: Path) -> str:
    (path / "state.json").write_text("{")
    return f"{path}, because {path / 'state.json'} is damaged"


def half_a_config(path: Path) -> str:
    file = path / "config.json"
    file.write_text(file.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    return f"{path}, because {file} is damaged"


@pytest.mark.parametrize("spoil", [without_state, half_a_state, half_a_config])
def test_al_compare_names_what_it_leaves_out_everywhere(spoil, tmp_path: Path, capsys):
    runs = four(tmp_path / "work")
    told = spoil(runs[3])
    assert al_compare.main([str(tmp_path / "work"), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"left out: {told}") and len(said.err.splitlines()) == 1
    (row,) = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert len(row["left_out"]) == 1 and row["left_out"][0].startswith(told)
    assert [leg["seeds"] for leg in row["legs"]] == [[0, 1], [0]]
    page = Page((tmp_path / "out/report.html").read_text(encoding="utf-8"))
    assert (
        "Left out, as it cannot be read, and not counted in any number below:" in page.said
        and told in page.said
    )
    assert (
        al_compare.main([str(tmp_path / "work"), str(runs[3]), "--out", str(tmp_path / "two")]) == 2
    )
    assert capsys.readouterr().out.startswith("error: ") and not (tmp_path / "two").exists(), (
        "it was named itself"
    )


def test_al_compare_with_nothing_to_read_is_an_error(tmp_path: Path, capsys):
    told = without_state(write(tmp_path / "work/seed0", config()))
    assert al_compare.main([str(tmp_path / "work"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().out.startswith(f"error: No run can be read:\n  {told}")


def test_a_report_of_all_runs_leaves_nothing_out(tmp_path: Path, capsys):
    four(tmp_path / "work")
    assert al_compare.main([str(tmp_path / "work"), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err == ""
    assert (
        json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))[0]["left_out"] == []
    )
    assert "Left out" not in (tmp_path / "out/report.html").read_text(encoding="utf-8")


def test_al_verify_and_wandb_push_name_them_too(tmp_path: Path, monkeypatch, capsys):
    pytest.importorskip("wandb")
    toy = REPOSITORY / "tests/examples/toy_config.py"
    runs = four(
        tmp_path / "work",
        lambda leg, seed: load(toy, options={"strategy": "random", "seed": seed}).config,
    )
    without_state(runs[2])
    (tmp_path / "work/gone").symlink_to(tmp_path / "nowhere")
    close(runs[3], monkeypatch)
    told = {
        runs[2]: f"{runs[2]} holds a run (done is there) without its state.json",
        runs[3]: "it cannot be read (Permission denied)",
        tmp_path / "work/gone": "it is a link that leads to nothing",
    }
    assert al_verify.main([str(tmp_path / "work")]) == 1
    lines = capsys.readouterr().out.splitlines()
    for path, why in told.items():
        assert lines[lines.index(str(path)) + 1].startswith(f"  FAILED        readable       {why}")
    assert f"{runs[0]}: 3 of 3 cycles" in lines and f"{runs[1]}: 3 of 3 cycles" in lines
    assert wandb_push.main([str(tmp_path / "work"), "--mode", "offline"]) == 1
    said = capsys.readouterr().out
    assert all(f"{path}: FAILED: {why}" in said for path, why in told.items())
    assert said.count(": 3 of 3 cycles, 3 sent") == 2
