"""Random numbers derived from names, never from global state.

The same seed, cycle and purpose give the same numbers.

Only functions that seed torch import it: reading and checking runs needs streams, and no torch.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np


def derive_seed(*parts: int | str) -> int:
    """A 32-bit seed for a purpose, for example ``derive_seed(seed, cycle, "model")``.

    The parts are hashed, not added: mmengine's sampler adds the epoch to its seed, so that (seed 0,
    epoch 1) and (seed 1, epoch 0) would be one permutation.
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little")


def stream(*parts: int | str) -> np.random.Generator:
    """An independent random stream for a purpose; see `derive_seed`."""
    return np.random.default_rng(derive_seed(*parts))


def seed_all(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch.

    Networks and augmentations draw from them.
    """
    import torch

    if not _accelerated():
        # torch would note a call for a GPU that is not there, with its stack: half a millisecond
        seed_cpu(seed)
        return
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@cache
def _accelerated() -> bool:
    import torch

    return torch.accelerator.is_available()


def seed_cpu(seed: int) -> None:
    """`seed_all`, of the CPU's generators alone: for samples and weights, which are drawn there."""
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block under its own global generators and give the old ones back after it."""
    with kept():
        seed_cpu(seed)
        yield


@contextmanager
def kept() -> Iterator[None]:
    """Give the global generators back after a block as they were before it.

    Takes longer than seeding them.
    """
    import torch

    python = random.getstate()
    numpy = np.random.get_state()
    cpu = torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)


@contextmanager
def deterministic(enabled: bool) -> Iterator[None]:
    """Within the block, torch uses deterministic operations only.

    An operation that has no deterministic form raises an error.

    On CPUs they do so anyway, given the number of threads. Must begin before the first operation on
    a GPU.
    """
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    if enabled:
        # torch requires it, for cuBLAS
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.deterministic = before[1]
