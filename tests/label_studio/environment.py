"""The environment of Label Studio and datumaro, or a skip that says how to make it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def lane() -> Path:
    """The folder of the environment; without one, the file of tests that asks is skipped."""
    folder = os.environ.get("AL_LABEL_STUDIO", "")
    if not folder or not (Path(folder) / "bin/label-studio").is_file():
        pytest.skip(
            f"AL_LABEL_STUDIO is {folder!r}: run `make test-label-studio`, or set it to an "
            "environment with tests/label_studio/requirements.txt",
            allow_module_level=True,
        )
    return Path(folder).absolute()
