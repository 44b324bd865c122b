"""Reads an offline run's .wandb file without wandb's own reader: a LevelDB log of protobuf records.

`run.finish()` returns some 10 ms before wandb's service has written the file. Call
`wandb.teardown()` first, which waits for it, or read what a process that has ended left.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

BLOCK = 32768  # bytes
FULL, FIRST, LAST = 1, 2, 4  # chunk types; 3 is a middle one


@dataclass
class RunFile:
    """What one offline fragment of a run holds."""

    # the protobuf RunRecord: run_id, run_group, job_type, project, display_name, tags, start_time
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)  # nested keys as "a.b"
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, str] = field(default_factory=dict)  # name or glob -> its x-axis
    exit_code: int | None = None

    def curve(self, name: str) -> list[tuple[Any, Any]]:
        """The points (x, y) of a metric as W&B draws them: over the axis that was defined
        for it.
        """
        axis = self.metrics.get(name) or next(
            (x for glob, x in self.metrics.items() if fnmatch(name, glob)), "_step"
        )
        return [(row[axis], row[name]) for row in self.history if name in row]


def fragments(folder: Path) -> list[Path]:
    """The offline runs' directories below `folder`/wandb, oldest first by their own start time.

    Left out are those without a run's record: a run killed in its first second leaves a file of 7
    bytes.
    """
    runs = [
        (read_file(path).run, path.parent)
        for path in folder.glob("wandb/offline-run-*/run-*.wandb")
    ]
    started = [
        (run.start_time.ToNanoseconds(), directory) for run, directory in runs if run is not None
    ]
    return [directory for _, directory in sorted(started)]


def read_run(directory: Path) -> RunFile:
    """The one run file of an offline run's directory."""
    (path,) = directory.glob("run-*.wandb")
    return read_file(path)


def read_file(path: Path) -> RunFile:
    """All that a run file holds up to its torn tail, if it has one."""
    out = RunFile()
    for record in _records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            out.run = record.run
            out.config.update(_values(record.run.config.update))
        elif kind == "config":
            out.config.update(_values(record.config.update))
        elif kind == "history":
            out.history.append(_values(record.history.item))
        elif kind == "metric":
            out.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "summary":
            out.summary.update(_values(record.summary.update))
        elif kind == "exit":
            out.exit_code = record.exit.exit_code
    out.config.pop("_wandb", None)
    return out


def _values(items: Any) -> dict[str, Any]:
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def _records(path: Path) -> Iterator[Any]:
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    data = path.read_bytes()
    if data[:4] != b":W&B":
        raise ValueError(f"{path}: expected a .wandb file, it starts with {data[:4]!r}")
    position, part = 7, b""
    while position + 7 <= len(data):
        left = BLOCK - position % BLOCK
        if left < 7:  # no room for a chunk's header: the block's trailer
            position += left
            continue
        checksum, length, kind = struct.unpack_from("<IHB", data, position)
        if kind == 0 and length == 0:
            position += left
            continue
        chunk = data[position + 7 : position + 7 + length]
        if len(chunk) < length or zlib.crc32(chunk, zlib.crc32(bytes([kind]))) != checksum:
            return  # torn by a kill
        position += 7 + length
        part = chunk if kind in (FULL, FIRST) else part + chunk
        if kind in (FULL, LAST):
            yield Record.FromString(part)
