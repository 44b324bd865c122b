"""The rooms of the house: each floor imports only from those below it, and only its own
module names a task.
"""

from __future__ import annotations

import ast
from pathlib import Path

from tests.conftest import REPOSITORY

FLOORS = ("models", "tasks", "acquisition", "tools")
MMDET = ("models/networks/ssd", "models/networks/mmdet_", "tasks/detection/")
TASKS = ("detection", "classification", "pose")


def sources() -> list[Path]:
    return sorted(path for floor in FLOORS for path in (REPOSITORY / floor).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or "."}
    return found


def test_the_test_sees_the_whole_house():
    seen = {path.relative_to(REPOSITORY).parts[0] for path in sources()}
    assert seen == set(FLOORS)
    crossing = [
        name for path in sources() for name in imports(path) if name.split(".")[0] in FLOORS
    ]
    assert len(crossing) > 60


def test_a_file_imports_from_its_own_floor_and_below():
    above = []
    for path in sources():
        floor = FLOORS.index(path.relative_to(REPOSITORY).parts[0])
        above += [
            (path, name) for name in imports(path) if name.split(".")[0] in FLOORS[floor + 1 :]
        ]
    assert above == []


def test_mmdet_and_the_tasks_are_known_in_their_own_rooms_alone():
    outside = []
    for path in sources():
        name, found = str(path.relative_to(REPOSITORY)), imports(path)
        if not name.startswith(MMDET):
            outside += [(name, i) for i in found if i.split(".")[0] == "mmdet"]
        if not name.startswith("tasks/"):
            outside += [
                (name, i) for i in found if i.startswith(tuple(f"tasks.{task}" for task in TASKS))
            ]
    assert outside == []


def test_a_file_in_tools_is_a_command_and_a_folder_is_a_part():
    for path in (REPOSITORY / "tools").glob("*.py"):
        text = path.read_text()
        assert path.name == "__init__.py" or 'if __name__ == "__main__":\n    command(' in text, (
            path
        )
    parts = sorted(path.parent for path in (REPOSITORY / "tools").glob("*/__init__.py"))
    assert len(parts) > 8
    for part in parts:  # a part is imported by commands and by other parts, and imports no command
        named = {
            name
            for path in part.rglob("*.py")
            for name in imports(path)
            if name.startswith("tools.")
        }
        commands = {
            f"tools.{path.stem}"
            for path in (REPOSITORY / "tools").glob("*.py")
            if path.stem != "__init__"
        }
        assert not named & commands, part
