"""Streams of the commands that have no room, no reader or no code for a character.

And notebooks' MPLBACKEND.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

COMMANDS = sorted(
    p for p in (REPOSITORY / "tools").glob("*.py") if '__name__ == "__main__"' in p.read_text()
)
NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # as IPython sets it
GOES_ON = """
import sys
from pathlib import Path
from tools.display.streams import command

def main(given):
    for word in given[1:]:
        print(word, flush=True)
    Path(given[0]).write_text("whole")
    return {status}

command(main)
"""


def said(
    code: str, *given: str, stdout: int | None = None, **environment: str
) -> subprocess.CompletedProcess:
    """What a program of a command came to, its exit status and streams."""
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    return subprocess.run(
        [sys.executable, "-c", code, *given],
        env=variables,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE if stdout is None else stdout,
    )


@pytest.mark.parametrize("status, ended", [(0, 74), (1, 1)])
def test_a_full_disk_is_said_once_and_ends_nothing(tmp_path, status, ended):
    full = os.open("/dev/full", os.O_WRONLY)
    done = said(GOES_ON.format(status=status), str(tmp_path / "file"), "a", "b", "c", stdout=full)
    os.close(full)
    told = (
        b"standard output cannot be written to (No space left on device): further output is "
        b"lost; the command goes on, and files are written"
    )
    assert (done.returncode, (tmp_path / "file").read_text()) == (ended, "whole")
    assert done.stderr.count(told) == 1 and len(done.stderr.splitlines()) == 1


def test_a_reader_that_has_gone_has_read_what_it_wanted(tmp_path):
    ours, theirs = os.pipe()
    os.close(ours)
    done = said(GOES_ON.format(status=0), str(tmp_path / "file"), "a", "b", stdout=theirs)
    os.close(theirs)
    assert (done.returncode, (tmp_path / "file").read_text()) == (0, "whole")
    assert done.stderr.count(b"(Broken pipe)") == 1 and b"Traceback" not in done.stderr


def test_what_is_said_before_the_end_alone_is_lost_with_a_word():
    done = said(
        "from tools.display.streams import command\ncommand(lambda given: print('buffered') or 0)",
        stdout=(full := os.open("/dev/full", os.O_WRONLY)),
    )
    os.close(full)
    assert (
        done.returncode == 74
        and b"No space left" in done.stderr
        and b"Exception ignored" not in done.stderr
    )


def test_files_of_a_command_whose_streams_are_closed_get_none_of_its_words(tmp_path):
    code = f"""
import os, subprocess, sys
program = [sys.executable, "-c", {GOES_ON.format(status=0)!r}, {str(tmp_path / "file")!r}, "a word"]
sys.exit(subprocess.run(program, preexec_fn=lambda: os.closerange(0, 3)).returncode)
"""
    assert said(code).returncode == 0 and (tmp_path / "file").read_text() == "whole"
    opened = (
        "import os\nfrom tools.display.streams import command\ncommand(lambda given: "
        "os.open('/dev/null', 0) - 3)"
    )
    closed = f"import os, subprocess, sys\nprogram = [sys.executable, '-c', {opened!r}]\n"
    closed += "sys.exit(subprocess.run(program, preexec_fn=lambda: os.closerange(0, 3)).returncode)"
    assert said(closed).returncode == 0, "a file that is opened must not become standard output"


def test_the_end_of_argparse_is_kept():
    code = "import argparse\nfrom tools.display.streams import command\n"
    code += "command(lambda given: argparse.ArgumentParser().parse_args(given) and 0)"
    assert (said(code, "--help").returncode, said(code, "--what").returncode) == (0, 2)
    assert b"unrecognized arguments: --what" in said(code, "--what").stderr


@pytest.mark.parametrize(
    ("encoding", "came"),
    [("ascii", rb"0.5 +- 0.1 -1 H\xe4user \u732b"), ("latin-1", b"0.5 \xb1 0.1 -1 H\xe4user \\u732b"),
     ("utf-8", "0.5 ± 0.1 −1 Häuser 猫".encode())],
)  # fmt: skip
def test_what_an_encoding_lacks_is_replaced(encoding, came):
    code = "import sys\nfrom tools.display.streams import command\n"
    code += (
        "command(lambda given: print('0.5 ± 0.1 −1 Häuser 猫') or print('ß…', file=sys.stderr) "
        "or 0)"
    )
    done = said(code, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout.rstrip(b"\n")) == (0, came)
    assert done.stderr.decode(encoding).strip() == {"ascii": r"\xdf...", "latin-1": "ß..."}.get(
        encoding, "ß…"
    )


def test_a_name_that_is_no_text_can_be_printed():
    code = "import os\nfrom tools.display.streams import command\n"
    code += "command(lambda given: print(os.fsdecode(b'a\\xff.png')) or 0)"
    done = said(code, PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stdout) == (0, rb"a\udcff.png" + b"\n")


def test_every_command_takes_care_of_its_streams():
    assert len(COMMANDS) > 10
    assert [p.name for p in COMMANDS if "\n    command(" not in p.read_text()] == []


def before_tools(path: Path) -> set[str]:
    """What a command imports before the package that says how to draw."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if any(name.partition(".")[0] == "tools" for name in names):
            return found
        found |= set(names)
    raise AssertionError(f"{path} imports nothing of tools")


def test_no_command_loads_what_draws_before_it_is_told_how():
    names = sorted(set().union(*map(before_tools, COMMANDS)) - {"__future__"})
    assert "models.process.text" in names
    code = f"import sys, {', '.join(names)}\nassert 'matplotlib' not in sys.modules\nimport tools\n"
    done = said(code + "from matplotlib import pyplot", **NOTEBOOK)
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def test_a_notebook_itself_draws_where_it_drew():
    code = (
        "import os, sys\nsys.modules['ipykernel'] = sys\nimport "
        "tools\nprint(os.environ['MPLBACKEND'])"
    )
    assert said(code, **NOTEBOOK).stdout.decode().strip() == NOTEBOOK["MPLBACKEND"]


def test_a_run_is_whole_without_a_backend_and_without_output(tmp_path):
    """The library's own drawing is loaded while it runs, too."""
    given = [
        str(REPOSITORY / "tests/examples/toy_config.py"),
        "--smoke",
        "--wandb",
        "disabled",
        "--work-dir",
        str(tmp_path),
    ]
    full = os.open("/dev/full", os.O_WRONLY)
    train = f"import runpy, sys\nsys.argv[0] = {str(REPOSITORY / 'tools/al_train.py')!r}\n"
    train += "runpy.run_path(sys.argv[0], run_name='__main__')"
    done = said(train, *given, stdout=full, **NOTEBOOK)
    os.close(full)
    assert done.returncode == 74 and b"Traceback" not in done.stderr, done.stderr.decode()[-2000:]
    assert done.stderr.startswith(
        b"al_train.py: standard output cannot be written to (No space left on device)"
    )
    assert (tmp_path / "done").exists() and (tmp_path / "curve.png").exists()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_drawing_asks_nobody_for_a_window(tmp_path):
    code = """
import sys
from pathlib import Path
from tools.train.showing import draw
draw([{"labeled": 10, "score": 0.5}], "score", "t", Path(sys.argv[1]))
assert "matplotlib.pyplot" not in sys.modules
"""
    assert said(code, str(tmp_path / "curve.png"), **NOTEBOOK).returncode == 0
    assert Path(tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
