"""Names that losstap's packages share with the user's: each finds its own, and a message
tells where one does not.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.tools.experiment.test_config import BASE

pytestmark = pytest.mark.slow

COMMANDS = sorted(
    path
    for path in (REPOSITORY / "tools").rglob("*.py")
    if "\nif __name__ ==" in path.read_text(encoding="utf-8")
)
BLOCK = """# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE{up}), *(p for p in sys.path if Path(p).resolve() != HERE)]
"""


def command(name: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command as a file, from elsewhere.

    Its repository is not on PYTHONPATH unless that says so.
    """
    given = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | environment
    words = [sys.executable, str(REPOSITORY / "tools" / name), *map(str, arguments)]
    return subprocess.run(words, env=given, cwd="/", capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_every_command_takes_its_folder_off_the_path_before_it_imports_anything(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    block = BLOCK.format(up=".parent" * (len(path.relative_to(REPOSITORY).parts) - 1))
    assert text.count(block) == 1
    before = ast.parse(text.partition(block)[0])
    modules = {
        alias.name
        for node in ast.walk(before)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    modules |= {node.module or "" for node in ast.walk(before) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in modules} <= sys.stdlib_module_names | {"__future__"}


def test_the_commands_are_all_seen() -> None:
    assert len(COMMANDS) >= 14 and "al_train.py" in {path.name for path in COMMANDS}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project whose files and folders are called as losstap's are."""
    for name in ("settings", "config", "summary", "mirror", "cycle"):
        (tmp_path / f"{name}.py").write_text(f"NAME = 'mine, {name}'\n")
    for name in ("models", "tasks", "tools"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / "mynet.py").write_text("class Net: pass\n")
    (tmp_path / "acquisition").mkdir()
    (tmp_path / "acquisition/weights.pth").write_text("")  # no code: no name is shared
    text = BASE + "\nimport settings, config, summary, mirror, cycle\n"
    text += "task['faults'] = [m.NAME for m in (settings, config, summary, mirror, cycle)]\n"
    (tmp_path / "own.py").write_text(text)
    return tmp_path


def test_files_beside_a_config_are_found_and_packages_there_break_nothing(project: Path) -> None:
    """Beside the config, and on PYTHONPATH before everything else."""
    for path in (str(REPOSITORY), f"{project}{os.pathsep}{REPOSITORY}"):
        done = command(
            "al_train.py", project / "own.py", "--dry-run", "--wandb", "disabled", PYTHONPATH=path
        )
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        # as faults of the toy, which it repeats
        for name in ("settings", "config", "summary", "mirror", "cycle"):
            assert f"\n  mine, {name}\n" in done.stdout


def test_hidden_packages_are_told_once_with_both_paths(project: Path) -> None:
    (project / "own.py").write_text(BASE)
    path = f"{project}{os.pathsep}{REPOSITORY}"
    done = command(
        "al_train.py", project / "own.py", "--dry-run", "--wandb", "disabled", PYTHONPATH=path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    notes = re.findall(r"note: (.*)", done.stdout)
    assert notes == [
        f"{project / name} is hidden by losstap's own {REPOSITORY / name}; rename it where you "
        "import it"
        for name in ("models", "tasks", "tools")
    ]


def test_an_import_that_fails_for_a_hidden_package_says_so(project: Path) -> None:
    (project / "adapter.py").write_text(
        "from models.mynet import Net\nfrom tests.toy import Toy as Mine\n"
    )
    text = BASE.replace("from tests.toy import Toy", "from adapter import Mine").replace(
        "type=Toy", "type=Mine"
    )
    (project / "own.py").write_text(text)
    done = command("check_task.py", project / "own.py", PYTHONPATH=str(REPOSITORY))
    why = (
        f"(No module named 'models.mynet'); {project / 'models'} is hidden by losstap's own "
        f"{REPOSITORY / 'models'}"
    )
    assert done.returncode == 2 and f"'adapter.Mine' {why}: rename it" in done.stdout, (
        done.stdout + done.stderr
    )


@pytest.mark.parametrize("name", ["al_verify.py", "planted.py"])
def test_commands_run_from_a_clone_that_nobody_installed(name: str, tmp_path: Path) -> None:
    """`-S` leaves out what is installed.

    Its libraries are given by PYTHONPATH, losstap itself is not.
    """
    libraries = [place for place in sys.path if "site-packages" in place]
    words = [sys.executable, "-S", str(REPOSITORY / "tools" / name), "--help"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(libraries)}
    done = subprocess.run(
        words, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {name}"), done.stderr
