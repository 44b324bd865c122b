"""The run folder, which holds all of a run: its files are whole, and W&B is rebuilt from it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.pool import Pool
from acquisition.query import Query
from models.process.files import locked
from models.process.ranks import barrier, is_main_process
from tasks import per_image
from tasks.per_image import Kept
from tools.record import committed, data, facts, files, samples
from tools.record.facts import Facts
from tools.record.files import RunFolderError
from tools.record.fingerprint import Fingerprint
from tools.record.marks import lost
from tools.record.receipt import chained, judged_digest, packed, unpacked
from tools.record.writing import write_whole


class RunFolder:
    """Reads and writes the files of a run.

    They are `config.json`, `config.py`, `samples.txt`, `state.json`, `metrics.jsonl`, `queries/`,
    `cycles/` and others. A cycle is written by `commit`, whose last act is the rename of
    `state.json`: killed before it, the cycle counts as not done, and whatever it left is written
    again.

    Args:
        path: the folder; made by `open`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self, config: Mapping[str, Any]) -> None:
        """Check that the folder, if there is one, was made with the same config; write nothing.

        Raises:
            RunFolderError: if it was made with another one, naming what differs.
        """
        self.require_whole()
        facts.check(self.path, config)

    def require_whole(self) -> None:
        """Check that no file is lost or lies elsewhere.

        What is left of a damaged run is neither trained over nor reported.

        Raises:
            RunFolderError: if one is lost, or the folder cannot be read.
        """
        files.sound(self.path)
        try:
            names, last = lost(self.path)
        except OSError as error:
            raise RunFolderError(f"{self.path} cannot be read: {error}") from error
        if names:
            what = f"{self.path} holds a run ({last} is there) without its {' and '.join(names)}"
            raise RunFolderError(
                f"{what}; restore what is lost, or move the folder away to start anew"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder; a process that is killed lets go of it.

        Raises:
            RunFolderError: if another one is in it.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path / ".lock"))
            except BlockingIOError as error:
                raise RunFolderError(
                    f"{self.path} is in use by {error}; wait, or take another --work-dir"
                ) from error
            except OSError as error:
                raise RunFolderError(f"Could not write to {self.path}: {error}") from error
            yield

    def open(
        self,
        config: Mapping[str, Any],
        names: Sequence[str],
        name: str = "",
        told: Facts | None = None,
        made_of: Fingerprint | None = None,
    ) -> Pool | None:
        """Make the folder with settings and `samples.txt`, or check that both are the same.

        Args:
            config: plain data.
            names: what each sample is called, by id: a resumed run must find the same samples under
                the same ids.
            name: of the config, written where it is given: no setting, and `config.json` does not
                have it.
            told: facts about the run's code.
            made_of: the data as they are now; None if the task has no `sources`.

        Returns:
            As `resume`.

        Raises:
            RunFolderError: if the folder is of another config or other data.
        """
        self.check(config)
        facts.describe(self.path, config, told)
        samples.keep(self.path, names)
        if name and self.name != name:
            write_whole(self.path / "name.txt", f"{name}\n".encode())
        data.keep(self.path, made_of, names)
        pool, newest = self._state(len(names))
        if pool is not None:
            last = self.receipt(pool.cycle - 1)
            committed.check_last(self.query_file(pool.cycle - 1), last, newest)
            data.check_receipt(self.path, last)
            self._tidy(pool.cycle)
        return pool

    @property
    def name(self) -> str | None:
        """The config's name, as `open` wrote it; None in a folder of an earlier version."""
        path = self.path / "name.txt"
        if not path.exists():
            return None
        return files.content(path, files.SMALL).decode("utf-8", errors="replace").strip()

    def sample_names(self) -> list[str]:
        """Read the names of the pool's samples by id, as `open` wrote them.

        Raises:
            RunFolderError: if the file cannot be read.
        """
        return samples.read(self.path)

    @property
    def committed(self) -> int:
        """Number of committed cycles; 0 if `state.json` is not there yet, or is damaged."""
        try:
            state = files.parsed(files.text(self.path / "state.json", files.STATE))
            return int(state["cycle"])
        except (RunFolderError, ValueError, KeyError, TypeError, OverflowError):
            return 0

    def resume(self, size: int) -> Pool | None:
        """Read the pool as the last committed cycle left it; None if no cycle was committed.

        Args:
            size: samples of the data set now.

        Raises:
            RunFolderError: if the state cannot be read or belongs to another data set.
        """
        return self._state(size)[0]

    def _state(self, size: int) -> tuple[Pool | None, str | None]:
        """Read the pool, see `resume`, and the hash of the last receipt."""
        pool, newest = committed.state(self.path / "state.json") or (None, None)
        if pool is not None and pool.size != size:
            path = self.path / "state.json"
            raise RunFolderError(
                f"{path} is of a pool of {pool.size} samples, but the data set has {size} now"
            )
        return pool, newest

    @property
    def last_receipt(self) -> str | None:
        """The hash of the last cycle's receipt, as `state.json` has it.

        None if an earlier version wrote it.
        """
        _, newest = committed.state(self.path / "state.json") or (None, None)
        return newest

    def rows(self, cycle: int) -> list[dict[str, Any]]:
        """Read the rows of `metrics.jsonl` before a cycle, a dict each.

        Raises:
            RunFolderError: if a line is damaged or a cycle's is missing.
        """
        return committed.rows(self.path / "metrics.jsonl", cycle)

    def times(self, cycle: int) -> list[str]:
        """Read the lines of `seconds.txt` before a cycle, see `tools/record/receipt.py`.

        They are "-" where an earlier version kept none.
        """
        return committed.times(self.path / "seconds.txt", cycle)

    def cycle_folder(self, cycle: int) -> Path:
        """The folder in which a cycle's training keeps checkpoints and log."""
        return self.path / "cycles" / f"{cycle:02d}"

    def training_folder(self, cycle: int, member: int = 0) -> Path:
        """The folder of an ensemble member's training; the first one is the cycle's own."""
        if member:
            return self.cycle_folder(cycle) / f"member{member + 1}"
        return self.cycle_folder(cycle)

    def weights_file(self, cycle: int) -> Path:
        """Where a cycle's weights are kept by `training.keep_weights="all"`."""
        return self.path / "weights" / f"{cycle:02d}.pth"

    def keep_weights(self, cycle: int, save: Callable[[Path], None]) -> None:
        """Keep a cycle's weights, which `save` writes to a path; before the cycle is committed.

        Of several processes the first one writes, and `commit` makes the others wait.
        """
        if is_main_process():
            write_whole(self.weights_file(cycle), save)

    def judged_file(self, cycle: int) -> Path:
        """The file of a cycle's test, image by image (`tasks.per_image`)."""
        return self.path / "judged" / f"{cycle:02d}.npz"

    def keep_judged(self, cycle: int, found: Kept | None) -> dict[str, str]:
        """Keep a cycle's test image by image, if it has such results; before it is committed.

        Of several processes the first one writes, and `commit` makes the others wait.

        Returns:
            Its part of the receipt.
        """
        if found is None or not is_main_process():
            return {}
        write_whole(self.judged_file(cycle), partial(np.savez, **per_image.packed(found)))
        return {"judged": judged_digest(found)}

    def judged(self, cycle: int) -> Kept | None:
        """Read a cycle's test image by image; None if there is no file.

        Raises:
            RunFolderError: if the file is damaged.
        """
        path = self.judged_file(cycle)
        if not path.exists():
            return None
        try:
            return per_image.unpacked(files.arrays(path))
        except (KeyError, ValueError) as error:
            raise RunFolderError(
                f"{path} is damaged ({type(error).__name__}: {error}); restore or remove it"
            ) from error

    def commit(
        self,
        row: Mapping[str, Any],
        query: Query | None,
        pool: Pool,
        receipt: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Write a finished cycle; afterwards, and not before, the run stands at `pool`.

        Of several processes the first one writes, and the others wait for it.

        Args:
            row: the cycle's metrics; not-a-number is written as null.
            query: the cycle's query; None in the last cycle.
            pool: of the next cycle.
            receipt: see `tools/record/receipt.py`.

        Returns:
            The row as it was written.
        """
        written = committed.as_json(row)
        if is_main_process():
            self._write(written, query, pool, receipt or {})
        barrier()
        return written

    def _write(
        self, row: dict[str, Any], query: Query | None, pool: Pool, receipt: Mapping[str, str]
    ) -> None:
        """Write the files of a cycle, each whole by itself; none counts before `state.json`."""
        cycle = row["cycle"]
        if receipt:
            before = self.receipt(cycle - 1) if cycle else {}
            receipt = chained(receipt, row, before)
        arrays: dict[str, Any] = packed(query, receipt)
        if arrays:
            write_whole(self.query_file(cycle), partial(np.savez, **arrays))
        committed.write(self.path, row, pool, receipt)
        self._tidy(pool.cycle)

    def _tidy(self, cycle: int) -> None:
        """Delete the checkpoints that a cycle does not need.

        The newest weights stay, for a warm start or for their user.
        """
        for number in range(cycle - 1):
            shutil.rmtree(self.cycle_folder(number), ignore_errors=True)

    def query_file(self, cycle: int) -> Path:
        """The file of a cycle's query and receipt."""
        return self.path / "queries" / f"{cycle:02d}.npz"

    def query(self, cycle: int) -> Query | None:
        """Read the query of a committed cycle; None in the last one."""
        return self.saved(cycle)[0]

    def receipt(self, cycle: int) -> dict[str, str]:
        """Read the receipt of a cycle alone: vectors, which may be large, are not read.

        Raises:
            RunFolderError: if the file is damaged.
        """
        return self._read(cycle, "receipt/")[1]

    def saved(self, cycle: int) -> tuple[Query | None, dict[str, str]]:
        """Read the query of a cycle and its receipt; None and nothing if there is no file.

        Raises:
            RunFolderError: if the file is damaged.
        """
        return self._read(cycle)

    def _read(self, cycle: int, part: str = "") -> tuple[Query | None, dict[str, str]]:
        path = self.query_file(cycle)
        if not path.exists():
            return None, {}
        try:
            return unpacked(files.arrays(path, part))
        except KeyError as error:
            raise RunFolderError(f"{path} is damaged (KeyError: {error}); restore it") from error

    def batch_size(self, measure: Callable[[], int] | None = None) -> int:
        """Return the batch size of scoring, in runs that measure it when they begin.

        Args:
            measure: measures it, in the first process, if no file holds it yet.

        Raises:
            RunFolderError: if the file holds no such number.
        """
        path = self.path / "batch_size.txt"
        if measure is not None:
            if is_main_process() and not path.exists():
                write_whole(path, f"{measure()}\n".encode())
            barrier()
        size = files.text(path, files.SMALL).strip()
        if not size.isdecimal() or len(size) > 9 or int(size) < 1:
            raise RunFolderError(
                f"{path}: expected a number of samples, but got {size!r}; remove it to measure anew"
            )
        return int(size)

    @property
    def done(self) -> bool:
        """Whether the last cycle was committed."""
        return all((self.path / name).exists() for name in ("done", "config.py", "state.json"))

    def finish(self) -> None:
        """Mark the run as finished."""
        write_whole(self.path / "done", b"")
