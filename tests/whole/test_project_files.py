"""What a visitor's tools read: the build, CI, pre-commit, the lists of rooms."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.read(REPOSITORY / "setup.cfg")
    return found


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize(
    "hook",
    [
        "get_requires_for_build_wheel",
        "prepare_metadata_for_build_wheel",
        "build_wheel",
        "get_requires_for_build_sdist",
        "build_sdist",
    ],
)
def test_a_build_of_a_wheel_or_an_archive_says_run_from_the_clone(
    hook: str, tmp_path: Path, monkeypatch
):
    pytest.importorskip("setuptools", reason="setuptools is not here")
    monkeypatch.syspath_prepend(str(REPOSITORY / ".ci"))
    import clone_only

    with pytest.raises(SystemExit, match="losstap has no wheel: run it from the clone"):
        getattr(clone_only, hook)(str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_pip_shows_that_sentence(tmp_path: Path):
    pytest.importorskip("setuptools", reason="setuptools is not here")
    pytest.importorskip("pip", reason="pip is not here")
    order = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*order, "--wheel-dir", str(tmp_path), str(REPOSITORY)], capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "losstap has no wheel: run it from the clone." in " ".join(said.split()), said
    assert not list(tmp_path.iterdir())


def test_the_classifiers_say_so_too(setup: configparser.ConfigParser):
    classifiers = lines(setup["metadata"]["classifiers"])
    assert "Private :: Do Not Upload" in classifiers


def test_ci_tries_each_python_that_setup_admits(setup: configparser.ConfigParser):
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())
    tried = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    classifiers = lines(setup["metadata"]["classifiers"])
    said = [c.rpartition(" ")[2] for c in classifiers if c.startswith("Programming Language")]
    assert tried == said and len(tried) == 4
    low, high = (f"3.{minor}" for minor in (10, int(tried[-1].rpartition(".")[2]) + 1))
    assert setup["options"]["python_requires"] == f">={low},<{high}"
    assert workflow["jobs"]["lowest"]["steps"][1]["with"]["python-version"] == tried[0]


def test_the_lowest_versions_are_those_of_setup(setup: configparser.ConfigParser):
    done = subprocess.run(
        [sys.executable, REPOSITORY / ".ci/lowest.py"], capture_output=True, text=True, check=True
    )
    found = dict(line.split("==") for line in done.stdout.split())
    needed = lines(setup["options"]["install_requires"])
    assert len(needed) > 10
    assert {re.split(r"[\[>]", line)[0] for line in needed} <= set(found)
    assert found["torch"] == "2.7.*" and found["pycocotools"] == "2.0.8"


def test_pre_commit_has_the_ruff_of_the_constraints():
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    revisions = [repository["rev"] for repository in hooks if "ruff" in repository["repo"]]
    pinned = re.findall(
        r"^ruff==(\S+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE
    )
    assert revisions == [f"v{version}" for version in pinned] and len(pinned) == 1


def test_the_readme_of_tools_has_a_line_for_each_command_and_part():
    text = (REPOSITORY / "tools/README.md").read_text()
    named = re.findall(r"^\| `(\w+(?:\.py|/))` \|", text, re.MULTILINE)
    commands = [path.name for path in (REPOSITORY / "tools").glob("*.py")]
    parts = [f"{path.parent.name}/" for path in (REPOSITORY / "tools").glob("*/__init__.py")]
    assert sorted(named) == sorted({*commands, *parts} - {"__init__.py"})


def test_each_page_is_in_the_sites_menu_and_in_the_list_of_pages():
    text = (REPOSITORY / "mkdocs.yml").read_text()
    pages = {
        str(path.relative_to(REPOSITORY / "docs")) for path in (REPOSITORY / "docs").rglob("*.md")
    }
    pages -= set(re.findall(r"exclude_docs: (\S+)", text))  # parts of other pages
    assert set(re.findall(r": ([\w/]+\.md)$", text, re.MULTILINE)) == pages and len(pages) > 12
    index = (REPOSITORY / "docs/index.md").read_text()
    by_hand = {p for p in pages if "/" not in p} - {"index.md", "contributing.md", "changelog.md"}
    assert set(re.findall(r"\]\((\w+\.md)\)", index)) == by_hand


def test_the_citation_names_the_version_and_the_paper(setup: configparser.ConfigParser):
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == setup["metadata"]["version"]
    assert citation["license"] == setup["metadata"]["license"]
    (paper,) = citation["references"]
    assert paper["title"] == "Learning Loss for Active Learning" and paper["year"] == 2019
