"""The networks of the detection task: the suite's own SSDs, and any detector of mmdet.

A network says what its maps and its input are, builds itself, and turns a batch into an `Output`
and boxes. What differs between detectors is here; the adapter does not know which one it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, ClassVar, Literal, Protocol, get_args

import torch
from annotated_types import Ge
from mmengine.structures import InstanceData
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from torch import Tensor

from models.networks import mmdet_detector, ssd, weights
from models.networks.mmdet_config import DetectorError, as_data, blueprint
from models.networks.mmdet_heads import Empty, Heads, rows_correspond
from models.output import Output, Tap
from models.process.seeding import seeded
from models.process.text import nearest
from tasks.base import Batch
from tasks.detection.counted import counted
from tasks.detection.found import BOXES, Found, std_of, with_boxes
from tasks.detection.views import Canvas

# after models.networks.ssd, which installs the operators that mmdet needs
from mmdet.models.detectors import BaseDetector, SingleStageDetector  # isort: skip

OwnNetwork = Literal["ssd300_vgg16", "small_ssd"]
VGG = "open-mmlab://vgg16_caffe"  # as mmdet's config of SSD300 names it
VGG_LAYERS = 30  # the layers of `backbone.features` that are VGG-16's
Side = Annotated[int, Ge(32)]
GIVEN = frozenset({"loss", "probs", "counts"}) | BOXES


class Network(Protocol):
    """What the adapter asks of a network.

    Attributes:
        taps: its maps for the loss-prediction module.
        canvas: how an image becomes its input.
        fields: what `output` can return.
        no_committee: why no committee can be asked; empty if one can.
        most: boxes of an image that are handed out.
    """

    taps: tuple[Tap, ...]
    canvas: Canvas
    fields: frozenset[str]
    no_committee: str
    most: int

    def findings(self) -> tuple[list[str], list[str]]:
        """Faults of the network and of its weights, which are downloaded here; and notes."""
        ...

    def pinned(self) -> dict[str, Any]:
        """See `tasks.base.Pinned`."""
        ...

    def build(self) -> BaseDetector:
        """A fresh network; the caller seeds."""
        ...

    def output(self, network: BaseDetector, batch: Batch, want: frozenset[str]) -> Output:
        """Taps, and the wanted fields."""
        ...

    def boxes(self, network: BaseDetector, batch: Batch) -> list[InstanceData]:
        """The boxes of each image, in the pixels of the image as it is on disk."""
        ...


def network_of(
    given: str | Mapping[str, Any],
    num_classes: int,
    pretrained: str | None,
    image_loss: ssd.ImageLoss = "mean",
) -> Network:
    """The network that a config names.

    Args:
        given: ``"ssd300_vgg16"``, ``"small_ssd"``, or the settings of `MmdetNetwork` with
            ``type="mmdet"``.
        num_classes: without background.
        pretrained: see `tasks.detection.Detection`.
        image_loss: of the suite's own networks.

    Raises:
        ValueError: if there is no such network, or its settings are wrong.
    """
    if isinstance(given, str):
        if given not in get_args(OwnNetwork):
            names = get_args(OwnNetwork)
            raise ValueError(
                f"network: {given!r} is unknown; {nearest(given, names)} For a detector of mmdet "
                'set dict(type="mmdet", config=...)'
            )
        return SSDNetwork(given, num_classes, pretrained, image_loss)
    return MmdetNetwork(_settings(given), num_classes, pretrained)


class SSDNetwork:
    """SSD300 of the paper, or the small one for drawn scenes.

    Arguments as in `network_of`.
    """

    fields = GIVEN
    no_committee = ""
    most = ssd.MOST
    _MADE: ClassVar = {
        "ssd300_vgg16": (ssd.ssd300_vgg16, ssd.SSD300_TAPS, 300),
        "small_ssd": (ssd.small_ssd, ssd.SMALL_TAPS, 128),
    }

    def __init__(
        self, name: str, num_classes: int, pretrained: str | None, image_loss: ssd.ImageLoss
    ) -> None:
        self.name = name
        self.num_classes = num_classes
        self.pretrained = VGG if pretrained == "backbone" else pretrained
        self.image_loss = image_loss
        self._make, self.taps, side = self._MADE[name]
        self.canvas = Canvas(side, side)

    def findings(self) -> tuple[list[str], list[str]]:
        """See `Network`."""
        if self.pretrained is None:
            return [], []
        if self.name == "small_ssd":
            return [
                "task.pretrained: expected None for the network 'small_ssd', but got "
                f"{self.pretrained!r}"
            ], []
        try:
            path = weights.locate(self.pretrained)
            state = self._make(self.num_classes).backbone.state_dict()
            vgg = {k: v for k, v in state.items() if int(k.split(".")[1]) < VGG_LAYERS}
            lacking = weights.missing(path, vgg)
            if lacking:
                raise weights.WeightsError(
                    f"Expected VGG-16's convolutions in {path}, but it lacks {lacking[:3]}"
                )
        except weights.WeightsError as error:
            return [f"task.pretrained: {error}"], []
        return [], []

    def pinned(self) -> dict[str, Any]:
        """The weights that it begins from; see `Network`."""
        return weights.hashes("task.pretrained", [self.pretrained] if self.pretrained else [])

    def build(self) -> SingleStageDetector:
        """See `Network`."""
        path = None if self.pretrained is None else str(weights.locate(self.pretrained))
        return self._make(self.num_classes, self.image_loss, path)

    def output(self, network: SingleStageDetector, batch: Batch, want: frozenset[str]) -> Output:
        """Return the source maps as taps, and the wanted fields.

        These are the loss of each image, the distributions of its priors, and its boxes.
        """
        data = network.data_preprocessor(batch)
        taps, sources = ssd.features(network, data["inputs"])
        if not want & self.fields:
            return Output(taps)
        head, samples = network.bbox_head, data["data_samples"]
        raw = head(sources)
        loss = probs = weight = counts = None
        if "loss" in want:
            loss = head.image_losses(raw, samples)
        if "counts" in want:
            metas = [sample.metainfo for sample in samples]
            found = head.predict_by_feat(*raw, batch_img_metas=metas, rescale=True)
            counts = counted(found, self.num_classes)
        if "probs" in want:
            probs, weight = head.distributions(raw, samples)
        output = Output(taps, loss, probs, weight, counts=counts)
        if not want & BOXES:
            return output

        def again(images: Tensor) -> list[InstanceData]:
            """Predict the boxes of other images."""
            return head.predict(ssd.features(network, images)[1], samples, rescale=False)

        metas = [sample.metainfo for sample in samples]
        boxes = head.predict_by_feat(*raw, batch_img_metas=metas, rescale=False)
        std = std_of(network.data_preprocessor)
        return with_boxes(output, Found(boxes, data, again, std, self.num_classes), want)

    def boxes(self, network: SingleStageDetector, batch: Batch) -> list[InstanceData]:
        """See `Network`."""
        data = network.data_preprocessor(batch)
        _, sources = ssd.features(network, data["inputs"])
        return network.bbox_head.predict(sources, data["data_samples"], rescale=True)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class MmdetSettings:
    """What a config may say of a detector of mmdet.

    Args:
        config: a name among the configs that mmdet brings, the path of one, or a model as a dict;
            see `models.networks.mmdet_config.blueprint`.
        size: (width, height) of the input in pixels; None takes the config's own.
        train_on: what training minimises: ``"batch"``, mmdet's own loss of a batch, so that the
            detector is trained as mmdet trains it; or ``"images"``, the mean of the images' own
            losses, which the loss-prediction module learns in both cases.
        empty_loss: what an image without boxes loses: by mmdet's function (``"own"``: nothing with
            SSD, much with YOLOX; see docs/detectors.md), or nothing (``"zero"``).
    """

    config: str | dict[str, Any]
    size: tuple[Side, Side] | None = None
    train_on: Literal["batch", "images"] = "batch"
    empty_loss: Empty = "own"


def _settings(given: Mapping[str, Any]) -> MmdetSettings:
    """Check the settings of a network by their names and types.

    Raises:
        ValueError: with every problem.
    """
    known = tuple(field.name for field in fields(MmdetSettings))
    if given.get("type") != "mmdet":
        raise ValueError(f"network.type: expected 'mmdet', but got {given.get('type')!r}")
    settings = {key: value for key, value in given.items() if key != "type"}
    others = [str(key) for key in settings if key not in known]
    problems = [f"network.{key}: unknown; {nearest(key, known)}" for key in others]
    if "config" not in settings:
        problems.append('network.config: missing, such as "retinanet/retinanet_r50_fpn_1x_coco.py"')
    try:
        made = TypeAdapter(MmdetSettings).validate_python(settings)
    except ValidationError as error:
        for one in error.errors():
            name = str(one["loc"][0])
            if name in known and one["type"] != "missing":
                problems.append(f"network.{name}: {one['msg']}, but got {one['input']!r}")
    if problems:
        raise ValueError("; ".join(dict.fromkeys(problems)))
    return made


class MmdetNetwork:
    """Any detector of boxes that mmdet has a config of.

    Args:
        settings: of the config.
        num_classes: without background.
        pretrained: ``"backbone"``, ``"detector"``, an address, a path or None; see
            `models.networks.mmdet_detector.build`.

    Raises:
        ValueError: if there is no such detector, or its input's size is not known.
    """

    def __init__(
        self, settings: MmdetSettings, num_classes: int, pretrained: str | None = None
    ) -> None:
        self.settings = settings
        self.num_classes = num_classes
        self.pretrained = pretrained
        try:
            self.plan = blueprint(settings.config)
            size = settings.size or self.plan.size
            if size is None:
                raise DetectorError(
                    f"{self.plan.name} does not say how large its images are; set "
                    "network.size=[width, height]"
                )
            with seeded(0):
                trial = mmdet_detector.build(self.plan, num_classes)
            self.taps = mmdet_detector.declare_taps(self.plan, trial)
        except DetectorError as error:
            raise ValueError(f"network.config: {error}") from error
        self.canvas = Canvas(*size, self.plan.keep_ratio, self.plan.pad)
        self.most = _most(trial)
        self.fields = GIVEN
        if settings.train_on == "batch":
            self.fields |= {"objective"}
        self.no_committee = ""
        if not rows_correspond(trial):
            self.no_committee = (
                f"{self.plan.name} gives one distribution a predicted box, and two passes predict "
                "different boxes, so that their answers cannot be compared"
            )

    def findings(self) -> tuple[list[str], list[str]]:
        """See `Network`: also whether the detector can be trained with the operators here."""
        try:
            mmdet_detector.try_out(self.plan, self.num_classes)
        except DetectorError as error:
            return [f"task.network: {error}"], []
        return mmdet_detector.weight_findings(self.plan, self.num_classes, self.pretrained)

    def pinned(self) -> dict[str, Any]:
        """What the config's file and those that it builds on say, and weights; see `Network`."""
        found = {}
        if isinstance(self.settings.config, str):
            found["task.network.config"] = as_data(self.plan)
        named = mmdet_detector.weights_of(self.plan, self.pretrained)
        return found | weights.hashes("task.pretrained", named)

    def build(self) -> BaseDetector:
        """See `Network`: mmdet's own detector."""
        return mmdet_detector.build(self.plan, self.num_classes, self.pretrained)

    def output(self, network: BaseDetector, batch: Batch, want: frozenset[str]) -> Output:
        """Return the neck's maps as taps, and the wanted fields.

        The images' own losses hold a graph if training minimises their mean.
        """
        data = network.data_preprocessor(batch)
        maps = mmdet_detector.features(network, data["inputs"])
        if not want & self.fields:
            return Output(maps)
        heads = Heads(network, maps, data["data_samples"])
        objective = loss = probs = weight = counts = None
        if "objective" in want:
            objective = heads.batch_loss()
        if "loss" in want:
            with_graph = torch.is_grad_enabled() and "objective" not in want
            with torch.set_grad_enabled(with_graph):
                loss = heads.image_losses(self.settings.empty_loss)
        if "probs" in want:
            probs, weight = heads.distributions()
        if "counts" in want:
            counts = counted(heads.boxes(), self.num_classes)
        output = Output(maps, loss, probs, weight, objective=objective, counts=counts)
        if not want & BOXES:
            return output

        def again(images: Tensor) -> list[InstanceData]:
            """Predict the boxes of other images."""
            others = mmdet_detector.features(network, images)
            return Heads(network, others, data["data_samples"]).boxes(rescale=False)

        boxes, std = heads.boxes(rescale=False), std_of(network.data_preprocessor)
        return with_boxes(output, Found(boxes, data, again, std, self.num_classes), want)

    def boxes(self, network: BaseDetector, batch: Batch) -> list[InstanceData]:
        """See `Network`."""
        data = network.data_preprocessor(batch)
        maps = mmdet_detector.features(network, data["inputs"])
        return Heads(network, maps, data["data_samples"]).boxes()


def _most(detector: BaseDetector) -> int:
    """Boxes of an image that a detector hands out at most, by its settings for tests."""
    config = detector.test_cfg or {}
    config = config.get("rcnn") or config
    return int(config.get("max_per_img") or getattr(detector, "num_queries", None) or ssd.MOST)
