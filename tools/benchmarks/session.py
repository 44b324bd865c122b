"""Measure the chosen subjects, show the results, and write them to a file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from models.process.text import error_line
from tools.benchmarks import choosing, cycle, kcenter, memory, scale, score, start, train
from tools.benchmarks.report import Report, machine, rows, show, side_by_side
from tools.display.console import Plain
from tools.experiment.options import ConfigError


def main(args: argparse.Namespace, chosen: Sequence[argparse.Namespace]) -> int:
    """Measure the chosen subjects, show the results, and write them to a file.

    Args:
        args: the options of `bench.py`.
        chosen: the options of each subject.

    Returns:
        The exit status of `bench.py`.
    """
    reports = []
    try:
        torch.set_num_threads(args.threads)
        for one in chosen:
            for report in SUBJECTS[one.subject](one):
                show(report, Plain())
                reports.append(asdict(report))
    except (ValueError, OSError, ConfigError) as error:
        print(error_line(error), file=sys.stderr)
        return 1
    if args.json:
        content = reports[0] if len(reports) == 1 else reports
        part = args.json.with_name(f"{args.json.name}.tmp-{os.getpid()}")
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")
        part.replace(args.json)
    return 0


def of_train(args: argparse.Namespace) -> Iterator[Report]:
    """Measure a training step of each network."""
    for network in args.network:
        yield train.measure(network, args.root, args.batch_size, args.steps, args.repeats)


def of_score(args: argparse.Namespace) -> Iterator[Report]:
    """Measure the scoring pass of each network."""
    for network in args.network:
        yield score.measure(
            network, args.root, args.images, args.train_steps, args.workers, args.repeats
        )


def of_memory(args: argparse.Namespace) -> Iterator[Report]:
    """Measure the memory of the scoring pass."""
    yield memory.measure(args.images, args.repeats)


def of_cycle(args: argparse.Namespace) -> Iterator[Report]:
    """Measure a run and its steps."""
    options = [f"{key}={value}" for key, value in args.cfg_options]
    yield cycle.measure(args.config, options, args.cycles, args.repeats)


def of_kcenter(args: argparse.Namespace) -> Iterator[Report]:
    """Measure `k_center`, the plain version and scikit-activeml."""
    features, labeled = kcenter.arrays(args.features, args.n, args.d, args.labeled, args.data_root)
    runs = {
        name: (lambda pick=pick: pick(features, labeled, args.budget))
        for name, pick in kcenter.contenders().items()
    }
    seconds, results = side_by_side(runs, args.repeats)
    notes = {
        name: {"same picks": int((picks == results["losstap"]).sum())}
        for name, picks in results.items()
    }
    yield Report("kcenter", _sizes(args, features, labeled), rows(seconds, notes), machine())


def of_select(args: argparse.Namespace) -> Iterator[Report]:
    """Measure strategies that choose by place, and scikit-activeml's of the same name."""
    made = kcenter.arrays(args.features, args.n, args.d, args.labeled, args.data_root)
    features, labeled = (rows.numpy() for rows in made)
    for strategy in args.strategy:
        yield choosing.measure(
            strategy, features, labeled, args.budget, args.repeats, args.environment
        )


def _sizes(args: argparse.Namespace, features: Tensor, labeled: Tensor) -> dict[str, Any]:
    return {
        "features": args.features,
        "n": len(features),
        "d": features.shape[1],
        "labeled": len(labeled),
        "budget": args.budget,
        "repeats": args.repeats,
    }


def of_scale(args: argparse.Namespace) -> Iterator[Report]:
    """Measure the scoring of a large pool on Ray."""
    yield scale.measure(args.images, args.workers, args.shard, args.batch_size, args.repeats)


def of_start(args: argparse.Namespace) -> Iterator[Report]:
    """Measure the starts of runs and of commands."""
    yield from start.measure(args.root, args.repeats)


SUBJECTS = {
    "train": of_train,
    "score": of_score,
    "memory": of_memory,
    "cycle": of_cycle,
    "kcenter": of_kcenter,
    "select": of_select,
    "scale": of_scale,
    "start": of_start,
}
