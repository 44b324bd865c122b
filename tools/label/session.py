"""What the parts of `al_label.py` have in common: errors, signals, and what is printed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

from models.process.memory import keep_freed_memory, set_aside, take_back
from models.process.shared_memory import enough
from models.process.stopping import listening, workers_may_die
from models.process.text import error_line
from tools.deploy.trained import DeployError
from tools.display.console import Plain
from tools.experiment.options import STOPPED, USAGE_ERROR
from tools.label import (
    batches,
    curve,
    exporting,
    page,
    returning,
    starting,
    status,
    worth,
    writing_labels,
)
from tools.label.adding import Added, add
from tools.label.batches import Batch
from tools.label.labels import LabelError
from tools.label.project import Project, opened
from tools.label.sending import choose_batch
from tools.label.status import spent
from tools.train.session import STOPPERS as OF_TRAINING

NOT_TAKEN = 1
STOPPERS = (*OF_TRAINING, LabelError, DeployError, OSError)


def main(arguments: argparse.Namespace) -> int:
    """Run a part of the command; see `al_label.py` for its exit status."""
    keep_freed_memory()
    console = Plain()
    parts: Mapping[str, Callable[[argparse.Namespace, Plain], int]] = {
        "init": _init,
        "next": _next,
        "add": _add,
        "status": _status,
        "labels": _labels,
    }
    try:
        with listening(), enough(), workers_may_die():
            return parts[arguments.part](arguments, console)
    except STOPPERS as error:
        print(error_line(error), file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt as stop:
        console.print(f"{str(stop) or 'stopped'}; the same command goes on")
        return STOPPED
    finally:
        take_back()


def _init(arguments: argparse.Namespace, console: Plain) -> int:
    options = dict(arguments.cfg_options)
    place = (arguments.config, arguments.images, arguments.run)
    status = 0
    with starting.begun(*place, options, console) as project:
        if arguments.labeled is not None:
            found = returning.from_file(project, arguments.labeled, arguments.format)
            status = _take(project, found, arguments, console)
        curve.keep(project)
    images, slice = len(project.index.present), len(project.slice)
    console.print(
        f"{project.path}: {images:,} images to be labeled with {project.labeling.kind}; the "
        f"validation slice has {slice:,} of them"
    )
    return status


def _next(arguments: argparse.Namespace, console: Plain) -> int:
    set_aside()
    with opened(arguments.run) as project:
        project, notes = project.looked()
        for note in notes:
            console.print(f"note: {note}")
        exporting.require(arguments.export, project.labeling.kind)
        if arguments.again:
            if not project.batches:
                raise LabelError("--again: expected a batch that went out, but there is none yet")
            batch = project.batches[-1]
        else:
            project, batch = choose_batch(project, arguments.count, console, arguments.ray)
        _write(project, batch, arguments, console)
        if arguments.again:
            return 0
        curve.keep(project)
        # the last act: until now the same command chooses the same batch again
        batches.write(project.path, batch)
    return 0


def _write(project: Project, batch: Batch, arguments: argparse.Namespace, console: Plain) -> None:
    """Write a batch's page and its files, and send it."""
    console.print(
        f"batch {batch.number}: {len(batch.choices):,} images; their pictures are in "
        f"{page.write(project, batch)}"
    )
    for form in arguments.export:
        for line in exporting.export(project, batch, form):
            console.print(line)
    if arguments.push:
        for line in exporting.push(project, batch, arguments.push):
            console.print(line)


def _add(arguments: argparse.Namespace, console: Plain) -> int:
    if (arguments.file is None) == (arguments.pull is None):
        raise LabelError("add: expected a file, or --pull URL, and not both")
    with opened(arguments.run) as project:
        project, notes = project.looked()
        for note in notes:
            console.print(f"note: {note}")
        if arguments.pull:
            found = returning.from_server(project, arguments.pull)
        else:
            found = returning.from_file(project, arguments.file, arguments.format)
        return _take(project, found, arguments, console)


def _take(
    project: Project, found: returning.Returned, arguments: argparse.Namespace, console: Plain
) -> int:
    done = returning.done(arguments.done)
    added = add(project, found.entries, found.source, done, arguments.take_good)
    _say(added, console)
    return NOT_TAKEN if added.faulty else 0


def _say(added: Added, console: Plain) -> None:
    for line in added.lines:
        console.print(line)
    now = added.project.labels
    console.print(
        f"{len(added.new):,} images are new, {len(added.changed):,} changed, {added.same:,} were "
        f"known; nothing was taken of {added.faulty:,}"
    )
    if now.number >= 0:
        states = now.states
        console.print(
            f"labels version {now.number}: {states['labeled']:,} labeled, {states['empty']:,} "
            f"empty, {states['skipped']:,} skipped; {spent(added.project)}"
        )


def _status(arguments: argparse.Namespace, console: Plain) -> int:
    with opened(arguments.run) as project:
        project, notes = project.looked()
        for note in notes:
            console.print(f"note: {note}")
        if arguments.worth:
            worth.measure(project, console)
        status.show(project, console)
    return 0


def _labels(arguments: argparse.Namespace, console: Plain) -> int:
    with opened(arguments.run) as project:
        project, notes = project.looked()
        for note in notes:
            console.print(f"note: {note}")
        count = writing_labels.write(project, arguments.form, arguments.out)
        console.print(f"{arguments.out}: labels of {count:,} images as {arguments.form}")
    return 0
