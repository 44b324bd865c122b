"""A few vectors to be learned by heart: what `proof.py` is tested on."""

import torch
from torch import nn
from torch.optim import SGD

from models.output import Tap
from tests.toy import Toy, Vectors


class Plain(nn.Module):
    """Two convolutions on (B, 6, 1, 1), whose outputs are taps."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(6, 32, 1), nn.Tanh())
        self.second = nn.Sequential(nn.Conv2d(32, 32, 1), nn.Tanh())
        self.head = nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        a = self.first(x[:, :, None, None])
        b = self.second(a)
        return (a, b), self.head(b.flatten(1)).squeeze(1)


class Few(Toy):
    """The toy without noise, tested on what it learns."""

    taps = (Tap("first", 32), Tap("second", 32))

    def __init__(self, data_root: str, size: int = 8) -> None:
        super().__init__(size, size)
        self._data = {split: Vectors(size, 1, augment=False) for split in self._data}

    def build(self) -> nn.Module:
        return Plain()


task = dict(type=Few, data_root="none")
budget = dict(initial=8, query=1, cycles=1)
training = dict(epochs=80, batch_size=4, optimizer=dict(type=SGD, lr=0.01, momentum=0.9), workers=0)
module = dict(width=16)
scoring = dict(batch_size=8, workers=0, control=0)
strategy = "random"
seed = 0
