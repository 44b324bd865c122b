"""Training dynamics: what the network thought of each sample, on average over a training.

Source: Kye et al., "TiDAL: Learning Training Dynamics for Active Learning", ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_gather, all_gather_object
from torch import Tensor


class Dynamics:
    """The mean class probabilities of each sample over its passes in a training.

    Args:
        classes: C.

    Examples:
        >>> dynamics = Dynamics(classes=2)
        >>> dynamics.add([7], torch.tensor([[1.0, 0.0]]))
        tensor([[1., 0.]])
        >>> dynamics.add([7], torch.tensor([[0.5, 0.5]]))
        tensor([[0.7500, 0.2500]])
    """

    def __init__(self, classes: int) -> None:
        self.rows: dict[int, int] = {}  # sample id -> row of `sums`
        self.sums = torch.zeros(0, classes)
        self.passes = torch.zeros(0)

    def add(self, ids: Sequence[int], probs: Tensor) -> Tensor:
        """Count a pass over some samples, of all processes, and return the means with it.

        Args:
            ids: B, of this process; as many on each.
            probs: (B, C) of them.

        Returns:
            (B, C) means of this process's samples.

        Raises:
            ValueError: if the shapes do not fit.
        """
        if probs.shape != (len(ids), self.sums.shape[1]):
            raise ValueError(
                f"Expected probabilities ({len(ids)}, {self.sums.shape[1]}), but got "
                f"{tuple(probs.shape)}"
            )
        probs = probs.detach().float()
        everyones = [i for of_one in all_gather_object(list(ids)) for i in of_one]
        self._know(everyones, probs)
        at = self._places(everyones)
        self.sums.index_add_(0, at, torch.cat(all_gather(probs)))
        self.passes.index_add_(0, at, torch.ones_like(at, dtype=torch.float32))
        own = self._places(ids)
        return self.sums[own] / self.passes[own, None]

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {"ids": list(self.rows), "sums": self.sums.cpu(), "passes": self.passes.cpu()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.rows = {i: row for row, i in enumerate(state["ids"])}
        self.sums, self.passes = state["sums"], state["passes"]

    def _know(self, ids: Sequence[int], like: Tensor) -> None:
        """Make room for samples that come for the first time, where the probabilities are."""
        new = [i for i in dict.fromkeys(ids) if i not in self.rows]
        self.rows |= {i: row for row, i in enumerate(new, len(self.rows))}
        more = len(new), self.sums.shape[1]
        self.sums = torch.cat([self.sums.to(like.device), like.new_zeros(more)])
        self.passes = torch.cat([self.passes.to(like.device), like.new_zeros(len(new))])

    def _places(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor([self.rows[i] for i in ids], device=self.sums.device)
