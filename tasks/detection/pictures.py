"""The images of detection and their boxes, as the data sets of training, pool and test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Literal

from mmengine.dataset import ConcatDataset
from torch.utils.data import Dataset

from tasks.base import Read, Source, Split
from tasks.data import canonical, drawn, even, first_fault_raised, spread
from tasks.detection import pipelines, views
from tasks.detection.coco import Coco, read_coco
from tasks.detection.noise import Drawn, drawn_by
from tasks.detection.others import Others
from tasks.noise import Annotator


@dataclass
class Pictures:
    """The images of both splits, whose annotations are read once.

    Args:
        root: folder of the data.
        format: ``"voc"`` or ``"coco"``.
        lists: of each split, "train" and "test".
        classes: names in label order.
        others: boxes of other classes are a fault, or are left out.
        canvas: the network's input.
        augmentation: of training views; see `pipelines.train_pipeline`.
        difficult: what becomes of boxes marked difficult in training.
        test_share: share of the images of `train` that is drawn as the test set; None draws none.
        split_seed: of that draw.
        test_limit: so many test images alone; None means all.
        annotator: whose boxes are learned; None takes the true ones.
    """

    root: Path
    format: views.Format
    lists: dict[str, tuple[str, ...]]
    classes: tuple[str, ...]
    others: Others
    canvas: pipelines.Canvas
    augmentation: pipelines.Augmentation
    difficult: pipelines.Difficult
    test_share: float | None
    split_seed: int
    test_limit: int | None
    annotator: Annotator | None = None

    @cached_property
    def train(self) -> ConcatDataset:
        """The pool's images for training, with their true boxes."""
        steps = pipelines.train_pipeline(self.augmentation, self.canvas, self.difficult)
        return self._read("train", steps)

    @cached_property
    def tested(self) -> ConcatDataset:
        """All test images, also where `test_limit` takes few."""
        return self._read("test", pipelines.test_pipeline(self.canvas, self.difficult))

    def _read(self, split: Literal["train", "test"], pipeline: list[dict]) -> ConcatDataset:
        if self.format == "voc":
            whole = views.read_voc(
                self.root, self.lists[split], self.classes, pipeline, split == "train"
            )
        else:
            coco = self.truth if split == "test" else self._coco(split)
            whole = views.read_coco(coco, self.root, pipeline, split == "train")
        if self.test_share is None:
            return whole
        names = [self._path(whole.get_data_info(i)).as_posix() for i in range(len(whole))]
        tested = drawn(names, self.test_share, self.split_seed)
        return views.kept(whole, [one == (split == "test") for one in tested])

    @cached_property
    def truth(self) -> Coco:
        """The content of the test set's jsons, for the data set and for its evaluation."""
        return self._coco("test")

    @cached_property
    def pool_truth(self) -> Coco:
        """The same of the pool, for its evaluation."""
        return self._coco("train")

    def _coco(self, split: str) -> Coco:
        return first_fault_raised(
            read_coco(self.root, self.lists[split], self.classes, self.others)
        )

    @cached_property
    def drawn(self) -> list[Drawn] | None:
        """What people drew on each image of the pool; None where that is the truth."""
        if self.annotator is None:
            return None
        count = len(self.classes)
        infos = self.infos("pool")
        return [drawn_by(self.annotator, i, str(self._path(i)), count) for i in infos]

    def dataset(self, split: Split) -> Dataset:
        """See `tasks.base.Task`."""
        return {
            "train": lambda: self._taught,
            "pool": lambda: self._pool,
            "test": lambda: self._test,
        }[split]()

    @cached_property
    def _taught(self) -> ConcatDataset:
        """What is trained on."""
        if self.drawn is None:
            return self.train
        return views.labeled_as(self.train, [one.boxes for one in self.drawn])

    @cached_property
    def _pool(self) -> ConcatDataset:
        steps = pipelines.test_pipeline(self.canvas, self.difficult)
        return views.seen_as_at_test_time(self.train, steps)

    @cached_property
    def _test(self) -> Dataset:
        return self.tested if self.test_limit is None else spread(self.tested, self.test_limit)

    def info(self, index: int) -> dict:
        """The record that mmdet made of a sample of the pool, without its pixels."""
        return self.train.get_data_info(index)

    def infos(self, split: Read) -> Iterator[dict]:
        """The records of all samples."""
        if split == "pool":
            return map(self.info, range(len(self.train)))
        kept = even(len(self.tested), self.test_limit)
        return map(self.tested.get_data_info, kept)

    def name(self, index: int) -> str:
        """The path of an image of the pool below `root`."""
        return str(self._path(self.info(index)))

    def _path(self, info: dict) -> PurePath:
        return PurePath(os.path.relpath(info["img_path"], self.root))

    def sourced(self, split: Read) -> list[Source]:
        """The images, with the boxes of each in sorted order; see `tasks.base.Sourced`."""
        return [self._source(info) for info in self.infos(split)]

    def _source(self, info: dict) -> Source:
        boxes = sorted(
            [self.classes[box["bbox_label"]], *map(float, box["bbox"]), int(box["ignore_flag"])]
            for box in info["instances"]
        )
        return Source(Path(info["img_path"]), canonical(boxes=boxes))
