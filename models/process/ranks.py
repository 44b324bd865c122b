"""The number of this process among several; mmengine is imported only where there can be several.

Code that joined processes has imported torch. Without that this is the only process, and torch need
not be imported to know it.
"""

from __future__ import annotations

import sys


def get_rank() -> int:
    """The number of this process; the first is 0."""
    if not _joined():
        return 0
    from mmengine import dist

    return dist.get_rank()


def get_world_size() -> int:
    """The number of processes."""
    if not _joined():
        return 1
    from mmengine import dist

    return dist.get_world_size()


def is_main_process() -> bool:
    """Whether this is the first process."""
    return get_rank() == 0


def barrier() -> None:
    """Wait for all other processes."""
    if _joined():
        from mmengine import dist

        dist.barrier()


def _joined() -> bool:
    if "torch" not in sys.modules:
        return False
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()
