"""Distances in a subspace: what they rule out is ruled out by the exact distances, too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from acquisition import kcenter_search
from acquisition.distances import Estimates, slack
from acquisition.kcenter import k_center
from acquisition.kcenter_search import Search
from acquisition.subspace import BESIDE, LEADING, ROWS, Subspace, leading
from tests.acquisition.test_kcenter import agree, normal


def few(rows: int, dims: int, seed: int = 0, filled: int = 4) -> Tensor:
    """Rows that fill few dimensions, as a network's features do: and some long ones."""
    spectrum = torch.full((dims,), 0.1)
    spectrum[:filled] = 5.0
    turned = torch.linalg.qr(normal(dims, dims, 99)).Q
    made = (normal(rows, dims, seed) * spectrum) @ turned + 2
    made[::50] *= 20
    return made


def test_leading_directions_are_those_of_a_singular_value_decomposition():
    rows = few(ROWS, 64)
    rows[::50] /= 20
    found = leading(rows)
    assert found is not None and found.shape == (64, 8)
    centred = (rows - rows.mean(0)).double().numpy()
    _, _, turned = np.linalg.svd(centred, full_matrices=False)
    cosines = np.linalg.svd(turned[:4] @ found.double().numpy(), compute_uv=False)
    assert cosines.min() > 0.9999, "the four that are filled lie inside"
    np.testing.assert_allclose((found.T @ found).numpy(), np.eye(8), atol=1e-5)


def test_where_there_is_no_subspace_none_is_used():
    assert leading(normal(2 * ROWS, 64)) is None, f"{BESIDE:.0%} of the variance may be outside"
    assert leading(few(ROWS - 1, 64)) is None, "too few rows"
    assert leading(few(ROWS, 7)) is None, "too few dimensions"
    assert leading(torch.ones(ROWS, 64)) is None, "no variance"
    assert leading(few(ROWS, 512)).shape == (512, LEADING)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_no_pair_within_its_bound_is_ruled_out_and_most_others_are(scale, offset):
    rows, centres = scale * (few(600, 64) + offset), scale * (few(90, 64, 1) + offset)
    directions = leading(rows)
    assert directions is not None
    lengths = torch.linalg.vector_norm(rows, dim=1)
    inside = Subspace(rows, lengths, directions, 100, slack(64, torch.float32)[1])
    true = cdist(rows.double().numpy(), centres.double().numpy(), "sqeuclidean")
    places, some = inside.of(centres), torch.arange(0, 600, 2)
    for rank in (0, 3):  # bounds that are reached
        bounds = np.sort(true, axis=1)[::2, rank]
        sample, centre = inside.within(some, places, torch.from_numpy(bounds))
        found = set(zip(sample.tolist(), centre.tolist(), strict=True))
        wanted = set(map(tuple, np.argwhere(true[::2] <= bounds[:, None]).tolist()))
        assert wanted <= found and len(wanted) == 300 * (rank + 1)
        assert offset or len(found) < 2000, "of 27,000"
    nothing = inside.within(some[:0], places, torch.zeros(0, dtype=torch.float64))
    assert [len(part) for part in nothing] == [0, 0]


def test_the_nearest_centre_inside_is_that_of_plain_distances_whatever_is_compared_at_once():
    rows, centres = few(ROWS, 64), few(40, 64, 1)
    directions = leading(rows)
    inside = Subspace(rows, torch.linalg.vector_norm(rows, dim=1), directions, 100, 0.0)
    expected = cdist(rows @ directions, centres @ directions).argmin(axis=1)
    for size in (1, 7, 1000):
        found = inside.nearest(slice(10, 300), inside.of(centres), size)
        assert (found.numpy() == expected[10:300]).mean() > 0.99
    with pytest.raises(ValueError, match=r"Expected centres, but got shape \(0, 8\)"):
        inside.nearest(slice(0, 1), inside.of(centres[:0]), 5)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_error_of_single_pairs_holds(scale):
    rows, centres = scale * few(60, 64), scale * few(30, 64, 1)
    known = Estimates(rows, centres, 64)
    assert known.dtype == torch.float32
    sample, centre = torch.tensor([0, 0, 3, 59]), torch.tensor([2, 29, 0, 29])
    theirs = torch.linalg.vector_norm(centres, dim=1)
    distances, error = known.of_pairs(slice(None), centres, theirs, (sample, centre))
    true = cdist(rows.double().numpy(), centres.double().numpy(), "sqeuclidean")[sample, centre]
    assert (np.abs(distances.numpy() - true) <= error.numpy()).all()
    nothing = sample[:0], centre[:0]
    assert len(known.of_pairs(slice(None), centres, theirs, nothing)[0]) == 0


@pytest.mark.parametrize("labeled", [0, 3, 200])
@pytest.mark.parametrize("chunk_bytes", [2**15, 2**25])
def test_picks_in_few_dimensions_are_those_of_the_plain_algorithm(
    labeled, chunk_bytes, monkeypatch
):
    met: list[bool] = []
    meet_few = Search._meet_few

    def counting(self, *given):
        met.append(meet_few(self, *given))
        return met[-1]

    monkeypatch.setattr(Search, "_meet_few", counting)
    features = few(700, 64)
    features[300:320] = features[0]  # ties
    agree(features, few(labeled, 64, 1), 25, chunk_bytes)
    assert met and (any(met) or labeled < 200)


@pytest.mark.parametrize("dear", [0, 10**9])
def test_picks_are_the_same_whether_or_not_pairs_are_few(dear, monkeypatch):
    monkeypatch.setattr(kcenter_search, "DEAR", dear)
    features, labeled = few(600, 64), few(150, 64, 1)
    agree(features, labeled, 40)
    agree(features[:, :16], labeled[:, :16], 40)


def test_all_of_a_pool_in_few_dimensions():
    features = few(530, 16, filled=1)
    assert k_center(features, features[:0], 530).radius == 0.0
    agree(features, features[:7], 530)
