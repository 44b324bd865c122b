"""The trained network of a run: found, compared with its receipt, and built without the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.process.text import shown, told
from models.training.checkpoint import UNREADABLE, read
from models.training.settings import CHECKPOINT
from tasks.base import Task
from tasks.deployable import Deployable, Deployment
from tools.experiment.options import ConfigError
from tools.record import data, facts, plans
from tools.record.files import RunFolderError
from tools.record.folder import RunFolder
from tools.record.receipt import weights_digest

PART = "network."  # how the names of a task's network begin; others are the module's


class DeployError(Exception):
    """A network that cannot be had; the message says what is missing and what to give."""


@dataclass(frozen=True)
class Trained:
    """A run's network after a cycle.

    Args:
        folder: of the run.
        cycle: from 0.
        labels: classes or joints in the network's order.
        deployment: of the task.
        network: with the cycle's weights, in evaluation mode, on the CPU.
        notes: what could not be compared; a line each.
    """

    folder: Path
    cycle: int
    labels: tuple[str, ...]
    deployment: Deployment
    network: nn.Module
    notes: tuple[str, ...] = ()


def trained(
    path: Path,
    cycle: int | None = None,
    trust: plans.Trust = (),
    options: Mapping[str, Any] | None = None,
) -> Trained:
    """Build the network of a run with its weights.

    Args:
        path: of the run's folder.
        cycle: from 0; None is the newest that is committed.
        trust: folders whose code may be run, see `tools.record.plans`.
        options: settings of the task over the run's own, with dotted keys.

    Raises:
        DeployError: if the run has no such weights, or they are not those of its receipt.
        RunFolderError: if its folder is damaged, or names code that the user did not allow.
        ConfigError: if the task's settings are not right.
    """
    cycle, newest = _cycle(RunFolder(path), cycle)
    state, notes = _weights(RunFolder(path), cycle, newest)
    task = plans.task(path, trust, options)
    return _built(path, cycle, task, state, notes)


def of_task(path: Path, task: Task) -> Trained:
    """Build the network of a run's newest cycle with its weights, for its task, which is at hand.

    Raises:
        DeployError: as `trained`.
        RunFolderError: if its folder is damaged.
    """
    cycle, newest = _cycle(RunFolder(path), None)
    return _built(path, cycle, task, *_weights(RunFolder(path), cycle, newest))


def _cycle(folder: RunFolder, cycle: int | None) -> tuple[int, int]:
    """The cycle that is asked for, and the newest one."""
    newest = _newest(folder)
    if cycle is None:
        cycle = newest
    if not 0 <= cycle <= newest:
        raise DeployError(
            f"--cycle: expected 0 to {newest}, the committed ones of {folder.path}, but got {cycle}"
        )
    return cycle, newest


def _built(
    path: Path, cycle: int, task: Task, state: Mapping[str, Tensor], notes: Sequence[str]
) -> Trained:
    if not isinstance(task, Deployable):
        raise DeployError(
            f"{path}: expected a task that can be deployed, but {type(task).__name__} lacks "
            "`labels` and `deployment`; docs/tasks.md has them"
        )
    if changed := data.other_settings(path, task):
        what = f"{path} was made with other files; put them back as they were:"
        raise DeployError("\n  ".join([what, *changed]))
    labels = _labels(path, task)
    try:
        deployment = task.deployment(labels)
        network = deployment.build()
        network.load_state_dict(state, strict=True)
    except (ValueError, RuntimeError) as error:
        raise DeployError(
            f"{path}: expected weights and classes that fit its task, but {told(error)}"
        ) from error
    return Trained(path, cycle, labels, deployment, network.eval(), tuple(notes))


def _newest(folder: RunFolder) -> int:
    """The newest committed cycle."""
    path = folder.path
    if not path.is_dir():
        raise DeployError(f"{path}: expected the folder of a run, but there is no such folder")
    folder.require_whole()
    if not facts.there(path):
        raise DeployError(
            f"{path}: expected the folder of a run, such as "
            "work_dirs/det_ssd_voc/random/seed0, but it holds none"
        )
    pool = folder.resume(len(folder.sample_names())) if (path / "samples.txt").exists() else None
    if pool is None or pool.cycle < 1:
        raise DeployError(
            f"{path}: expected a run with a finished cycle, but none is committed yet; let "
            "al_train.py finish one"
        )
    return pool.cycle - 1


def _weights(folder: RunFolder, cycle: int, newest: int) -> tuple[dict[str, Tensor], list[str]]:
    """The weights of the task's network, whose hash is the receipt's; and notes."""
    places = (folder.weights_file(cycle), folder.training_folder(cycle) / CHECKPOINT)
    path = next((place for place in places if place.exists()), None)
    if path is None:
        if cycle == newest:
            remedy = f"restore {places[1]}"
        else:
            remedy = (
                f"cycle {newest} has its weights; train with --cfg-options "
                "training.keep_weights=all to keep those of each cycle"
            )
        raise DeployError(f"{folder.path}: the weights of cycle {cycle} were not kept; {remedy}")
    try:
        state = read(path)["state_dict"]
        value = weights_digest(state)
    except (*UNREADABLE, AttributeError) as error:
        raise DeployError(
            f"{path} is damaged ({type(error).__name__}: {shown(str(error))}); restore it"
        ) from error
    expected = folder.receipt(cycle).get("weights")
    notes = []
    if expected is None:
        notes.append(f"cycle {cycle} has no receipt that its weights could be compared with")
    elif value != expected:
        raise DeployError(
            f"{path}: expected weights with the hash {expected[:12]} of the receipt, but got "
            f"{value[:12]}; restore the file"
        )
    own = {
        name.removeprefix(PART): tensor for name, tensor in state.items() if name.startswith(PART)
    }
    return own, notes


def _labels(path: Path, task: Deployable) -> tuple[str, ...]:
    """Classes or joints: the run's own, or, of an earlier version's run, the task's."""
    kept = facts.facts(path)
    if kept is not None and kept.labels:
        return tuple(kept.labels)
    try:
        return tuple(task.labels())
    except Exception as error:  # adapters are anybody's, and the data may be gone
        raise DeployError(
            f"{path} does not say its classes, which an earlier version of losstap left in the "
            f"data, and these cannot be read ({told(error)}); give --cfg-options "
            "task.data_root=FOLDER, where the data are now"
        ) from error


def stoppers() -> tuple[type[Exception], ...]:
    """The errors that end a command with a message."""
    return DeployError, RunFolderError, ConfigError, OSError


def summary(one: Trained) -> str:
    """The run, cycle and number of classes or joints, in a line."""
    return f"{one.folder}, cycle {one.cycle}: {len(one.labels)} {_what(one.deployment)}"


def _what(deployment: Deployment) -> str:
    return "joints" if deployment.crops else "classes"
