"""Train, pool and test views of detection data, in VOC's or COCO's form, as mmdet reads it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mmengine.dataset import Compose, ConcatDataset
from mmengine.registry import DefaultScope

# installs the operators that mmdet needs, so it comes before mmdet
from models.networks import ssd  # noqa: F401
from tasks.data import first_fault_raised
from tasks.detection.coco import Coco
from tasks.detection.others import left_out
from tasks.detection.voc_files import Pair, pairs
from tasks.detection.voc_xml import declared_size, read_xml, uneven
from tasks.images import read_header

from mmdet.datasets import CocoDataset, XMLDataset  # isort: skip

Format = Literal["voc", "coco"]
UNEVEN = (
    "{} boxes have a corner at 0 or a fraction: read as mmdet does, as 1-based whole pixels, "
    "fractions cut off"
)


class VocBoxes(XMLDataset):
    """Samples of VOC's form wherever they lie, read as mmdet reads them.

    Args:
        pairs: the samples in order.
        options: mmdet's.
    """

    def __init__(self, pairs: Sequence[Pair], **options: Any) -> None:
        self._pairs = pairs
        self._left: Counter[str] = Counter()
        self._uneven = 0
        super().__init__(**options)
        self.notes: list[str] = []
        if pairs:
            self.notes += left_out(pairs[0].xml.parent, self._left)
        if self._uneven:
            self.notes.append(f"{pairs[0].xml.parent}: {UNEVEN.format(f'{self._uneven:,}')}")
        self._pairs = ()

    def load_data_list(self) -> list[dict]:
        """A record of each sample, as mmdet's own."""
        self.cat2label = {name: label for label, name in enumerate(self.metainfo["classes"])}
        return [self._record(pair) for pair in self._pairs]

    def _record(self, pair: Pair) -> dict:
        tree = first_fault_raised(read_xml(pair.xml, pair.no_xml))
        size = first_fault_raised(declared_size(tree, str(pair.xml)))
        width, height = size or first_fault_raised(read_header(pair.image, pair.no_image)).size
        boxes = self._parse_instance_info(tree, minus_one=True)
        for item in tree.findall("object"):
            name = item.findtext("name", "")
            box = item.find("bndbox")
            if name not in self.cat2label:
                self._left[name] += 1
            elif box is not None:
                self._uneven += uneven(box)
        paths = dict(img_path=str(pair.image), img_id=pair.name, xml_path=str(pair.xml))
        return paths | dict(height=height, width=width, instances=boxes)


class CocoBoxes(CocoDataset):
    """mmdet's data set over annotations that were read before."""

    def __init__(self, coco: Coco, **options: Any) -> None:
        self._coco = coco
        self.notes = coco.notes
        super().__init__(**options)

    def load_data_list(self) -> list[dict]:
        """A dict for each image, in their order, as `CocoDataset` makes it."""
        coco = self.__dict__.pop("_coco")  # workers get a copy of the data set
        self.cat_ids = [category["id"] for category in coco.categories]
        self.cat2label = {number: label for label, number in enumerate(self.cat_ids)}
        boxes: dict[int, list[dict]] = {image["id"]: [] for image in coco.images}
        for annotation in coco.annotations:
            boxes[annotation["image_id"]].append(annotation)
        raw = [
            dict(raw_img_info={**i, "img_id": i["id"]}, raw_ann_info=boxes[i["id"]])
            for i in coco.images
        ]
        return [self.parse_data_info(info) for info in raw]


def read_voc(
    root: Path, lists: Sequence[str], classes: Sequence[str], pipeline: list[dict], train: bool
) -> ConcatDataset:
    """Read annotations: every image of the lists, in the lists' order.

    Nothing is filtered or replaced.
    """
    first: dict[Path, str] = {}
    samples = [first_fault_raised(pairs(root, entry, first)) for entry in lists]
    with DefaultScope.overwrite_default_scope("mmdet"):
        parts = [VocBoxes(some, **_options(classes, pipeline, train)) for some in samples]
    return ConcatDataset(parts, ignore_keys=["dataset_type"])


def read_coco(coco: Coco, root: Path, pipeline: list[dict], train: bool) -> ConcatDataset:
    """The same for COCO: every image, in the order of the jsons."""
    options = _options([category["name"] for category in coco.categories], pipeline, train)
    with DefaultScope.overwrite_default_scope("mmdet"):
        part = CocoBoxes(coco, data_root=str(root), data_prefix=dict(img=""), **options)
    return ConcatDataset([part], ignore_keys=["dataset_type"])


def _options(classes: Sequence[str], pipeline: list[dict], train: bool) -> dict[str, Any]:
    names = dict(classes=tuple(classes))
    return dict(
        metainfo=names, pipeline=pipeline, test_mode=not train, filter_cfg=None, max_refetch=0
    )


def kept(dataset: ConcatDataset, chosen: Sequence[bool]) -> ConcatDataset:
    """The samples that are `chosen`, in order.

    `dataset` itself is cut down, as mmengine's copy mixes up data sets.
    """
    flags = iter(chosen)
    for part in dataset.datasets:
        part.get_subset_([i for i in range(len(part)) if next(flags)])
    return ConcatDataset(dataset.datasets, ignore_keys=["dataset_type"])


def labeled_as(dataset: ConcatDataset, boxes: Sequence[list[dict]]) -> ConcatDataset:
    """The same samples with other boxes, one list a sample; `dataset` stays as it is."""
    given = iter(boxes)
    parts = [copy.copy(part) for part in dataset.datasets]
    for part in parts:
        infos = [part.get_data_info(i) for i in range(len(part))]
        part.data_list = [{**info, "instances": next(given)} for info in infos]
        part.data_bytes, part.data_address = part._serialize_data()
    return ConcatDataset(parts, ignore_keys=["dataset_type"])


def seen_as_at_test_time(dataset: ConcatDataset, pipeline: list[dict]) -> ConcatDataset:
    """The same samples in the same order through the test pipeline.

    The annotations are shared, not read again.
    """
    parts = [copy.copy(part) for part in dataset.datasets]
    with DefaultScope.overwrite_default_scope("mmdet"):
        for part in parts:
            part.pipeline = Compose(pipeline)
            part.test_mode = True
    return ConcatDataset(parts, ignore_keys=["dataset_type"])
