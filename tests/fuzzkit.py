"""Anything at all in a file: what the tests of bad data share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 60)
    | st.floats()
    | st.integers()
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)  # of a json


def fuzz(examples: int) -> settings:
    """The same examples in every run, so many of them."""
    return settings(
        max_examples=examples,
        deadline=timedelta(seconds=2),
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@st.composite
def mutated(draw: st.DrawFn, original: bytes, pieces: Sequence[bytes], cut: bool = False) -> bytes:
    """A file with some bytes put in the place of others; with `cut`, often its beginning alone."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 1, 2, 8, 40])))
        data[start:end] = draw(st.sampled_from(pieces) | st.binary(max_size=8))
    whole = not cut or draw(st.booleans())
    return bytes(data) if whole else bytes(data[: draw(st.integers(0, len(data)))])
