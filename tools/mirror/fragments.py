"""What W&B's client wrote into a run folder: the run's id, sessions, and rows.

A session is a process from `wandb.init` to its end; its folder is `wandb/run-<time>-<id>` or
`wandb/offline-run-...`. A run that was stopped and went on has several. Offline ones hold each row
once together, so that `wandb sync` of all of them sends each once.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.record.writing import write_whole

ID_FILE = "wandb_id.txt"
EMPTY = 7  # bytes of a file whose process was killed before it wrote a record
Fragment = Path  # the folder of a session


def kept_id(folder: Path) -> str | None:
    """The W&B run that a run folder is: the one drawn for it or, of a folder of before, that of its
    last session.

    Raises:
        ValueError: if the file holds no id.
    """
    path = folder / ID_FILE
    if not path.exists():
        used = fragments(folder)
        return _id(used[-1]) if used else None
    with path.open(encoding="utf-8", errors="replace") as file:
        found = file.read(200).strip()
    if not re.fullmatch("[A-Za-z0-9_-]{1,64}", found):
        raise ValueError(
            f"Expected the id of a W&B run in {path}, but got {found!r}; delete it to have a new "
            "run"
        )
    return found


def keep_id(folder: Path, run_id: str) -> None:
    """Write it where it is not there yet, or another."""
    if not (folder / ID_FILE).exists() or kept_id(folder) != run_id:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / ID_FILE, f"{run_id}\n".encode())


def fragments(folder: Path, run_id: str = "*") -> list[Fragment]:
    """Sessions that hold something, online and offline ones; the newest last."""
    files = [
        file
        for file in folder.glob(f"wandb/*run-*/run-{run_id}.wandb")
        if file.stat().st_size > EMPTY
    ]
    return sorted(
        (file.parent for file in files), key=lambda place: place.name.partition("run-")[2]
    )


def unsent(folder: Path, run_id: str = "*") -> list[Fragment]:
    """Offline sessions that `wandb sync` has still to upload."""
    return [
        place for place in fragments(folder, run_id) if is_offline(place) and not _is_sent(place)
    ]


def is_offline(fragment: Fragment) -> bool:
    """Whether it was one without a server."""
    return fragment.name.startswith("offline-")


def mark_sent(places: Iterable[Fragment]) -> None:
    """Say, as `wandb sync` does and heeds, that all of them came to the server."""
    for place in places:
        (place / f"run-{_id(place)}.wandb.synced").touch()


def held(folder: Path, run_id: str) -> set[int]:
    """Cycles whose rows are in offline sessions, or came to the server in an online one
    that ended well.
    """
    sure = [place for place in fragments(folder, run_id) if is_offline(place) or _is_sent(place)]
    return {cycle for place in sure for cycle in _cycles(place)}


def tidy(folder: Path) -> int:
    """Delete offline sessions that are torn, or were killed before they held a record, to have
    their rows written anew.

    `wandb sync` stops at the first of them without a word, and sends the rows before the tear again
    each time. Where it has sent them once already, they are marked as sent.

    Returns:
        How many were torn.
    """
    count = 0
    for file in folder.glob("wandb/offline-run-*/run-*.wandb"):
        place, empty = file.parent, file.stat().st_size <= EMPTY
        if _is_sent(place) or not (empty or _rows(place)[1]):
            continue
        count += not empty
        if any(place.glob("*.syncstate")):
            mark_sent([place])
        else:
            shutil.rmtree(place)
    return count


def _id(fragment: Fragment) -> str:
    return next(fragment.glob("run-*.wandb")).name.removeprefix("run-").removesuffix(".wandb")


def _is_sent(fragment: Fragment) -> bool:
    return any(fragment.glob("*.synced"))


def _cycles(fragment: Fragment) -> list[int]:
    return [int(row["cycle"]) for row in _rows(fragment)[0] if "cycle" in row]


def _rows(fragment: Fragment) -> tuple[list[dict[str, Any]], bool]:
    """What W&B's own reader finds, and whether it complains of a torn or broken file."""
    from wandb.util import get_core_path

    file = fragment / f"run-{_id(fragment)}.wandb"
    command = [get_core_path(), "leet", "inspect", "--no-observability", "--json"]
    command += ["--run-file", str(file), str(fragment)]
    done = subprocess.run(command, capture_output=True, check=False)
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    rows = [record["history"]["item"] for record in records if record.get("type") == "history"]
    return rows, done.returncode != 0 or bool(done.stderr.strip())
