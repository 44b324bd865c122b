"""A detector of mmdet as mmdet builds it: from a blueprint, with the weights that are asked for.

What follows its maps, losses and boxes, is in `mmdet_heads.py`.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor

from models.networks import weights
from models.networks.mmdet_config import (
    Blueprint,
    DetectorError,
    of_classes,
    parts,
    pretrained_parts,
)
from models.networks.mmdet_heads import Heads
from models.networks.ssd_head import NumberedCoder, NumberedSSDHead
from models.networks.weights import WeightsError
from models.output import Tap
from models.process.seeding import seeded

from mmdet.models.detectors import BaseDetector  # isort: skip
from mmdet.registry import MODELS  # isort: skip
from mmdet.structures import DetDataSample  # isort: skip

# of mmdet 3.3 under current torch, in every forward pass
warnings.filterwarnings("ignore", category=FutureWarning, module=r"mmdet\.")
warnings.filterwarnings("ignore", message="torch.meshgrid: in an upcoming release")

FEW = 128  # px: side of the image that a detector is tried on
QUERIES = 256  # px: the same where queries are chosen among the places of its maps
FIXED = 320  # px: networks for images up to this size may take no smaller ones
FLEETING = ("training", "epoch")  # of modules: what is set anew for each loss
OWN = ("bbox_head.", "roi_head.")  # names of weights that depend on the classes begin so


def build(plan: Blueprint, num_classes: int, pretrained: str | None = None) -> BaseDetector:
    """A fresh detector; the caller seeds.

    Args:
        plan: of its config.
        num_classes: without background.
        pretrained: ``"backbone"``, the weights that the config names for its parts, mostly of
            ImageNet; ``"detector"``, those of the whole detector, as mmdet trained it; an address
            or a path of such weights; None leaves all weights random, and then trains the parts
            of the backbone, too, that the config freezes for weights of ImageNet.

    Raises:
        WeightsError: if there are no such weights, or they cannot be had.
        DetectorError: if mmdet cannot build it.
    """
    model = of_classes(plan.model, num_classes)
    _number_priors(model)
    if pretrained == "backbone":
        for part in pretrained_parts(model):
            part["checkpoint"] = str(weights.locate(part["checkpoint"]))
    else:
        _forget_weights(model)
    if pretrained is None:
        _train_all(model["backbone"])
    if not MMLogger.check_instance_created("losstap"):  # else it tells three lines a parameter
        MMLogger.get_instance("losstap", log_level="ERROR")
    try:
        with DefaultScope.overwrite_default_scope("mmdet"):
            detector = MODELS.build(model)
    except Exception as error:  # a config is anybody's
        raise DetectorError(
            f"{plan.name} cannot be built: {type(error).__name__}: {str(error)[:300]}"
        ) from error
    # what `features` calls: `models.training.compiling`
    detector.entries = tuple(name for name in ("backbone", "neck") if hasattr(detector, name))
    detector.init_weights()
    if not torch.cuda.is_available():  # several processes share statistics on GPUs alone
        detector = revert_sync_batchnorm(detector)
    if pretrained not in (None, "backbone"):
        found = torch.load(_of_detector(plan, pretrained), map_location="cpu", weights_only=True)
        state = found.get("state_dict", found)
        own = detector.state_dict()
        fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
        detector.load_state_dict(fitting, strict=False)
    return detector


def _number_priors(model: ConfigDict) -> None:
    """Let an SSD head tell the priors of its boxes, which are softmax distributions then."""
    head = model.get("bbox_head")
    if isinstance(head, dict) and head.get("type") == "SSDHead":
        coder = head.get("bbox_coder") or dict(type="DeltaXYWHBBoxCoder")
        if coder["type"] == "DeltaXYWHBBoxCoder":
            head["type"] = NumberedSSDHead
            head["bbox_coder"] = {**coder, "type": NumberedCoder}


def _forget_weights(model: ConfigDict) -> None:
    for part in parts(model):
        own = part.get("init_cfg")
        if isinstance(own, dict) and own.get("type") == "Pretrained":
            part["init_cfg"] = None


def _train_all(backbone: ConfigDict) -> None:
    """Freeze nothing, as mmdet's own configs for training from scratch do."""
    scratch = {"frozen_stages": -1, "norm_eval": False}
    for key, value in scratch.items():
        if key in backbone:
            backbone[key] = value
    norm = backbone.get("norm_cfg")
    if isinstance(norm, dict) and "requires_grad" in norm:
        norm["requires_grad"] = True


def _of_detector(plan: Blueprint, pretrained: str) -> Path:
    if pretrained != "detector":
        return weights.locate(pretrained)
    if plan.checkpoint is None:
        raise WeightsError(f"Expected a config that names its weights, but {plan.name} names none")
    return weights.locate(plan.checkpoint)


def weights_of(plan: Blueprint, pretrained: str | None) -> list[str]:
    """The files, addresses and names of the weights that `build` loads; nothing is downloaded."""
    if pretrained == "backbone":
        return [part["checkpoint"] for part in pretrained_parts(plan.model)]
    if pretrained == "detector":
        pretrained = plan.checkpoint
    return [] if pretrained is None else [pretrained]


def weight_findings(
    plan: Blueprint, num_classes: int, pretrained: str | None
) -> tuple[list[str], list[str]]:
    """Faults of the weights that are asked for, and notes; downloads them.

    A note says which weights of another number of classes are left out.
    """
    try:
        if pretrained == "backbone":
            named = pretrained_parts(plan.model)
            if not named:
                raise WeightsError(
                    f"Expected a config that names weights of ImageNet, but {plan.name} names none"
                )
            for part in named:
                weights.locate(part["checkpoint"])
        elif pretrained is not None:
            path = _of_detector(plan, pretrained)
            with seeded(0):
                own = build(plan, num_classes).state_dict()
            return [], _left_out(path, own)
    except WeightsError as error:
        return [f"task.pretrained: {error}"], []
    return [], []


def _left_out(path: Path, own: dict[str, Tensor]) -> list[str]:
    """A note of what a file of weights has for other classes.

    Raises:
        WeightsError: if it lacks anything else.
    """
    lacking = weights.missing(path, own)
    others = [name for name in lacking if not name.startswith(OWN)]
    if others or len(lacking) == len(own):
        raise WeightsError(
            f"Expected weights of this detector in {path}, but it lacks {len(others)} of "
            f"{len(own)}, such as {others[:3]}"
        )
    if not lacking:
        return []
    return [
        f"task.pretrained: {len(lacking)} of {len(own)} weights in {path} are of other classes and "
        f"begin at random: {', '.join(lacking[:3])}" + ", ..." * (len(lacking) > 3)
    ]


def declare_taps(plan: Blueprint, detector: BaseDetector) -> tuple[Tap, ...]:
    """The maps that the neck hands to the head, the finest first, known without data.

    Args:
        plan: of the detector.
        detector: built of it; it is in evaluation mode afterwards.

    Raises:
        DetectorError: if it does not hand out a map an image.
    """
    side = _side(plan)
    detector.eval()
    try:
        with torch.no_grad():
            maps = features(detector, torch.zeros(2, 3, side, side))
    except Exception as error:
        raise _untrainable(plan, error) from error
    if any(len(one) != 2 or one.dim() != 4 for one in maps):
        shapes = [tuple(one.shape) for one in maps]
        raise DetectorError(
            f"{plan.name} cannot be used: expected maps (2, C, H, W) of 2 images, but got {shapes}"
        )
    return tuple(Tap(f"level{k}", one.shape[1]) for k, one in enumerate(maps))


def features(detector: BaseDetector, images: Tensor) -> tuple[Tensor, ...]:
    """The maps of normalised images (B, 3, H, W) that the heads see."""
    maps = detector.extract_feat(images)
    return tuple(maps) if isinstance(maps, list | tuple) else (maps,)


def try_out(plan: Blueprint, num_classes: int) -> None:
    """Train and predict on two drawn images, one of them without boxes, with random weights.

    Raises:
        DetectorError: if that fails, as where an operator is missing, or if a loss depends on
            losses before it.
    """
    with seeded(0):
        detector = build(plan, num_classes)
        side = _side(plan)
        images = torch.randn(2, 3, side, side)
        samples = [_sample(0, side, [[side / 8, side / 8, side / 2, side / 2]]), _sample(1, side)]
        try:
            heads = Heads(detector, features(detector, images), samples)
            before = _memory(detector)
            heads.batch_loss()
            changed = [name for name, value in _memory(detector).items() if value != before[name]]
            detector.eval()
            with torch.no_grad():
                heads = Heads(detector, features(detector, images), samples)
                heads.image_losses()
                heads.distributions()
        except Exception as error:
            raise _untrainable(plan, error) from error
    if changed:
        raise DetectorError(
            f"{plan.name} ({plan.model['type']}) keeps numbers from one batch to the next outside "
            f"of its weights ({', '.join(changed)}), so that an image's loss would depend on what "
            "was seen before, and a resumed training would end otherwise"
        )


def _memory(detector: BaseDetector) -> dict[str, str]:
    """What modules hold beside weights, as text: numbers, and lists of them."""
    memory = {}
    for path, module in detector.named_modules():
        for name, value in vars(module).items():
            if name not in FLEETING and isinstance(value, int | float | list | tuple):
                memory[f"{path}.{name}"] = repr(value)
    return memory


def _side(plan: Blueprint) -> int:
    """Side of an image to try a detector on, in pixels."""
    fixed = plan.size is not None and max(plan.size) <= FIXED
    necks = [part.get("type") for part in parts(plan.model.get("neck"))]
    if plan.size is not None and (fixed or "SSDNeck" in necks):
        return max(plan.size)
    return QUERIES if plan.model.get("num_queries") else FEW


def _sample(number: int, side: int, boxes: list[list[float]] | None = None) -> DetDataSample:
    shape = (side, side)
    meta: dict[str, Any] = dict.fromkeys(
        ("ori_shape", "img_shape", "pad_shape", "batch_input_shape"), shape
    )
    sample = DetDataSample(metainfo=dict(img_id=number, scale_factor=(1.0, 1.0), **meta))
    corners = torch.tensor(boxes or [], dtype=torch.float32).reshape(-1, 4)
    labels = torch.zeros(len(corners), dtype=torch.long)
    sample.gt_instances = InstanceData(bboxes=corners, labels=labels)
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=labels[:0])
    return sample


def _untrainable(plan: Blueprint, error: Exception) -> DetectorError:
    kind = plan.model["type"]
    return DetectorError(
        f"{plan.name} ({kind}) cannot be trained here: {type(error).__name__}: {str(error)[:300]}"
    )
