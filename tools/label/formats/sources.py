"""The files of an export: one file, a folder, or a zip, read alike and within limits."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path, PurePosixPath
from types import TracebackType

from models.process.text import reason, shown
from tasks.faults import Fault, escapes, path_fault, text_of
from tasks.labelable import Kind, Labeling
from tasks.xml_text import RefusedXML, parsed
from tools.label.formats import kinds
from tools.label.labels import LabelError

FILE_BYTES = 1 << 29  # a json or an XML; in memory it takes about ten times as much
MEMBERS = 500_000
LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
ANEW = "export it anew"


class Damaged(LabelError):
    """A file of which nothing can be taken.

    Args:
        fault: what is wrong; its sentence is the message.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def damaged(kind: str, where: str, expected: str, came: str, remedy: str) -> Damaged:
    """The error of a file as a whole."""
    return Damaged(Fault(kind, where, expected, came, remedy))


def suits(path: Path, tool: str, held: frozenset[Kind], labeling: Labeling) -> None:
    """Check that a format can hold what was to be drawn.

    Raises:
        Damaged: if it cannot.
    """
    if labeling.kind not in held:
        raise damaged(
            kinds.KIND,
            str(path),
            f"a format that holds {labeling.kind}",
            f"{tool}, which holds {', '.join(sorted(held))}",
            "export in another format",
        )


class Source:
    """An export's files by their names, which have "/" and lie below `path`.

    Args:
        path: of a file, a folder or a zip.

    Raises:
        Damaged: if it cannot be read, or names lead out of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = os.path.isdir(path)
        self._zip: zipfile.ZipFile | None = None
        self._members: dict[str, str] = {}  # of a zip, as it names them
        if self.folder:
            self.names = _listed(path)
            return
        fault = path_fault(path, "export", "give the file or the folder of the export", 1 << 50)
        if fault is not None:
            missing = fault.kind.startswith("missing")
            kind = kinds.MISSING if missing else kinds.UNREADABLE
            raise damaged(kind, fault.where, fault.expected, fault.came, fault.remedy)
        self.names = (path.name,)
        if _is_zip(path):
            self._zip, self._members = _unzipped(path)
            self.names = _without_litter(list(self._members))

    def __enter__(self) -> Source:
        """The source itself; the zip is closed at the end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the zip."""
        if self._zip is not None:
            self._zip.close()

    def where(self, name: str) -> str:
        """A file's place as messages say it."""
        if self._zip is None and not self.folder:
            return str(self.path)
        return f"{self.path}/{name}"

    def read(self, name: str, most: int | None = None) -> bytes:
        """The bytes of one file, at most `most` (FILE_BYTES).

        Raises:
            Damaged: if it cannot be read, or is larger.
        """
        limit = FILE_BYTES if most is None else most
        try:
            content = self._bytes(name, limit + 1)
        except Exception as error:  # zipfile raises what its decoders raise
            raise damaged(
                kinds.UNREADABLE, self.where(name), "a file that can be read", reason(error), ANEW
            ) from None
        if len(content) > limit:
            raise damaged(
                kinds.TOO_LARGE,
                self.where(name),
                f"at most {limit:,} bytes",
                "more",
                "export fewer images at a time",
            )
        return content

    def _bytes(self, name: str, most: int) -> bytes:
        if self._zip is not None:
            with self._zip.open(self._members[name]) as member:
                return member.read(most)
        path = self.path / name if self.folder else self.path
        with open(path, "rb") as file:
            return file.read(most)

    def ending(self, *suffixes: str) -> list[str]:
        """The names with one of these suffixes, in lower case or not."""
        return [name for name in self.names if name.lower().endswith(suffixes)]


def _listed(folder: Path) -> tuple[str, ...]:
    names: list[str] = []
    for home, folders, files in os.walk(folder):
        folders.sort()
        below = Path(home).relative_to(folder).as_posix()
        names += [name if below == "." else f"{below}/{name}" for name in files]
        if len(names) > MEMBERS:
            raise _too_many(folder)
    return _without_litter(names)


def _is_zip(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) in (b"PK\3\4", b"PK\5\6")
    except OSError as error:
        raise damaged(
            kinds.UNREADABLE, str(path), "a file that can be read", reason(error), ANEW
        ) from None


def _unzipped(path: Path) -> tuple[zipfile.ZipFile, dict[str, str]]:
    """A zip, and the names of its files with "/", which some programs write as Windows does."""
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # of a damaged directory it raises more than BadZipFile
        raise damaged(
            kinds.UNREADABLE, str(path), "a zip that can be read", reason(error), ANEW
        ) from None
    members: dict[str, str] = {}
    wrong: Damaged | None = None
    for member in archive.namelist():
        name = member.replace("\\", "/")
        if name.endswith("/"):
            continue
        nameless = not PurePosixPath(name).parts
        if nameless or escapes(name) or re.match("[A-Za-z]:", name):
            expected = "names that stay below the zip's own folder"
            remedy = "do not unpack it; export it anew"
            wrong = damaged(kinds.LEADS_OUT, str(path), expected, shown(member), remedy)
        elif name in members:
            wrong = damaged(kinds.UNREADABLE, str(path), "each name once", shown(name), ANEW)
        members[name] = member
    if len(members) > MEMBERS:
        wrong = _too_many(path)
    if wrong is not None:
        archive.close()
        raise wrong
    return archive, members


def _too_many(path: Path) -> Damaged:
    return damaged(
        kinds.TOO_LARGE,
        str(path),
        f"at most {MEMBERS:,} files",
        "more",
        "give the folder of the labels alone",
    )


def _without_litter(names: list[str]) -> tuple[str, ...]:
    kept = []
    for name in sorted(set(names)):
        parts = PurePosixPath(name).parts
        if not set(parts) & set(LITTER) and not parts[-1].startswith("._"):
            kept.append(name)
    return tuple(kept)


def json_of(content: bytes, where: str) -> object:
    """Parse a json.

    Raises:
        Damaged: if it does not parse.
    """
    try:
        return json.loads(text_of(content))
    except (ValueError, RecursionError, MemoryError) as error:
        raise damaged(kinds.BROKEN_JSON, where, "json that parses", reason(error), ANEW) from None


def xml_of(content: bytes, where: str) -> ET.Element:
    """Parse an XML.

    Raises:
        Damaged: if it does not parse, or has a DOCTYPE or ENTITY.
    """
    try:
        return parsed(content)
    except RefusedXML:
        raise damaged(
            kinds.REFUSED_XML,
            where,
            "XML without DOCTYPE and ENTITY",
            "one that has them",
            "delete them",
        ) from None
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise damaged(kinds.BROKEN_XML, where, "XML that parses", reason(error), ANEW) from None


def text_in(content: bytes, where: str, kind: str) -> str:
    """Decode a text in UTF-8 or -16, with or without a byte order mark.

    Raises:
        Damaged: if it is in another encoding.
    """
    encoding = "utf-8-sig"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        return content.decode(encoding)
    except ValueError as error:
        raise damaged(kind, where, "text in UTF-8", reason(error), "save it as UTF-8") from None
