"""Training hooks beside mmengine's own, for exact resumes and progress."""

from __future__ import annotations

from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from rich.progress import Progress
from torch import nn

from models.process.progress import bar
from models.process.seeding import derive_seed, seed_all
from models.training.joint import JointModel


def unwrapped(model: nn.Module) -> JointModel:
    """The model inside the wrapper that several processes need."""
    if is_model_wrapper(model):
        return model.module  # type: ignore[return-value]
    return model  # type: ignore[return-value]


class StartEpoch(Hook):
    """Seeds samplers by the epoch, and the network's own draws (dropout) by the iteration.

    mmengine restores no random state on a resume; deriving it anew in every iteration makes a
    resume exact.
    """

    priority = "VERY_HIGH"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the epoch in the model."""
        unwrapped(runner.model).start_epoch(runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the iteration."""
        seed_all(derive_seed(self.seed, "iteration", runner.iter, get_rank()))


class ProgressHook(Hook):
    """A bar with the time left, for training and for evaluation."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._bar: Progress | None = None

    def _open(self, what: str, total: int, completed: int = 0) -> None:
        self._bar = bar()
        self._task = self._bar.add_task(
            f"{self.title} {what}".strip(), total=total, completed=completed
        )
        self._bar.start()

    def close(self) -> None:
        """Take the bar off the terminal, also after an interrupt."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def before_train(self, runner: Runner) -> None:
        """Open the training's bar at the current iteration."""
        self._open("training", runner.max_iters, runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Advance the bar by an iteration."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def after_train(self, runner: Runner) -> None:
        """Close the training's bar."""
        self.close()

    def before_test(self, runner: Runner) -> None:
        """Open the evaluation's bar."""
        self._open("evaluation", len(runner.test_dataloader))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Advance the bar by a batch."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def after_test(self, runner: Runner) -> None:
        """Close the evaluation's bar."""
        self.close()
