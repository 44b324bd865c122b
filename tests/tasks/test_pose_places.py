"""Heatmaps as distributions: what is surer than what, by hand and for a trained network.

Odd maps; the best answers.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from torch import Tensor

from acquisition.signals import SIGNALS, Evidence, vote
from models.output import Output
from models.process.seeding import seeded
from tasks.pose import Pose
from tasks.pose import heatmaps as maps
from tasks.pose.heatmaps import found
from tasks.pose.places import LEAST, answers, peaks, places
from tests.posekit import SMALL

PROBS = frozenset({"probs"})
OWN = ("entropy", "margin", "least_confident")
VOTES = ("ensemble_variance", "ensemble_bald", "dropout_entropy", "dropout_bald")


class Fixed(torch.nn.Module):
    """A network that has these heatmaps, whatever it sees."""

    def __init__(self, found: Tensor) -> None:
        super().__init__()
        self.found = found

    def forward(self, images: Tensor) -> tuple[tuple, tuple[Tensor]]:
        return (), (self.found,)


def output(heatmaps: Tensor, distribution: str = "squared", sigma: float = 1.0) -> Output:
    """What the task makes of (B, J, side, side); it reads no data."""
    task = Pose("nowhere", **SMALL, distribution=distribution, sigma=sigma)
    images = torch.zeros(len(heatmaps), 3, 8, 8, dtype=torch.uint8)
    return task.forward(Fixed(heatmaps), {"image": images}, PROBS)


def signal(
    name: str, *members: Tensor, distribution: str = "squared", sigma: float = 1.0
) -> list[float]:
    """A signal of heatmaps, or of those of some members of a committee."""
    outputs = [output(found, distribution, sigma) for found in members]
    votes = vote(outputs) if SIGNALS[name].committee else None
    return SIGNALS[name].rows(Evidence(None, outputs[0], votes)).tolist()


def gaussians(
    side: int, places: list[tuple[float, float]], height: float = 1.0, sigma: float = 1.0
) -> Tensor:
    """(1, 1, side, side): peaks at these x and y; nothing at all without any."""
    if not places:
        return torch.zeros(1, 1, side, side)
    drawn, _ = maps.targets(
        torch.tensor([places]), torch.ones(1, len(places), dtype=torch.bool), side, sigma
    )
    return height * drawn.amax(dim=1, keepdim=True)


def ladder(side: int, shared: bool, noise: float = 0.0) -> Tensor:
    """(4, 1, side, side): one peak, two, five, and none.

    Of height 1 each, or of heights that add up to 1.
    """
    q = side // 4
    spots = [(q, q), (3 * q, 3 * q), (3 * q, q), (q, 3 * q), (2 * q, 2 * q)]
    counts = (1, 2, 5, 0)
    found = torch.cat(
        [gaussians(side, spots[:n], 1 / max(n, 1) if shared else 1.0) for n in counts]
    )
    return found + noise * torch.randn(found.shape, generator=torch.Generator().manual_seed(0))


# ---------------------------------------------------------------- what is surer than what


@pytest.mark.parametrize("distribution", ["squared", "mass"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("side", [16, 64])
def test_one_peak_is_surer_than_two_than_five_than_a_flat_map(
    side: int, shared: bool, distribution: str
):
    found = ladder(side, shared)
    for name in ("entropy", "least_confident", "dropout_entropy"):
        one, two, five, flat = signal(name, found, distribution=distribution)
        assert one < two < five < flat, name
    one, *ties = signal("margin", found, distribution=distribution)
    # the best two are equally likely in all three
    assert one < 0.3 and ties == pytest.approx([1, 1, 1], abs=1e-6)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("side", [16, 64])
def test_noise_below_the_peaks_does_not_turn_that_round(side: int, shared: bool):
    """A trained network is off by about 0.01 a cell where no joint is.

    64 x 64 such cells have a large mass.
    """
    for noise in (0.005, 0.01):
        for name in ("entropy", "least_confident"):
            one, two, five, flat = signal(name, ladder(side, shared, noise))
            assert one < two < five < flat, (name, noise)


def test_the_plain_softmax_takes_five_peaks_for_surer_than_one():
    """Why it is not the default; it stays as a setting, torch's to the bit, each cell an answer."""
    found = ladder(64, shared=False)
    one, two, five, flat = signal("entropy", found, distribution="softmax")
    assert five < two < one < flat and flat == pytest.approx(math.log(4096)) and flat - five < 0.02
    plain = output(found, "softmax")
    assert plain.answers is None and torch.equal(plain.probs, found.flatten(2).softmax(2))


@pytest.mark.parametrize(("distribution", "area"), [("mass", 2 * math.pi), ("squared", math.pi)])
def test_entropies_by_hand(distribution: str, area: float):
    """Of a gaussian of variance s: ln(2 pi e s), of two that do not meet ln 2 more.

    A square has half the variance.
    """
    one, two, _, flat = signal("entropy", ladder(64, shared=False), distribution=distribution)
    assert one == pytest.approx(math.log(area * math.e), abs=0.01)
    assert two - one == pytest.approx(math.log(2), abs=1e-5) and flat == pytest.approx(
        2 * math.log(64)
    )


@pytest.mark.parametrize("distribution", ["squared", "mass"])
@pytest.mark.parametrize("cells", [[(0, 0), (1, 0)], [(0, 0), (1, 0), (0, 1), (1, 1)]])
def test_a_joint_between_cells_is_one_sure_answer(cells: list, distribution: str):
    """Half way between cells the best two are equally likely; those of the best answers are not."""
    spots = [gaussians(64, [(20 + x, 20 + y)]) for x, y in cells]
    between, distant = torch.stack(spots).mean(0), gaussians(64, [(20, 20), (44, 44)])
    first, second = output(between, distribution).probs.flatten().topk(2).values.tolist()
    # what the margin of the cells themselves would take for undecided
    assert first == pytest.approx(second)
    for name in OWN:
        (one,), (two,) = (
            signal(name, found, distribution=distribution) for found in (between, distant)
        )
        assert one < two - 0.2, name


def test_a_higher_of_two_peaks_is_surer_than_two_equal_ones():
    near_one, equal = (
        gaussians(32, [(8, 8)]) + gaussians(32, [(24, 24)], 0.5),
        gaussians(32, [(8, 8), (24, 24)]),
    )
    for name in OWN:
        (one,), (higher,), (two,) = (
            signal(name, found) for found in (gaussians(32, [(8, 8)]), near_one, equal)
        )
        assert one < higher < two, name


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_an_answer_grows_with_the_gaussian(sigma: float):
    """A sure peak is one answer whatever the width that the network was taught."""
    found = gaussians(64, [(30, 30)], sigma=sigma)
    assert (
        signal("least_confident", found, sigma=sigma)[0] < 0.2
        and signal("margin", found, sigma=sigma)[0] < 0.3
    )


# ---------------------------------------------------------------- committees


@pytest.mark.parametrize("distribution", ["squared", "mass"])
def test_members_that_agree_have_no_information_and_distant_ones_most(distribution: str):
    """Two members: one peak, peaks two cells apart and far apart.

    And both lost, which is agreement.
    """
    here, beside, there = (gaussians(64, [spot]) for spot in [(20, 20), (22, 20), (44, 44)])
    flat = gaussians(64, [])
    for name in ("ensemble_variance", "ensemble_bald", "dropout_bald"):
        pairs = [(here, here), (here, beside), (here, there), (flat, flat)]
        same, near, far, lost = (
            signal(name, *pair, distribution=distribution)[0] for pair in pairs
        )
        assert same == pytest.approx(0, abs=1e-9) and lost == pytest.approx(0, abs=1e-9)
        assert same < near < far, name
    (bald,), (mean,) = (
        signal(n, here, there, distribution=distribution)
        for n in ("ensemble_bald", "dropout_entropy")
    )
    (alone,) = signal("entropy", here, distribution=distribution)
    assert bald == pytest.approx(math.log(2), abs=1e-6) and mean == pytest.approx(
        alone + math.log(2), abs=1e-5
    )
    by_hand = np.var(
        [output(found, distribution).probs.numpy() for found in (here, there)], axis=0
    ).mean()
    assert signal("ensemble_variance", here, there, distribution=distribution)[0] == pytest.approx(
        by_hand, rel=1e-5
    )


@pytest.mark.parametrize("name", ["ensemble_variance", "ensemble_bald"])
def test_three_members_at_two_places_agree_less_than_at_one_and_more_than_at_three(name: str):
    here, there, elsewhere = (gaussians(32, [spot]) for spot in [(8, 8), (24, 24), (8, 24)])
    committees = [(here, here, here), (here, here, there), (here, there, elsewhere)]
    one, two, three = (signal(name, *members)[0] for members in committees)
    assert one < two < three


# ---------------------------------------------------------------- odd maps

values = st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from(
    [0.0, -0.0, 1e-45, -1e-45, 1e-38, 3e38, -3e38]
)
heatmaps = arrays.arrays(
    np.float32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=values
)


@example(np.array([[1.1754944e-38, 0, 0], [0, 0, 0]], np.float32), "mass")
@given(heatmaps, st.sampled_from(["squared", "mass", "softmax"]))
def test_every_map_has_a_distribution_and_a_gradient(found: np.ndarray, distribution: str):
    cells = torch.from_numpy(found.copy())[None, None].requires_grad_()
    probs = places(cells, distribution)
    assert probs.shape == (1, 1, found.size) and probs.dtype == torch.float32
    assert (probs >= 0).all() and probs.sum().item() == pytest.approx(1, abs=1e-5)
    (probs * torch.arange(found.size)).sum().backward()
    assert cells.grad is not None and torch.isfinite(cells.grad).all()
    best = answers(probs.detach(), found.shape[1], 1)[0, 0]
    assert best[0] >= probs.max() - 1e-6 and best[1] >= 0 and best.sum() <= 1 + 1e-5


@given(heatmaps, st.sampled_from(["squared", "mass"]))
def test_a_cells_share_is_numpys(found: np.ndarray, distribution: str):
    # its exponent holds the square of every float32
    positive = np.maximum(found.astype(np.longdouble), 0)
    positive *= positive.max() >= LEAST
    powered = positive**2 if distribution == "squared" else positive
    expected = powered / powered.sum() if powered.any() else np.full(found.shape, 1 / found.size)
    probs = places(torch.from_numpy(found)[None, None], distribution).numpy().reshape(found.shape)
    np.testing.assert_allclose(probs, expected.astype(float), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("distribution", ["squared", "mass"])
def test_odd_maps_by_hand(distribution: str):
    def probs(*cells: float) -> list[float]:
        return places(torch.tensor(cells).view(1, 1, 1, -1), distribution).flatten().tolist()

    assert probs(-1.0, -2.0, 0.0, -1.0) == probs(0.0, 0.0, 0.0, 0.0) == [0.25] * 4, (
        "nothing positive: anywhere"
    )
    assert probs(-7.0) == probs(0.0) == probs(0.3) == [1.0], "one cell"
    assert probs(-5.0, 1e-30, -3.0, 0.0) == [0.0, 1.0, 0.0, 0.0], (
        "the one positive cell, however low"
    )
    assert probs(3.0, 1.0, -9.0) == pytest.approx(
        [0.9, 0.1, 0] if distribution == "squared" else [0.75, 0.25, 0]
    )
    assert all(math.isnan(p) for p in probs(math.nan, 1.0)), (
        "no number stays none, for the run to end with"
    )


def test_scores_are_those_of_the_same_map_in_another_unit_and_in_half_precision():
    found = ladder(16, shared=False, noise=0.01)
    for name in OWN:
        plain = signal(name, found)
        assert signal(name, 3 * found) == pytest.approx(plain, rel=1e-5)
        assert signal(name, found.bfloat16()) == pytest.approx(plain, rel=0.02)


# ---------------------------------------------------------------- the best answers


def by_loops(cells: np.ndarray, reach: int) -> list[float]:
    left, found = cells.astype(float).copy(), []
    for _ in range(2):
        y, x = np.unravel_index(left.argmax(), left.shape)
        window = np.s_[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        found.append(left[window].sum())
        left[window] = 0
    return found


@pytest.mark.parametrize("reach", [0, 1, 2, 9])
def test_answers_are_those_of_plain_loops(reach: int):
    rng = np.random.default_rng(reach)
    probs = rng.dirichlet(np.full(7 * 5, 0.1), (20, 3)).astype(np.float32)
    found = answers(torch.from_numpy(probs), 5, reach)
    by_hand = [[by_loops(probs[b, j].reshape(7, 5), reach) for j in range(3)] for b in range(20)]
    np.testing.assert_allclose(found, by_hand, atol=1e-6)
    if reach == 0:
        torch.testing.assert_close(found, torch.from_numpy(probs).topk(2, dim=2).values)
    if reach == 9:
        np.testing.assert_allclose(found, np.broadcast_to([1.0, 0.0], found.shape), atol=1e-6)


# ---------------------------------------------------------------- a trained network


def dots(count: int, seed: int) -> dict[str, Tensor]:
    """A batch of images with a dot each, on noise in which the dullest are lost."""
    rng = np.random.default_rng(seed)
    joints = rng.uniform(4, 28, (count, 1, 2)).astype(np.float32)
    grid = np.arange(32)
    x, y = (np.exp(-((grid - joints[:, 0, k, None]) ** 2) / 8) for k in (0, 1))
    contrast = rng.uniform(0, 120, (count, 1, 1))
    grey = 100 + contrast * y[:, :, None] * x[:, None, :] + rng.normal(0, 25, (count, 32, 32))
    image = torch.from_numpy(grey.clip(0, 255).astype(np.uint8))[:, None].expand(-1, 3, -1, -1)
    return {
        "image": image,
        "joints": torch.from_numpy(joints),
        "annotated": torch.ones(count, 1, dtype=torch.bool),
    }


@pytest.mark.slow
def test_a_trained_networks_uncertainty_ranks_its_errors():
    task = Pose(
        "nowhere",
        joints=["dot"],
        heads=None,
        measure="PCK",
        stacks=1,
        features=16,
        depth=1,
        input_size=32,
    )
    with seeded(0):
        network = task.build()
        optimizer = torch.optim.Adam(network.parameters(), 5e-3)
        for step in range(80):
            loss = task.forward(network, dots(16, step), frozenset({"loss"})).loss
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
    unseen = dots(300, 10_000)
    with torch.no_grad():
        _, found = network.eval()(task._normalised(unseen["image"]))
        error = (4 * maps.decode(found[-1]) - unseen["joints"]).norm(dim=2)[:, 0]
        scores = {
            name: SIGNALS[name].rows(Evidence(None, task.forward(network, unseen, PROBS)))
            for name in OWN
        }
    assert (error < 4).float().mean() > 0.4 and (error > 8).float().mean() > 0.05, (
        "it finds some and misses some"
    )
    for name, score in scores.items():
        assert stats.spearmanr(score, error).statistic > 0.4, name


def by_hand(heatmap: np.ndarray) -> list[float]:
    """Values of at most five peaks at least five cells apart, highest first."""
    height, width = heatmap.shape
    cells = [
        (-heatmap[y, x], y, x)
        for y in range(height)
        for x in range(width)
        if heatmap[y, x] == heatmap[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].max()
    ]
    kept: list[tuple[float, int, int]] = []
    for value, y, x in sorted(cells):
        if len(kept) < 5 and all((y - b) ** 2 + (x - a) ** 2 >= 25 for _, b, a in kept):
            kept.append((value, y, x))
    return [-value for value, *_ in kept]


def test_peaks_are_a_loops_softmax():
    rng = np.random.default_rng(3)
    for shape in ((16, 16), (20, 12), (4, 4)):
        maps = rng.normal(size=(2, 3, *shape)).astype(np.float32)
        picked = peaks(torch.from_numpy(maps)).numpy()
        for b in range(2):
            for j in range(3):
                values = np.exp(by_hand(maps[b, j]))
                expected = np.zeros(5)
                expected[: len(values)] = values / values.sum()
                np.testing.assert_allclose(picked[b, j], expected, rtol=1e-5, atol=1e-7)


def test_one_peak_is_sure_five_are_not_and_a_flat_map_has_one_every_five_cells():
    maps = torch.zeros(1, 3, 32, 32)
    maps[0, 0, 9, 9] = 50.0
    for x in range(5):
        maps[0, 1, 9, 6 * x + 1] = 50.0
    entropy = torch.special.entr(peaks(maps)).sum(dim=2)[0].tolist()
    assert entropy == pytest.approx([0, math.log(5), math.log(5)], abs=1e-6)


def test_joints_are_found_from_a_height_on():
    maps = torch.zeros(1, 3, 4, 4)
    maps[0, 0, 1, 2], maps[0, 1, 0, 0] = 0.31, 0.29
    assert found(maps).tolist() == [[1.0, 0.0, 0.0]]
