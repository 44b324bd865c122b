"""SSD's head from mmdet's own, with a loss for each image and boxes that know their priors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from models.networks import mmcv_ops

mmcv_ops.install()

from mmdet.models.dense_heads import SSDHead  # noqa: E402  # must follow `install`
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder  # noqa: E402

ImageLoss = Literal["mean", "sum"]
# class scores and box offsets, (B, channels, H, W) for each source map
Raw = tuple[list[Tensor], list[Tensor]]


class NumberedCoder(DeltaXYWHBBoxCoder):
    """mmdet's decoding of offsets into boxes that keeps a prior's further columns.

    These are the columns after its four coordinates.
    """

    def decode(self, bboxes: Tensor, pred_bboxes: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Priors (N, 4 + k) and offsets (N, 4) -> boxes (N, 4 + k)."""
        boxes = super().decode(bboxes[:, :4], pred_bboxes, *args, **kwargs)
        return torch.cat([boxes, bboxes[:, 4:]], dim=1)


class NumberedSSDHead(SSDHead):
    """mmdet's SSD head, whose predicted boxes hold the prior that they come from.

    Predictions have the field `prior_ids` besides: (N,) numbers of the boxes' priors in
    `distributions`. The number goes through mmdet's own filters as a fifth coordinate of the prior,
    so the boxes are mmdet's. It needs a `NumberedCoder`.
    """

    # mmdet's `_predict_by_feat_single` looks at it, and `SSDHead.__init__` never sets it
    loss_cls = None

    def forward(self, x: tuple[Tensor, ...]) -> Raw:
        """Run mmdet's head; its results are float32 under mixed precision too.

        bfloat16 would move priors by whole pixels.
        """
        scores, offsets = super().forward(x)
        return [s.float() for s in scores], [o.float() for o in offsets]

    def distributions(self, raw: Raw, samples: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """What the head takes each prior for, and which priors count.

        Args:
            raw: the head's outputs.
            samples: one an image; their metainfo is read, and no annotation.

        Returns:
            (B, P, num_classes + 1) probabilities of all priors, background last; (B, P) weights, 1
            where `predict` returns a box of the prior and 0 elsewhere: 0 everywhere for an image
            without boxes.
        """
        scores = [s.permute(0, 2, 3, 1).reshape(len(s), -1, self.cls_out_channels) for s in raw[0]]
        probs = torch.cat(scores, dim=1).softmax(dim=2)
        weight = probs.new_zeros(probs.shape[:2])
        found = self.predict_by_feat(
            *raw, batch_img_metas=[s.metainfo for s in samples], rescale=True
        )
        for row, boxes in zip(weight, found, strict=True):
            row[boxes.prior_ids] = 1
        return probs, weight

    def _predict_by_feat_single(self, *, mlvl_priors: list[Tensor], **others: Any) -> InstanceData:
        counts = [len(priors) for priors in mlvl_priors]
        numbers = torch.arange(sum(counts), device=mlvl_priors[0].device).float().split(counts)
        numbered = [
            torch.cat([p, n[:, None]], dim=1) for p, n in zip(mlvl_priors, numbers, strict=True)
        ]
        return super()._predict_by_feat_single(mlvl_priors=numbered, **others)

    def _bbox_post_process(self, results: InstanceData, *args: Any, **kwargs: Any) -> InstanceData:
        results.bboxes, results.prior_ids = results.bboxes[:, :4], results.bboxes[:, 4].long()
        return super()._bbox_post_process(results, *args, **kwargs)


class PerImageSSDHead(NumberedSSDHead):
    """mmdet's SSD head whose losses of an image are its own.

    mmdet divides losses by the matched priors of the whole batch. Here each image's loss is divided
    by its own ("mean"), or by nothing ("sum"). For a batch of one image "mean" is mmdet's own loss.
    """

    def __init__(self, *args: Any, image_loss: ImageLoss = "mean", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if image_loss not in ("mean", "sum"):
            raise ValueError(f"Expected `image_loss` to be 'mean' or 'sum', but got {image_loss!r}")
        self.image_loss = image_loss

    def loss_by_feat_single(  # the name and the order of the arguments are mmdet's
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        anchor: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        avg_factor: int,
    ) -> tuple[Tensor, Tensor]:
        """One image's classification and localisation loss.

        `avg_factor`, the batch's, is not used.
        """
        matched = (labels < self.num_classes).sum().clamp(min=1)
        own = matched if self.image_loss == "mean" else 1
        return super().loss_by_feat_single(
            cls_score,
            bbox_pred,
            anchor,
            labels,
            label_weights,
            bbox_targets,
            bbox_weights,
            avg_factor=own,
        )

    def image_losses(self, raw: Raw, samples: Sequence[Any]) -> Tensor:
        """The loss (B,) of each image, from the head's raw outputs.

        The boxes of `samples` are in the network's pixels.
        """
        truth = [s.gt_instances for s in samples]
        ignored = [s.ignored_instances for s in samples]
        losses = self.loss_by_feat(*raw, truth, [s.metainfo for s in samples], ignored)
        return torch.stack(
            [
                c.sum() + b.sum()
                for c, b in zip(losses["loss_cls"], losses["loss_bbox"], strict=True)
            ]
        )
