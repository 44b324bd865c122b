"""Downloads that a broken connection, a kill or a full disk interrupts but does not damage.

A file is received beside its place as `<name>.part`, continued there where it stopped, compared
with its checksum as a whole, and only then renamed.

Written here because pooch and torch hub begin anew after a stop, which for 13 GB takes hours.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import ssl
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError

from models.process.progress import bar

# seconds before each further try; counted anew whenever more of the file has arrived
WAITS = (1, 2, 5, 10, 30)
TIMEOUT = 60  # seconds without a byte after which a connection counts as broken
CHUNK = 1 << 20  # bytes
MAY_PASS = (408, 429)  # statuses below 500 for which another try may succeed
RANGE_NOT_SATISFIABLE = 416


class PrepareError(Exception):
    """Data that cannot be prepared; the message says why and what to do."""


class _Broken(Exception):
    """A broken connection, which is worth another try."""


def fetch(address: str, target: Path, checksum: str, unpacked: float) -> None:
    """Download `address` to `target`, going on from what an earlier call left in `<target>.part`.

    Args:
        address: http or https.
        target: replaced where it exists.
        checksum: "md5:..." or "sha256:..." of the whole file.
        unpacked: bytes to be unpacked for each byte of the file; the disk must have room for them
            beforehand.

    Raises:
        PrepareError: if the server does not send it, it is not the right file, or the disk has
            no room for it.
    """
    part = target.with_name(target.name + ".part")
    _receive(address, part, unpacked)
    if (actual := digest(part, checksum.split(":")[0])) != checksum:
        size = part.stat().st_size
        part.unlink()
        raise PrepareError(
            f"{address}: expected a file with {checksum}, but got {size:,} bytes with {actual}; "
            "they are deleted and the same command downloads anew. If it ends alike, the address "
            "holds another file: try --mirror"
        )
    os.replace(part, target)


def digest(path: Path, kind: str) -> str:
    """Return `kind` ("md5", "sha256"), a colon and the hexadecimal digest of a file."""
    value = hashlib.new(kind, usedforsecurity=False)
    with bar(of_bytes=True) as progress, open(path, "rb") as file:
        shown = progress.add_task(f"checking {path.name}", total=path.stat().st_size)
        while block := file.read(CHUNK):
            value.update(block)
            progress.advance(shown, len(block))
    return f"{kind}:{value.hexdigest()}"


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise PrepareError unless `needed` bytes are free on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PrepareError(
            f"{folder}: expected {gigabytes(needed)} free for {what}, but there are "
            f"{gigabytes(free)}; make room or give another --root; the same command goes on"
        )


def gigabytes(size: int) -> str:
    """Return a number of bytes in decimal GB, with the unit."""
    return f"{size / 1e9:.3g} GB"


def _receive(address: str, part: Path, unpacked: float) -> None:
    """Try until the file is whole; give up after several tries in a row that bring nothing more."""
    furthest = _size(part)
    tries = 0
    while True:
        try:
            return _attempt(address, part, unpacked)
        except _Broken as error:
            size = _size(part)
            if size > furthest:
                tries = 0
            tries += 1
            furthest = max(furthest, size)
            if tries > len(WAITS):
                kept = "try later"
                if size:
                    kept = f"{size:,} bytes are kept in {part}, and the same command goes on"
                raise PrepareError(
                    f"{address}: {error}, {tries} times in a row; {kept}, or try --mirror"
                ) from error
            print(f"{address}: {error}; trying again in {WAITS[tries - 1]} s", flush=True)
            time.sleep(WAITS[tries - 1])
        except OSError as error:  # of the disk: those of the network are `_Broken`
            raise PrepareError(
                f"Could not write {part}: {error.strerror or error}; make room or give another "
                "--root; the same command goes on"
            ) from error


def _attempt(address: str, part: Path, unpacked: float) -> None:
    offset = _size(part)
    with _ask(address, offset) as answer:
        start, total = _extent(answer)
        if start is None and total == offset:  # nothing is left to send
            return
        if start not in (0, offset):
            part.unlink(missing_ok=True)
            raise _Broken(
                f"expected the bytes from {offset:,} on, but the server has {total} and sends from "
                f"{start}"
            )
        if total is not None:
            require_space(
                part.parent, total - start + int(unpacked * total), f"{part.stem} and what is in it"
            )
        _write(answer, part, start, total)


def _ask(address: str, offset: int) -> HTTPResponse | HTTPError:
    """Request the bytes from `offset` on; the status of the answer is 200, 206 or 416."""
    request = urllib.request.Request(address)
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == RANGE_NOT_SATISFIABLE and offset:
            return error
        error.close()
        if error.code >= 500 or error.code in MAY_PASS:
            raise _Broken(f"the server answers {error.code} {error.reason}") from error
        hint = "if the file has moved, --mirror takes the address of a folder that has it"
        raise PrepareError(
            f"{address}: the server answers {error.code} {error.reason}; {hint}"
        ) from error
    except (OSError, HTTPException) as error:
        cause = getattr(error, "reason", error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise PrepareError(
                f"{address}: {cause}; try --mirror, or put this machine's certificates right"
            ) from error
        raise _Broken(f"no connection ({cause})") from error


def _extent(answer: HTTPResponse | HTTPError) -> tuple[int | None, int | None]:
    """Return the first byte of the file that an answer sends, and the size of the whole file.

    The first is None if it sends none of the file, the second if the server does not state it.
    """
    if answer.status == 200:
        length = answer.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    stated = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", answer.headers.get("Content-Range", ""))
    if stated is None:
        return None, None
    if answer.status != 206 or stated[1] is None:
        return None, int(stated[2])
    return int(stated[1]), int(stated[2])


def _write(answer: HTTPResponse | HTTPError, part: Path, start: int, total: int | None) -> None:
    """Append what an answer sends to the first `start` bytes of a file (0 or all)."""
    with bar(of_bytes=True) as progress, open(part, "ab" if start else "wb") as file:
        shown = progress.add_task(part.stem, total=total, completed=start)
        for block in _blocks(answer):
            file.write(block)
            progress.advance(shown, len(block))
    if total not in (None, _size(part)):
        raise _Broken(f"the connection ended after {_size(part):,} of {total:,} bytes")


def _blocks(answer: HTTPResponse | HTTPError) -> Iterator[bytes]:
    """Yield the bytes as they arrive, so that a timeout loses nothing that arrived before."""
    try:
        while block := answer.read1(CHUNK):
            yield block
    except (OSError, HTTPException) as error:
        raise _Broken(f"the connection broke ({str(error) or type(error).__name__})") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
