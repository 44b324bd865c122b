"""What a script of one contender does: it picks once, and says what that took.

It imports NumPy alone, so that any environment can run it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

Data = Mapping[str, np.ndarray]
# the questions -> what is measured, which returns positions (K,)
Prepare = Callable[[Data], Callable[[], np.ndarray]]
STATUS = Path("/proc/self/status")


def answer(pickers: Mapping[str, Prepare], questions: str, answers: str) -> None:
    """Write the picks of `strategy` in the questions, and what they took.

    That is `seconds` of the processor, in all threads, and `peak` and `before` (of the picks), the
    bytes of the process, not a number where the system does not say.
    """
    with np.load(questions) as file:
        data = dict(file)
    run = pickers[str(data["strategy"])](data)
    before = _memory("VmRSS")
    began = time.process_time()
    picked = run()
    seconds = time.process_time() - began
    np.savez(answers, picked=picked, seconds=seconds, before=before, peak=_memory("VmHWM"))


def _memory(field: str) -> float:
    """Bytes of the process: of this program alone, unlike getrusage's maximum."""
    if not STATUS.exists():
        return float("nan")
    line = re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(encoding="utf-8"), re.MULTILINE)
    return float("nan") if line is None else int(line.group(1)) * 1024.0


def main(pickers: Mapping[str, Prepare], argv: Sequence[str]) -> None:
    """Run `script questions.npz answers.npz`."""
    questions, answers = argv
    answer(pickers, questions, answers)
