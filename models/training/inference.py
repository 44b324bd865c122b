"""Mixed precision and memory format for passes that do not train; both are undone afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def inference(
    networks: Iterable[nn.Module], amp: bool = False, channels_last: bool = False
) -> Iterator[None]:
    """Run networks without gradients, in bfloat16 and channels-last memory where requested.

    The weights stay float32 and are rounded to bfloat16 once for all batches inside. Within,
    `full_precision` is for what must not be rounded.

    Args:
        networks: all that are to run, on one device.
        amp: bfloat16 for convolutions and matrix products.
        channels_last: also as the networks' memory format; it is undone afterwards, bit for bit.
    """
    networks = list(networks)
    turned = [network for network in networks if channels_last and _plain(network)]
    device = next((p.device.type for network in networks for p in network.parameters()), "cpu")
    for network in turned:
        # the stubs lack it alone
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=amp):
            yield
    finally:
        for network in turned:
            network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def full_precision(device: torch.device | str) -> torch.autocast:
    """A block without rounding to bfloat16."""
    return torch.autocast(torch.device(device).type, enabled=False)


def _plain(network: nn.Module) -> bool:
    """Whether all weights are in torch's usual format."""
    return all(p.is_contiguous() for p in network.parameters())
