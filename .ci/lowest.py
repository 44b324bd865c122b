"""Prints the lowest versions that setup.cfg admits, as constraints for pip.

    python .ci/lowest.py > lowest.txt
    python -m pip install --constraint lowest.txt --editable '.[dev]'

A bound of two numbers (`>=4.12`) becomes `==4.12.*`: the newest patch of the lowest release.
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path

TOOLS = ("mypy", "ruff")  # what they say depends on their version: constraints.txt has it


def lowest(requirement: str) -> str:
    """`name==version` for `name>=version,...`."""
    found = re.match(r"([\w-]+)(?:\[[\w,]+\])?>=([\d.]+)", requirement)
    if found is None:
        raise SystemExit(f"Expected a lower bound in {requirement!r} of setup.cfg")
    name, version = found.groups()
    return f"{name}=={version}" + (".*" if version.count(".") < 2 else "")


def main() -> None:
    """For what losstap and its tests need."""
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).resolve().parent.parent / "setup.cfg")
    needed = setup["options"]["install_requires"] + setup["options.extras_require"]["dev"]
    for requirement in needed.split("\n"):
        if requirement and not requirement.startswith(TOOLS):
            print(lowest(requirement))


if __name__ == "__main__":
    main()
