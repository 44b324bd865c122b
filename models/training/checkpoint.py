"""The one checkpoint of a training, from which a stopped one continues, exact to the bit."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from models.process import stopping
from models.process.files import replacing
from models.process.stopping import Stopped
from models.training.hooks import unwrapped
from models.training.settings import CHECKPOINT

UNREADABLE = (
    OSError,
    RuntimeError,
    KeyError,
    TypeError,
    EOFError,
    pickle.UnpicklingError,
)  # of a missing, damaged or other file


class CheckpointError(Exception):
    """A checkpoint that the training cannot continue from; the message names the remedy."""


class KeepCheckpoint(Hook):
    """A hook that keeps one checkpoint, `CHECKPOINT`.

    It writes after every few epochs, after the last one, and when the run is stopped.

    mmengine's own hook writes in place, and to keep only the newest it deletes that before it
    writes the next.

    Args:
        every: epochs.
        batch_size: of a process, by which a training that was stopped within an epoch finds its
            place in it.
    """

    priority = "VERY_LOW"  # after the schedulers, whose state goes into the checkpoint

    def __init__(self, every: int, batch_size: int) -> None:
        self.every = every
        self.batch_size = batch_size
        self._buffers: list[dict[str, torch.Tensor]] = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Restore each process's own batch norm statistics, and training dynamics.

        mmengine does neither. A config in the file is ignored: mmengine would run it.
        """
        bounded(checkpoint, Path(runner.work_dir) / CHECKPOINT)
        checkpoint["meta"].pop("config", None)
        self._buffers = checkpoint["buffers"]
        if len(self._buffers) not in (0, get_world_size()):
            raise CheckpointError(
                f"{runner.work_dir}: expected {len(self._buffers)} processes, as many as were "
                f"stopped within an epoch, but got {get_world_size()}"
            )
        if (dynamics := unwrapped(runner.model).dynamics) is not None:
            dynamics.restore(checkpoint["dynamics"])

    def before_train(self, runner: Runner) -> None:
        """Continue within the epoch in which the training was stopped."""
        runner.train_dataloader.sampler.skip = self.batch_size * iteration_of_epoch(runner)
        for name, buffer in unwrapped(runner.model).named_buffers():
            if self._buffers:
                buffer.copy_(self._buffers[get_rank()][name])

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Leave out what torch could load only by running code from the file.

        That is the log history and the functions of schedules.
        """
        checkpoint["message_hub"] = dict(log_scalars={}, runtime_info={}, resumed_keys={})
        # OneCycleLR's curve is one, which a new one has, too
        for state in checkpoint.get("param_schedulers", ()):
            for name in [name for name, value in state.items() if callable(value)]:
                del state[name]
        checkpoint["buffers"] = self._buffers
        if (dynamics := unwrapped(runner.model).dynamics) is not None:
            checkpoint["dynamics"] = dynamics.state()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save and stop after an iteration if a signal came; it is not counted yet.

        The last of an epoch is left to `after_train_epoch`.
        """
        if iteration_of_epoch(runner) + 1 < len(runner.train_dataloader) and stopping.asked():
            self._save(runner, by_epoch=False)
            self._stop(runner, runner.iter + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Save after an epoch if that is due, and stop if a signal came; it is not counted yet."""
        stop = stopping.asked()
        if stop or self.every_n_epochs(runner, self.every) or self.is_last_train_epoch(runner):
            self._save(runner, by_epoch=True)
        if stop:
            self._stop(runner, runner.iter)

    def _stop(self, runner: Runner, done: int) -> None:
        raise Stopped(
            f"stopped by {stopping.name()} after iteration {done} of {runner.max_iters}, which is "
            "kept"
        )

    def _save(self, runner: Runner, by_epoch: bool) -> None:
        self._buffers = []
        # at an epoch's end SyncBuffersHook has made them equal
        if not by_epoch and get_world_size() > 1:
            buffers = {
                name: buffer.cpu() for name, buffer in unwrapped(runner.model).named_buffers()
            }
            self._buffers = all_gather_object(buffers)
        if is_main_process():
            with replacing(Path(runner.work_dir) / CHECKPOINT) as beside:
                runner.save_checkpoint(str(beside.parent), beside.name, by_epoch=by_epoch)


def save(model: nn.Module, path: Path) -> None:
    """Write a model's weights alone, on the CPU, in a form that `read` reads."""
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    torch.save({"state_dict": state}, path)


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running code from the file.

    It takes no more memory than the file has bytes.

    Raises:
        OSError: or another of `UNREADABLE`, where it is missing, damaged or another file.
    """
    stored(path)
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(checkpoint, dict):
        raise KeyError(f"expected what a training keeps, but got {type(checkpoint).__name__}")
    bounded(checkpoint, path)
    return checkpoint


def stored(path: Path) -> None:
    """Check that a checkpoint stores its tensors as torch.save does.

    They must not be compressed, and none may be stored twice.

    Raises:
        RuntimeError: if it does not.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise RuntimeError(f"expected a file that torch.save wrote ({error})") from error
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise RuntimeError("expected tensors as torch.save puts them there, but got packed ones")


def bounded(value: Any, path: Path) -> None:
    """Check that no tensor claims more numbers than the file holds.

    With a stride of 0 one number would count as many.

    Raises:
        RuntimeError: if one does.
    """
    most = path.stat().st_size
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, torch.Tensor):
            if item.numel() * item.element_size() > most:
                raise RuntimeError(
                    f"expected tensors of at most {most:,} bytes, but got the shape "
                    f"{tuple(item.shape)}"
                )
        elif isinstance(item, dict):
            left += item.values()
        elif isinstance(item, list | tuple):
            left += item


def iteration_of_epoch(runner: Runner) -> int:
    """The number of finished iterations of the running epoch.

    mmengine counts batches from where the process started.
    """
    return runner.iter - runner.epoch * len(runner.train_dataloader)
