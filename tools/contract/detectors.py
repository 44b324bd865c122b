"""Detectors of mmdet, one after the other: what each gives, and two short cycles of it."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.process.files import replacing
from models.process.seeding import seeded
from tools.contract.matrix import FOLDER, finished
from tools.data.sandbox import CONFIGS
from tools.display.console import Plain
from tools.display.sheet import Column, Sheet
from tools.experiment import preflight
from tools.experiment.config import Experiment, load
from tools.experiment.options import ConfigError

BASE = "det_sandbox"
SIDE = 128  # px: of the drawn scenes
# those whose networks take no image of that size, or choose more queries than it has places
SIDES = {"ssd": 320, "ssd300": 300, "ssd512": 512, "dino": 256, "ddq": 256}
FAMILIES = (
    "retinanet/retinanet_r18_fpn_1x_coco.py",
    "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
    "atss/atss_r50_fpn_1x_coco.py",
    "gfl/gfl_r50_fpn_1x_coco.py",
    "yolox/yolox_tiny_8xb8-300e_coco.py",
    "yolof/yolof_r50-c5_8xb8-1x_coco.py",
    "rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
    "tood/tood_r50_fpn_1x_coco.py",
    "ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py",
    "faster_rcnn/faster-rcnn_r18_fpn_8xb8-amp-lsj-200e_coco.py",
    "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py",
    "detr/detr_r50_8xb2-150e_coco.py",
    "yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py",
    "vfnet/vfnet_r50_fpn_1x_coco.py",
    "deformable_detr/deformable-detr_r50_16xb2-50e_coco.py",
    "nas_fcos/nas-fcos_r50-caffe_fpn_fcoshead-gn-head_4xb4-1x_coco.py",
    "ddod/ddod_r50_fpn_1x_coco.py",
    "dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py",
    "dyhead/atss_r50_fpn_dyhead_1x_coco.py",
    "cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco.py",
    "fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py",
    "ld/ld_r18-gflv1-r101_fpn_1x_coco.py",
    "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
    "pisa/faster-rcnn_r50_fpn_pisa_1x_coco.py",
    "tridentnet/tridentnet_r50-caffe_1x_coco.py",
)


@dataclass(frozen=True)
class Found:
    """What was found about a detector.

    Args:
        config: mmdet's name.
        status: "ok", "refused" or "FAILED".
        reason: why it is refused, or failed; empty if it trains.
        taps: maps and their channels, such as "5 x 256".
        alone: largest difference between an image's loss in a batch and alone, as a share.
        empty: what an image without boxes loses, with random weights.
        probs: what a row of the distributions is of.
        score: mAP after two cycles.
        seconds: of these.
    """

    config: str
    status: str
    reason: str = ""
    taps: str = ""
    alone: float = 0.0
    empty: float = 0.0
    probs: str = ""
    score: float = 0.0
    seconds: float = 0.0


def main(arguments: argparse.Namespace) -> int:
    """Try every detector, and show the table.

    Args:
        arguments: the options of `detectors.py`.

    Returns:
        The exit status of `detectors.py`.
    """
    console = Plain()
    rows = []
    for config in arguments.configs or FAMILIES:
        rows.append(tried(config, arguments.root / CONFIGS[BASE]))
        console.print(f"{config}: {rows[-1].status}, {rows[-1].seconds:.1f} s")
    table(rows).print(console)
    if arguments.out is not None:
        with replacing(arguments.out) as beside:
            beside.write_text(markdown(rows), encoding="utf-8")
        console.print(f"table: {arguments.out}")
    return 1 if any(row.status == "FAILED" for row in rows) else 0


def tried(config: str, data_root: Path) -> Found:
    """Try one detector on the drawn scenes, with random weights."""
    side = SIDES.get(config.partition("/")[0], SIDE)
    network = {"type": "mmdet", "config": config, "size": (side, side)}
    options = {"task.data_root": str(data_root), "task.network": network}
    try:
        experiment = load(FOLDER / f"{BASE}.py", smoke=True, options=options)
        problems = preflight.problems(experiment, full=False)
    except ConfigError as error:
        problems = error.problems
    if problems:
        return Found(config, "refused", "; ".join(problems))
    began = time.perf_counter()
    try:
        alone, empty, probs = measured(experiment)
        score = _cycles(experiment)
    except Exception as error:  # one detector must not end the others
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        return Found(config, "FAILED", reason, seconds=time.perf_counter() - began)
    channels = [tap.channels for tap in experiment.task.taps]
    taps = f"{len(channels)} x {channels[0]}"
    if len(set(channels)) > 1:
        taps = ", ".join(map(str, channels))
    seconds = time.perf_counter() - began
    return Found(config, "ok", "", taps, alone, empty, probs, score, seconds)


def measured(experiment: Experiment) -> tuple[float, float, str]:
    """Return the fields `alone`, `empty` and `probs` of a `Found`."""
    task, pool = experiment.task, experiment.task.dataset("pool")
    filled = [i for i in range(64) if task.effort(i)][:3]
    empty = next(i for i in range(len(pool)) if not task.effort(i))  # type: ignore[arg-type]
    with seeded(0):
        network = task.build().eval()

    def losses(ids: Sequence[int]) -> Any:
        """Return the losses (B,) of some samples in one batch."""
        batch = task.collate([pool[i] for i in ids])
        return task.forward(network, batch, frozenset({"loss"})).loss

    with torch.no_grad():
        together = losses([*filled, empty])
        alone = torch.cat([losses([i]) for i in [*filled, empty]])
        batch = task.collate([pool[i] for i in filled])
        rows: Any = task.forward(network, batch, frozenset({"probs"})).probs
    difference = (together - alone).abs() / alone.abs().clamp(min=1e-6)
    what = f"{rows.shape[2] - 1} classes and background"
    if rows.shape[2] == 2:
        what = "box or none"
    return difference.max().item(), together[-1].item(), what


def _cycles(experiment: Experiment) -> float:
    """Run two cycles and return the last one's mAP."""
    with tempfile.TemporaryDirectory(prefix="losstap-detectors-") as folder:
        run = finished(experiment, Path(folder) / "run")
        return run.rows(experiment.budget.cycles)[-1][experiment.task.metric]


HEADER = ("config", "taps", "loss alone", "empty", "distributions", "mAP", "s")


def cells(row: Found) -> list[str]:
    """The texts of a row, in the order of `HEADER`."""
    if row.status != "ok":
        return [row.config, f"{row.status}: {row.reason}", "", "", "", "", ""]
    return [
        row.config,
        row.taps,
        f"{row.alone:.0e}",
        f"{row.empty:.3g}",
        row.probs,
        f"{row.score:.3f}",
        f"{row.seconds:.0f}",
    ]


def table(rows: Sequence[Found]) -> Sheet:
    """Return the table for the terminal."""
    texts = {"config", "taps", "distributions"}
    sheet = Sheet(*[Column(name, 2, text=name in texts) for name in HEADER])
    for row in rows:
        sheet.add(*cells(row))
    return sheet


def markdown(rows: Sequence[Found]) -> str:
    """Return the table for the docs."""
    lines = [list(HEADER), ["---"] * len(HEADER), *map(cells, rows)]
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)
