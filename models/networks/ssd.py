"""SSD from mmdet's own parts, with taps and a loss for each image.

There is also a small variant for drawn data.

Source: Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016; mmdet's
`configs/_base_/models/ssd300.py` and `configs/pascal_voc/ssd300_voc0712.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from models.networks import mmcv_ops
from models.output import Tap

mmcv_ops.install()

import mmdet.models  # noqa: E402, F401  # registers the parts named below; must follow `install`
from mmdet.models.dense_heads import SSDHead  # noqa: E402
from mmdet.models.detectors import SingleStageDetector  # noqa: E402
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402

from models.networks.ssd_head import ImageLoss, NumberedCoder, PerImageSSDHead  # noqa: E402

# a prior with more than this share of its area inside an ignored box is not trained on
IGNORE_IOF = 0.5
# mmdet's 0 would match an object whose priors are all ignored to a prior that does not touch it
MIN_IOU = 1e-6
MEAN_RGB = (123.675, 116.28, 103.53)
MOST = 200  # boxes of an image that are returned

SSD300_TAPS = (
    Tap("conv4_3", 512), Tap("conv7", 1024), Tap("conv8_2", 512),
    Tap("conv9_2", 256), Tap("conv10_2", 256), Tap("conv11_2", 256),
)  # fmt: skip
SMALL_TAPS = (Tap("stage3", 64), Tap("stage4", 64), Tap("extra1", 64), Tap("extra2", 64))


def ssd300_vgg16(
    num_classes: int, image_loss: ImageLoss = "mean", pretrained: str | None = None
) -> SingleStageDetector:
    """SSD300 with VGG-16, mmdet's own: 26.285 M parameters for 20 classes.

    Args:
        num_classes: without background.
        image_loss: see `PerImageSSDHead`.
        pretrained: path of VGG-16 weights in mmdet's naming; None leaves all weights random.
    """
    return _built(_ssd300(num_classes, image_loss, pretrained))


def _ssd300(num_classes: int, image_loss: ImageLoss, pretrained: str | None) -> ConfigDict:
    channels = [tap.channels for tap in SSD300_TAPS]
    weights = dict(type="Pretrained", checkpoint=pretrained) if pretrained else None
    backbone = dict(
        type="SSDVGG", depth=16, with_last_pool=False, ceil_mode=True, out_indices=(3, 4),
        out_feature_indices=(22, 34), init_cfg=weights,
    )  # fmt: skip
    neck = dict(
        type="SSDNeck",
        in_channels=(512, 1024),
        out_channels=tuple(channels),
        level_strides=(2, 2, 1, 1),
        level_paddings=(1, 1, 0, 0),
        l2_norm_scale=20,
    )
    anchors = dict(
        type="SSDAnchorGenerator",
        scale_major=False,
        input_size=300,
        basesize_ratio_range=(0.2, 0.9),
        strides=[8, 16, 32, 64, 100, 300],
        ratios=[[2], [2, 3], [2, 3], [2, 3], [2], [2]],
    )
    return _detector(
        backbone, neck, _head(num_classes, channels, anchors, image_loss), std=(1, 1, 1)
    )


def small_ssd(
    num_classes: int, image_loss: ImageLoss = "mean", pretrained: str | None = None
) -> SingleStageDetector:
    """A detector of 0.2 M parameters for 128x128 images.

    It has mmdet's neck and head on a plain backbone.

    Arguments as in `ssd300_vgg16`; there are no weights to load, so `pretrained` must be None.
    """
    if pretrained is not None:
        raise ValueError(
            f"Expected `pretrained` to be None for the network 'small_ssd', but got {pretrained!r}"
        )
    return _built(_small(num_classes, image_loss))


def _small(num_classes: int, image_loss: ImageLoss) -> ConfigDict:
    channels = [tap.channels for tap in SMALL_TAPS]
    neck = dict(
        type="SSDNeck", in_channels=(64, 64), out_channels=tuple(channels), level_strides=(2, 2),
        level_paddings=(1, 1), l2_norm_scale=None,
    )  # fmt: skip
    anchors = dict(
        type="SSDAnchorGenerator",
        scale_major=False,
        strides=[8, 16, 32, 64],
        ratios=[[2], [2], [2], [2]],
        min_sizes=[18, 30, 46, 64],
        max_sizes=[30, 46, 64, 90],
    )
    head = _head(num_classes, channels, anchors, image_loss)
    return _detector(dict(type=PlainBackbone), neck, head, std=(58.395, 57.12, 57.375))


def mmdet_config(name: str, num_classes: int) -> ConfigDict:
    """The model as mmdet builds it, without what this project adds, and with the same weights.

    `small_ssd` still needs the class `PlainBackbone` in mmdet's registry.

    Args:
        name: ``"ssd300_vgg16"`` or ``"small_ssd"``.
        num_classes: without background.
    """
    if name == "small_ssd":
        model = _small(num_classes, "mean")
        model.backbone.type = PlainBackbone.__name__
    else:
        model = _ssd300(num_classes, "mean", None)
    head = model.bbox_head
    del head["image_loss"]
    head.type = SSDHead.__name__
    head.bbox_coder.type = DeltaXYWHBBoxCoder.__name__
    return model


def features(
    detector: SingleStageDetector, images: Tensor
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The source maps of normalised images (B, 3, H, W), as taps and for the head.

    The first tap is the map before its L2 norm.
    """
    maps = detector.backbone(images)
    sources = detector.neck(maps)
    return (maps[0], *sources[1:]), sources


class PlainBackbone(BaseModule):
    """Four stages of convolutions with batch norm, strides 2, 4, 8 and 16.

    It returns the maps of the last two.
    """

    def __init__(
        self, widths: Sequence[int] = (16, 32, 64, 64), blocks: Sequence[int] = (1, 1, 2, 2)
    ) -> None:
        super().__init__(init_cfg=dict(type="Kaiming", layer="Conv2d"))
        stages = []
        channels = 3
        for width, count in zip(widths, blocks, strict=True):
            layers: list[nn.Module] = []
            stride = 2  # of the stage's first convolution
            for _ in range(count):
                layers += [
                    nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                channels = width
                stride = 1
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> maps of strides 8 and 16."""
        maps = []
        for stage in self.stages:
            images = stage(images)
            maps.append(images)
        return maps[-2], maps[-1]


def _head(num_classes: int, channels: Sequence[int], anchors: dict, image_loss: ImageLoss) -> dict:
    coder = dict(type=NumberedCoder, target_means=[0.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2])
    return dict(
        type=PerImageSSDHead,
        in_channels=tuple(channels),
        num_classes=num_classes,
        anchor_generator=anchors,
        bbox_coder=coder,
        image_loss=image_loss,
    )


def _detector(backbone: dict, neck: dict, head: dict, std: Sequence[float]) -> ConfigDict:
    """The config of a detector.

    Training and test settings are those of mmdet's `ssd300.py` but for the two constants.
    """
    assigner = dict(
        type="MaxIoUAssigner",
        pos_iou_thr=0.5,
        neg_iou_thr=0.5,
        min_pos_iou=MIN_IOU,
        ignore_iof_thr=IGNORE_IOF,
        gt_max_assign_all=False,
    )
    train = dict(
        assigner=assigner,
        sampler=dict(type="PseudoSampler"),
        smoothl1_beta=1.0,
        allowed_border=-1,
        pos_weight=-1,
        neg_pos_ratio=3,
        debug=False,
    )
    test = dict(
        nms_pre=1000,
        nms=dict(type="nms", iou_threshold=0.45),
        min_bbox_size=0,
        score_thr=0.02,
        max_per_img=MOST,
    )
    images = dict(
        type="DetDataPreprocessor",
        mean=list(MEAN_RGB),
        std=list(std),
        bgr_to_rgb=True,
        pad_size_divisor=1,
    )
    return ConfigDict(  # a plain dict would only fail in `predict`
        type="SingleStageDetector",
        data_preprocessor=images,
        backbone=backbone,
        neck=neck,
        bbox_head=head,
        train_cfg=train,
        test_cfg=test,
    )


def _built(config: ConfigDict) -> SingleStageDetector:
    """Build and initialise a detector."""
    with DefaultScope.overwrite_default_scope("mmdet"):
        detector = MODELS.build(config)
    # mmengine writes three lines a parameter to the current logger
    if not MMLogger.check_instance_created("losstap"):
        MMLogger.get_instance("losstap", log_level="ERROR")
    detector.entries = (
        "backbone",
        "neck",
        "bbox_head",
    )  # what `features` and the head's users call: `models.training.compiling`
    detector.init_weights()  # mandatory: until then the L2 norm's weight is uninitialised memory
    return detector
