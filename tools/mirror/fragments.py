"""Read what W&B's client wrote into a run folder: the run's id, sessions, and rows.

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
    """Read the id of a run folder's W&B run; None if it has none.

    It was drawn for the folder. A folder of an earlier version has that of its last session.

    Raises:
        ValueError: if the file holds no id.
    """
    path = folder / ID_FILE
    if not path.exists():
        used = fragments(folder)
        return _id(used[-1]) if used else None
    with path.open(encoding="utf-8", errors="replace") as file:
        run_id = file.read(200).strip()
    if not re.fullmatch("[A-Za-z0-9_-]{1,64}", run_id):
        raise ValueError(
            f"Expected the id of a W&B run in {path}, but got {run_id!r}; delete it to have a new "
            "run"
        )
    return run_id


def keep_id(folder: Path, run_id: str) -> None:
    """Write the id of a run folder's W&B run, unless the folder has it already."""
    if not (folder / ID_FILE).exists() or kept_id(folder) != run_id:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / ID_FILE, f"{run_id}\n".encode())


def fragments(folder: Path, run_id: str = "*") -> list[Fragment]:
    """Return the sessions that hold records, online and offline ones; the newest last."""
    files = [
        file
        for file in folder.glob(f"wandb/*run-*/run-{run_id}.wandb")
        if file.stat().st_size > EMPTY
    ]
    return sorted(
        (file.parent for file in files), key=lambda place: place.name.partition("run-")[2]
    )


def unsent(folder: Path, run_id: str = "*") -> list[Fragment]:
    """Return the offline sessions that `wandb sync` has still to upload."""
    return [
        place for place in fragments(folder, run_id) if is_offline(place) and not _is_sent(place)
    ]


def is_offline(fragment: Fragment) -> bool:
    """Whether a session ran without a server."""
    return fragment.name.startswith("offline-")


def mark_sent(places: Iterable[Fragment]) -> None:
    """Mark sessions as uploaded, in the way that `wandb sync` writes and reads."""
    for place in places:
        (place / f"run-{_id(place)}.wandb.synced").touch()


def held(folder: Path, run_id: str) -> set[int]:
    """Return the cycles whose rows are safe.

    They are in offline sessions, or came to the server in an online one that ended well.
    """
    sure = [place for place in fragments(folder, run_id) if is_offline(place) or _is_sent(place)]
    return {cycle for place in sure for cycle in _cycles(place)}


def tidy(folder: Path) -> int:
    """Delete offline sessions that are torn or empty, so that their rows are written anew.

    Those are of processes that were killed. `wandb sync` stops at the first of them without a
    message, and sends the rows before the tear again each time. Where it has sent them once
    already, they are marked as sent.

    Returns:
        How many were torn.
    """
    count = 0
    for file in folder.glob("wandb/offline-run-*/run-*.wandb"):
        place = file.parent
        empty = file.stat().st_size <= EMPTY
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
    """Return the rows that W&B's own reader finds, and whether it reports a torn or broken file."""
    from wandb.util import get_core_path

    file = fragment / f"run-{_id(fragment)}.wandb"
    command = [get_core_path(), "leet", "inspect", "--no-observability", "--json"]
    command += ["--run-file", str(file), str(fragment)]
    done = subprocess.run(command, capture_output=True, check=False)
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    rows = [record["history"]["item"] for record in records if record.get("type") == "history"]
    return rows, done.returncode != 0 or bool(done.stderr.strip())
