"""Randomness derived from names, never from global state: the same (seed, cycle, purpose) gives the same numbers."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(*parts: int | str) -> int:
    """A 32-bit seed for a purpose, for example ``derive_seed(seed, cycle, "model")``.

    The parts are hashed, not added: mmengine's sampler adds the epoch to its seed, so that (seed 0, epoch 1) and
    (seed 1, epoch 0) would be one permutation.
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little")


def stream(*parts: int | str) -> np.random.Generator:
    """An independent random stream for a purpose; see `derive_seed`."""
    return np.random.default_rng(derive_seed(*parts))


def seed_all(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch, which networks and augmentations draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block under its own global generators and give the old ones back after it."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # the CPU's alone: what is drawn here are samples and weights
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
