"""How many of a sandbox's planted hard samples the queries took:  python tools/planted.py RUN... --hard HARD.txt

Reads run folders on a sandbox of `make_sandbox.py` and its hard.txt; says, for every run, the share of hard samples
among all that was queried, beside the share in the pool.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

if not __package__:  # run as a file: its folder is first on the path, where its names would hide others
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(place for place in sys.path if Path(place).resolve() != HERE)]

from rich.console import Console

from tasks.faults import printable
from tools.record import files
from tools.record.folder import RunFolder, RunFolderError
from tools.display.sheet import Column, Sheet
from tools.display.streams import command


@dataclass(frozen=True)
class Share:
    """Hard samples among the queried of a run.

    Args:
        run: its folder.
        hard: queried samples that are hard.
        queried: all queried samples.
        pool: share of hard samples in the pool.
    """

    run: Path
    hard: int
    queried: int
    pool: float


def hard_share(run: Path, hard: frozenset[str]) -> Share:
    """Count what a run queried.

    Args:
        run: its folder.
        hard: names in hard.txt: of samples as `samples.txt` has them, or of their files without the ending (VOC's ids).

    Raises:
        RunFolderError: where the folder is damaged.
        ValueError: where no sample of the pool is in `hard`, or nothing was queried.
    """
    files.sound(run)
    names = files.text(run / "samples.txt", files.NAMES).splitlines()
    marked = [name in hard or PurePath(name).stem in hard for name in names]
    folder, rows = RunFolder(run), files.content(run / "metrics.jsonl", files.ROWS).count(b"\n")
    queries = [folder.query(cycle) for cycle in range(rows) if folder.query_file(cycle).exists()]
    picks = [query.picked.ravel() for query in queries if query is not None]
    if odd := [ids.dtype for ids in picks if ids.dtype.kind not in "iu"]:
        raise ValueError(f"{run}: expected picks that are whole numbers, but got {odd[0]}")
    picked = [int(i) for ids in picks for i in ids]
    if outside := [i for i in picked if not 0 <= i < len(names)]:
        raise ValueError(f"{run}: expected picks from 0 to {len(names) - 1}, but got {outside[:5]}")
    if not any(marked) or not picked:
        came = f"{len(picked)} queried and {sum(marked)} hard ones"
        raise ValueError(f"{run}: expected queries on a pool with samples of hard.txt, but got {came}")
    return Share(run, sum(marked[i] for i in picked), len(picked), sum(marked) / len(marked))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 where a folder is not what it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="run folders")
    parser.add_argument("--hard", type=Path, required=True, help="hard.txt of the sandbox")
    arguments = parser.parse_args(argv)
    columns = (Column("hard", 2), Column("queried", 1), Column("share", 4), Column("share in the pool", 3))
    sheet = Sheet(Column("run"), *columns)
    try:
        hard = frozenset(arguments.hard.read_text(encoding="utf-8").splitlines()) - {""}
        for share in [hard_share(run, hard) for run in arguments.runs]:
            ratio = share.hard / share.queried
            sheet.add(share.run, share.hard, share.queried, f"{ratio:.3f}", f"{share.pool:.3f}")
    except (OSError, ValueError, TypeError, RunFolderError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 1
    sheet.print(Console())
    return 0


if __name__ == "__main__":
    command(main)
