"""The classes of data sets whose name stands for them in a config."""

from __future__ import annotations

# installs the operators that mmdet needs, so it comes before mmdet
from models.networks import ssd  # noqa: F401

from mmdet.datasets import CocoDataset  # isort: skip

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
CLASSES = {"voc": VOC_CLASSES, "coco": CocoDataset.METAINFO["classes"]}
