"""Every strategy on every sandbox for two short cycles.

    python tools/matrix.py --root data/sandbox

A table of cells: what ran, in how many seconds, and the range of its scores or of its vectors'
norms; and what was refused, with the reason. Needs what `make_sandbox.py` drew. The exit status is
1 where a cell that was not refused failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from rich.console import Console

from acquisition.strategies import named_strategies
from models.process.text import headline
from tools.contract.matrix import run_cell, table
from tools.display.streams import command

# and the data's folder
CONFIGS = {"cls_sandbox": "shapes", "det_sandbox": "VOCdevkit", "pose_sandbox": "figures"}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=headline(__doc__))
    parser.add_argument(
        "--root", type=Path, required=True, help="folder with the sandboxes of make_sandbox.py"
    )
    parser.add_argument("--configs", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument(
        "--strategies",
        nargs="+",
        choices=list(named_strategies()),
        default=list(named_strategies()),
    )
    arguments = parser.parse_args(argv)
    console, cells = Console(soft_wrap=True, markup=False, highlight=False), []
    with tempfile.TemporaryDirectory(prefix="losstap-matrix-") as runs:
        for config in arguments.configs:
            for strategy in arguments.strategies:
                where = Path(runs) / config / strategy
                cells.append(run_cell(config, strategy, arguments.root / CONFIGS[config], where))
                console.print(f"{config} {strategy}: {cells[-1].status}, {cells[-1].seconds:.1f} s")
    table(cells).print(console)
    counts = {
        status: sum(cell.status == status for cell in cells)
        for status in ("ok", "refused", "FAILED")
    }
    console.print(
        f"{len(cells)} cells: " + ", ".join(f"{count} {status}" for status, count in counts.items())
    )
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    command(main)
