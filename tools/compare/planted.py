"""The share of planted hard samples among what a run queried."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath

from models.process.text import error_line
from tools.display.console import Plain
from tools.display.sheet import Column, Sheet
from tools.record import files
from tools.record.folder import RunFolder, RunFolderError


def main(arguments: argparse.Namespace) -> int:
    """Count the hard samples that each run queried, and show the table.

    Args:
        arguments: the options of `planted.py`.

    Returns:
        The exit status of `planted.py`.
    """
    columns = (
        Column("hard", 2),
        Column("queried", 1),
        Column("share", 4),
        Column("share in the pool", 3),
    )
    sheet = Sheet(Column("run"), *columns)
    try:
        hard = frozenset(arguments.hard.read_text(encoding="utf-8").splitlines()) - {""}
        for share in [hard_share(run, hard) for run in arguments.runs]:
            ratio = share.hard / share.queried
            sheet.add(share.run, share.hard, share.queried, f"{ratio:.3f}", f"{share.pool:.3f}")
    except (OSError, ValueError, TypeError, RunFolderError) as error:
        print(error_line(error), file=sys.stderr)
        return 1
    sheet.print(Plain())
    return 0


@dataclass(frozen=True)
class Share:
    """The hard samples among those that a run queried.

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
    """Count the hard samples that a run queried.

    Args:
        run: its folder.
        hard: names in hard.txt: of samples as in `samples.txt`, or of their files without the
            ending (VOC's ids).

    Raises:
        RunFolderError: if the folder is damaged.
        ValueError: if no sample of the pool is in `hard`, or nothing was queried.
    """
    files.sound(run)
    folder = RunFolder(run)
    names = folder.sample_names()
    marked = [name in hard or PurePath(name).stem in hard for name in names]
    cycles = range(files.content(run / "metrics.jsonl", files.ROWS).count(b"\n"))
    queries = [folder.query(cycle) for cycle in cycles if folder.query_file(cycle).exists()]
    picks = [query.picked.ravel() for query in queries if query is not None]
    if odd := [ids.dtype for ids in picks if ids.dtype.kind not in "iu"]:
        raise ValueError(f"{run}: expected picks that are whole numbers, but got {odd[0]}")
    picked = [int(i) for ids in picks for i in ids]
    if outside := [i for i in picked if not 0 <= i < len(names)]:
        raise ValueError(f"{run}: expected picks from 0 to {len(names) - 1}, but got {outside[:5]}")
    if not any(marked) or not picked:
        raise ValueError(
            f"{run}: expected queries on a pool with samples of hard.txt, but got {len(picked)} "
            f"queried and {sum(marked)} hard ones"
        )
    return Share(run, sum(marked[i] for i in picked), len(picked), sum(marked) / len(marked))
