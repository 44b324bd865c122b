"""MAT-files: what scipy reads is read alike; a broken file that ends its process is an error."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from tasks.mat import read_arrays

KIND = 176  # first byte of the type of the numbers in the file of `numbers`: 9, float64


def numbers(**arrays: np.ndarray) -> bytes:
    content = io.BytesIO()
    savemat(content, arrays)
    return content.getvalue()


def test_arrays_are_scipys():
    content = numbers(a=np.arange(6.0).reshape(2, 3), b=np.array([[1, 2]], np.uint8))
    theirs = loadmat(io.BytesIO(content))
    ours = read_arrays(content)
    assert ours.keys() == {"a", "b"}
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere another signal may end it")
def test_a_file_that_ends_scipys_process_is_an_error_here(tmp_path: Path):
    """Why the files are read by hand: one byte ends a process that reads the file by scipy."""
    broken = bytearray(numbers(a=np.arange(6.0).reshape(2, 3)))
    assert broken[KIND] == 9
    broken[KIND] = 14
    (tmp_path / "broken.mat").write_bytes(broken)
    code = f"from scipy.io import loadmat; loadmat({str(tmp_path / 'broken.mat')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGSEGV, done.stderr.decode()
    with pytest.raises(ValueError, match="expected numbers in b'a', got elements of type 14"):
        read_arrays(bytes(broken))
