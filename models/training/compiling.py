"""torch.compile for trainings.

Only the network's forward is compiled, and only while a training runs. A failure to compile is an
error.

mmengine's own `compile` takes the whole step of a training, with what compiles badly or not at all:
the assignment of boxes, the check for finite losses, the optimiser's wrapper. Evaluation and
scoring run as they are: they put hooks on layers (masks of dropout, gradient embeddings).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

BACKEND: str | Callable = "inductor"
# batch sizes that a process may compile for: the full one, and in each cycle that of the last batch
SIZES = 64
LONGEST = 300  # characters of torch's message
DYNAMO: dict[str, Any] = dict(
    recompile_limit=SIZES, fail_on_recompile_limit_hit=True, skip_nnmodule_hook_guards=False
)


class CompileError(Exception):
    """A network that torch.compile cannot compile; the message names the cause and the remedy."""


class Compiled:
    """Parts of a network that can be compiled for a while.

    Args:
        network: its attribute `entries` names the modules that the task calls, where that is not
            the network itself.

    Attributes:
        called: whether a part has run compiled.
    """

    def __init__(self, network: nn.Module) -> None:
        self.names: tuple[str, ...] = getattr(network, "entries", ("",))
        self.parts = [network.get_submodule(name) for name in self.names]
        self.called = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Within, the parts run compiled; parameters keep their names.

        Each batch size is compiled for itself: code shared by them would depend on which of them
        came first, and a resumed training would end with other bytes.

        Raises:
            CompileError: if torch cannot compile them.
        """
        from torch._dynamo import config, exc  # takes a second, so only where it is needed

        try:
            with config.patch(DYNAMO):
                for part in self.parts:
                    part.forward = self._noted(
                        torch.compile(part.forward, dynamic=False, backend=BACKEND)
                    )
                yield
        except exc.TorchDynamoException as error:
            message = " ".join(str(error).split())[:LONGEST]
            raise CompileError(
                f"training.compile: torch cannot compile the network ({message}); set it to False"
            ) from error
        finally:
            for part in self.parts:
                part.__dict__.pop("forward", None)  # so that the class's own counts again

    def _noted(self, forward: Callable) -> Callable:
        def noted(*args: Any, **kwargs: Any) -> Any:
            """Run the compiled forward, and record that it ran."""
            self.called = True
            return forward(*args, **kwargs)

        return noted


class CheckCompiled(Hook):
    """Ends a training whose first iteration ran nothing compiled."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Raise an error if no part has run compiled."""
        if not self.compiled.called:
            parts = " or ".join(_described(name) for name in self.compiled.names)
            raise CompileError(
                f"training.compile: expected the task's `forward` to call {parts}, but it did not; "
                "name the modules that it calls in the network's attribute `entries`, or set "
                "training.compile to False"
            )


def _described(name: str) -> str:
    return repr(name) if name else "the network"
