"""Commands called in this process, with a loop of one's own where the test is about what
is around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tools import al_train
from tools.train import loop


def train(arguments: Sequence[str], run: Callable[..., None] | None) -> int:
    """`al_train.py` with `run` in the place of its loop; None where none is to begin."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "run", run)
        return al_train.main(arguments)
