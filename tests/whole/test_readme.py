"""Every command of the README, of docs/ and of the configs' docstrings is run here, or by CI."""

from __future__ import annotations

import argparse
import configparser
import importlib
import json
import math
import re
import shlex
from contextlib import nullcontext
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from tasks.noise import Noisy
from tests import comparekit, devkit, imagekit, keypointkit, posekit, publisher, segkit
from tests.commands import train
from tests.conftest import REPOSITORY
from tests.labelkit import make_images
from tools import (
    al_compare,
    al_label,
    al_replay,
    al_sweep,
    al_train,
    al_verify,
    check_task,
    wandb_board,
    wandb_push,
)
from tools.contract.matrix import finished
from tools.experiment import checks
from tools.experiment.config import load
from tools.sweep import session as sweep_session

BY_CI = {"make demo", "make test"}
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "tools/README.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
# of these the arguments are looked at: they measure, or work on what another command left
UNDERSTOOD = {
    "tests/torture.py",
    "tools/al_export.py",
    "tools/al_label.py",  # its commands run one after the other in a test of their own
    "tools/al_predict.py",
    "tools/al_replay.py",
    "tools/bench.py",
    "tools/detectors.py",
    "tools/matrix.py",
    "tools/planted.py",
    "tools/proof.py",
    "tools/uncertainty.py",
}
SMALL = {"budget.initial": 2, "budget.query": 1}
TINY = ["budget.initial=2", "budget.query=1", "budget.cycles=2"]


def commands(text: str) -> list[str]:
    """The lines of a page's blocks of bash, and commands of Python within its sentences."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [
        line.split("  #")[0].strip()
        for block in blocks
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip()
    ]
    lines += re.findall(r"(?<!`)`(python\s[^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [" ".join(line.split()) for line in lines]


def documented() -> list[str]:
    found = [command for page in PAGES for command in commands(page.read_text(encoding="utf-8"))]
    for config in [
        *sorted((REPOSITORY / "configs").glob("*.py")),
        REPOSITORY / "tests/examples/seg_voc.py",
    ]:
        found += [
            m.strip()
            for m in re.findall(r"^    (python tools/\S.*)$", config.read_text(), re.MULTILINE)
        ]
    return list(dict.fromkeys(found))


def test_ci_runs_the_two_commands_and_the_readme_names_them():
    text = (REPOSITORY / ".ci/run").read_text()
    assert all(command in text and command in documented() for command in BY_CI)
    assert set(commands((REPOSITORY / "README.md").read_text())) >= BY_CI


def test_extras_are_installed_into_the_clone_that_is_in_use():
    """Without `-e` pip would put a copy of the packages in the place of the editable install."""
    places = [
        REPOSITORY / "README.md",
        *(REPOSITORY / "docs").glob("*.md"),
        *(REPOSITORY / "tools").rglob("*.py"),
    ]
    found = [
        line
        for path in places
        for line in re.findall(r"pip install.*", path.read_text(encoding="utf-8"))
    ]
    assert len(found) >= 4 and all(line.startswith("pip install -e '.[") for line in found), found


class Parsed(Exception):
    """The arguments of a command were read without an error."""


def is_understood(script: str, arguments: list[str], monkeypatch) -> bool:
    """Does the command's own parser take the arguments?"""
    parse = argparse.ArgumentParser.parse_args

    def parsed(self: argparse.ArgumentParser, *given, **named):
        parse(self, *given, **named)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    with pytest.raises(Parsed):
        module.main(arguments)
    return True


def of_the_shell(words: list[str]) -> bool:
    """Is it a command for the set-up, and is there what it asks for?"""
    if words[0] == "make":
        makefile = (REPOSITORY / "Makefile").read_text()
        return re.search(rf"^{words[1]}:", makefile, re.MULTILINE) is not None
    if words[:4] == ["python", "-m", "pip", "install"]:
        setup = configparser.ConfigParser()
        setup.read(REPOSITORY / "setup.cfg")
        extra = words[4] == "-e" and words[5][2:-1] in setup["options.extras_require"]
        return extra or words[4:] == ["pre-commit"]
    if words[0] == "pre-commit":
        return (REPOSITORY / ".pre-commit-config.yaml").is_file()
    return words == ["source", ".venv/bin/activate"] or words[0] == "export"


def tiny_voc(root: Path) -> tuple[list[str], int]:
    """Boxes at `root`; the settings that read them, and the size of the pool."""
    devkit.make_voc(root)
    lists = root / "VOC2007/ImageSets/Main"
    (lists / "pool.txt").write_text("\n".join(devkit.ORDER[:4]))
    (lists / "test.txt").write_text("\n".join(devkit.ORDER[4:]))
    return ["task.train=[VOC2007/pool]", "task.classes=[cat,dog,person]", "task.pretrained=None"], 4


def tiny_coco(root: Path) -> tuple[list[str], int]:
    """Boxes in COCO's json at `root`, as `tiny_voc`."""
    devkit.make_coco(root)
    lists = ["task.train=[images:train.json]", "task.test=[images:test.json]"]
    pool = len(devkit.read_json(root / "train.json")["images"])
    names = "task.classes=[cat,dog,person]"
    return [*lists, names, "task.pretrained=None", "test_in_pool=True"], pool


def tiny_folder(root: Path) -> tuple[list[str], int]:
    """Images of classes at `root`, as `tiny_voc`."""
    imagekit.make_folder(root)
    return ["task.format=folder", "task.pretrained=None"], 12


def tiny_masks(root: Path) -> tuple[list[str], int]:
    """Masks at `root`, as `tiny_voc`."""
    segkit.make_seg(root)
    return ["task.classes=4", "task.size=64"], 16


def tiny_persons(root: Path) -> tuple[list[str], int]:
    """Persons at `root`, as `tiny_voc`."""
    posekit.make_mpii(root)
    return ["task.input_size=64"], 12


def tiny_keypoints(root: Path) -> tuple[list[str], int]:
    """Persons in COCO's json at `root`, as `tiny_voc`."""
    keypointkit.make_coco(root)
    lists = [f"task.{split}={place}" for split, place in keypointkit.LISTS.items()]
    return [*lists, "task.pretrained=None", "task.input_size=64"], 12


def toy_run(folder: Path, strategy: str) -> str:
    """A finished run at `folder`."""
    experiment = load(REPOSITORY / "tests/examples/toy_config.py", options={"strategy": strategy})
    return str(finished(experiment, folder).path)


# how a config's name begins -> its task's data
DATA = {"det": tiny_voc, "cls": tiny_folder, "pose": tiny_persons, "seg": tiny_masks}
OF_ONE = {
    "pose_simple_coco": tiny_keypoints,
    "det_rtmdet_coco": tiny_coco,
}  # that of a config alone


@pytest.mark.parametrize("command", [c for c in documented() if c not in BY_CI])
@pytest.mark.slow
def test_command_is_understood_and_fits(command: str, tmp_path: Path, monkeypatch, capsys):
    """With tiny data in the real layout and without the training itself.

    CI runs the smoke command as it stands.
    """
    monkeypatch.chdir(REPOSITORY)
    program, script, *arguments = shlex.split(command)
    if program != "python" or arguments[:1] == ["pip"]:
        assert of_the_shell([program, script, *arguments])
        return
    if script == "-m":
        script, *arguments = arguments
        script = script.replace(".", "/") + ".py"
    assert (REPOSITORY / script).is_file()
    placeholder = any(word in ("CONFIG", "mytask_config.py") for word in arguments)
    if script in UNDERSTOOD or placeholder:
        assert is_understood(script, arguments, monkeypatch)
        return
    if script == "tools/check_task.py" and arguments == ["--new", "mytask.py"]:
        monkeypatch.chdir(tmp_path)
        assert check_task.main(arguments) == 0
        assert {path.name for path in tmp_path.iterdir()} == {"mytask.py", "mytask_config.py"}
        return
    if script == "tools/make_sandbox.py":
        from tools import make_sandbox

        place = arguments.index("data/sandbox")
        arguments[place] = str(tmp_path)
        assert make_sandbox.main([*arguments, "--pool", "20", "--test", "9"]) == 0
        return
    if script == "tools/prepare_data.py":
        from tools import prepare_data

        place = arguments.index("--root") + 1
        arguments[place] = str(tmp_path)
        files, sets = publisher.small(monkeypatch)
        with publisher.publish(files) as served:
            assert prepare_data.main([*arguments, "--mirror", served.address], sets) == 0
        return
    if script == "tools/cifar_folders.py":
        from tools import cifar_folders

        imagekit.make_cifar10(tmp_path / "cifar", monkeypatch)
        places = {"data/cifar": tmp_path / "cifar"}
        places |= dict.fromkeys(("data/cifar10", "data/cifar10_whole"), tmp_path / "out")
        assert cifar_folders.main([str(places.get(word, word)) for word in arguments]) == 0
        return
    if script == "tools/al_verify.py":
        for place, path in enumerate(arguments):
            arguments[place] = toy_run(tmp_path / path, strategy=Path(path).parent.name)
        assert al_verify.main(arguments) == 0, capsys.readouterr().out
        return
    if script == "tools/wandb_push.py":
        toy_run(tmp_path / arguments[0] / "random/seed0", "random")
        assert wandb_push.main([str(tmp_path / arguments[0]), "--mode", "offline"]) == 0, (
            capsys.readouterr().out
        )
        return
    if script == "tools/wandb_board.py":
        pytest.importorskip(
            "wandb_workspaces", reason="wandb-workspaces is not here: pip install -e '.[board]'"
        )
        assert wandb_board.main([*arguments, "--print"]) == 0, capsys.readouterr().out
        return
    if script == "tools/al_compare.py":
        for seed in range(2):
            for leg in ("random", "entropy"):
                comparekit.write(tmp_path / f"runs/{leg}/seed{seed}", comparekit.config(leg, seed))
        places = {
            "work_dirs/det_ssd_voc": str(tmp_path / "runs"),
            "work_dirs/cls_sandbox": str(tmp_path / "runs"),
            "runs/bolts": str(tmp_path / "runs"),  # test_people.py compares projects
            "report": str(tmp_path / "report"),
        }
        assert al_compare.main([places.get(word, word) for word in arguments]) == 0
        written = {"report.html", "curves.png", "summary.json", "summary.csv"}
        written |= {"ranking.json", "ranking.csv"}
        assert {path.name for path in (tmp_path / "report").iterdir()} == written
        return
    config = Path(arguments[0]).stem
    make = OF_ONE.get(config) or DATA[config.split("_")[0]]
    data, pool = make(tmp_path)
    options = [f"task.data_root={tmp_path}", *data, *TINY]
    if "--cfg-options" in arguments:
        place = arguments.index("--cfg-options")
        options, arguments = arguments[place + 1 :] + options, arguments[:place]
    if script == "tools/check_task.py":
        assert check_task.main([*arguments, "--cfg-options", *options]) == 0, (
            capsys.readouterr().out
        )
        return
    if script == "tools/al_sweep.py":
        for place, word in enumerate(arguments):
            key, _, values = word.partition("=")
            if key in SMALL:  # a grid of budgets for a pool of a dozen
                few = (str(SMALL[key] + i) for i in range(values.count(",") + 1))
                arguments[place] = f"{key}={','.join(few)}"
                options = [one for one in options if not one.startswith(f"{key}=")]
        if "--until-decided" in arguments:
            arguments.append("--dry-run")  # test_deciding.py has the looks
        monkeypatch.setattr(sweep_session, "run", lambda jobs, *_: seen.extend(jobs) or [])
        # test_al_sweep_ray.py has a real one
        monkeypatch.setattr(sweep_session, "_place", lambda *_: nullcontext())
        seen: list = []
        assert (
            al_sweep.main(
                [*arguments, "--work-dir", str(tmp_path / "runs"), "--cfg-options", *options]
            )
            == 0
        )
        given = al_sweep.parser().parse_args(arguments)
        if given.until_decided:
            assert "--dry-run" in arguments and "looks: " in capsys.readouterr().out
            return
        cells = math.prod(len(axis.values) for axis in given.grid)
        expected = len(given.strategies) * len(given.seeds) * cells
        assert len(seen) == expected >= 3, capsys.readouterr().out
        assert not (tmp_path / "runs").exists()
        return
    assert script == "tools/al_train.py"
    extra = [
        "--dry-run",
        "--work-dir",
        str(tmp_path / "run"),
        "--wandb",
        "disabled",
        "--cfg-options",
        *options,
    ]
    code = train([*arguments, *extra], None)
    said = capsys.readouterr().out
    assert code == 0, said
    assert f"pool {pool}," in said
    assert not (tmp_path / "run").exists()


def answered(tasks: Path, export: Path) -> int:
    """Label Studio's export of a batch in which a person drew a box on each image."""
    done = json.loads(tasks.read_text(encoding="utf-8"))
    for number, task in enumerate(done, 1):
        value = {"x": 10, "y": 20, "width": 50, "height": 40, "rotation": 0}
        value["rectanglelabels"] = ["bolt" if number % 2 else "nut"]
        size = {"original_width": 128, "original_height": 128, "image_rotation": 0}
        names = {"id": f"a{number}", "from_name": "label", "to_name": "image"}
        box = {**names, **size, "type": "rectanglelabels", "value": value}
        annotation = {"id": number, "was_cancelled": False, "lead_time": 2.5, "result": [box]}
        task |= {"id": number, "annotations": [annotation]}
    export.write_text(json.dumps(done), encoding="utf-8")
    return len(done)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/replay.md"])
def test_a_documented_what_if_is_answered(page: str, tmp_path: Path, monkeypatch, capsys):
    """By the run that the page makes before it, on small images."""
    found = commands((REPOSITORY / page).read_text(encoding="utf-8"))
    place = next(i for i, line in enumerate(found) if "tools/al_replay.py" in line)
    train_it, ask = (shlex.split(line)[2:] for line in found[place - 1 : place + 1])
    imagekit.make_folder(tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    train_it[0] = str(REPOSITORY / train_it[0])
    options = ["task.data_root=images", *TINY, "training.epochs=1", "module.detach_epoch=None"]
    train_it[1:1] = ["--wandb", "disabled"]
    assert al_train.main([*train_it, *options, "training.batch_size=2"]) == 0, capsys.readouterr()
    assert al_replay.main(ask) == 0, capsys.readouterr().out


def test_the_table_of_settings_has_all_with_their_defaults():
    text = (REPOSITORY / "docs/configs.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert rows.keys() == {"task", "oracle", *checks.SECTIONS}
    for section, kind in {**checks.SECTIONS, "oracle": Noisy}.items():
        settings = [
            field.name if field.default is MISSING else f"{field.name}={field.default!r}"
            for field in fields(kind)
        ]
        shown = [name for name in re.findall(r"`([^`]+)`", rows[section]) if name != "type=Noisy"]
        assert [name.replace('"', "'") for name in shown] == settings, section
    named = set(re.findall(r"`(\w+)", text.partition("Beside the sections")[2].partition("##")[0]))
    people = {"processes", "people"}  # commands set them
    assert {*checks.PLAIN} - people <= named and "smoke" in named


@pytest.mark.slow
def test_the_readmes_labeling_runs_from_the_folder_to_the_labels(tmp_path, monkeypatch, capsys):
    """Its commands in their order, and the rounds again, on small images and a small network."""
    found = commands((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    lines = [shlex.split(line)[2:] for line in found if "al_label.py" in line]
    assert [line[0] for line in lines] == ["init", "next", "add", "status", "labels"]
    init, send, add, status, labels = lines
    make_images(tmp_path / "photos", [f"{i:02d}.png" for i in range(12)], (128, 128))
    monkeypatch.chdir(tmp_path)
    init[1] = str(REPOSITORY / init[1])
    init += [
        "label.validation=3",
        "task.network=small_ssd",
        "task.pretrained=None",
        "training.epochs=1",
    ]
    init += ["training.batch_size=2", "training.workers=0", "scoring.workers=0"]
    init += ["training.schedule=[]", "module.detach_epoch=1", "scoring.embedding=None"]
    assert al_label.main(init) == 0
    send[send.index("100")] = "5"
    for number in range(2):  # the slice and a cover; then what a network chose
        assert al_label.main(send) == 0, capsys.readouterr()
        tasks = tmp_path / f"runs/bolts/batches/{number:02d}/label-studio/tasks.json"
        assert answered(tasks, tmp_path / "export.json") == 5
        assert al_label.main(add) == 0, capsys.readouterr()
    assert al_label.main(status) == 0
    said = capsys.readouterr().out
    assert "12 images; 10 labeled, 0 empty, 0 skipped, 0 waiting, 2 open" in said
    assert al_label.main(labels) == 0
    written = json.loads((tmp_path / "bolts/annotations.json").read_text(encoding="utf-8"))
    assert len(written["images"]) == len(written["annotations"]) == 10
    assert written["annotations"][0]["bbox"] == pytest.approx([12.8, 25.6, 64.0, 51.2])


def test_links_and_paths_of_the_pages_exist():
    found, missing = 0, set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        paths = re.findall(
            r"`((?:tools|tasks|models|acquisition|configs|tests|docs)/[\w./]+)`", text
        )
        links = re.findall(r"\]\(([^)#\s]+)", text)
        found += len(paths) + len(links)
        missing |= {path for path in paths if not (REPOSITORY / path).exists()}
        missing |= {link for link in links if not (page.parent / link).exists()}
    assert found >= 60
    assert not missing


def test_tests_that_the_documentation_names_exist():
    named = set(re.findall(r"`(test_\w+)`", (REPOSITORY / "docs/reliability.md").read_text()))
    files = list((REPOSITORY / "tests").rglob("test_*.py"))
    there = {path.stem for path in files} | set(
        re.findall(r"def (test_\w+)", "".join(p.read_text() for p in files))
    )
    assert len(named) > 20 and named <= there, named - there
