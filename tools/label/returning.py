"""What came back from people: read from a file or a server."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.label.adding import Done, images_by_name
from tools.label.exporting import sent_to
from tools.label.formats import FORMATS, recognised
from tools.label.images import digest
from tools.label.labels import Entry, LabelError
from tools.label.project import Project
from tools.label.studio.server import Server
from tools.label.studio.tokens import token_from


@dataclass(frozen=True)
class Returned:
    """What came back, before it is checked.

    Args:
        entries: of images.
        source: what is kept of where they came from.
    """

    entries: Sequence[Entry]
    source: Mapping[str, str]


def from_file(project: Project, path: Path, form: str | None) -> Returned:
    """Read an export.

    Args:
        project: whose images it is about.
        path: of a file or a folder.
        form: name of its format; None tells it by its content.

    Raises:
        LabelError: if it cannot be read.
    """
    if not path.exists():
        raise LabelError(f"{path}: expected an export of a labeling tool, but there is nothing")
    form = form or recognised(path)
    entries = FORMATS[form].load().read(path, project.labeling, images_by_name(project))
    return Returned(entries, {"file": path.name, "format": form, "sha256": _hash(path)})


def from_server(project: Project, url: str) -> Returned:
    """Read what is done in a Label Studio.

    Raises:
        LabelError: if the server is not there, or no batch went to it.
    """
    number = sent_to(project, url)
    tasks = Server(url, token_from()).pull(number)
    text = json.dumps(tasks)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "export.json"
        path.write_text(text, encoding="utf-8")
        entries = (
            FORMATS["label-studio"].load().read(path, project.labeling, images_by_name(project))
        )
    value = hashlib.sha256(text.encode()).hexdigest()
    source = {"file": f"project {number} of {url}", "format": "label-studio", "sha256": value}
    return Returned(entries, source)


def _hash(path: Path) -> str:
    """The hash of a file, or of all files of a folder."""
    if path.is_file():
        return digest(path)
    value = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        value.update(f"{file.relative_to(path)} {digest(file)}\n".encode())
    return value.hexdigest()


def done(given: str | None) -> Done:
    """The images that are finished, by `--done`.

    Raises:
        LabelError: if there is no such file.
    """
    if given in (None, "all"):
        return given
    path = Path(str(given))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(f"--done: expected `all` or a file of paths, but {error}") from error
    return {line.strip() for line in lines if line.strip()}
