"""A benchmark of a whole run of a config, split into its steps."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tools.benchmarks import report

TRAIN = Path(__file__).resolve().parents[1] / "al_train.py"
STEPS = ("train", "evaluate", "score", "ranking")


def measure(config: str, options: Sequence[str], cycles: int, repeats: int) -> report.Report:
    """Measure runs of the first cycles as a user starts them.

    The rest is start, checks, commits and the end.

    Raises:
        ValueError: if a run fails, with its output.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ("whole run", *STEPS, "rest")}
    for _ in range(repeats):
        for name, value in once(config, options, cycles).items():
            seconds[name].append(value)
    neither = statistics.median(
        1 - (train + evaluate + score) / whole
        for whole, train, evaluate, score in zip(
            *(seconds[name] for name in ("whole run", *STEPS[:3])), strict=True
        )
    )
    notes = {"whole run": {"neither training nor passes over images": f"{neither:.1%}"}}
    settings = {"config": config, "cycles": cycles, "repeats": repeats}
    return report.Report("cycle", settings, report.rows(seconds, notes), report.machine())


def once(config: str, options: Sequence[str], cycles: int) -> dict[str, float]:
    """Return the seconds of one run and of its steps."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            str(TRAIN),
            config,
            "--work-dir",
            f"{folder}/run",
            "--wandb",
            "disabled",
        ]
        began = time.perf_counter()
        process = subprocess.run(
            [*command, "--cfg-options", f"budget.cycles={cycles}", *options],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        whole = time.perf_counter() - began
        if process.returncode:
            output = (process.stdout + process.stderr).strip()
            raise ValueError(f"{config}: the run failed: {output[-500:]}")
        metrics = Path(folder, "run/metrics.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in metrics.splitlines()]
    steps = {step: sum(row.get(f"seconds/{step}", 0.0) for row in rows) for step in STEPS}
    return {"whole run": whole, **steps, "rest": whole - sum(steps.values())}
