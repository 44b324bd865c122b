"""How the first samples are chosen, where nothing is labeled: at random, or by features."""

from __future__ import annotations

from acquisition.pool import First
from acquisition.step import Step
from acquisition.strategies import named_strategies

FIRST: dict[First, str] = {
    "random": "random",
    "cover": "coreset",
    "typiclust": "typiclust",
    "kmeans": "kmeans",
}


def first_steps(first: First) -> tuple[Step, ...]:
    """The steps that choose them."""
    return named_strategies()[FIRST[first]].steps
