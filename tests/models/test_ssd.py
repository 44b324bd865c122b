"""SSD: mmdet's own network and loss, image by image; difficult boxes that are ignored; taps as
declared.

The reference is mmdet's unchanged `SSDHead`, for SSD300 built from the config file that mmdet
ships.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional as F

from models.networks import ssd
from models.process.seeding import seeded

import mmdet  # isort: skip  # after models.networks.ssd, which installs what mmdet needs
from mmdet.models.dense_heads import SSDHead  # isort: skip
from mmdet.registry import MODELS  # isort: skip
from mmdet.structures import DetDataSample  # isort: skip

CLASSES = 3
# image -> number of its boxes: none, one, some, a crowd, few
BOXES = {0: 0, 1: 1, 2: 5, 3: 60, 4: 2}


def boxes(count: int, seed: int, size: int = 128) -> np.ndarray:
    """(count, 4) corners inside the image, from tiny to most of it."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 0.75 * size, (count, 2))
    return np.concatenate(
        [corner, np.minimum(corner + rng.uniform(4, 0.7 * size, (count, 2)), size)], axis=1
    )


def sample(found: np.ndarray, ignored: np.ndarray | None = None, size: int = 128) -> DetDataSample:
    """An annotated image as the data preprocessor hands it on; labels 0, 1, 2, 0, ..."""
    made = DetDataSample(
        metainfo={"img_shape": (size, size), "pad_shape": (size, size), "scale_factor": (1.0, 1.0)}
    )
    for name, corners in (("gt_instances", found), ("ignored_instances", ignored)):
        tensor = (
            torch.from_numpy(np.zeros(0) if corners is None else corners).float().reshape(-1, 4)
        )
        made.set_field(
            InstanceData(bboxes=tensor, labels=torch.arange(len(tensor)) % CLASSES), name
        )
    return made


def parts(samples: list[DetDataSample]) -> tuple[list, list, list]:
    return (
        [s.gt_instances for s in samples],
        [s.metainfo for s in samples],
        [s.ignored_instances for s in samples],
    )


@pytest.fixture(scope="module")
def small() -> nn.Module:
    with seeded(0):
        return ssd.small_ssd(CLASSES).eval()


@pytest.fixture(scope="module")
def plain_head(small) -> SSDHead:
    """mmdet's own head with the small network's anchors and weights, and mmdet's own
    training settings.
    """
    with DefaultScope.overwrite_default_scope("mmdet"):
        head = SSDHead(
            num_classes=CLASSES,
            in_channels=(64, 64, 64, 64),
            anchor_generator={
                "type": "SSDAnchorGenerator",
                "scale_major": False,
                "strides": [8, 16, 32, 64],
                "ratios": [[2], [2], [2], [2]],
                "min_sizes": [18, 30, 46, 64],
                "max_sizes": [30, 46, 64, 90],
            },
            bbox_coder=mmdet_config().bbox_head.bbox_coder,
            train_cfg=mmdet_config().train_cfg,
        )
    head.load_state_dict(small.bbox_head.state_dict(), strict=True)
    return head


def mmdet_config() -> ConfigDict:
    """The model that mmdet's SSD300 for VOC describes."""
    folder = Path(mmdet.__file__).parent / ".mim" / "configs" / "pascal_voc"
    return Config.fromfile(folder / "ssd300_voc0712.py").model


def raw_outputs(count: int = 5, seed: int = 0) -> tuple[list[Tensor], list[Tensor]]:
    """What a trained head might put out for `count` images of 128 pixels."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [16, 8, 4, 2]
    scores = [2 * torch.randn(count, 4 * (CLASSES + 1), s, s, generator=generator) for s in sizes]
    return scores, [torch.randn(count, 4 * 4, s, s, generator=generator) for s in sizes]


def only(
    raw: tuple[list[Tensor], list[Tensor]], images: list[int]
) -> tuple[list[Tensor], list[Tensor]]:
    return [s[images] for s in raw[0]], [b[images] for b in raw[1]]


@pytest.fixture
def samples() -> list[DetDataSample]:
    return [sample(boxes(count, seed)) for seed, count in BOXES.items()]


def plain_loss(
    head: SSDHead, raw: tuple[list[Tensor], list[Tensor]], samples: list[DetDataSample]
) -> float:
    """mmdet's own training loss of a batch."""
    losses = head.loss_by_feat(*raw, *parts(samples))
    return sum(part.sum() for key in ("loss_cls", "loss_bbox") for part in losses[key]).item()


def assigned(head: SSDHead, samples: list[DetDataSample]) -> tuple[Tensor, Tensor, Tensor]:
    """(P, 4) priors; (B, P) their labels, `num_classes` being background.

    (B, P) the labels' weights.
    """
    truth, meta, ignored = parts(samples)
    priors, valid = head.get_anchors([(s, s) for s in (16, 8, 4, 2)], meta, device="cpu")
    flat = torch.cat(priors[0])
    labels, weights, *_ = head.get_targets(
        priors, valid, truth, meta, batch_gt_instances_ignore=ignored
    )
    return flat, torch.cat(labels, 1), torch.cat(weights, 1)


# the loss of an image


@pytest.mark.parametrize("image", BOXES)
def test_alone_an_image_has_mmdets_own_loss_bit_for_bit(small, plain_head, samples, image):
    raw, alone = only(raw_outputs(), [image]), [samples[image]]
    found = small.bbox_head.image_losses(raw, alone)
    assert found.shape == (1,)
    assert found.item() == plain_loss(plain_head, raw, alone)
    assert (found.item() == 0) == (BOXES[image] == 0)


@pytest.mark.parametrize("image_loss", ["mean", "sum"])
def test_together_each_image_has_the_loss_that_it_has_alone(small, samples, image_loss):
    head, raw = with_image_loss(small, image_loss), raw_outputs()
    together = head.image_losses(raw, samples)
    alone = [head.image_losses(only(raw, [i]), [samples[i]]).item() for i in BOXES]
    assert together.tolist() == alone
    assert len(set(alone)) == 5


def test_neighbours_do_not_count(small, samples):
    crowd = [sample(boxes(60, seed)) for seed in range(10, 14)]
    raw, noise = raw_outputs(), raw_outputs(seed=1)
    mixed = tuple(
        [torch.cat([a[2:3], b[1:]]) for a, b in zip(x, y, strict=True)]
        for x, y in zip(raw, noise, strict=True)
    )
    beside_crowd = small.bbox_head.image_losses(mixed, [samples[2], *crowd])
    assert beside_crowd[0].item() == small.bbox_head.image_losses(raw, samples)[2].item() > 0


def test_mmdets_own_loss_does_depend_on_the_neighbours(plain_head, samples):
    raw = raw_outputs()
    losses = plain_head.loss_by_feat(*raw, *parts(samples))
    own = (losses["loss_cls"][2] + losses["loss_bbox"][2]).item()
    # what the head here is for
    assert own < 0.5 * plain_loss(plain_head, only(raw, [2]), [samples[2]])


def with_image_loss(detector: nn.Module, image_loss: str) -> ssd.PerImageSSDHead:
    head = copy.deepcopy(detector.bbox_head)
    head.image_loss = image_loss
    return head


def test_sum_is_mean_times_the_images_own_matched_priors(small, plain_head, samples):
    raw = raw_outputs()
    mean = with_image_loss(small, "mean").image_losses(raw, samples)
    total = with_image_loss(small, "sum").image_losses(raw, samples)
    _, labels, _ = assigned(plain_head, samples)
    matched = (labels < CLASSES).sum(1)
    assert matched[0] == 0 and (matched[1:] >= torch.tensor([1, 5, 20, 2])).all()
    torch.testing.assert_close(total, mean * matched, rtol=1e-6, atol=0)


def test_sum_is_mmdets_undivided_loss(small, plain_head, samples):
    raw = raw_outputs()
    _, labels, _ = assigned(plain_head, samples)
    divisor = (labels < CLASSES).sum(1).clamp(min=1).sum().item()  # mmdet's, of the whole batch
    total = with_image_loss(small, "sum").image_losses(raw, samples).sum().item()
    assert total / divisor == pytest.approx(plain_loss(plain_head, raw, samples), rel=1e-5)


def test_loss_of_one_image_by_hand(small):
    raw = raw_outputs(1)
    image = sample(np.array([[30.0, 40.0, 78.0, 90.0], [5.0, 5.0, 60.0, 30.0]]))
    priors, labels, _ = assigned(small.bbox_head, [image])
    scores = torch.cat([s.permute(0, 2, 3, 1).reshape(-1, CLASSES + 1) for s in raw[0]])
    deltas = torch.cat([b.permute(0, 2, 3, 1).reshape(-1, 4) for b in raw[1]])
    cross_entropy = -scores.log_softmax(1)[torch.arange(len(priors)), labels[0]]
    positive = labels[0] < CLASSES
    count = int(positive.sum())
    hard = cross_entropy[~positive].sort(descending=True).values[: 3 * count]
    overlap = iou(priors[positive].numpy(), image.gt_instances.bboxes.numpy())
    matched = image.gt_instances.bboxes[overlap.argmax(1)]
    size, centre = priors[:, 2:] - priors[:, :2], (priors[:, 2:] + priors[:, :2]) / 2
    wanted_size, wanted_centre = (
        matched[:, 2:] - matched[:, :2],
        (matched[:, 2:] + matched[:, :2]) / 2,
    )
    shift = (wanted_centre - centre[positive]) / size[positive] / 0.1
    target = torch.cat([shift, (wanted_size / size[positive]).log() / 0.2], dim=1)
    box = F.smooth_l1_loss(deltas[positive], target, reduction="sum")
    expected = (cross_entropy[positive].sum() + hard.sum() + box) / count
    assert small.bbox_head.image_losses(raw, [image]).item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) intersection over union."""
    shared = intersection(a, b)
    area_a, area_b = (np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a, b))
    return shared / (area_a[:, None] + area_b[None] - shared)


def intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    low, high = (
        np.maximum(a[:, None, :2], b[None, :, :2]),
        np.minimum(a[:, None, 2:], b[None, :, 2:]),
    )
    return np.prod(np.clip(high - low, 0, None), axis=2)


@pytest.mark.parametrize("image_loss", ["mean", "sum"])
@pytest.mark.parametrize("ignored", [0, 4])
def test_an_empty_image_has_loss_zero_and_no_gradient(small, image_loss, ignored):
    detector = copy.deepcopy(small)
    detector.bbox_head.image_loss = image_loss
    images, samples = (
        torch.randn(2, 3, 128, 128),
        [sample(boxes(0, 0), boxes(ignored, 1)), sample(boxes(3, 2))],
    )
    _, sources = ssd.features(detector, images)
    losses = detector.bbox_head.image_losses(detector.bbox_head(sources), samples)
    assert losses[0].item() == 0 and losses[1].item() > 0
    parameters = list(detector.parameters())
    for image, any_gradient in ((0, False), (1, True)):
        gradients = torch.autograd.grad(losses[image], parameters, retain_graph=True)
        assert any(bool((g != 0).any()) for g in gradients) is any_gradient
        assert all(bool(torch.isfinite(g).all()) for g in gradients)


def test_a_batch_of_empty_images(small):
    samples = [sample(boxes(0, 0)) for _ in range(3)]
    losses = small.bbox_head.image_losses(raw_outputs(3), samples)
    assert losses.tolist() == [0, 0, 0]


def test_every_box_counts_even_a_tiny_one(small):
    losses = small.bbox_head.image_losses(
        raw_outputs(1), [sample(np.array([[50.0, 50.0, 52.0, 52.0]]))]
    )
    assert losses.item() > 0


def test_an_unknown_image_loss_is_refused():
    with pytest.raises(ValueError, match="`image_loss` to be 'mean' or 'sum', but got 'max'"):
        ssd.small_ssd(CLASSES, image_loss="max")


# difficult boxes


def test_priors_inside_an_ignored_box_are_neither_positive_nor_negative(small):
    found, ignored = (
        np.array([[64.0, 64.0, 112.0, 112.0]]),
        np.array([[4.3, 5.1, 61.7, 58.9], [60.9, 0, 128, 31.3]]),
    )
    priors, labels, weights = assigned(small.bbox_head, [sample(found, ignored), sample(found)])
    size = np.prod((priors[:, 2:] - priors[:, :2]).numpy(), axis=1)
    inside = torch.from_numpy((intersection(priors.numpy(), ignored) / size[:, None]).max(1) > 0.5)
    assert 10 < inside.sum() < len(priors) - 10
    assert (labels[0][inside] == CLASSES).all()
    assert torch.equal(weights[0], (~inside).float())
    assert (labels[0] < CLASSES).any()
    assert (weights[1] == 1).all()


def test_a_prior_just_half_inside_an_ignored_box_is_trained_on(small):
    # amid the image
    prior = assigned(small.bbox_head, [sample(boxes(0, 0))])[0][8 * 16 * 4 + 8 * 4].numpy()
    x1, y1, x2, y2 = prior
    found = np.array([[0.0, 0.0, 20.0, 20.0]])
    weights = []
    for share in (0.49, 0.51):
        ignored = np.array([[x1, y1, x1 + share * (x2 - x1), y2]])
        weights.append(
            assigned(small.bbox_head, [sample(found, ignored)])[2][0][8 * 16 * 4 + 8 * 4].item()
        )
    assert weights == [1, 0]


def test_a_box_inside_an_ignored_one_takes_the_best_prior_left(small):
    found, covered = np.array([[40.3, 40.1, 70.7, 70.9]]), np.array([[30.2, 30.4, 80.3, 80.6]])
    image = sample(found, covered)
    priors, labels, weights = assigned(small.bbox_head, [image])
    overlap = iou(priors.numpy(), found)[:, 0]
    left = weights[0].numpy() == 1
    assert overlap[~left].max() > overlap[left].max() > 0  # the better priors are ignored
    positive = (labels[0] < CLASSES).numpy()
    assert positive.sum() == 1 and positive.argmax() == np.where(left, overlap, -1).argmax()


def test_a_box_with_no_prior_left_is_not_matched_to_one_that_it_does_not_touch(small):
    found, covered = np.array([[40.3, 40.1, 70.7, 70.9]]), np.array([[0.7, 0.9, 127.1, 126.3]])
    image = sample(found, covered)
    priors, labels, weights = assigned(small.bbox_head, [image])
    assert iou(priors.numpy(), found)[weights[0].numpy() == 1].max() == 0
    assert (labels[0] == CLASSES).all()
    assert small.bbox_head.image_losses(raw_outputs(1), [image]).item() == 0


def test_ignored_boxes_are_not_trained_as_background(small, plain_head):
    raw = raw_outputs(1)
    easy = [sample(np.array([[64.0, 64.0, 112.0, 112.0]]))]
    difficult = [sample(np.array([[64.0, 64.0, 112.0, 112.0]]), np.array([[4.0, 4.0, 60.0, 60.0]]))]
    as_background = plain_loss(plain_head, raw, difficult)
    assert as_background == plain_loss(plain_head, raw, easy), "mmdet itself does not look at them"
    found = small.bbox_head.image_losses(raw, difficult).item()
    # the hardest negatives were inside the ignored box, among others
    assert 0 < found < as_background


def test_no_gradient_from_priors_inside_an_ignored_box(small):
    scores, deltas = raw_outputs(1)
    scores = [s.requires_grad_() for s in scores]
    image = sample(np.array([[64.0, 64.0, 112.0, 112.0]]), np.array([[4.0, 4.0, 60.0, 60.0]]))
    small.bbox_head.image_losses((scores, deltas), [image]).sum().backward()
    gradient = (
        torch.cat([s.grad.permute(0, 2, 3, 1).reshape(-1, CLASSES + 1) for s in scores])
        .abs()
        .sum(1)
    )
    _, labels, weights = assigned(small.bbox_head, [image])
    assert (gradient[weights[0] == 0] == 0).all()
    assert (gradient > 0).sum() == 4 * (labels[0] < CLASSES).sum()


def test_a_batch_with_ignored_boxes_alone(small):
    samples = [sample(boxes(0, 0), boxes(count, count)) for count in (1, 5)]
    assert small.bbox_head.image_losses(raw_outputs(2), samples).tolist() == [0, 0]


def test_an_ignored_box_in_one_image_leaves_the_others(small, samples):
    raw, changed = raw_outputs(), [*samples[:3], sample(boxes(60, 3), boxes(10, 9)), samples[4]]
    before, after = (
        small.bbox_head.image_losses(raw, samples),
        small.bbox_head.image_losses(raw, changed),
    )
    assert (before != after).tolist() == [False, False, False, True, False]


# boxes and the priors that they come from, distributions of the priors

# of the maps, by the channels of a class score
SIZES = {4: (16, 8, 4, 2), 21: (38, 19, 10, 5, 3, 1)}


@pytest.fixture
def mmdet_predicts(monkeypatch) -> None:
    # without it mmdet's own SSD cannot predict
    monkeypatch.setattr(SSDHead, "loss_cls", None, raising=False)


def scores_of(
    raw: tuple[list[Tensor], list[Tensor]], image: int, channels: int = CLASSES + 1
) -> np.ndarray:
    """(P, channels) probabilities of the priors, level by level, row by row, cell by cell."""
    logits = [s[image].double().numpy() for s in raw[0]]
    flat = np.concatenate([s.transpose(1, 2, 0).reshape(-1, channels) for s in logits])
    raised = np.exp(flat - flat.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def decoded(
    head: SSDHead, raw: tuple[list[Tensor], list[Tensor]], image: int, size: int
) -> np.ndarray:
    """(P, 4) boxes of all priors in the network's pixels, by SSD's equation 2."""
    sizes = [(len(s[0, 0]),) * 2 for s in raw[0]]
    priors = torch.cat(head.prior_generator.grid_priors(sizes, device="cpu")).double().numpy()
    offsets = np.concatenate(
        [b[image].double().numpy().transpose(1, 2, 0).reshape(-1, 4) for b in raw[1]]
    )
    extent, centre = priors[:, 2:] - priors[:, :2], (priors[:, 2:] + priors[:, :2]) / 2
    centre, extent = centre + 0.1 * offsets[:, :2] * extent, extent * np.exp(0.2 * offsets[:, 2:])
    return np.clip(np.concatenate([centre - extent / 2, centre + extent / 2], axis=1), 0, size)


def towards_background(
    raw: tuple[list[Tensor], list[Tensor]], by: float
) -> tuple[list[Tensor], list[Tensor]]:
    """Raw outputs of a network that is surer of the background."""
    surer = [s.clone() for s in raw[0]]
    for s in surer:
        s[:, CLASSES :: CLASSES + 1] += by
    return surer, raw[1]


RAW = {
    "full": lambda: raw_outputs(2),  # more boxes than are returned
    "few": lambda: towards_background(raw_outputs(2), 10),
    "none": lambda: towards_background(raw_outputs(2), 60),
    "ties": lambda: tuple([torch.zeros_like(m) for m in maps] for maps in raw_outputs(2)),
    "a tie of two levels": lambda: tuple(
        [m * (k > 1) for k, m in enumerate(maps)] for maps in raw_outputs(2)
    ),
}
SCALED = {"metainfo": {"img_shape": (128, 128), "scale_factor": (0.5, 1.6)}}


@pytest.mark.parametrize("kind", RAW)
@pytest.mark.parametrize("rescale", [False, True])
def test_predictions_are_mmdets_with_the_priors_of_the_boxes(
    small, plain_head, mmdet_predicts, kind, rescale
):
    raw, head, metas = RAW[kind](), small.bbox_head, [SCALED["metainfo"]] * 2
    theirs = plain_head.predict_by_feat(
        *raw, batch_img_metas=metas, cfg=head.test_cfg, rescale=rescale
    )
    ours = head.predict_by_feat(*raw, batch_img_metas=metas, rescale=rescale)
    probs, weight = head.distributions(raw, [DetDataSample(**SCALED)] * 2)
    assert [len(found) for found in ours] == {"full": [200] * 2, "none": [0] * 2}.get(
        kind, list(map(len, ours))
    )
    for image, (found, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert all(torch.equal(found[key], expected[key]) for key in ("bboxes", "scores", "labels"))
        assert (
            set(expected.keys())
            == {"bboxes", "scores", "labels"}
            == set(found.keys()) - {"prior_ids"}
        )
        assert torch.equal(found.scores, probs[image, found.prior_ids, found.labels])
        boxes = decoded(head, raw, image, 128)[found.prior_ids] / (
            np.array([0.5, 1.6] * 2) if rescale else 1
        )
        np.testing.assert_allclose(found.bboxes.numpy(), boxes, atol=1e-3)
        assert set(weight[image].nonzero()[:, 0].tolist()) == set(found.prior_ids.tolist())
    assert kind == "none" or all(len(found) > 10 for found in ours)


@pytest.mark.parametrize(("background", "kept"), [(0, 200), (10, 100), (60, 0)])
def test_weights_by_hand(small, background, kept):
    """Suppression anew, box by box: the best score first, all its overlaps of the same
    class out.
    """
    raw = towards_background(raw_outputs(2), background)
    _, weight = small.bbox_head.distributions(raw, [DetDataSample(**SCALED)] * 2)
    ends = np.cumsum([4 * size**2 for size in SIZES[4]])
    for image in range(2):
        probs, boxes = scores_of(raw, image)[:, :CLASSES], decoded(small.bbox_head, raw, image, 128)
        candidates = []
        for first, last in zip([0, *ends], ends, strict=False):
            level = [
                (probs[p, c], p, c)
                for p in range(first, last)
                for c in range(CLASSES)
                if probs[p, c] > 0.02
            ]
            candidates += sorted(level, reverse=True)[:1000]
        overlap, found = iou(boxes, boxes), []
        for _, p, c in sorted(candidates, reverse=True):
            if all(c != other or overlap[p, q] <= 0.45 for q, other in found):
                found.append((p, c))
        assert (
            min(len(found), 200) <= kept
            and (len(found) > 200 or kept < 200)
            and (len(found) > 20 or kept == 0)
        )
        assert np.flatnonzero(weight[image]).tolist() == sorted({p for p, _ in found[:200]})


def test_every_class_two_of_one_prior_and_a_suppressed_one(small):
    """Priors at hand-picked places: number = the levels before, (row * width + column) *
    4, and one of the cell's 4.
    """
    scores = [torch.zeros(2, 4, CLASSES + 1, s, s) for s in SIZES[4]]
    for s in scores:
        s[:, :, CLASSES] = 30.0
    # level, which of the cell's, row, column -> logits of the classes, whether its box is returned
    places = {
        (0, 0, 3, 5): ([40, 0, 0], True),
        (0, 1, 3, 5): ([38, 0, 0], False),  # overlaps the one before by 0.6
        (0, 2, 3, 5): ([0, 40, 0], True),  # as well, of another class
        (1, 0, 7, 7): ([0, 0, 40], True),
        (2, 3, 0, 2): ([40, 0, 40], True),  # two boxes, one weight
        (3, 0, 1, 0): ([0, 26.2, 0], True),  # exp(-3.8) = 0.022
        (3, 0, 0, 1): ([0, 26.0, 0], False),  # exp(-4) = 0.018, below the least score
    }
    numbers = {}
    for (level, which, row, column), (logits, returned) in places.items():
        scores[level][0, which, :CLASSES, row, column] = torch.tensor(logits, dtype=torch.float32)
        size = SIZES[4][level]
        numbers[4 * sum(s**2 for s in SIZES[4][:level]) + (row * size + column) * 4 + which] = (
            returned
        )
    raw = [s.flatten(1, 2) for s in scores], [torch.zeros(2, 16, s, s) for s in SIZES[4]]
    probs, weight = small.bbox_head.distributions(raw, [DetDataSample(**SCALED)] * 2)
    assert probs.shape == (2, 1360, CLASSES + 1) and weight.shape == (2, 1360)
    assert weight[0].nonzero()[:, 0].tolist() == sorted(
        n for n, returned in numbers.items() if returned
    )
    assert weight[0].sum() == 5 and not weight[1].any()
    assert sorted(probs[0, weight[0] == 1].max(dim=1).values.tolist())[:3] == pytest.approx(
        [0.5, 0.978, 1], abs=1e-3
    )
    found = small.bbox_head.predict_by_feat(*raw, batch_img_metas=[SCALED["metainfo"]] * 2)[0]
    assert found.labels.bincount().tolist() == [2, 2, 2]


def test_distributions_sum_to_1_and_are_the_images_own(small, samples):
    raw = towards_background(raw_outputs(), 6)
    probs, weight = small.bbox_head.distributions(raw, samples)
    assert probs.shape == (5, 1360, CLASSES + 1) and probs.dtype == weight.dtype == torch.float32
    torch.testing.assert_close(probs.sum(dim=2), torch.ones(5, 1360))
    for image in range(5):
        np.testing.assert_allclose(
            probs[image].numpy(), scores_of(raw, image), rtol=1e-4, atol=1e-6
        )
        alone = small.bbox_head.distributions(only(raw, [image]), [samples[image]])
        assert torch.equal(alone[0][0], probs[image]) and torch.equal(alone[1][0], weight[image])
    assert len({tuple(row.tolist()) for row in weight}) == 5


def test_the_heads_outputs_and_boxes_are_float32_under_mixed_precision(small):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        taps, sources = ssd.features(
            small, torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
        )
        raw = small.bbox_head(sources)
        probs, weight = small.bbox_head.distributions(raw, [DetDataSample(**SCALED)] * 2)
        found = small.bbox_head.predict(sources, [DetDataSample(**SCALED)] * 2)
    assert taps[0].dtype == torch.bfloat16
    assert {m.dtype for maps in raw for m in maps} | {probs.dtype, weight.dtype} == {torch.float32}
    for image in range(2):
        boxes = decoded(small.bbox_head, raw, image, 128)[found[image].prior_ids]
        np.testing.assert_allclose(found[image].bboxes.numpy(), boxes, atol=1e-3)


# the small network


def test_small_ssd(small):
    assert 0.2e6 <= sum(p.numel() for p in small.parameters()) < 0.3e6
    taps, sources = ssd.features(small, torch.randn(2, 3, 128, 128))
    assert [tuple(t.shape) for t in taps] == [
        (2, 64, 16, 16),
        (2, 64, 8, 8),
        (2, 64, 4, 4),
        (2, 64, 2, 2),
    ]
    assert [t.shape[1] for t in taps] == [tap.channels for tap in ssd.SMALL_TAPS]
    assert all(a is b for a, b in zip(taps, sources, strict=True))  # no L2 norm here
    assert len({tap.name for tap in ssd.SMALL_TAPS}) == 4


def test_small_ssd_has_no_weights_to_load():
    with pytest.raises(ValueError, match=r"`pretrained` to be None .* but got 'vgg\.pth'"):
        ssd.small_ssd(CLASSES, pretrained="vgg.pth")


def test_small_ssd_predicts_after_nms(small):
    with torch.no_grad():
        _, sources = ssd.features(small, torch.randn(2, 3, 128, 128))
        found = small.bbox_head.predict(
            sources, [sample(boxes(0, 0)), sample(boxes(0, 0))], rescale=True
        )
    assert len(found) == 2
    for image in found:
        assert 0 < len(image) <= 200
        assert (image.scores >= 0.02).all() and (image.scores.diff() <= 0).all()
        for label in range(CLASSES):
            corners = image.bboxes[image.labels == label].numpy()
            overlap = iou(corners, corners) - np.eye(len(corners))
            assert len(corners) and overlap.max() <= 0.45 + 1e-6


def test_small_ssd_learns_a_scene():
    torch.manual_seed(0)
    detector = ssd.small_ssd(CLASSES)
    images, samples = torch.randn(4, 3, 128, 128), [sample(boxes(2, seed)) for seed in range(4)]
    optimizer = torch.optim.AdamW(detector.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = detector.bbox_head.image_losses(
            detector.bbox_head(ssd.features(detector, images)[1]), samples
        ).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("build", [ssd.small_ssd, ssd.ssd300_vgg16])
def test_seeded_builds_are_bit_equal_finite_and_silent(build, capfd):
    states = []
    for seed in (3, 3, 4):
        with seeded(seed):
            states.append(build(CLASSES).state_dict())
    first, again, other = states
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    assert all(bool(torch.isfinite(value).all()) for value in first.values())
    assert capfd.readouterr() == ("", "")


# SSD300


@pytest.fixture(scope="module")
def ssd300() -> nn.Module:
    with seeded(0):
        return ssd.ssd300_vgg16(20)


@pytest.fixture(scope="module")
def mmdet_ssd300(ssd300) -> nn.Module:
    """mmdet's own SSD300 for VOC with the same weights."""
    config = mmdet_config()
    config.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope("mmdet"):
        detector = MODELS.build(config)
    detector.load_state_dict(ssd300.state_dict(), strict=True)
    return detector


def test_ssd300_has_the_papers_size_and_norm(ssd300):
    assert sum(p.numel() for p in ssd300.parameters()) == 26_285_486
    assert (ssd300.neck.l2_norm.weight == 20).all()
    assert ssd300.bbox_head.num_classes == 20
    assert ssd300.bbox_head.prior_generator.num_base_priors == [4, 6, 6, 6, 4, 4]


def test_ssd300_differs_from_mmdets_settings_in_what_concerns_ignored_boxes_alone(
    ssd300, mmdet_ssd300
):
    ours, theirs = ssd300.bbox_head.train_cfg.to_dict(), mmdet_ssd300.bbox_head.train_cfg.to_dict()
    assert ours["assigner"].pop("ignore_iof_thr") == 0.5
    assert theirs["assigner"].pop("ignore_iof_thr") == -1
    assert 0 == theirs["assigner"].pop("min_pos_iou") < ours["assigner"].pop("min_pos_iou") < 1e-5
    assert theirs.pop("sampler") == ours.pop("sampler") == {"type": "PseudoSampler"}
    assert ours == theirs
    assert ssd300.bbox_head.test_cfg.to_dict() == mmdet_ssd300.bbox_head.test_cfg.to_dict()
    for ours, theirs in zip(
        ssd300.data_preprocessor.buffers(), mmdet_ssd300.data_preprocessor.buffers(), strict=True
    ):
        assert torch.equal(ours, theirs)
    priors = [
        torch.cat(
            d.bbox_head.prior_generator.grid_priors(
                [(s, s) for s in (38, 19, 10, 5, 3, 1)], device="cpu"
            )
        )
        for d in (ssd300, mmdet_ssd300)
    ]
    assert torch.equal(*priors) and len(priors[0]) == 8732


def test_ssd300_taps_and_loss(ssd300, mmdet_ssd300):
    """One forward and backward pass for all of it: it takes about a second."""
    generator = torch.Generator().manual_seed(0)
    image = 50 * torch.randn(1, 3, 300, 300, generator=generator)
    annotated = [sample(boxes(5, 0, 300), size=300)]
    taps, sources = ssd.features(ssd300, image)
    loss = ssd300.bbox_head.image_losses(ssd300.bbox_head(sources), annotated)
    (taps[0].sum() + loss.sum()).backward()

    # the taps are the declared ones
    assert [tuple(t.shape) for t in taps] == [
        (1, 512, 38, 38),
        (1, 1024, 19, 19),
        (1, 512, 10, 10),
        (1, 256, 5, 5),
        (1, 256, 3, 3),
        (1, 256, 1, 1),
    ]
    assert [t.shape[1] for t in taps] == [tap.channels for tap in ssd.SSD300_TAPS]
    assert [tap.name for tap in ssd.SSD300_TAPS] == [
        "conv4_3",
        "conv7",
        "conv8_2",
        "conv9_2",
        "conv10_2",
        "conv11_2",
    ]

    # conv4_3 is from before the L2 norm, and nothing has written into it since
    x = image
    with torch.no_grad():
        for layer in list(ssd300.backbone.features)[:23]:
            x = F.relu(x) if isinstance(layer, nn.ReLU) else layer(x)
        torch.testing.assert_close(taps[0], x, rtol=1e-5, atol=1e-6)
        normed = 20 * x / x.norm(dim=1, keepdim=True)
        torch.testing.assert_close(sources[0], normed, rtol=1e-4, atol=1e-5)
        assert (taps[0] - sources[0]).abs().max() > 1
    assert all(tap is source for tap, source in zip(taps[1:], sources[1:], strict=True))
    assert ssd300.backbone.features[0].weight.grad.abs().sum() > 0
    ssd300.zero_grad()

    # the loss is mmdet's
    with torch.no_grad():
        theirs = mmdet_ssd300.loss(image, annotated)
    assert loss.shape == (1,)
    assert loss.item() == (theirs["loss_cls"][0].sum() + theirs["loss_bbox"][0].sum()).item() > 0


def test_ssd300_loads_vgg_weights_in_mmdets_naming(tmp_path, capfd):
    with seeded(7):
        vgg = {
            k: torch.randn(v.shape)
            for k, v in ssd.ssd300_vgg16(CLASSES).backbone.state_dict().items()
        }
    # the 13 convolutions of VGG-16
    vgg = {k: v for k, v in vgg.items() if int(k.split(".")[1]) < 30}
    assert len(vgg) == 26
    torch.save(vgg, tmp_path / "vgg.pth")
    with seeded(1):
        loaded = ssd.ssd300_vgg16(
            CLASSES, pretrained=str(tmp_path / "vgg.pth")
        ).backbone.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in vgg.items())
    assert len(loaded) == 30 and all(bool(torch.isfinite(value).all()) for value in loaded.values())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("background", [0, 12])
def test_ssd300_predictions_are_mmdets_with_their_priors(
    ssd300, mmdet_ssd300, mmdet_predicts, background
):
    generator, pairs = (
        torch.Generator().manual_seed(0),
        list(zip(SIZES[21], (4, 6, 6, 6, 4, 4), strict=True)),
    )
    raw = tuple(
        [2 * torch.randn(1, n * k, s, s, generator=generator) for s, n in pairs] for k in (21, 4)
    )
    for s in raw[0]:
        s[:, 20::21] += background
    meta = [{"img_shape": (300, 300), "scale_factor": (0.6, 0.8)}]
    (found,) = ssd300.bbox_head.predict_by_feat(*raw, batch_img_metas=meta, rescale=True)
    (expected,) = mmdet_ssd300.bbox_head.predict_by_feat(*raw, batch_img_metas=meta, rescale=True)
    assert all(torch.equal(found[key], expected[key]) for key in ("bboxes", "scores", "labels"))
    probs, weight = ssd300.bbox_head.distributions(raw, [DetDataSample(metainfo=meta[0])])
    assert probs.shape == (1, 8732, 21) and weight.shape == (1, 8732)
    assert torch.equal(found.scores, probs[0, found.prior_ids, found.labels]) and len(found) == 200
    assert torch.equal(weight[0].nonzero()[:, 0], found.prior_ids.unique())
    boxes = decoded(ssd300.bbox_head, raw, 0, 300)[found.prior_ids] / np.array([0.6, 0.8] * 2)
    np.testing.assert_allclose(found.bboxes.numpy(), boxes, atol=1e-2)
