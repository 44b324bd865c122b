"""Ask a script in a process of its own, of this Python or of another environment's."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

OURS = Path(sys.executable)


class ApartError(ValueError):
    """Another Python could not be asked."""


def python_of(environment: Path) -> Path:
    """The Python of a virtual environment with scikit-activeml.

    Raises:
        ApartError: if there is none.
    """
    found = environment / "bin" / "python"
    if not found.exists():
        raise ApartError(
            f"Expected an environment with scikit-activeml, but there is no {found}: `make "
            "agreement` makes one from tools/benchmarks/activeml.txt"
        )
    return found


def ask(
    python: Path, script: Path, data: Mapping[str, np.ndarray], threads: int | None = None
) -> dict[str, np.ndarray]:
    """Run `python script questions.npz answers.npz`.

    Args:
        python: which one; another environment's does not see this one's path.
        script: reads the first file and writes the second.
        data: the questions.
        threads: of what computes there; None leaves that to the environment's variables.

    Returns:
        The answers.

    Raises:
        ApartError: if it fails, with its last words.
    """
    given = dict(os.environ)
    if python != OURS:
        given.pop("PYTHONPATH", None)
    if threads is not None:
        given["OMP_NUM_THREADS"] = given["OPENBLAS_NUM_THREADS"] = str(threads)
    with tempfile.TemporaryDirectory(prefix="losstap-ask-") as folder:
        asked, told = Path(folder) / "questions.npz", Path(folder) / "answers.npz"
        np.savez(asked, **data)  # type: ignore[arg-type]
        run = [str(python), str(script), str(asked), str(told)]
        done = subprocess.run(
            run, capture_output=True, text=True, encoding="utf-8", env=given, check=False
        )
        if done.returncode:
            raise ApartError(
                f"{script.name} failed under {python}: {done.stderr.strip()[-2000:]} (exit status "
                f"{done.returncode})"
            )
        with np.load(told) as answers:
            return dict(answers)
