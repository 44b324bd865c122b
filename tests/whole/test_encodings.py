"""Text files are UTF-8 whatever the locale: each call that opens one names its encoding,
and an ASCII locale runs.
"""

from __future__ import annotations

import ast
import json
import locale
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.toy import Toy
from tools.record.folder import RunFolder, RunFolderError
from tools.record.reading import read

ROOMS = ("models", "tasks", "acquisition", "tools")
PROCESSES = {"run", "Popen", "check_output", "check_call", "call"}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


class Named(Toy):
    """The toy with names that ASCII and Latin-1 have no code for."""

    def __init__(self, size: int = 60, test_size: int = 20, title: str = "größe") -> None:
        super().__init__(size, test_size)
        self.title = title

    def name(self, index: int) -> str:
        return f"größe/寸法 {index}.jpg"


# ---------------------------------------------------------------- every call


def opens_text(call: ast.Call) -> bool:
    """Whether a call reads or writes a text: as `open` without "b", `Path.read_text`,
    `subprocess.run(text=True)`.
    """
    attribute = isinstance(call.func, ast.Attribute)
    name = call.func.attr if attribute else getattr(call.func, "id", "")
    named = {keyword.arg for keyword in call.keywords}
    if name in ("read_text", "write_text"):
        return True
    if name == "open" and not attribute:
        given = [
            argument.value for argument in call.args[1:2] if isinstance(argument, ast.Constant)
        ]
        given += [
            k.value.value
            for k in call.keywords
            if k.arg == "mode" and isinstance(k.value, ast.Constant)
        ]
        modes = (
            given
            or [c.value for a in call.args[1:2] for c in ast.walk(a) if isinstance(c, ast.Constant)]
            or ["r"]
        )
        return not all("b" in str(mode) for mode in modes if isinstance(mode, str))
    return name in PROCESSES and bool(named & {"text", "universal_newlines"})


def lacking(source: str) -> tuple[int, list[int]]:
    """How many calls open a text, and the lines of those that do not name its encoding."""
    calls = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and opens_text(node)
    ]
    return len(calls), [
        c.lineno for c in calls if "encoding" not in {keyword.arg for keyword in c.keywords}
    ]


def test_every_text_file_names_its_encoding():
    count, wrong = 0, []
    for path in sorted(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")):
        seen, lines = lacking(path.read_text(encoding="utf-8"))
        count += seen
        wrong += [f"{path.relative_to(REPOSITORY)}:{line}" for line in lines]
    assert wrong == [] and count > 15


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("p.read_text()", (1, [1])), ("p.read_text(encoding='utf-8')", (1, [])), ("p.write_text(x)", (1, [1])),
        ("open(p)", (1, [1])), ("open(p, 'w')", (1, [1])), ("open(p, 'a+', encoding='utf-8')", (1, [])),
        ("open(p, 'rb')", (0, [])), ("open(p, mode='wb')", (0, [])), ("open(p, 'ab' if x else 'wb')", (0, [])),
        ("Image.open(p)", (0, [])), ("subprocess.run(c, text=True)", (1, [1])), ("subprocess.run(c)", (0, [])),
        ("experiment.run(c)", (0, [])), ("Popen(c, text=True, encoding='utf-8')", (1, [])),
    ],
)  # fmt: skip
def test_what_opens_a_text_is_known(source, found):
    assert lacking(source) == found


# ---------------------------------------------------------------- an ASCII locale

COMMANDS = r"""
import sys
from tools import al_compare, al_train, al_verify
config, root, trusted = sys.argv[1:]
options = ["task.type=tests.whole.test_encodings.Named", "budget.cycles=2", "scoring.batch_size=auto"]
options.append("task.title=\u5bf8\u6cd5")
for strategy in ("learning_loss", "random"):
    run = [config, "--wandb", "disabled", "--strategy", strategy, "--work-dir", f"{root}/runs/{strategy}/seed0"]
    for _ in range(2):  # the second finds it finished
        status = al_train.main([*run, "--cfg-options", *options])
        assert status == 0, status
status = al_verify.main([f"{root}/runs", "--trust", trusted])
assert status == 0, status
status = al_compare.main([f"{root}/runs", "--out", f"{root}/out", "--trust", trusted])
assert status == 0, status
"""


def in_ascii(*arguments: str) -> subprocess.CompletedProcess:
    """A program in a process whose locale knows ASCII alone, as that of many containers
    and cluster jobs.
    """
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("LC_", "LANG", "PYTHONIO"))
    }
    environment |= {
        **ASCII,
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "disabled",
    }
    command = [sys.executable, *arguments]
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=300,
    )


@pytest.mark.slow
def test_a_run_with_names_beyond_ascii_is_healthy_in_an_ascii_locale(tmp_path: Path):
    done = in_ascii(
        "-c",
        COMMANDS,
        str(REPOSITORY / "tests/examples/toy_config.py"),
        str(tmp_path),
        str(REPOSITORY),
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert "FAILED" not in done.stdout and "Logging error" not in done.stderr
    folder = tmp_path / "runs/random/seed0"
    names = (folder / "samples.txt").read_text(encoding="utf-8").split("\n")
    assert names[17] == "größe/寸法 17.jpg"
    assert read(folder).finished, "read here, where the locale is another one"
    assert read(folder).settings["task.title"] == "寸法"
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "größe/寸法" in page and 'charset="utf-8"' in page
    (row,) = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert [leg["name"] for leg in row["legs"]] == ["random", "learning_loss"] and row[
        "left_out"
    ] == []


def test_this_process_has_another_locale_than_that_one():
    found = in_ascii(
        "-c", "import locale; print(locale.getpreferredencoding(False))"
    ).stdout.strip()
    assert found in (
        "ANSI_X3.4-1968",
        "US-ASCII",
        "ascii",
    ) and found != locale.getpreferredencoding(False)


def test_names_that_are_no_utf8_are_other_names_and_no_traceback(tmp_path: Path):
    folder, names = RunFolder(tmp_path / "run"), ["größe 0", "b"]
    folder.open({"seed": 0}, names)
    (folder.path / "samples.txt").write_bytes("größe 0\nb\n".encode("latin-1"))
    with pytest.raises(
        RunFolderError,
        match=r"samples\.txt is of other data: sample 0 is 'gr..e 0' there, and 'größe 0' now",
    ):
        folder.open({"seed": 0}, names)
