"""Resampled test sets: against hand computations, and what does not fit is said."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tasks.per_image import Matched, Ratio
from tests.comparekit import config, write
from tests.conftest import REPOSITORY
from tools import al_compare
from tools.compare.testset import FEWEST, _plan, resampled
from tools.record.folder import RunFolder, RunFolderError
from tools.record.reading import read

IMAGES = 200


def judged(root: Path, leg: str, shares, seed: int = 0, images: int = IMAGES, shift: int = 0):
    """A finished run that is right in the first `share` of the images, beginning at `shift`."""
    folder = write(root / f"{leg}/seed{seed}", config(leg, seed), shares)
    for cycle, share in enumerate(shares):
        right = np.roll(np.arange(images) < round(share * images), shift)
        RunFolder(folder).keep_judged(cycle, Ratio(right, np.ones(images, dtype=bool)))
    return read(folder)


def test_intervals_are_those_of_a_share(tmp_path: Path):
    """A cycle's share of 200 images: draws are binomial; the area of equal cycles is the share."""
    found = resampled({"random": [judged(tmp_path, "random", [0.3] * 3)]})
    assert (found.score, found.images, found.draws, found.seeds) == ("area", 200, 1000, (0,))
    assert found.mean == pytest.approx([0.3])
    ends = stats.binom.ppf([0.025, 0.975], IMAGES, 0.3) / IMAGES
    assert [found.low[0], found.high[0]] == pytest.approx(ends, abs=0.011)
    assert math.isnan(found.tau) and "random's area is" in str(found)


def test_by_the_validation_split_no_test_image_is_drawn(tmp_path: Path):
    run = replace(judged(tmp_path, "random", [0.3] * 3), metric="validation/accuracy")
    assert resampled({"random": [run]}).reason == (
        "Compared by the validation split, of which no test image is a part."
    )


def test_draws_are_the_same_for_all(tmp_path: Path):
    """A strategy that is right in one image more is never behind; independent draws would be."""
    legs = {
        "random": [judged(tmp_path, "random", [0.3] * 3)],
        "entropy": [judged(tmp_path, "entropy", [0.305] * 3)],
    }
    found = resampled(legs)
    assert found.gain[1] == pytest.approx(0.005) and found.gain_low[1] == 0
    # the image is in no draw with (1 - 1 / 200)^200 = .367; then both are first
    never = (1 - 1 / IMAGES) ** IMAGES
    assert found.first[1] == pytest.approx(1 - never / 2, abs=0.03)
    assert found.tau == 1  # a draw in which all are equal has none


def test_the_area_is_of_the_drawn_curve_and_the_mean_over_seeds(tmp_path: Path):
    runs = [judged(tmp_path, "random", [0.1, 0.2, 0.4], s, shift=50 * s) for s in range(2)]
    found = resampled({"random": runs})
    # by hand: (.1 / 2 + .2 + .4 / 2) / 2
    assert found.mean == pytest.approx([0.225])


def test_seeds_that_all_have_count(tmp_path: Path):
    legs = {
        "random": [judged(tmp_path, "random", [0.3] * 3, s) for s in range(3)],
        "entropy": [judged(tmp_path, "entropy", [0.4] * 3, 1)],
    }
    found = resampled(legs)
    assert found.seeds == (1,) and found.left_out == ("seeds 0, 2: some strategies lack them",)
    legs["entropy"] = [judged(tmp_path, "entropy", [0.4] * 3, 7)]
    assert "no seed in common" in resampled(legs).reason


def test_what_cannot_be_judged_again_is_said(tmp_path: Path):
    good = judged(tmp_path, "random", [0.3] * 3)
    plain = read(write(tmp_path / "coreset/seed0", config("coreset"), [0.3] * 3))
    other = judged(tmp_path, "entropy", [0.3] * 3)
    RunFolder(other.folder).keep_judged(1, Ratio(np.ones(IMAGES), np.ones(IMAGES)))
    found = resampled({"random": [good], "coreset": [plain], "entropy": [other]})
    assert found.legs == ("random",)
    assert found.left_out[0].startswith("coreset: its runs did not keep their tests image by image")
    assert found.left_out[1].endswith("01.npz gives 1, but the row has 0.3")
    alone = resampled({"coreset": [plain]})
    assert alone.reason.startswith(
        "It is unknown how far another test set would move this: coreset"
    )
    assert "those of other tasks may not be" in alone.reason
    assert "no run is finished" in resampled({}).reason


def test_what_has_no_order_or_nothing_that_counts_is_said(tmp_path: Path):
    legs = {leg: [judged(tmp_path, leg, [0.3] * 3)] for leg in ("random", "entropy")}
    assert "cannot be compared with that of the test set, on which all are equal" in str(
        resampled(legs)
    )
    empty = judged(tmp_path, "coreset", [0.3] * 3)
    RunFolder(empty.folder).keep_judged(0, Ratio(np.ones(IMAGES), np.zeros(IMAGES)))
    assert "00.npz has nothing that counts" in resampled({"coreset": [empty]}).reason


def test_tests_of_other_numbers_of_images_are_left_out(tmp_path: Path):
    legs = {
        "random": [judged(tmp_path, "random", [0.5] * 3, images=40)],
        "entropy": [judged(tmp_path, "entropy", [0.5] * 3, images=30)],
    }
    found = resampled(legs)
    assert found.legs == ("random",) and found.images == 40
    assert found.left_out == ("entropy: its tests have 30 images, those of random 40",)


def test_a_damaged_file_is_an_error(tmp_path: Path):
    run = judged(tmp_path, "random", [0.3] * 3)
    RunFolder(run.folder).judged_file(1).write_bytes(b"no archive")
    with pytest.raises(RunFolderError, match=r"judged/01\.npz is damaged"):
        resampled({"random": [run]})
    np.savez(RunFolder(run.folder).judged_file(1), form=np.array("ratio"), right=np.ones(3))
    with pytest.raises(RunFolderError, match=r"01\.npz is damaged \(KeyError: 'counted'\)"):
        resampled({"random": [run]})


def test_large_sets_of_detections_are_judged_in_the_last_cycle_alone(tmp_path: Path):
    run = judged(tmp_path, "random", [0.3] * 3)
    many, few = (Matched(*[np.zeros(n)] * 4, np.ones((10, 1))) for n in (4_000_000, 1000))
    assert _plan(few, 10, [[run] * 5]) == ("area", 1000)
    assert _plan(many, 10, [[run] * 5]) == ("final", FEWEST)
    assert _plan(Ratio(np.ones(100_000), np.ones(100_000)), 100_000, [[run]]) == ("area", 200)


def test_the_report_shows_it(tmp_path: Path, capsys):
    for leg, share in (("random", 0.3), ("entropy", 0.5)):
        for seed in range(2):
            judged(tmp_path / "runs", leg, [0.2, 0.25, share], seed)
    out = tmp_path / "out"
    arguments = [str(tmp_path / "runs"), "--out", str(out), "--trust", str(REPOSITORY)]
    assert al_compare.main(arguments) == 0
    assert "over 1,000 drawn test sets of 200 images the order by area" in capsys.readouterr().out
    (found,) = json.loads((out / "summary.json").read_text())
    assert found["testset"]["gain"] == pytest.approx([0, 0.05])
    assert "What the order owes to the test set" in (out / "report.html").read_text()
