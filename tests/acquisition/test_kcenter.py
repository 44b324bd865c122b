"""Exact greedy k-center: every pick against the plain algorithm in float64, on the data
that breaks shortcuts.
"""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from acquisition.distances import Estimates, product_dtype, slack, squared_distances
from acquisition.kcenter import k_center
from acquisition.kcenter_search import Search
from tests.conftest import REPOSITORY

ONE_WINDOW, SMALL = 2**25, 2**17  # bytes


def plain(features: Tensor, labeled: Tensor, budget: int) -> tuple[list[int], list[float]]:
    """The plain greedy algorithm on squared distances in float64.

    The radius before each pick and after the last.
    """
    nearest = torch.full((len(features),), torch.inf, dtype=torch.float64)
    for centre in labeled:
        nearest = torch.minimum(nearest, squared_distances(features, centre[None]))
    picked: list[int] = []
    radii: list[float] = []
    for step in range(budget + 1):
        radii.append(math.sqrt(max(float(nearest.max()), 0.0)) if len(features) else 0.0)
        if step < budget:
            picked.append(int(nearest.argmax()))  # the first of equals
            nearest = torch.minimum(
                nearest, squared_distances(features, features[picked[-1]][None])
            )
            nearest[picked] = -1
    return picked, radii


def agree(features: Tensor, labeled: Tensor, budget: int, chunk_bytes: int = ONE_WINDOW) -> None:
    got = k_center(features, labeled, budget, chunk_bytes=chunk_bytes)
    picked, radii = plain(features, labeled, budget)
    assert got.positions.tolist() == picked
    assert got.radii.tolist() == radii
    assert got.radius == radii[-1]


def normal(rows: int, dims: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, dims, generator=torch.Generator().manual_seed(seed))


def whole(rows: int, dims: int, seed: int = 0, top: int = 3) -> Tensor:
    return torch.randint(top, (rows, dims), generator=torch.Generator().manual_seed(seed)).float()


def clusters(rows: int, dims: int, seed: int = 0) -> Tensor:
    """Of very different spread, with exact copies among them."""
    cluster = torch.arange(rows) % 20
    made = 5 * normal(20, dims, 7)[cluster] + normal(rows, dims, seed) * cluster[:, None]
    made[::3] = made[0].clone()
    return made


MADE = {
    "normal": normal,
    "sphere": lambda n, d, s: torch.nn.functional.normalize(normal(n, d, s)),
    "clusters": clusters,
    "whole numbers": whole,
    "bits": lambda n, d, s: whole(n, d, s, top=2),
    "offset 1e4": lambda n, d, s: normal(n, d, s) + 1e4,
    "offset 1e7": lambda n, d, s: normal(n, d, s) + 1e7,
    "some long rows": lambda n, d, s: (
        normal(n, d, s) * torch.where(torch.arange(n) % 10 == 0, 300.0, 1.0)[:, None]
    ),
    "an outlier": lambda n, d, s: torch.cat([normal(n - 1, d, s), torch.full((1, d), 1e20)]),
    "huge": lambda n, d, s: 1e38 * torch.rand(n, d, generator=torch.Generator().manual_seed(s)),
    "tiny": lambda n, d, s: 1e-38 * normal(n, d, s),
    "all equal": lambda n, d, s: torch.full((n, d), 0.1),
}


def test_squared_distances_by_hand_and_against_whole_numbers_without_rounding():
    a, b = torch.tensor([[0.0, 3.0], [1.0, 1.0]]), torch.tensor([[4.0, 0.0]])
    assert squared_distances(a, b).tolist() == [25.0, 10.0]
    for dims in (1, 2, 3, 5, 8, 13, 512, 4096, 4097):
        a, b = whole(7, dims, 1, 1000), whole(7, dims, 2, 1000)
        assert squared_distances(a, b).tolist() == ((a.long() - b.long()) ** 2).sum(1).tolist()


def test_squared_distances_depend_on_the_two_rows_alone_and_do_not_cancel():
    a, b = normal(300, 513) + 1e4, normal(300, 513, 1) + 1e4
    together = squared_distances(a, b)
    assert torch.equal(
        torch.cat([squared_distances(a[k : k + 1], b[k : k + 1]) for k in range(300)]), together
    )
    exact = ((a.numpy().astype(np.longdouble) - b.numpy()) ** 2).sum(1)
    assert np.abs(together.numpy() / exact - 1).max() < 13 * 2.0**-53


def test_picks_by_hand():
    line = torch.tensor([[0.0], [1.0], [4.0], [9.0], [10.0]])
    got = k_center(line, torch.tensor([[1.0]]), 3)
    # 9 from 1; 4 lies 3 from 1; then 0 and 9 lie 1 away, and 0 comes first
    assert got.positions.tolist() == [4, 2, 0]
    assert got.radii.tolist() == [9.0, 3.0, 1.0, 1.0]


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize(("n", "dims", "labeled", "budget"), [
    (1200, 3, 100, 20), (150, 64, 90, 150), (1100, 9, 0, 10), (200, 1, 3, 40),
])  # fmt: skip
def test_same_picks_as_plain(name: str, n: int, dims: int, labeled: int, budget: int):
    features, centres = (
        MADE[name](n, dims, 1),
        MADE[name](labeled, dims, 2) if labeled else torch.empty(0, dims),
    )
    agree(features, centres, budget)


@pytest.mark.parametrize("name", MADE)
def test_same_picks_whatever_the_window(name: str):
    agree(MADE[name](120, 40, 1), MADE[name](90, 40, 2), 30, SMALL)
    agree(MADE[name](40, 40, 1), MADE[name](9, 40, 2), 10, chunk_bytes=1)


@pytest.mark.parametrize("dims", [1, 2, 31, 513, 4096])
def test_same_picks_in_any_dimension(dims: int):
    agree(normal(100, dims), normal(70, dims, 1), 20)
    agree(normal(100, dims) + 100, normal(70, dims, 1) + 100, 20)


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 24), st.just(2)),
                  elements=st.sampled_from([-1, 0, 1, 2, 1e4, 0.5])),
    st.integers(0, 24), st.integers(0, 24), st.sampled_from([1, 2**14, 2**25]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_same_picks_with_ties_everywhere(
    rows: np.ndarray, labeled: int, budget: int, chunk_bytes: int
):
    features = torch.from_numpy(rows)
    agree(features, features[: min(labeled, len(rows))] + 1, min(budget, len(rows)), chunk_bytes)


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 5)),
                  elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    st.integers(0, 20), st.integers(0, 20),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_same_picks_on_any_float32(rows: np.ndarray, labeled: int, budget: int):
    features = torch.from_numpy(rows)
    agree(features[labeled:], features[:labeled], min(budget, len(features[labeled:])))


def test_ties_go_to_the_lowest_position_across_windows():
    features = torch.zeros(5000, 2)
    features[[4000, 3000, 100]] = torch.tensor([[5.0, 0.0], [-5.0, 0.0], [0.0, 5.0]])
    got = k_center(features, torch.zeros(1, 2), 5)
    assert got.positions.tolist() == [100, 3000, 4000, 0, 1]
    assert got.radii.tolist() == [5.0, 5.0, 5.0, 0.0, 0.0, 0.0]
    equal = torch.eye(2).repeat(2000, 1)
    assert k_center(equal, torch.zeros(1, 2), 4).positions.tolist() == [0, 1, 2, 3]


def test_no_labeled_sample_starts_at_the_first_and_counts_as_infinitely_far():
    got = k_center(torch.tensor([[2.0], [0.0], [5.0]]), torch.empty(0, 1), 2)
    assert (got.positions.tolist(), got.radii.tolist()) == ([0, 2], [torch.inf, 3.0, 2.0])
    assert k_center(normal(3, 2), torch.empty(0, 2), 0).radii.tolist() == [torch.inf]


def test_empty_and_complete_cases():
    assert k_center(torch.empty(0, 3), normal(4, 3), 0).radii.tolist() == [0.0]
    assert k_center(torch.empty(0, 3), torch.empty(0, 3), 0).radii.tolist() == [0.0]
    features = normal(70, 3)
    nothing = k_center(features, features[:1], 0)
    assert nothing.positions.tolist() == [] and nothing.positions.dtype == torch.int64
    assert nothing.radius == pytest.approx(float(torch.cdist(features, features[:1]).max()))
    everything = k_center(features, features, 70)
    assert (everything.positions.tolist(), everything.radius) == (list(range(70)), 0.0)
    assert k_center(features, torch.empty(0, 3), 70).radius == 0.0


@pytest.mark.parametrize(("features", "labeled", "budget", "said"), [
    (torch.zeros(4, 2).double(), torch.zeros(1, 2), 1, r"features: .*float32.*torch\.float64 of shape \(4, 2\)"),
    (torch.zeros(4, 2), torch.zeros(1, 2).half(), 1, r"labeled: .*torch\.float16"),
    (torch.zeros(4), torch.zeros(1, 2), 1, r"features: .*shape \(4,\)"),
    (torch.zeros(4, 2), torch.zeros(1, 3), 1, "labeled: .*3 and 2"),
    (torch.zeros(4, 0), torch.zeros(1, 0), 1, "0 and 0"),
    (torch.zeros(4, 2), torch.zeros(1, 2), 5, "budget: expected 0 to 4 .*got 5"),
    (torch.zeros(4, 2), torch.zeros(1, 2), -1, "got -1"),
    (torch.tensor([[0.0, 1.0], [torch.nan, torch.inf], [0.0, -torch.inf]]), torch.zeros(1, 2), 1, "features: .*2 of 3"),
    (torch.zeros(4, 2), torch.tensor([[torch.nan, 0.0]]), 1, "labeled: .*1 of 1"),
    (torch.zeros(4, 2), torch.zeros(1, 2, device="meta"), 1, "expected it on cpu .*got meta"),
])  # fmt: skip
def test_bad_arguments_are_named(features: Tensor, labeled: Tensor, budget: int, said: str):
    with pytest.raises(ValueError, match=said):
        k_center(features, labeled, budget)


def test_a_memory_setting_of_nothing_is_refused():
    with pytest.raises(ValueError, match="chunk_bytes: .*got 0"):
        k_center(normal(3, 2), normal(1, 2), 1, chunk_bytes=0)


def test_arguments_stay_as_they_are_and_may_be_views_with_gradients():
    base = normal(300, 128).requires_grad_()
    features, labeled = base[::2, ::2], base[1:100:2, ::2]
    before = base.detach().clone()
    got = k_center(features, labeled, 20)
    assert got.positions.tolist() == plain(features.detach(), labeled.detach(), 20)[0]
    assert torch.equal(base, before) and not got.radii.requires_grad


def test_reduced_precision_of_products_changes_nothing():
    features, labeled = normal(300, 256), normal(100, 256, 1)
    wanted = k_center(features, labeled, 100)
    assert product_dtype(features, labeled) == torch.float32
    torch.set_float32_matmul_precision("medium")
    try:
        assert product_dtype(features, labeled) == torch.float64
        reduced = k_center(features, labeled, 100)
    finally:
        torch.set_float32_matmul_precision("highest")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = k_center(features, labeled, 100)
    for got in (reduced, cast):
        assert torch.equal(got.positions, wanted.positions) and torch.equal(got.radii, wanted.radii)


@pytest.mark.parametrize("scale", [1e-19, 1.0, 1e15])
def test_the_error_bound_of_products_holds_and_is_no_more_than_it_need_be(scale: float):
    for dims, offset in ((1, 0), (7, 3), (512, 0), (512, 1), (4096, 0)):
        features, centres = (
            scale * (normal(200, dims) + offset),
            scale * (normal(50, dims, 1) + offset),
        )
        known = Estimates(features, centres, 64)
        known.dtype = torch.float32
        known.slack, known.tiny = slack(dims, torch.float32)
        estimates, error = known.of_all(*known.rows(slice(None)), centres)
        true = torch.stack([squared_distances(features, centre[None]) for centre in centres], 1)
        wrong = (estimates.double() - true).abs()
        assert (wrong <= error[:, None]).all()
        assert scale < 1 or wrong.max() > 1e-5 * error.max()


def test_long_rows_leave_the_others_their_precision():
    """The error of the least distance does not grow with a centre that is far from all."""
    features, centres = normal(300, 256), torch.cat([normal(50, 256, 1), 1e4 * normal(1, 256, 2)])
    features[0] *= 1e4
    search = Search(features, centres, 1, ONE_WINDOW)
    known = search.estimates
    assert known.dtype == torch.float32
    _, least, error = search._lower(slice(None), centres)
    true = torch.stack([squared_distances(features, centre[None]) for centre in centres], 1).amin(1)
    assert ((least - true).abs() <= error).all() and torch.equal(search.bounds, least + error)
    apart = known.slack * (3 * 256**0.5 * 3) ** 2  # two rows of typical length, and room
    assert error[1:].max() < apart < 1e-4 * error[0]
    _, all_pairs = known.of_all(*known.rows(slice(None)), centres)
    assert all_pairs.min() > 1e4 * apart


def test_few_samples_meet_all_centres(monkeypatch):
    """What makes it fast: most samples are never compared with most centres."""
    features, labeled = normal(4000, 64), normal(500, 64, 1)
    compared = 0
    of_all = Estimates.of_all

    def counting(self, rows, lengths, centres):
        nonlocal compared
        compared += len(rows) * len(centres)
        return of_all(self, rows, lengths, centres)

    monkeypatch.setattr(Estimates, "of_all", counting)
    k_center(features, labeled, 100)
    assert compared < 0.5 * len(features) * 600


MEASURE = """
import resource, sys, torch
from acquisition.kcenter import k_center
torch.set_num_threads(1)
features, labeled = torch.randn(40_000, 64), torch.randn(8_000, 64)
k_center(features[:2000], labeled[:100], 3, chunk_bytes={chunk})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
k_center(features, labeled, 50, chunk_bytes={chunk})
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is Linux's")
@pytest.mark.slow
def test_memory_stays_near_the_setting():
    """Pool times labeled would be 1,280 MB in float32 and pool times pool five times as much."""
    chunk = 2**22
    run = [sys.executable, "-c", MEASURE.format(chunk=chunk)]
    done = subprocess.run(run, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2 * chunk + 150 * 48_000  # some numbers a sample
