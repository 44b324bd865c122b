"""Hooks of a training: what mmengine's own leave open for it to be exact, resumable and watchable."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from rich.progress import Progress
from torch import nn

from models.joint import JointModel
from models.progress import bar
from models.seeding import derive_seed, seed_all


def unwrapped(model: nn.Module) -> JointModel:
    """The model inside the wrapper that several processes need."""
    return model.module if is_model_wrapper(model) else model  # type: ignore[return-value]


class StartEpoch(Hook):
    """Seeds what the network draws (dropout) and sets what depends on the epoch; both from the epoch alone."""

    priority = "VERY_HIGH"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_epoch(self, runner: Runner) -> None:
        """mmengine restores no random state on a resume; deriving it anew in every epoch makes a resume exact."""
        seed_all(derive_seed(self.seed, "epoch", runner.epoch, get_rank()))
        unwrapped(runner.model).start_epoch(runner.epoch)


class FiniteLoss(Hook):
    """Stops a training whose loss is not finite; mmengine would go on with weights that are not numbers."""

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Check every term of the loss."""
        bad = {name: value.item() for name, value in (outputs or {}).items() if not torch.isfinite(value).all()}
        if bad:
            raise FloatingPointError(
                f"Expected finite losses, but got {bad} in epoch {runner.epoch}, iteration {runner.iter} "
                f"({runner.work_dir}). A smaller learning rate, a warm-up or `training.clip_grad` may help."
            )


class PlainCheckpoint(Hook):
    """Leaves out of checkpoints what torch cannot load without running code from the file (mmengine's log history)."""

    priority = "VERY_LOW"

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep of the message hub only what the checkpoint hook needs to prune old files after a resume."""
        info = checkpoint["message_hub"]["runtime_info"]
        keep = {key: info[key] for key in ("keep_ckpt_ids", "last_ckpt") if key in info}
        checkpoint["message_hub"] = dict(log_scalars={}, runtime_info=keep, resumed_keys=dict.fromkeys(keep, True))


class ProgressHook(Hook):
    """A bar with the time left, for training and for evaluation."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._bar: Progress | None = None

    def _open(self, what: str, total: int, completed: int = 0) -> None:
        self._bar = bar()
        self._task = self._bar.add_task(f"{self.title} {what}".strip(), total=total, completed=completed)
        self._bar.start()

    def close(self) -> None:
        """Take the bar off the terminal, also after an interrupt."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def before_train(self, runner: Runner) -> None:
        """Open the training's bar where the training stands."""
        self._open("training", runner.max_iters, runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """One iteration further."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def after_train(self, runner: Runner) -> None:
        """Training is over."""
        self.close()

    def before_test(self, runner: Runner) -> None:
        """Open the evaluation's bar."""
        self._open("evaluation", len(runner.test_dataloader))

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """One batch further."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def after_test(self, runner: Runner) -> None:
        """Evaluation is over."""
        self.close()
