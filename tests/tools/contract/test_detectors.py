"""The table of mmdet's detectors: a row that trains, rows that are refused, and how they look."""

from __future__ import annotations

import io
import math
from argparse import Namespace

import pytest
from rich.console import Console

from tools.contract import detectors
from tools.contract.detectors import HEADER, Found, cells, markdown, table, tried
from tools.data.sandbox import draw


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    draw("det", root, pool=90, test=45)
    return root


def test_what_is_refused_says_why(tmp_path):
    found = tried("mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", tmp_path)
    assert found.status == "refused" and "learns masks" in found.reason
    found = tried("retinanet/retinanet_r18_fpn_1x_coco.py", tmp_path)
    assert found.status == "refused" and str(tmp_path) in found.reason, "its data are not there"


@pytest.mark.slow
def test_a_detector_that_trains(drawn, capsys, monkeypatch, tmp_path):
    config = "yolox/yolox_tiny_8xb8-300e_coco.py"
    arguments = Namespace(root=drawn, configs=[config], out=tmp_path / "table.md")
    assert detectors.main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"{config}: ok" in printed
    row = (tmp_path / "table.md").read_text().splitlines()[-1].split("|")
    assert [cell.strip() for cell in row[1:3]] == [config, "3 x 96"]
    assert float(row[3]) < 1e-4 and float(row[4]) > 1 and row[5].strip() == "box or none"
    assert math.isfinite(float(row[6]))


@pytest.mark.slow
def test_a_detector_that_fails_ends_no_other(drawn, monkeypatch, capsys):
    def broken(experiment):
        raise RuntimeError("no cycles today")

    monkeypatch.setattr(detectors, "_cycles", broken)
    configs = ["yolox/yolox_tiny_8xb8-300e_coco.py", "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"]
    assert detectors.main(Namespace(root=drawn, configs=configs, out=None)) == 1
    printed = capsys.readouterr().out
    assert "FAILED" in printed and "no cycles today" in printed and "refused" in printed


def test_the_table_is_the_same_in_both_forms():
    rows = [
        Found("a.py", "ok", "", "5 x 256", 2e-7, 1.25, "box or none", 0.125, 61.4),
        Found("b.py", "refused", "needs | and\na line"),
    ]
    assert cells(rows[0]) == ["a.py", "5 x 256", "2e-07", "1.25", "box or none", "0.125", "61"]
    lines = markdown(rows).splitlines()
    assert lines[0] == f"| {' | '.join(HEADER)} |" and len(lines) == 4
    assert lines[3] == "| b.py | refused: needs \\| and a line |  |  |  |  |  |"
    console = Console(file=io.StringIO(), width=200)
    table(rows).print(console)
    assert "5 x 256" in console.file.getvalue() and "refused" in console.file.getvalue()
