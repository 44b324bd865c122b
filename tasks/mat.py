"""Arrays of numbers out of a MAT-file of version 5.

Kept by hand: a broken file ends the process that reads it with scipy (tests/tasks/test_mat.py).

Format: MathWorks, "MAT-File Format", chapter 1, level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

HEADER = 128  # bytes
ELEMENT = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
MATRIX = 14
COMPRESSED = 15
# of an array's flags: classes double to uint64, and a bit
NUMERIC_CLASSES = range(6, 16)
COMPLEX = 0x0800
# of all arrays together, as they are before compression and as they are handed out
MOST_BYTES = 64 << 20
TOO_LARGE = f"expected arrays of at most {MOST_BYTES} bytes in all, got more"


def read_arrays(content: bytes) -> dict[str, NDArray[np.float64]]:
    """Read all real full arrays by name; everything else in the file is left out.

    Raises:
        ValueError: if it is not such a file, or broken.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[HEADER - 2 : HEADER])
    if order is None:
        raise ValueError("no header of a MAT-file of version 5")
    if content[:10] == b"MATLAB 7.3":
        raise ValueError("version 7.3 (HDF5); save it with MATLAB's '-v7'")
    arrays = {}
    room = MOST_BYTES
    try:
        for kind, data in _elements(content[HEADER:], order):
            if kind == COMPRESSED:
                data = _unpacked(data, room)
                room -= len(data)
                kind, data = next(_elements(data, order), (0, b""))
            if kind != MATRIX:
                continue
            named = _array(data, order, room)
            if named is not None:
                arrays[named[0]] = named[1]
                room -= named[1].nbytes
    except (struct.error, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    return arrays


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of one element after the other."""
    place = 0
    while place < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        start = place + 8
        if kind >> 16:  # a small element: its size is in the upper half, its content in the tag
            size = kind >> 16
            kind &= 0xFFFF
            start = place + 4
            if size > 4:
                raise ValueError(f"expected at most 4 bytes in a small element, got {size}")
        if start + size > len(data):
            raise ValueError(f"expected {size} bytes in an element, got {len(data) - start}")
        yield kind, data[start : start + size]
        place = start + size
        if kind != COMPRESSED:
            place = -(-place // 8) * 8  # padded to 8 bytes


def _unpacked(data: bytes, room: int) -> bytes:
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(data, max(1, room))  # 0 would be no limit at all
    if unpacker.unconsumed_tail:
        raise ValueError(TOO_LARGE)
    return unpacked


def _array(data: bytes, order: str, room: int) -> tuple[str, NDArray[np.float64]] | None:
    """Name and content of an array; None for one that is not of real numbers."""
    parts = _elements(data, order)
    flags = struct.unpack_from(f"{order}I", next(parts, (0, b""))[1])[0]
    if flags & 0xFF not in NUMERIC_CLASSES or flags & COMPLEX:
        return None
    _, shape = next(parts, (0, b""))
    _, name = next(parts, (0, b""))
    kind, values = next(parts, (0, b""))
    sides = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    if kind not in ELEMENT:
        raise ValueError(f"expected numbers in {name!r}, got elements of type {kind}")
    numbers = np.frombuffer(values, np.dtype(order + ELEMENT[kind]))
    if min(sides, default=-1) < 0 or math.prod(sides) != len(numbers):
        raise ValueError(f"expected numbers for the shape {sides} of {name!r}, got {len(numbers)}")
    if 8 * len(numbers) > room:
        raise ValueError(TOO_LARGE)
    return name.decode("ascii"), numbers.astype(np.float64).reshape(sides, order="F")
