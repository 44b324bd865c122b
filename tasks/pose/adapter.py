"""The pose task: a stacked hourglass, squared error of heatmaps, and persons in MPII's form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, MultipleOf
from mmengine.structures import BaseDataElement
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from models.networks.hourglass import STRIDE, StackedHourglass, declare_taps
from models.output import Output
from models.process.progress import track
from tasks.base import Batch, Read, Source, Split
from tasks.data import canonical, even, spread
from tasks.pose import heatmaps as maps
from tasks.pose.deployment import JointDeployment
from tasks.pose.drawing import drawn
from tasks.pose.faults import mpii_faults
from tasks.pose.judged import joint_notes, judging_faults
from tasks.pose.metrics import Pck
from tasks.pose.people import (
    MARGIN,
    MPII_BONES,
    MPII_JOINTS,
    People,
    Truth,
    box_sizes,
    mirrored,
    read_heads,
    read_people,
)
from tasks.pose.places import Distribution, answers, places
from tasks.pose.views import Augmentation, View

THRESHOLDS = {"PCKh": 0.5, "PCK": 0.2}
UNSCORED = ("pelvis", "thorax")  # left out of MPII's mean
MEAN = (0.485, 0.456, 0.406)  # ImageNet's, as HRNet takes them; STD too
STD = (0.229, 0.224, 0.225)


class Pose:
    """Pose estimation of single persons; a sample is a person.

    The pool is in the order of the json.

    Args:
        data_root: folder of the data, holding `images/`.
        train: json of the pool's persons, below `data_root`.
        test: json of the test set's persons.
        heads: .mat with the test persons' head boxes and, for PCKh, the truth itself; None with
            PCK.
        joints: names in the order of the json, whose coordinates are 1-based; "left_x" and
            "right_x" change places in mirrored images. Of MPII's, pelvis and thorax are left out of
            the mean, as in its evaluation.
        stacks: hourglasses in a row.
        features: channels of their maps.
        blocks: residuals in a row.
        depth: how often an hourglass halves the resolution.
        input_size: side of a person's crop in pixels; heatmaps have a quarter of it.
        sigma: standard deviation of the target gaussians in cells of the heatmap.
        pose_loss: a person's loss is the mean over its annotated joints (``"annotated"``), or over
            all joints with unannotated ones as 0 (``"all"``, which ranks persons with few annotated
            joints last).
        distribution: how a joint's heatmap becomes the distribution that `probs` holds; see
            `places.places`. ``"softmax"`` is the plain one, all but uniform, with each cell an
            answer.
        scale: spread of the crops' size in training; this and the next three are explained in
            `views.Augmentation`.
        rotation: spread of their angle in degrees.
        flip: share of the crops that are mirrored.
        colour: spread of the channels' gains.
        flip_test: average the heatmaps with those of the mirrored crop in evaluation.
        measure: ``"PCKh"``, by the size of the head, or ``"PCK"``, by the longer side of the box
            around the joints.
        threshold: how close a joint must be, in these sizes; 0.5 for PCKh and 0.2 for PCK by
            default.
        test_limit: evaluate on so many test persons alone, evenly spread over all, for smoke runs;
            None means all.
    """

    fields = frozenset({"loss", "probs"})

    def __init__(
        self,
        data_root: str,
        train: str = "annot/train.json",
        test: str = "annot/valid.json",
        heads: str | None = "annot/gt_valid.mat",
        joints: Sequence[str] = MPII_JOINTS,
        stacks: Annotated[int, Ge(1)] = 2,
        features: Annotated[int, Ge(4), MultipleOf(4)] = 256,
        blocks: Annotated[int, Ge(1)] = 1,
        depth: Annotated[int, Ge(1)] = 4,
        input_size: Annotated[int, Ge(16)] = 256,
        sigma: Annotated[float, Gt(0)] = 1.0,
        pose_loss: maps.PoseLoss = "annotated",
        distribution: Distribution = "squared",
        scale: Annotated[float, Ge(0), Le(0.9)] = 0.25,
        rotation: Annotated[float, Ge(0), Le(90)] = 30.0,
        flip: Annotated[float, Ge(0), Le(1)] = 0.5,
        colour: Annotated[float, Ge(0), Le(1)] = 0.2,
        flip_test: bool = False,
        measure: Literal["PCKh", "PCK"] = "PCKh",
        threshold: Annotated[float, Gt(0)] | None = None,
        test_limit: Annotated[int, Ge(1)] | None = None,
    ) -> None:
        if input_size % (STRIDE << depth):
            raise ValueError(
                f"input_size: expected a multiple of {STRIDE << depth} for depth {depth}, but got "
                f"{input_size}"
            )
        if len(set(joints)) != len(joints) or not joints:
            raise ValueError(f"joints: expected different names, but got {list(joints)}")
        if measure == "PCKh" and heads is None:
            raise ValueError(
                "heads: expected a .mat with head boxes for PCKh, but got None; or set "
                "measure='PCK'"
            )
        self.root = Path(data_root).expanduser()
        self.lists = {"train": train, "test": test}
        self.heads = heads if measure == "PCKh" else None
        self.joints = tuple(joints)
        self.mirrored = mirrored(self.joints)
        self.settings = {"stacks": stacks, "features": features, "blocks": blocks, "depth": depth}
        self.taps = declare_taps(stacks, features)
        self.input_size = input_size
        self.sigma = sigma
        self.pose_loss = pose_loss
        self.distribution = distribution
        self.reach = max(1, round(sigma))
        self.augmentation = Augmentation(scale, rotation, flip, colour)
        self.flip_test = flip_test
        self.metric = measure
        self.unscored = UNSCORED if self.joints == MPII_JOINTS else ()
        self.threshold = THRESHOLDS[measure] if threshold is None else threshold
        self.test_limit = test_limit
        self._notes: list[str] = []

    def check(self, full: bool = False) -> list[str]:
        """Return the faults of both splits' files."""
        self._notes = []
        faults: list[str] = []
        faults += mpii_faults(
            self.root,
            self.lists,
            len(self.joints),
            self.heads,
            full=full,
            progress=partial(track, what="checking the data"),
            notes=self._notes,
        )
        if not faults:
            path = self.root / self.lists["test"]
            faults += judging_faults(path, self.evaluator(), self._tested, self.test_limit)
        return faults

    def notes(self) -> list[str]:
        """Notes of the last `check`, and on unannotated joints; see `tasks.base.Noted`."""
        joints = joint_notes(self.joints, self._people.annotated, self.evaluator(), self._tested)
        return self._notes + joints

    @property
    def _tested(self) -> list[int]:
        """The persons of the test set, as numbers in its json."""
        return even(len(self._test_people), self.test_limit)

    @cached_property
    def _people(self) -> People:
        return read_people(self.root, self.lists["train"])

    @cached_property
    def _test_people(self) -> People:
        return read_people(self.root, self.lists["test"])

    @cached_property
    def _train(self) -> View:
        return View(self._people, self.input_size, self.mirrored, self.augmentation)

    @cached_property
    def _pool(self) -> View:
        return View(self._people, self.input_size, self.mirrored)

    @cached_property
    def _test(self) -> Dataset:
        test = View(self._test_people, self.input_size, self.mirrored)
        return test if self.test_limit is None else spread(test, self.test_limit)

    def dataset(self, split: Split) -> Dataset:
        """See `tasks.base.Task`; annotations are read once."""
        return {
            "train": lambda: self._train,
            "pool": lambda: self._pool,
            "test": lambda: self._test,
        }[split]()

    def collate(self, samples: Sequence[dict]) -> Batch:
        """The entries of `views.View`, stacked; `image` is (B, 3, size, size) uint8."""
        return default_collate(list(samples))

    def build(self) -> StackedHourglass:
        """A fresh network; its `forward` returns taps and the heatmaps of each stack."""
        return StackedHourglass(len(self.joints), **self.settings)

    def forward(self, network: StackedHourglass, batch: Batch, want: frozenset[str]) -> Output:
        """Return the last maps as taps, and the wanted fields.

        These are each person's loss (B,) and its joints' distributions (B, J, cells).
        """
        taps, heatmaps = network(self._normalised(batch["image"]))
        last = heatmaps[-1]
        side = last.shape[-1]
        loss = None
        if "loss" in want:
            target, weights = maps.targets(
                batch["joints"] / STRIDE, batch["annotated"], side, self.sigma
            )
            loss = maps.pose_losses(heatmaps, target, weights, self.pose_loss)
        if "probs" not in want:
            return Output(taps, loss)
        probs = places(last, self.distribution)
        if self.distribution == "softmax":
            return Output(taps, loss, probs)
        return Output(taps, loss, probs, answers=answers(probs, side, self.reach))

    def heatmaps(self, network: StackedHourglass, batch: Batch) -> Tensor:
        """The last heatmaps (B, J, H, W) in evaluation, with those of the mirrored crop if set."""
        images = self._normalised(batch["image"])
        heatmaps = network(images)[1][-1].float()
        if self.flip_test:
            flipped = network(images.flip(3))[1][-1].float()
            heatmaps = (heatmaps + maps.unflipped(flipped, self.mirrored)) / 2
        return heatmaps.detach()

    def predict(self, network: StackedHourglass, batch: Batch) -> list[BaseDataElement]:
        """Return the joints of each person in pixels of the image as it is on disk."""
        cells = maps.decode(self.heatmaps(network, batch))
        joints = maps.to_image(cells, STRIDE, batch["inverse"]).cpu().numpy()
        pairs = zip(batch["person"].tolist(), joints, strict=True)
        return [BaseDataElement(person=person, joints=own) for person, own in pairs]

    def _normalised(self, images: Tensor) -> Tensor:
        """Bytes -> about zero mean and unit variance, on the images' device."""
        mean, std = (images.new_tensor(v, dtype=torch.float32).view(3, 1, 1) for v in (MEAN, STD))
        return (images.float() / 255 - mean) / std

    def evaluator(self) -> Pck:
        """PCKh by the published truth and head boxes, or PCK by the json; also of each joint."""
        truth, annotated, sizes = self._truth
        return Pck(self.metric, self.joints, self.unscored, truth, annotated, sizes, self.threshold)

    @cached_property
    def _heads(self) -> Truth | None:
        """The ground truth of MPII's evaluation; None for PCK, which takes the json's."""
        return None if self.heads is None else read_heads(self.root / self.heads)

    @property
    def _truth(self) -> Truth:
        people = self._test_people
        return self._heads or (people.joints, people.annotated, box_sizes(people))

    def labels(self) -> tuple[str, ...]:
        """The joints; see `tasks.base.Deployable`."""
        return self.joints

    def deployment(self, labels: Sequence[str]) -> JointDeployment:
        """The network outside of a run; see `tasks.base.Deployable`."""
        return JointDeployment(self, labels, MEAN, STD)

    def name(self, index: int) -> str:
        """The path of the image below `data_root`, and the person's number in it."""
        return self._people.names[index]

    def effort(self, index: int) -> int:
        """Return the number of a person's annotated joints."""
        return int(self._people.annotated[index].sum())

    def traits(self, index: int) -> dict[str, list[str] | list[float]]:
        """Annotated joints, and the person's height by its scale; see `tasks.base.Described`."""
        people = self._people
        joints = [
            name for name, known in zip(self.joints, people.annotated[index], strict=True) if known
        ]
        return {
            "annotated joint": joints,
            "height of a person (pixels)": [float(people.sides[index] / MARGIN)],
        }

    def sources(self, split: Read) -> list[Source]:
        """The images and the persons in them, several of one image too.

        See `tasks.base.Sourced`.
        """
        if split == "pool":
            people = self._people
            return [Source(path, _label(people, i, None)) for i, path in enumerate(people.paths)]
        people = self._test_people
        return [Source(people.paths[i], _label(people, i, self._heads)) for i in self._tested]

    def thumbnail(self, index: int) -> Image.Image:
        """The crop with the joints; for MPII's joints the skeleton."""
        sample = self._pool[index]
        bones = MPII_BONES if self.joints == MPII_JOINTS else ()
        return drawn(sample["image"], sample["joints"], sample["annotated"], self.joints, bones)


def _label(people: People, index: int, heads: Truth | None) -> str:
    """The annotation of a person as text; joints that are not annotated are None."""
    parts = {
        "centre": people.centres[index].tolist(),
        "side": float(people.sides[index]),
        "joints": _known(people.joints[index], people.annotated[index]),
    }
    if heads is not None:
        joints, annotated, sizes = (column[index] for column in heads)
        parts |= {"truth": _known(joints, annotated), "head": float(sizes)}
    return canonical(**parts)


def _known(joints: np.ndarray, annotated: np.ndarray) -> list[list[float] | None]:
    listed: list[list[float] | None] = joints.tolist()
    for index in np.flatnonzero(~annotated):
        listed[index] = None
    return listed
