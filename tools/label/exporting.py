"""A batch on its way to people: as files for a tool, or to a server."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from models.process.files import replacing
from models.process.text import shown
from tasks.labelable import Kind
from tools.label.batches import Batch, folder_of
from tools.label.formats import FORMATS, label_studio
from tools.label.images import digest
from tools.label.labels import LabelError
from tools.label.project import Project
from tools.label.studio.server import Server
from tools.label.studio.tokens import token_from

SERVER = "server.json"  # where the batches of a project went
TITLE = 50  # characters of a title in Label Studio


def require(forms: Sequence[str], kind: Kind) -> None:
    """Check that formats can hold what is drawn, before anything is trained.

    Raises:
        LabelError: if one cannot.
    """
    wrong = [form for form in forms if kind not in FORMATS[form].kinds]
    if wrong:
        fitting = [name for name, known in FORMATS.items() if kind in known.kinds]
        raise LabelError(f"--export: expected one of {fitting} for {kind}, but got {wrong[0]!r}")


def export(project: Project, batch: Batch, form: str) -> list[str]:
    """Write a batch for a labeling tool, whole or not at all.

    What is there already and differs is kept beside it: people may have labeled in it.

    Args:
        project: with the batch.
        batch: to be written.
        form: name of the format.

    Returns:
        Where it lies, and what people do next; a line each.

    Raises:
        LabelError: if the tool cannot hold this batch.
    """
    outgoing = batch.outgoing(project.labeling, project.index.root, project.images)
    folder = folder_of(project.path, batch.number).resolve() / form
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{form}-*"):  # of a process that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=f".{form}-", dir=folder.parent) as scratch:
        made = Path(scratch) / form
        made.mkdir()
        lines = FORMATS[form].load().write(outgoing, made)
        lines = [line.replace(str(made), str(folder)) for line in lines]
        if folder.exists() and _files(folder) != _files(made):
            aside = _aside(folder)
            folder.rename(aside)
            lines.append(f"note: {folder} had other files than those, which are kept in {aside}")
        if not folder.exists():
            made.rename(folder)
    return [f"{form}: {folder}", *lines]


def _files(folder: Path) -> dict[str, str]:
    """The hash of each file by its path below."""
    return {
        path.relative_to(folder).as_posix(): digest(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def _aside(folder: Path) -> Path:
    """A path beside a folder that is not there yet."""
    number = 1
    while (path := folder.with_name(f"{folder.name}-before-{number}")).exists():
        number += 1
    return path


def push(project: Project, batch: Batch, url: str) -> list[str]:
    """Send a batch to a Label Studio; what is there already is not sent again.

    Raises:
        LabelError: if it cannot be sent; the same command goes on.
    """
    outgoing = batch.outgoing(project.labeling, project.index.root, project.images)
    server = Server(url, token_from())
    place = _place(project, url)
    number = server.push(
        _title(project),
        label_studio.configuration(project.labeling),
        label_studio.tasks(outgoing),
        str(project.index.root),
        place,
    )
    if place != number:
        with replacing(project.path / SERVER) as beside:
            beside.write_text(json.dumps({"url": url, "project": number}) + "\n", encoding="utf-8")
    return [f"batch {batch.number} is in project {number} of {url}"]


def _title(project: Project) -> str:
    """A title that no other labeling project has, as the server finds a project by it."""
    folder = project.path.resolve()
    mark = hashlib.sha256(f"{folder} {sorted(project.slice)}".encode()).hexdigest()[:8]
    tail = f" (losstap {mark})"
    return folder.name[: TITLE - len(tail)] + tail


def _place(project: Project, url: str) -> int | None:
    """The server's project that earlier batches went to; None if there is none."""
    path = project.path / SERVER
    if not path.exists():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["url"] != url:
            raise LabelError(
                f"--push: expected {kept['url']}, where earlier batches went, but got {url}; "
                f"remove {path} where the server has moved"
            )
        return int(kept["project"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabelError(f"{path} is damaged ({shown(str(error))}); remove it") from error


def sent_to(project: Project, url: str) -> int:
    """The server's project that the batches went to.

    Raises:
        LabelError: if none went there.
    """
    number = _place(project, url)
    if number is None:
        raise LabelError(
            f"--pull: expected a server that batches were sent to by `next --push {url}`"
        )
    return number
