"""mmengine's Runner and its step of the optimiser, as this project needs them.

Kept by hand: mmengine leaves open what makes a resumed training the same to the bit.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from io import StringIO
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import LoggerHook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from models.process.files import replacing
from models.process.stopping import finishing
from models.training.checkpoint import UNREADABLE, CheckpointError, iteration_of_epoch, stored
from models.training.compiling import Compiled
from models.training.hooks import unwrapped
from models.training.joint import NonFiniteLoss

NOT_FINITE = "not_finite.pth"


class Blind(Visualizer):
    """mmengine's Visualizer without a figure: nothing is drawn, and Matplotlib takes a second."""

    def _initialize_fig(self, fig_cfg: dict) -> tuple:
        return None, SimpleNamespace(get_dpi=lambda: 100), None


class TrainingRunner(Runner):
    """mmengine's Runner with strict resumes, orderly stops and a quiet terminal.

    It logs to `train.log` in its folder and prints only errors. It resumes only from a checkpoint
    that fits. It stops between two iterations at a signal, or where a loss is not finite.

    Args:
        compiled: what runs compiled in the training; None for nothing.
        arguments: mmengine's.

    Attributes:
        seconds: of the training, as far as this Runner did it.
    """

    seconds = 0.0

    def __init__(self, compiled: Compiled | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._compiled = compiled or nullcontext
        with suppress(FileNotFoundError):  # of several processes one does it
            # named by the second; what would be in it is in the log or in the rows
            Path(self.log_dir).rmdir()
        self._log_dir = self.work_dir

    def dump_config(self) -> None:
        """Do nothing: the run folder has the config, and mmengine's is empty."""

    def _log_env(self, env_cfg: dict) -> None:
        """Log torch's own settings; mmengine would also run compilers, which takes a second."""
        about = {"seed": self._seed, "processes": self._world_size, "torch": torch.__version__}
        lines = [*(f"{name}: {value}" for name, value in about.items()), torch.__config__.show()]
        self.logger.info("\n".join(["", *lines]))

    def build_logger(
        self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any
    ) -> Any:
        """Log to a file, and errors to the terminal too."""
        logger = super().build_logger(log_level, str(Path(self.work_dir) / "train.log"), **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.ERROR)
        return logger

    def load_or_resume(self) -> None:
        """Load silently: mmengine prints the checkpoint's path besides logging it."""
        try:
            with redirect_stdout(StringIO()):
                super().load_or_resume()
        except UNREADABLE as error:
            what = (
                f"{self._load_from} cannot be gone on from ({type(error).__name__}: "
                f"{' '.join(str(error).split())})"
            )
            raise CheckpointError(
                f"{what}. Without the file the training of this cycle begins anew"
            ) from error

    def load_checkpoint(
        self, filename: str, map_location: Any = "cpu", strict: bool = True, **kwargs: Any
    ) -> Any:
        """Load strictly: mmengine would only log which weights do not fit."""
        stored(Path(filename))
        return super().load_checkpoint(filename, map_location, strict, **kwargs)

    def train(self) -> nn.Module:
        """Train; a signal to stop takes effect between two iterations."""
        began = time.perf_counter()
        with finishing(), self._compiled():
            try:
                return super().train()
            except NonFiniteLoss as error:
                raise FloatingPointError(self._keep(error)) from error
            finally:
                self.seconds = time.perf_counter() - began

    def _keep(self, error: NonFiniteLoss) -> str:
        """Save the weights that gave a loss which is not finite; return a message about it."""
        sampler = self.train_dataloader.sampler
        before = iteration_of_epoch(self) * self.train_dataloader.batch_size
        batch = list(islice(sampler.order(), before, before + len(error.samples)))
        bad = [i for i, loss in zip(batch, error.samples, strict=True) if not math.isfinite(loss)]
        kept = Path(self.work_dir) / NOT_FINITE
        if get_rank() != 0:
            kept = kept.with_name(f"rank{get_rank()}-{NOT_FINITE}")
        with replacing(kept) as beside:
            what = dict(
                epoch=self.epoch,
                iter=self.iter,
                losses=error.terms,
                batch=batch,
                samples=error.samples,
            )
            torch.save(dict(what, state_dict=unwrapped(self.model).state_dict()), beside)
        where = f"epoch {self.epoch}, iteration {self.iter}, samples {bad or batch}"
        advice = "A smaller learning rate, a warm-up or `training.clip_grad` may help."
        return f"{error} in {where} ({kept} keeps the weights and the batch). {advice}"


class LogLosses(LoggerHook):
    """mmengine's log of the training, without its file of test metrics."""

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Do nothing: the metrics go into the cycle's row."""


class PartWiseOptimWrapper(OptimWrapper):
    """Clips the gradients of network and module separately, each by its own norm.

    It runs in bfloat16 where `amp` is set.

    One norm over both would let the module's gradient scale the network's, also where the taps are
    detached. bfloat16 works on GPUs and CPUs alike; mmengine's AmpOptimWrapper refuses a CPU.
    """

    def __init__(
        self, optimizer: Optimizer, clip_grad: dict[str, Any] | None = None, amp: bool = False
    ) -> None:
        super().__init__(optimizer)
        self.clip = clip_grad
        self.amp = amp

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast the forward pass."""
        device = next(model.parameters()).device.type
        with (
            super().optim_context(model),
            torch.autocast(device, torch.bfloat16, enabled=bool(self.amp)),
        ):
            yield

    def step(self, **kwargs: Any) -> None:
        """Clip, then step."""
        if self.clip is not None:
            for group in self.param_groups:
                clip_grad_norm_(group["params"], **self.clip)
        self.optimizer.step(**kwargs)
