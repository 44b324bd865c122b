"""Pictures of what was queried: the first and last choices, each with its own score."""

from __future__ import annotations

import numpy as np

from acquisition.query import Query
from tests.toy import Toy
from tools.mirror.identity import SHOWN, thumbnails


def query(count: int) -> Query:
    """Candidates 0 to 49 in an order of their own, with id / 10 as score.

    The highest are picked.
    """
    candidates = np.random.default_rng(0).permutation(50)
    vector = np.zeros((50, 3))
    picked = np.arange(50)[::-1][:count]
    return Query(candidates, {"predicted_loss": candidates / 10, "embedding": vector}, picked)


def test_the_first_and_last_choices_with_their_scores():
    found = thumbnails(Toy(), query(20))
    choices = [*range(1, SHOWN + 1), *range(21 - SHOWN, 21)]
    expected = [f"choice {c}: vector {50 - c}  predicted_loss {(50 - c) / 10:.3g}" for c in choices]
    assert [caption for _, caption in found] == expected
    # the toy's red is the id
    assert [image.getpixel((0, 0))[0] for image, _ in found] == [50 - c for c in choices]


def test_few_choices_are_shown_once_and_none_without_a_query():
    assert [caption.split(":")[0] for _, caption in thumbnails(Toy(), query(5))] == [
        f"choice {c}" for c in range(1, 6)
    ]
    assert thumbnails(Toy(), None) == []
