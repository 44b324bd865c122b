"""The detection task: SSD, its per-image loss, and boxes in VOC's or COCO's form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric
from PIL import Image
from torch.utils.data import Dataset

from models.networks import ssd
from models.output import Output
from models.process.progress import track
from tasks.base import Batch, Read, Source, Split
from tasks.coco_json import settings_on
from tasks.detection import pipelines, views
from tasks.detection.classes import CLASSES
from tasks.detection.coco import coco_faults
from tasks.detection.deployment import BoxDeployment
from tasks.detection.drawing import drawn as thumbnail
from tasks.detection.judged import (
    HANDED_OUT,
    JUDGED,
    Boxes,
    box_faults,
    box_notes,
    boxes_of,
    crowded,
)
from tasks.detection.metrics import MOST, CocoMap, VocMap, beside_truth
from tasks.detection.networks import network_of
from tasks.detection.noise import MEANT
from tasks.detection.others import Others
from tasks.detection.pictures import Pictures
from tasks.detection.voc_faults import voc_faults
from tasks.detection.voc_files import litter_notes
from tasks.images import ImageCheck
from tasks.labelable import UNJUDGED, LabelFiles, Labeling, Unlabeled
from tasks.noise import Annotator, Noisy

# after models.networks.ssd, which installs the operators that mmdet needs
from mmdet.models.detectors import BaseDetector  # isort: skip
from mmdet.structures import DetDataSample  # isort: skip


class Detection:
    """Object detection with SSD or any detector of mmdet.

    Args:
        data_root: folder of the data, such as VOC's devkit (holding VOC2007, VOC2012); what follows
            lies below it.
        format: ``"voc"``, an XML for each image, or ``"coco"``, COCO's json.
        train: lists of the pool: ``"VOC2007/trainval"``, ``"train"`` (a folder with images and XML)
            or ``"images:annotations"`` (two folders); for COCO ``"<image folder>:<json>"``. See
            `docs/data.md`.
        test: lists of the test set, in the same form.
        classes: names in label order; ``"voc"`` and ``"coco"`` are those of the data sets.
        network: ``"ssd300_vgg16"``; ``"small_ssd"`` for 128-pixel images; or
            ``dict(type="mmdet", config="retinanet/retinanet_r50_fpn_1x_coco.py")`` for any detector
            that mmdet has a config of, with the settings of `mmdet_network.MmdetSettings`.
        pretrained: weights to begin with. ``"backbone"``: of the backbone on ImageNet, as the
            network's config names them, downloaded on first use; ``"detector"``: of the whole
            detector, as mmdet trained it; None: random; or the address or the path of weights, of
            VGG-16 for SSD300 and of a whole detector for mmdet's.
        image_loss: of the SSDs here: an image's loss divided by its own matched priors
            (``"mean"``) or not (``"sum"``: ranks crowded images first). Training uses the same
            loss.
        difficult: boxes marked difficult (crowds in COCO) in training: ``"ignore"`` takes priors
            that overlap them as neither positive nor negative; ``"train"`` trains on them.
            Evaluation never counts them.
        augmentation: ``"ssd"``, ``"mmdet"``, ``"flip"`` or ``"none"``; see
            `pipelines.train_pipeline`.
        eval_mode: VOC's AP by ``"11points"`` (VOC2007) or ``"area"``.
        test_share: the share of the images of `train` that is drawn as the test set, in place of
            `test`.
        split_seed: of that draw.
        others: boxes of classes that `classes` lacks are a ``"fault"``, or left out knowingly:
            ``"drop"``.
        test_limit: evaluate on so many test images alone, evenly spread over all, for smoke runs;
            None means all.
        unlabeled: a pool or a test set without any box is a ``"fault"``, or taken as not labeled
            yet: ``"kept"``. An image without boxes looks like one that has none to draw, so what is
            trained on must be chosen by whoever knows.
    """

    metric = "mAP"

    def __init__(
        self,
        data_root: str,
        train: Sequence[str],
        test: Sequence[str] = (),
        format: views.Format = "voc",
        classes: Literal["voc", "coco"] | Sequence[str] = "voc",
        network: str | dict[str, Any] = "ssd300_vgg16",
        pretrained: str | None = "backbone",
        image_loss: ssd.ImageLoss = "mean",
        difficult: pipelines.Difficult = "ignore",
        augmentation: pipelines.Augmentation = "ssd",
        eval_mode: Literal["11points", "area"] = "11points",
        test_limit: Annotated[int, Ge(1)] | None = None,
        test_share: Annotated[float, Gt(0), Lt(1)] | None = None,
        split_seed: Annotated[int, Ge(0)] = 0,
        others: Others = "fault",
        unlabeled: Unlabeled = "fault",
    ) -> None:
        self.root = Path(data_root).expanduser()
        self.format = format
        self.classes = tuple(CLASSES[classes] if isinstance(classes, str) else classes)
        self.others = others
        self.lists = {"train": tuple(train), "test": tuple(test)}
        if test_share is not None:
            self.lists["test"] = self.lists["train"]
        self.test_share = test_share
        self.test_limit = test_limit
        self._both = bool(test) and test_share is not None
        self._network = network_of(network, len(self.classes), pretrained, image_loss)
        self.taps = self._network.taps
        self.fields = self._network.fields
        self.no_committee = self._network.no_committee
        self.difficult = difficult
        self.eval_mode = eval_mode
        self.unlabeled = unlabeled
        self.pictures = Pictures(
            self.root,
            format,
            self.lists,
            self.classes,
            others,
            self._network.canvas,
            augmentation,
            difficult,
            test_share,
            split_seed,
            test_limit,
        )
        # of the last check
        self._looks: list[ImageCheck] = []
        self._network_notes: list[str] = []

    def check(self, full: bool = False) -> list[str]:
        """Return the faults of both splits' files and of the weights, which it downloads."""
        find = voc_faults if self.format == "voc" else coco_faults
        shown = partial(track, what="checking the data")
        faults = self._list_faults()
        self._looks = []
        for lists in dict.fromkeys(filter(None, self.lists.values())):
            look = ImageCheck(full)
            self._looks.append(look)
            faults += find(
                self.root, lists, self.classes, others=self.others, look=look, progress=shown
            )
        faults = list(dict.fromkeys(faults))  # what both splits lack is one fault
        if len(set(self.classes)) != len(self.classes):
            faults.append(f"task.classes: expected each name once, but got {self.classes}")
        if not faults and self.unlabeled == "fault":
            faults += box_faults(
                self._pool_boxes, self._test_boxes, self.test_limit, self.test_share
            )
        network_faults, self._network_notes = self._network.findings()
        return faults + network_faults

    def _list_faults(self) -> list[str]:
        faults = []
        if not self.lists["train"]:
            faults.append("task.train: expected lists or folders, but got none; name them")
        if not self.lists["test"]:
            remedy = (
                "name them, or set task.test_share=0.2 to draw that share of the images of `train`"
            )
            faults.append(f"task.test: expected lists or folders, but got none; {remedy}")
        if self._both:
            expected = "None beside `test`, as it draws the test set from `train`"
            faults.append(
                f"task.test_share: expected {expected}, but got {self.test_share}; set one of the "
                "two alone"
            )
        return faults

    def notes(self) -> list[str]:
        """Return notes on data that are valid but unusual.

        They name skipped files, values that are read differently than written, classes and images
        without boxes, and images with too many boxes.
        """
        notes = [note for look in self._looks for note in look.notes()]
        if self.format == "voc":
            for lists, split in {self.lists["test"]: "test", self.lists["train"]: "train"}.items():
                # once where the test set is drawn from `train`
                notes += litter_notes(self.root, lists, split)
        for whole in (self.pictures.train, self.pictures.tested):
            for part in whole.datasets:
                notes += part.notes
        notes += box_notes(self._pool_boxes, self._test_boxes, self.classes)
        notes += self._network_notes
        if self.pictures.annotator is not None:
            notes += self.pictures.annotator.rates.idle(MEANT)
        limits = {HANDED_OUT: self._network.most}
        if self.format == "coco":
            limits[JUDGED] = MOST
        return [*dict.fromkeys(notes), *crowded(self.pictures.infos("test"), limits)]

    @property
    def _pool_boxes(self) -> Boxes:
        return boxes_of(self.pictures.infos("pool"), ignored=self.difficult == "ignore")

    @property
    def _test_boxes(self) -> Boxes:
        return boxes_of(self.pictures.infos("test"), ignored=True)

    def noisy(self, oracle: Noisy, seed: int) -> None:
        """Learn from boxes as people draw them; see `tasks.noise.Fallible`."""
        self.pictures.annotator = Annotator(oracle, seed)

    def altered(self, index: int) -> bool:
        """Whether a box is missed, doubled or of a wrong class; see `tasks.noise.Fallible`."""
        drawn = self.pictures.drawn
        return drawn is not None and drawn[index].altered

    def dataset(self, split: Split) -> Dataset:
        """See `tasks.base.Task`; annotations are read once."""
        return self.pictures.dataset(split)

    def collate(self, samples: Sequence[Any]) -> Batch:
        """A list of images (3, H, W) and a list of `DetDataSample`, as mmdet wants them."""
        return pseudo_collate(samples)

    def build(self) -> BaseDetector:
        """A fresh detector, mmdet's own."""
        return self._network.build()

    def forward(self, network: BaseDetector, batch: Batch, want: frozenset[str]) -> Output:
        """Return the maps that the heads see as taps, and the wanted fields.

        These are the loss of each image, the distributions of its boxes, and what training
        minimises where that is not the mean of the losses.
        """
        return self._network.output(network, batch, want)

    def predict(self, network: BaseDetector, batch: Batch) -> list[DetDataSample]:
        """Return boxes in the pixels of the image as it is on disk, beside its annotation."""
        predicted = self._network.boxes(network, batch)
        return [beside_truth(*pair) for pair in zip(batch["data_samples"], predicted, strict=True)]

    def evaluator(self) -> BaseMetric:
        """mAP as VOC or COCO defines it."""
        if self.format == "voc":
            return VocMap(self.classes, self.eval_mode)
        return CocoMap(self.pictures.truth)

    def pool_evaluator(self) -> BaseMetric:
        """The same over images of the pool; see `tasks.base.Validated`."""
        if self.unlabeled == "kept":
            raise ValueError(UNJUDGED)
        if self.format == "voc":
            return self.evaluator()
        return CocoMap(self.pictures.pool_truth)

    def labels(self) -> tuple[str, ...]:
        """The classes; see `tasks.deployable.Deployable`."""
        return self.classes

    def deployment(self, labels: Sequence[str]) -> BoxDeployment:
        """The network outside of a run; see `tasks.deployable.Deployable`."""
        return BoxDeployment(self._network, self.classes, labels)

    def labeling(self) -> Labeling:
        """Boxes of the classes; see `tasks.labelable.Labelable`."""
        return Labeling("boxes", self.classes)

    @classmethod
    def on_labels(cls, files: LabelFiles) -> dict[str, Any]:
        """COCO's form; see `tasks.labelable.Labelable`."""
        return settings_on(files) | {"others": "fault"}

    def name(self, index: int) -> str:
        """The path of the image below `data_root`."""
        return self.pictures.name(index)

    def effort(self, index: int) -> int:
        """Return the number of an image's annotated boxes, difficult ones included."""
        if self.pictures.drawn is not None:
            return len(self.pictures.drawn[index].boxes)
        return len(self.pictures.info(index)["instances"])

    def traits(self, index: int) -> dict[str, list[str] | list[float]]:
        """Classes and sizes of the boxes, difficult ones included; see `tasks.base.Described`."""
        info = self.pictures.info(index)
        boxes = info["instances"]
        area = info["width"] * info["height"]
        sizes = [
            math.sqrt((x2 - x1) * (y2 - y1) / area)
            for x1, y1, x2, y2 in (box["bbox"] for box in boxes)
        ]
        classes = [self.classes[box["bbox_label"]] for box in boxes]
        return {"class": classes, "size of a box (as a share of the image's side)": sizes}

    def sources(self, split: Read) -> list[Source]:
        """The images, with the boxes of each in sorted order; see `tasks.base.Sourced`."""
        return self.pictures.sourced(split)

    def pinned(self) -> dict[str, Any]:
        """What a config of mmdet says, and the hashes of weights; see `tasks.base.Pinned`."""
        return self._network.pinned()

    def thumbnail(self, index: int) -> Image.Image:
        """The image with its boxes and class names."""
        return thumbnail(self.pictures.info(index), self.classes)
