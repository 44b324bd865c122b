"""The pairs of samples that count in a greedy cover, where these are few: gains without the rest.

A candidate raises the cover only of samples that it is nearer to than all labeled ones are: of M
labeled samples and candidates drawn alike, one pair in M + 1. These pairs are found by products in
float32 with a bound on their rounding error, and valued in float64. From then on a pick costs what
its own pairs cost, and no product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MOST = 2**24  # pairs that are held, 28 bytes each while they are sorted and 12 then
TRIED = 512  # candidates whose pairs are counted to guess how many there are
DEAR = 40  # a pair by itself costs as much as so many in a product of two tiles


@dataclass
class Places:
    """Rows, and what decides which pairs of a candidate and a sample count.

    Args:
        points: (N, D) in float64, of length 1 or 0.
        lengths: (N,) their squared lengths.
        short: (N, D) the same in float32.
        covered: (N,) cover of each sample.
        reach: (N,) squared distance within which a candidate raises it.
        value: what a pair at a squared distance is worth.
        tile: samples that are compared at once.
    """

    points: Tensor
    lengths: Tensor
    short: Tensor
    covered: Tensor
    reach: Tensor
    value: Callable[[Tensor], Tensor]
    tile: int

    def __post_init__(self) -> None:
        # twice the error of a squared distance by products in float32
        slack = 2 * (self.points.shape[1] + 16) * torch.finfo(torch.float32).eps
        self.edge = (self.reach + slack).float()
        self.short_lengths = self.lengths.float()

    def pairs(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Candidates (P,) int32 and values (P,) by sample, and where each sample's begin (N + 1,).

        None if there are more than about `MOST` of them.
        """
        guess = self._guess()
        if guess > MOST:
            return None
        parts = [slice(k, k + self.tile) for k in range(0, len(self.points), self.tile)]
        found = Found(2 * guess + len(self.points) + 2 * self.tile**2, len(parts))
        squares = torch.empty(self.tile**2)
        for a, ours in enumerate(parts):
            for b, theirs in enumerate(parts[a:], a):
                i, j = self._near(ours, theirs, both=a != b, out=squares).nonzero().T
                values = self._values(ours, theirs, i, j)
                raised = values > self.covered[theirs][j]
                found.add(b, j[raised], i[raised] + ours.start, values[raised])
                if a != b:
                    raised = values > self.covered[ours][i]
                    found.add(a, i[raised], j[raised] + theirs.start, values[raised])
                if found.held > 2 * guess + len(self.points):
                    return None
        return found.by_sample(len(self.points), self.tile)

    def _guess(self) -> int:
        """How many pairs there are, from those of some candidates."""
        step = len(self.points) // TRIED + 1
        counted = 0
        squares = torch.empty(self.tile**2)
        for start in range(0, len(self.points), step * self.tile):
            some = slice(start, start + step * self.tile, step)
            for other in range(0, len(self.points), self.tile):
                theirs = slice(other, other + self.tile)
                counted += int(self._near(some, theirs, both=False, out=squares).sum())
        return counted * step

    def _near(self, ours: slice, theirs: slice, both: bool, out: Tensor) -> Tensor:
        """(n, m): which candidates may raise which samples, or be raised by them."""
        points, others = self.short[ours], self.short[theirs]
        squares = out[: len(points) * len(others)].view(len(points), len(others))
        torch.add(self.short_lengths[ours, None], self.short_lengths[theirs], out=squares)
        squares.addmm_(points, others.T, alpha=-2)
        near = squares < self.edge[theirs]
        if both:
            near |= squares < self.edge[ours, None]
        return near

    def _values(self, ours: slice, theirs: slice, i: Tensor, j: Tensor) -> Tensor:
        """What the pairs (i, j) of two tiles are worth, by products in float64."""
        points, lengths = self.points[ours], self.lengths[ours]
        others, their = self.points[theirs], self.lengths[theirs]
        if len(i) * DEAR > len(points) * len(others):
            squares = (lengths[:, None] + their).addmm_(points, others.T, alpha=-2)[i, j]
        else:
            squares = lengths[i] + their[j]
            for part in torch.arange(len(i)).split(self.tile):
                squares[part] -= 2 * (points[i[part]] * others[j[part]]).sum(1)
        return self.value(squares.clamp_(min=0))


class Found:
    """Pairs in the order in which they are found, by the tile of their sample.

    They lie in three arrays that take memory as far as they are written, as many small ones
    between large temporary ones would keep all of those in memory.
    """

    def __init__(self, room: int, tiles: int) -> None:
        self.sample = torch.empty(room, dtype=torch.int32)
        self.candidate = torch.empty(room, dtype=torch.int32)
        self.value = torch.empty(room, dtype=torch.float64)
        self.places: list[list[slice]] = [[] for _ in range(tiles)]
        self.held = 0

    def add(self, tile: int, sample: Tensor, candidate: Tensor, value: Tensor) -> None:
        """Add pairs (n,), whose samples are counted from the first of their tile."""
        place = slice(self.held, self.held + len(value))
        self.sample[place], self.candidate[place], self.value[place] = sample, candidate, value
        self.places[tile].append(place)
        self.held += len(value)

    def by_sample(self, count: int, tile: int) -> tuple[Tensor, Tensor, Tensor]:
        """See `Places.pairs`."""
        candidates = torch.empty(self.held, dtype=torch.int32)
        values = torch.empty(self.held, dtype=torch.float64)
        counts = torch.zeros(count + 1, dtype=torch.int64)
        start = 0
        for number, places in enumerate(self.places):
            sample = torch.cat([self.sample[place] for place in places])
            order = sample.sort(stable=True).indices
            own = slice(start, start + len(order))
            candidates[own] = torch.cat([self.candidate[place] for place in places])[order]
            values[own] = torch.cat([self.value[place] for place in places])[order]
            some = counts[1 + number * tile :][:tile]
            some += torch.bincount(sample, minlength=len(some))
            start = own.stop
        return candidates, values, counts.cumsum(0)


class Gains:
    """The gains (N,) of all candidates by the pairs that count, right after every pick.

    Args:
        places: of the samples; their `covered` is kept up to date.
        pairs: of `Places.pairs`.
        weights: (N,) of the samples.
    """

    def __init__(
        self, places: Places, pairs: tuple[Tensor, Tensor, Tensor], weights: Tensor
    ) -> None:
        self.candidates, self.values, self.starts = pairs
        self.covered, self.weights = places.covered, weights
        self.gains = torch.zeros_like(weights)
        for start in range(0, len(weights), places.tile):
            samples = torch.arange(start, min(start + places.tile, len(weights)))
            covered = self.covered[samples]
            self._add(samples, covered, torch.full_like(covered, float("inf")))

    def cover_by(self, pick: int) -> None:
        """Add a pick to the centres."""
        at = (self.candidates == pick).nonzero()[:, 0]
        samples = torch.searchsorted(self.starts, at, right=True) - 1
        raised = self.values[at] > self.covered[samples]
        samples, after = samples[raised], self.values[at[raised]]
        self._add(samples, self.covered[samples], after, -1)
        self.covered[samples] = after

    def _add(self, samples: Tensor, before: Tensor, after: Tensor, sign: int = 1) -> None:
        """Add what lies between two covers of some samples (n,) to the gains of all candidates."""
        begin = self.starts[samples]
        counts = self.starts[samples + 1] - begin
        which = torch.arange(len(samples)).repeat_interleave(counts)
        at = (begin - counts.cumsum(0) + counts)[which] + torch.arange(len(which))
        values = self.values[at]
        part = (torch.minimum(values, after[which]) - before[which]).clamp_(min=0)
        self.gains.index_add_(
            0, self.candidates[at].long(), part.mul_(self.weights[samples][which]), alpha=sign
        )
