"""Runs that the tests of deployment share; none of them changes one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import deploykit


@pytest.fixture(scope="package")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Task -> a finished run of two cycles that kept the weights of both."""
    root = tmp_path_factory.mktemp("deployed")
    found = {}
    for kind in deploykit.HOMES:
        data = deploykit.sandbox(root / "data", kind)
        kept = {"training.keep_weights": "all"}
        found[kind] = deploykit.run(root / kind, kind, data, **kept)
    return found
