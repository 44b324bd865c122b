"""What follows a detector's maps: the losses of a batch and of each image, boxes, distributions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Literal

import torch
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.networks.ssd_head import NumberedSSDHead
from models.process.seeding import derive_seed, seeded

# after models.networks.ssd, which installs the operators that mmdet needs
from mmdet.models.dense_heads import DETRHead  # isort: skip
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead  # isort: skip
from mmdet.models.detectors import BaseDetector  # isort: skip
from mmdet.models.layers import multiclass_nms  # isort: skip
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead  # isort: skip
from mmdet.structures import DetDataSample  # isort: skip
from mmdet.utils import dist_utils  # isort: skip

Empty = Literal["own", "zero"]
Samples = Sequence[DetDataSample]
LATE = 1 << 20  # an epoch after all changes of a loss in the course of training
ALONE = SimpleNamespace(is_available=lambda: False, is_initialized=lambda: False)


class Heads:
    """The heads of a detector over the maps of one batch.

    A dense head runs once for all that is asked. Its outputs are cut image by image, and mmdet's
    own function makes each image's loss of its part: batch norms see the whole batch, once. Where
    a head makes its loss in another way (two stages, transformers), the maps are cut instead.

    Args:
        detector: of mmdet, in training or evaluation mode.
        maps: (B, C_k, H_k, W_k), what `features` returned.
        samples: B images with their boxes in the network's pixels.
    """

    def __init__(self, detector: BaseDetector, maps: tuple[Tensor, ...], samples: Samples) -> None:
        self.detector = detector
        self.maps = maps
        self.samples = samples
        head = getattr(detector, "bbox_head", None)
        plain = isinstance(head, BaseDenseHead) and type(head).loss is BaseDenseHead.loss
        self.dense = head if plain else None

    @cached_property
    def _outputs(self) -> tuple:
        """What the dense head gives out for training, in float32 under mixed precision too."""
        if self.dense is None:
            return ()
        with _as_in_training(self.detector):
            return _mapped(self.dense(self.maps), lambda tensor: tensor.float())

    def batch_loss(self) -> Tensor:
        """The loss () that mmdet trains on."""
        with _as_in_training(self.detector), _epoch_known(self.detector):
            return self._loss(self.maps, self._outputs, self.samples)

    def image_losses(self, empty: Empty = "own") -> Tensor:
        """(B,) loss of each image as if it were a batch of its own.

        Args:
            empty: what an image without boxes loses: by mmdet's function (``"own"``), or nothing
                (``"zero"``).
        """
        with _as_in_training(self.detector):
            losses = [self._image_loss(i) for i in range(len(self.samples))]
        if empty == "zero":
            losses = [
                loss if len(sample.gt_instances) else loss * 0
                for loss, sample in zip(losses, self.samples, strict=True)
            ]
        return torch.stack(losses)

    def _image_loss(self, index: int) -> Tensor:
        sample, maps = self.samples[index], tuple(one[index : index + 1] for one in self.maps)
        outputs = _mapped(self._outputs, lambda tensor: tensor[index : index + 1])
        with _alone(sample), _epoch_known(self.detector), _norms_kept(self.detector):
            return self._loss(maps, outputs, [sample])

    def _loss(self, maps: tuple[Tensor, ...], outputs: tuple, samples: Samples) -> Tensor:
        """mmdet's loss of some images, of a dense head's outputs or of the maps."""
        if self.dense is None:
            with _given(self.detector, maps):
                return _total(self.detector.loss(None, list(samples)))
        truth = [sample.gt_instances for sample in samples]
        ignored = [sample.ignored_instances for sample in samples]
        metas = [sample.metainfo for sample in samples]
        with torch.autocast(maps[0].device.type, enabled=False):
            return _total(self.dense.loss_by_feat(*outputs, truth, metas, ignored))

    def boxes(self, rescale: bool = True) -> list[InstanceData]:
        """The boxes of each image after non-maximum suppression.

        They are in the image's own pixels, or else, with `rescale=False`, in the network's.
        """
        with _given(self.detector, self.maps):
            found = self.detector.predict(None, list(self.samples), rescale=rescale)
        return [sample.pred_instances for sample in found]

    def distributions(self) -> tuple[Tensor, Tensor]:
        """What the detector takes its boxes for: probabilities (B, K, C) and weights (B, K).

        K is the largest number of boxes of an image, at least 1; a row that no box fills is uniform
        and has the weight 0. Where classes exclude each other (softmax), a row is that of the
        box's prior, proposal or query over classes and background. Where each class is a decision
        of its own (sigmoid), it is (p, 1 - p) with the score p of the box.
        """
        head = getattr(self.detector, "bbox_head", None)
        if isinstance(head, NumberedSSDHead):
            return head.distributions(head(self.maps), self.samples)
        if isinstance(head, DETRHead) and not head.loss_cls.use_sigmoid:
            return self._of_queries(head)
        if _standard_roi(self.detector):
            return _padded(self._of_proposals())
        scores = [found.scores.float().clamp(0, 1) for found in self.boxes()]
        return _padded([torch.stack([score, 1 - score], dim=1) for score in scores])

    def _of_queries(self, head: DETRHead) -> tuple[Tensor, Tensor]:
        """Each query's distribution; those of the surest `max_per_img` count."""
        samples = list(self.samples)
        given = self.detector.forward_transformer(self.maps, samples)
        hidden = {k: v for k, v in given.items() if k in ("hidden_states", "references")}
        probs = head(**hidden)[0][-1].float().softmax(dim=2)
        most = (self.detector.test_cfg or {}).get("max_per_img", probs.shape[1])
        surest = probs[..., :-1].amax(dim=2).topk(min(most, probs.shape[1]), dim=1).indices
        return probs, torch.zeros_like(probs[..., 0]).scatter(1, surest, 1.0)

    def _of_proposals(self) -> list[Tensor]:
        """For each image the distributions (n, C + 1) of the proposals whose boxes are kept."""
        detector, samples = self.detector, list(self.samples)
        proposals = detector.rpn_head.predict(self.maps, samples, rescale=False)
        metas = [sample.metainfo for sample in samples]
        raw = detector.roi_head.predict_bbox(self.maps, metas, proposals, rcnn_test_cfg=None)
        config = detector.roi_head.test_cfg
        rows = []
        for found in raw:
            if not len(found.scores):
                rows.append(found.scores)
                continue
            _, _, kept = multiclass_nms(
                found.bboxes,
                found.scores,
                config.score_thr,
                config.nms,
                config.max_per_img,
                return_inds=True,
            )
            classes = found.scores.shape[1] - 1
            rows.append(found.scores[(kept // classes).unique()])
        return rows


def rows_correspond(detector: BaseDetector) -> bool:
    """Whether row k of `distributions` is of one thing in all passes over an image."""
    return isinstance(getattr(detector, "bbox_head", None), NumberedSSDHead)


def _standard_roi(detector: BaseDetector) -> bool:
    """Whether boxes come of mmdet's plain second stage, with suppression at its end."""
    roi_head: Any = getattr(detector, "roi_head", None)
    plain = (StandardRoIHead.predict_bbox, CascadeRoIHead.predict_bbox)
    if getattr(type(roi_head), "predict_bbox", None) not in plain:
        return False
    return "nms" in (roi_head.test_cfg or {})


def _padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Distributions (n_i, C) of B images -> (B, K, C), weights (B, K)."""
    classes, most = rows[0].shape[1], max(1, *map(len, rows))
    probs = rows[0].new_full((len(rows), most, classes), 1 / classes)
    weight = rows[0].new_zeros(len(rows), most)
    for i, part in enumerate(rows):
        probs[i, : len(part)] = part
        weight[i, : len(part)] = 1
    return probs, weight


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Nested lists and tuples with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_mapped(item, change) for item in value)
    return value


def _total(losses: Mapping[str, Any]) -> Tensor:
    """The sum of a dict of losses, as mmengine's `parse_losses` adds them up."""
    total: Any = 0
    for name, value in losses.items():
        if "loss" in name:
            values = value if isinstance(value, list | tuple) else [value]
            total = total + sum(one.mean() for one in values)
    return total.float()


@contextmanager
def _given(detector: BaseDetector, maps: tuple[Tensor, ...]) -> Iterator[None]:
    """Within, the detector takes these maps for those of any images."""
    detector.extract_feat = lambda _: maps
    try:
        yield
    finally:
        del detector.extract_feat


@contextmanager
def _as_in_training(detector: BaseDetector) -> Iterator[None]:
    """Within, heads give out what losses are made of; their layers stay in the mode they are in.

    Some give out other boxes in evaluation (FCOS), or ask other queries (DINO).
    """
    modules = [detector, *_heads(detector)]
    before = [module.training for module in modules]
    for module in modules:
        module.training = True
    try:
        yield
    finally:
        for module, mode in zip(modules, before, strict=True):
            module.training = mode


def _heads(detector: BaseDetector) -> Iterator[nn.Module]:
    for name in ("bbox_head", "rpn_head", "roi_head"):
        head = getattr(detector, name, None)
        if head is not None:
            yield head
    inner = getattr(getattr(detector, "roi_head", None), "bbox_head", None)
    if inner is not None:
        yield from inner if isinstance(inner, nn.ModuleList) else [inner]


@contextmanager
def _norms_kept(detector: BaseDetector) -> Iterator[None]:
    """Within, batch norms neither use nor learn the statistics of an image alone."""
    norms = [m for m in detector.modules() if isinstance(m, _BatchNorm) and m.training]
    for norm in norms:
        norm.training = False
    try:
        yield
    finally:
        for norm in norms:
            norm.training = True


@contextmanager
def _alone(sample: DetDataSample) -> Iterator[None]:
    """Within, a loss depends on this sample and the weights alone.

    Samplers draw from a stream of the sample, and averages over processes are those of this one.
    """
    before, dist_utils.dist = dist_utils.dist, ALONE
    try:
        with seeded(derive_seed("image loss", str(sample.metainfo.get("img_id")))):
            yield
    finally:
        dist_utils.dist = before


@contextmanager
def _epoch_known(detector: BaseDetector) -> Iterator[None]:
    """Within, mmengine's hub has the epoch that some losses change with (TOOD).

    In training that is the running one, as its Runner says; else one after all changes.
    """
    hub = MessageHub.get_current_instance()
    epoch = hub.runtime_info.get("epoch")
    if epoch is not None and detector.backbone.training:
        yield
        return
    hub.update_info("epoch", LATE)
    try:
        yield
    finally:
        hub.runtime_info.pop("epoch")
        if epoch is not None:
            hub.update_info("epoch", epoch)
