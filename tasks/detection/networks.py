"""The networks of the detection task: the suite's own SSDs, and any detector of mmdet.

A network says what its maps and its input are, builds itself, and turns a batch into an `Output`
and boxes. What differs between detectors is here; the adapter does not know which one it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol, get_args

from mmengine.structures import InstanceData
from torch import Tensor

from models.networks import ssd, weights
from models.output import Output, Tap
from models.process.text import nearest
from tasks.base import Batch
from tasks.detection.counted import counted
from tasks.detection.found import BOXES, GIVEN, Found, std_of, with_boxes
from tasks.detection.mmdet_network import MmdetNetwork, settings_of
from tasks.detection.pipelines import Canvas

# after models.networks.ssd, which installs the operators that mmdet needs
from mmdet.models.detectors import BaseDetector, SingleStageDetector  # isort: skip

OwnNetwork = Literal["ssd300_vgg16", "small_ssd"]
VGG = "open-mmlab://vgg16_caffe"  # as mmdet's config of SSD300 names it
VGG_LAYERS = 30  # the layers of `backbone.features` that are VGG-16's


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
    return MmdetNetwork(settings_of(given), num_classes, pretrained)


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
