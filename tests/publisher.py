"""A publisher on the loopback, with small archives in the real layouts and the misfortunes
that servers have.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from tools.data.published import mpii
from tools.data.published import sets as published
from tools.data.published.faults import BATCHES
from tools.data.published.sets import DataSet

HALF = 200_000  # bytes of random padding in each archive: enough for several reads


@dataclass
class Publisher:
    """Files by name, what goes wrong with the next requests, and the requests that came:
    (name, Range header).
    """

    files: dict[str, bytes]
    address: str = ""
    plan: list[str] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def publish(files: Mapping[str, bytes]) -> Iterator[Publisher]:
    """Serve files. An entry of `plan` is used up by one request:

    "cut N": the connection closes after N bytes of the body; "stall N": it says nothing more for a
    second; "503" or any other status; "whole": Range is ignored; "shifted": bytes from elsewhere
    than asked for; "wrong": other bytes; "endless": no Content-Length.
    """
    publisher = Publisher(dict(files))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, publisher)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    publisher.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield publisher
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(request: BaseHTTPRequestHandler, publisher: Publisher) -> None:
    name, span = request.path.rsplit("/", 1)[-1], request.headers.get("Range")
    publisher.asked.append((name, span))
    what, _, number = (publisher.plan.pop(0) if publisher.plan else "").partition(" ")
    if what.isdecimal() or name not in publisher.files:
        request.send_error(int(what or 404))
        return
    content = publisher.files[name]
    if what == "wrong":
        content = bytes(len(content))
    start = int(span.removeprefix("bytes=").removesuffix("-")) if span and what != "whole" else 0
    if start >= len(content):
        request.send_response(416)
        request.send_header("Content-Range", f"bytes */{len(content)}")
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    start += what == "shifted"
    request.send_response(206 if span and what != "whole" else 200)
    if span and what != "whole":
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if what != "endless":
        request.send_header("Content-Length", str(len(content) - start))
    request.end_headers()
    cut = int(number) if number else len(content)
    request.wfile.write(content[start : start + cut])
    if what == "stall":
        request.wfile.flush()
        time.sleep(1)


def tar(
    files: Mapping[str, bytes], mode: str = "w", members: tuple[tarfile.TarInfo, ...] = ()
) -> bytes:
    """An archive of some files, then of members without content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in members:
            archive.addfile(member)
    return out.getvalue()


def padding(seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(HALF)


def voc_tar(year: str, split: str, ids: list[str], mode: str = "w") -> bytes:
    top = f"VOCdevkit/{year}"
    files = {f"{top}/ImageSets/Main/{split}.txt": "\n".join(ids).encode() + b"\n"}
    for i in ids:
        files |= {
            f"{top}/JPEGImages/{i}.jpg": padding(int(i)),
            f"{top}/Annotations/{i}.xml": b"<annotation/>",
        }
    return tar(files, mode)


def mpii_person(image: str, validation: bool, at: float = 10.0) -> dict[str, Any]:
    """A person as the wheel has it: one joint a pixel, all visible."""
    return {
        "isValidation": float(validation),
        "img_paths": image,
        "objpos": [at, at],
        "scale_provided": 1.5,
        "joint_self": [[at + j, at + j, 1.0] for j in range(16)],
        "annolist_index": 5.0,
    }


def mpii_wheel(persons: list[dict[str, Any]]) -> bytes:
    """The persons, the truth of those to validate, and code that is not wanted."""
    # (N, 16, 3)
    joints = np.array([person["joint_self"] for person in persons if person["isValidation"]])
    heads, truth, out = np.zeros((2, 2, len(joints))), io.BytesIO(), io.BytesIO()
    heads[1] = 40
    savemat(
        truth,
        {
            "headboxes_src": heads,
            "jnt_missing": (joints[..., :2] == 0).all(-1).T.astype(np.uint8),
            "pos_gt_src": joints[..., :2].transpose(1, 2, 0),
        },
    )
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("stacked_hourglass/__init__.py", "raise SystemExit")
        archive.writestr(mpii.PERSONS, gzip.compress(json.dumps(persons).encode()))
        archive.writestr(mpii.TRUTH, truth.getvalue())
    return out.getvalue()


def mpii_archives() -> tuple[bytes, bytes]:
    """The wheel with the annotations (5 persons to train on, 2 to validate, mixed), and
    the images.
    """
    persons = [mpii_person(f"{i}.jpg", i in (5, 6)) for i in (1, 5, 1, 2, 3, 6, 4)]
    return mpii_wheel(persons), tar({f"images/{i}.jpg": padding(i) for i in range(1, 8)}, "w:gz")


def cifar_tar(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """One batch of three images and one of two, as the lists then expect them."""
    batches = {
        name: pickle.dumps(
            {"data": np.frombuffer(padding(n)[: n * 3072], np.uint8), "labels": [0] * n}
        )
        for name, n in (("data_batch_1", 3), ("test_batch", 2))
    }
    files = batches | {"batches.meta": pickle.dumps({"label_names": ["a"]})}
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    lists = {"train": "data_batch_1", "test": "test_batch", "": "batches.meta"}
    for split, name in lists.items():
        monkeypatch.setitem(BATCHES, split, {name: md5[name]})
    return tar({f"cifar-10-batches-py/{name}": content for name, content in files.items()}, "w:gz")


def small(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, bytes], dict[str, DataSet]]:
    """Archives by their real names, and `published.SETS` with the checksums and counts of these."""
    annotations, images = mpii_archives()
    made = {
        "cifar10": [(cifar_tar(monkeypatch), {"train": 3, "test": 2})],
        "voc": [
            (voc_tar("VOC2007", "trainval", ["000005", "000007"]), {"VOC2007/trainval": 2}),
            (voc_tar("VOC2007", "test", ["000001"]), {"VOC2007/test": 1}),
            (voc_tar("VOC2012", "trainval", ["2008", "2009", "2010"]), {"VOC2012/trainval": 3}),
        ],
        "mpii": [(annotations, {"train": 5, "valid": 2}), (images, {})],
    }
    files, sets = {}, {}
    for name, contents in made.items():
        archives = []
        for archive, (content, counts) in zip(published.SETS[name].archives, contents, strict=True):
            files[archive.name] = content
            checksum = f"md5:{hashlib.md5(content).hexdigest()}"
            archives.append(
                replace(
                    archive, address="http://127.0.0.1:9/none", checksum=checksum, counts=counts
                )
            )
        sets[name] = replace(published.SETS[name], archives=tuple(archives))
    return files, sets
