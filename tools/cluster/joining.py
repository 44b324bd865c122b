"""Join a Ray cluster, or one on this machine for the time, and see what it has room for."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from tools.experiment.options import ConfigError

MIB = 1 << 20
ANSWER = 60.0  # seconds for a cluster to answer
QUIET: dict[str, Any] = dict(log_to_driver=False, logging_level="ERROR")
JOIN = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR')"


@contextmanager
def cluster(address: str, store: int | None = 80 * MIB, cpus: int | None = None) -> Iterator[None]:
    """Connect to the Ray cluster at an address while the block runs.

    Args:
        address: of its head, "auto" or "local"; empty means that of RAY_ADDRESS, or "local".
        store: bytes of a local cluster's memory for what tasks hand over; None is Ray's choice.
        cpus: that a local cluster has; None is all.

    Raises:
        ConfigError: if the cluster does not answer.
    """
    address = address or os.environ.get("RAY_ADDRESS", "") or "local"
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if address == "local":
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            sizes: dict[str, Any] = dict(object_store_memory=store, num_cpus=cpus)
            ray.init("local", include_dashboard=False, **sizes, **QUIET)
        else:
            _check_answer(address)
            ray.init(address, **QUIET)
        for number, handler in handlers.items():
            signal.signal(number, handler)  # Ray sets its own
        yield
    except SystemExit as stop:  # how Ray takes a SIGTERM
        raise KeyboardInterrupt("stopped by SIGTERM") from stop
    finally:
        ray.shutdown()


def _check_answer(address: str) -> None:
    """Connect to a cluster in a process that can be ended, as Ray always waits for minutes."""
    host, _, port = address.rpartition(":")
    wanted = (
        "expected host:port of a cluster's head, auto (the cluster that was started on this "
        "machine) or local"
    )
    try:
        if address != "auto":
            socket.create_connection((host, int(port)), timeout=10).close()
        done = subprocess.run(
            [sys.executable, "-c", JOIN, address],
            capture_output=True,
            text=True,
            timeout=ANSWER,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError("--ray", [f"{wanted}, but got {address!r}: {error}"]) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            "--ray", [f"{wanted}, but {address!r} gave no answer in {ANSWER:.0f} s"]
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise ConfigError("--ray", [f"{wanted}, but {address!r} failed: {last}"])


def room_for(cpus: int, gpus: float | None, options: tuple[str, str]) -> tuple[float, int]:
    """Count the jobs that the cluster has room for at a time.

    Args:
        cpus: of a job.
        gpus: of a job, or a part of one; None for one if a node has one.
        options: with which the user gave them, for messages.

    Returns:
        The GPUs of a job, and the number of jobs, which is at least 1.

    Raises:
        ConfigError: if no node has what a job needs.
    """
    nodes = _nodes()
    most = {name: max((node.get(name, 0) for node in nodes), default=0) for name in ("CPU", "GPU")}
    if gpus is None:
        gpus = float(min(most["GPU"], 1))
    wanted = zip(options, (("CPU", cpus), ("GPU", gpus)), strict=True)
    large = [
        f"{option}: expected at most {most[name]:g}, as no node of this cluster has more, but got "
        f"{number:g}"
        for option, (name, number) in wanted
        if number > most[name]
    ]
    count = places(cpus, gpus)
    if not count:
        both = ", ".join(options)
        raise ConfigError(
            "--ray", large or [f"{both}: expected a node with both, but there is none"]
        )
    return gpus, count


def places(cpus: int, gpus: float) -> int:
    """Count the jobs that the nodes there are now have room for."""
    return sum(room(node, cpus, gpus) for node in _nodes())


def _nodes() -> list[dict[str, float]]:
    """What each living node has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def room(node: dict[str, float], cpus: int, gpus: float) -> int:
    """Return the number of jobs that fit a node; a fraction of a GPU lies in one GPU."""
    fit = int(node.get("CPU", 0) // cpus)
    if not gpus:
        return fit
    if gpus >= 1:
        return min(fit, int(node.get("GPU", 0) // gpus))
    return min(fit, int(node.get("GPU", 0)) * math.floor(1 / gpus + 1e-9))
