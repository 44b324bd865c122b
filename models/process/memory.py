"""Memory on CPUs: memory that a step frees stays with the process, for the next step."""

from __future__ import annotations

import ctypes
import gc
import sys

M_TRIM_THRESHOLD = -1  # of glibc's malloc.h; M_MMAP_MAX too
M_MMAP_MAX = -4
MOST = 2**31 - 1  # bytes at the end of the heap that are kept; the largest int


def keep_freed_memory() -> bool:
    """Make the process, and those that it forks, keep the memory that they free.

    By default glibc gives large blocks (feature maps) back to the system and takes them again,
    zeroed page by page, in every step: a fifth of the time of a training step of ResNet-18 at batch
    128.

    Returns:
        Whether that was done: False if the C library is not glibc.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, MOST))


_aside = False


def set_aside() -> None:
    """Exclude all present objects from garbage collection, unless some are excluded already.

    mmengine collects garbage for each data set that it reads, which takes a second in all that
    mmdet's import made.
    """
    global _aside
    if not gc.get_freeze_count():
        gc.freeze()
        _aside = True


def take_back() -> None:
    """Undo `set_aside`."""
    global _aside
    if _aside:
        gc.unfreeze()
        _aside = False
