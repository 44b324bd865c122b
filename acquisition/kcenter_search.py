"""The search for greedy k-center's picks, which brings few distances up to date.

Four things make it fast, and none of them changes a pick:

- A sample's distance to its nearest centre only falls as centres are added, so an old value is an
  upper bound for ever. Only a window of samples with the largest bounds is brought up to date,
  those of about the same age together, and picks are made inside it for as long as its best is
  above every bound outside: greedily among its best, until these fall below the next.
- Where few dimensions are filled, the first bound is the distance to the centre that is nearest in
  them, and distances in them rule out nearly all other centres.
- Elsewhere the first bounds come from a few of the labeled centres (pivots), and from those near
  each sample's nearest pivot.
- Matrix products exclude pairs that cannot matter, with a bound on their rounding error;
  `squared_distances` decides.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from acquisition.distances import AT_ONCE, Estimates, exact
from acquisition.subspace import Subspace, leading

WINDOW = 1024  # samples brought up to date at once, where memory allows it
PIVOTS = 64  # labeled centres that every sample meets first, and as many near the nearest of them
BEST = 128  # samples among which picks are made at once
DEAR = 40  # a pair by itself costs as much as so many in a product
FAR = float("inf")
PICKED = -1.0


class Search:
    """The state of the search.

    Centres are a sequence, `labeled` and then the picks; every sample has met a beginning of it.

    `bounds` (N,) are squared distances. Each is at least the sample's true value, and is that value
    once the sample has met all centres.
    """

    def __init__(self, features: Tensor, labeled: Tensor, budget: int, chunk_bytes: int) -> None:
        self.features = features
        self.labeled = labeled
        self.budget = budget
        dims = features.shape[1]
        # as if in float64
        self.window = max(1, min(WINDOW, chunk_bytes // (32 * dims + 4 * 8 * PIVOTS)))
        self.estimates = Estimates(features, labeled, self.window)
        size = torch.finfo(self.estimates.dtype).bits // 8
        self.block = max(1, chunk_bytes // (4 * size * (self.window + dims)))
        self.inside: Subspace | None = None
        if self.estimates.dtype == torch.float32:
            directions = leading(features)
            if directions is not None:
                self._project(directions)
        self.bounds = features.new_full((len(features),), FAR, dtype=torch.float64)
        self.met = torch.zeros_like(self.bounds, dtype=torch.int64)
        self.picked = torch.empty(budget, dtype=torch.int64, device=features.device)
        self.exactly = min(self.window, AT_ONCE)
        self.count = 0  # of the picks
        self.radii: list[float] = []

    def _project(self, directions: Tensor) -> None:
        """Use what is known in these directions (D, P)."""
        known = self.estimates
        self.inside = Subspace(self.features, known.lengths, directions, self.window, known.tiny)
        self.labeled_inside = self.inside.of(self.labeled)

    def run(self) -> None:
        """Make all picks."""
        if len(self.features) == 0:
            self.radii.append(0.0)
        elif len(self.labeled) == 0:
            self.radii.append(FAR)
            self._pick(torch.arange(min(self.budget, 1), device=self.picked.device))
        if len(self.radii) <= self.budget:
            self._first_bounds()
        while len(self.radii) <= self.budget:
            self._next_window()

    def _pick(self, positions: Tensor) -> None:
        self.picked[self.count : self.count + len(positions)] = positions
        self.bounds[positions] = PICKED
        self.count += len(positions)

    def _next_window(self) -> None:
        """Choose the samples with the largest bounds, bring them up to date, pick among them."""
        size = min(self.window, len(self.bounds))
        edge = self.bounds.topk(size).values[-1]
        above = (self.bounds > edge).nonzero()[:, 0]
        # the lowest positions of equal bounds
        level = (self.bounds == edge).nonzero()[: size - len(above), 0]
        window = torch.cat([above, level]).sort().values
        outside = self.bounds.index_fill(0, window, PICKED - 1)
        rival = int(outside.argmax())  # the lowest position that has the largest bound outside
        floor = float(outside[rival])
        while len(window := window[self.bounds[window] >= floor]):
            met = self.met[window]
            start = int(met.min())
            if start < len(self.labeled) + self.count:
                self._meet(window[met < start + PIVOTS], start, floor)
            elif not self._pick_among(window, floor, rival):
                break

    def _pick_among(self, window: Tensor, floor: float, rival: int) -> bool:
        """Pick among the best of a window that is up to date, for as long as they are above all.

        Args:
            window: (n,) positions, ascending.
            floor: the largest bound outside: only what is above it is picked, or as high and before
                `rival`.
            rival: the lowest position outside that has it.

        Returns:
            Whether there may be more to pick in this window.
        """
        values = self.bounds[window]
        # of equals, the lowest position first
        order = values.sort(descending=True, stable=True).indices
        limit = (floor, -rival)
        if len(order) > BEST:
            limit = max(limit, (float(values[order[BEST]]), -int(window[order[BEST]])))
        best = window[order[:BEST].sort().values]
        picks, left = self._greedy(best, limit)
        if not picks:
            return False
        picked = best[picks]
        self._pick(picked)
        self.met[window] = len(self.labeled) + self.count
        rest = window[(values > 0).index_fill_(0, order[:BEST], False)]
        self.bounds[best] = left
        self._settle_near(picked, rest)
        return len(self.radii) <= self.budget

    def _greedy(self, best: Tensor, limit: tuple[float, int]) -> tuple[list[int], Tensor]:
        """The plain algorithm among a few samples that are up to date.

        Args:
            best: (n,) positions, ascending.
            limit: value and negative position of the best among all others.

        Returns:
            Which of them are picked, and their bounds (n,) after that.
        """
        values = self.bounds[best]
        rows, lengths = self.estimates.rows(best)
        distances, error = self.estimates.of_all(rows, lengths, rows)
        error = self.estimates.within(values.max().clamp(min=0).sqrt(), lengths, error)
        highest = torch.maximum(values[:, None], values)
        one, other = (distances.sub_(error[:, None]) < highest).triu(1).nonzero().T
        apart = torch.full_like(highest, FAR)
        apart[one, other] = apart[other, one] = exact(
            self.features, best[one], self.features, best[other], self.exactly
        )
        near, left, places = apart.cpu().numpy(), values.cpu().numpy(), best.tolist()
        picks: list[int] = []
        while len(self.radii) <= self.budget:
            at = int(left.argmax())
            if (left[at], -places[at]) < limit:
                break
            self.radii.append(max(float(left[at]), 0.0))
            if self.count + len(picks) < self.budget:
                picks.append(at)
                np.minimum(left, near[at], out=left)
                left[at] = PICKED
        return picks, torch.from_numpy(left).to(values)

    def _settle_near(self, picked: Tensor, positions: Tensor) -> None:
        """Bring samples that had met all centres up to date with these picks."""
        if not len(positions):
            return
        values = self.bounds[positions]
        rows, lengths = self.estimates.rows(picked)
        distances, error = self.estimates.of_all(rows, lengths, self.estimates.rows(positions)[0])
        error = self.estimates.within(values.max().sqrt(), lengths, error)
        centre, sample = (distances.sub_(error[:, None]) < values).nonzero().T
        self._settle(positions[sample], rows, centre)

    def _meet(self, positions: Tensor, start: int, floor: float) -> None:
        """Let samples that have met the centres before `start` meet more, ever more at a time.

        Those whose bounds fall below the floor stop here: they are not brought up to date.
        """
        stop = min(start + self.block, len(self.labeled) + self.count)
        if self.inside:
            of_one_kind = stop if start >= len(self.labeled) else min(stop, len(self.labeled))
            if self._meet_few(self.inside, positions, (start, of_one_kind), floor):
                return
        stop = min(2 * start + PIVOTS, stop)
        centres = self._centres(start, stop)
        distances, least, error = self._lower(positions, centres)
        bounds = self.bounds[positions]
        alive = bounds >= floor
        self.met[positions[alive]] = stop
        nearer = (alive & (least - error < bounds) & (bounds > 0)).nonzero()[:, 0]
        sample, centre = (distances[nearer] < (bounds + error)[nearer, None]).nonzero().T
        self._settle(positions[nearer[sample]], centres, centre)

    def _meet_few(
        self, inside: Subspace, positions: Tensor, centres: tuple[int, int], floor: float
    ) -> bool:
        """The same by the pairs that the subspace does not rule out, if these are few.

        Args:
            inside: coordinates in the subspace.
            positions: (n,) of the samples.
            centres: which ones of the sequence, from and up to; labeled ones or picks.
            floor: see `_meet`.

        Returns:
            Whether they are few; if not, nothing was done.
        """
        start, stop = centres
        first = len(self.labeled)
        if start < first:
            rows, lengths = self.labeled[start:stop], self.estimates.labeled_lengths[start:stop]
            places = self.labeled_inside[start:stop]
        else:
            picked = self.picked[start - first : stop - first]
            rows, lengths = self.estimates.rows(picked)
            places = inside.coordinates.index_select(0, picked)
        sample, centre = inside.within(positions, places, self.bounds[positions])
        if len(sample) * DEAR > len(positions) * (stop - start):
            return False
        distances, error = self.estimates.of_pairs(positions, rows, lengths, (sample, centre))
        which = positions[sample]
        self.bounds.scatter_reduce_(0, which, distances + error, "amin")
        self.met[positions[self.bounds[positions] >= floor]] = stop
        bounds = self.bounds[which]
        left = (bounds >= floor) & (distances - error < bounds)
        self._settle(which[left], rows, centre[left])
        return True

    def _settle(self, positions: Tensor, centres: Tensor, which: Tensor) -> None:
        """Lower bounds to true distances: of sample `positions[k]` to `centres[which[k]]`."""
        if len(positions):
            distances = exact(self.features, positions, centres, which, self.exactly)
            self.bounds.scatter_reduce_(0, positions, distances, "amin")

    def _first_bounds(self) -> None:
        """Bound all samples by the centre that is nearest inside of the subspace, or by pivots."""
        centres = self.labeled if len(self.labeled) else self.features[:1]
        starts = range(0, len(self.features), self.window)
        parts = [slice(start, start + self.window) for start in starts]
        if self.inside is None:
            self._bound_by_pivots(parts, centres)
            return
        places = self.inside.of(centres)
        lengths = torch.linalg.vector_norm(centres, dim=1)
        for part in parts:
            nearest = self.inside.nearest(part, places, self.block)
            pairs = torch.arange(len(nearest)), nearest
            distances, error = self.estimates.of_pairs(part, centres, lengths, pairs)
            self.bounds[part] = torch.minimum(self.bounds[part], distances + error)

    def _bound_by_pivots(self, parts: list[slice], centres: Tensor) -> None:
        """Bound all samples by the pivots, then by the centres near each one's nearest pivot."""
        pivots, near = _pivots(centres)
        cell = torch.cat([self._lower(part, pivots)[0].argmin(1) for part in parts])
        by_cell = cell.argsort(stable=True).split(cell.bincount(minlength=len(pivots)).tolist())
        for samples, members in zip(by_cell, near, strict=False):  # none are near few labeled ones
            for part in samples.split(self.window):
                self._lower(part, centres[members])

    def _lower(self, positions: Tensor | slice, centres: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Lower the bounds by what is certain of the distances to some centres.

        Returns:
            See `Estimates.least`.
        """
        distances, least, error = self.estimates.least(positions, centres)
        self.bounds[positions] = torch.minimum(self.bounds[positions], least + error)
        return distances, least, error

    def _centres(self, start: int, stop: int) -> Tensor:
        """Centres `start` to `stop` of the sequence."""
        first = len(self.labeled)
        picked = self.picked[max(start - first, 0) : max(stop - first, 0)]
        return torch.cat([self.labeled[start:stop], self.features.index_select(0, picked)])


def _pivots(labeled: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Some labeled rows far from each other, and the positions of the labeled rows near each.

    They decide how good the first bounds are, and never what is picked: rounding does not matter
    here.
    """
    sample = labeled[:: len(labeled) // (4 * PIVOTS) + 1]
    squares = sample.square().sum(1)
    nearest = torch.full_like(squares, FAR)
    chosen = [0]
    for _ in range(min(PIVOTS, len(sample)) - 1):
        to_last = squares + squares[chosen[-1]] - 2 * (sample @ sample[chosen[-1]])
        nearest = torch.minimum(nearest, to_last)
        chosen.append(int(nearest.argmax()))
    pivots = sample[chosen]
    if len(labeled) <= PIVOTS:
        return pivots, []
    to_pivots = labeled.square().sum(1) - 2 * pivots @ labeled.T
    return pivots, list(to_pivots.topk(PIVOTS, largest=False).indices)
