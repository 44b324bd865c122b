"""The pose task: networks with heatmaps, their squared error, persons in MPII's or COCO's form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from mmengine.evaluator import BaseMetric
from mmengine.structures import BaseDataElement
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from models.output import Output
from models.process.progress import track
from tasks.base import Batch, Read, Source, Split
from tasks.coco_json import settings_on
from tasks.data import even, spread
from tasks.labelable import UNJUDGED, LabelFiles, Labeling, Unlabeled
from tasks.noise import Annotator, Noisy
from tasks.pose import heatmaps as maps
from tasks.pose.deployment import JointDeployment
from tasks.pose.drawing import drawn
from tasks.pose.forms import Form, Format, FormSettings, Measure, MpiiForm
from tasks.pose.judged import joint_notes, judging_faults
from tasks.pose.keypoint_form import CocoForm
from tasks.pose.networks import HourglassSettings, Pretrained, network_of
from tasks.pose.noise import MEANT, placed
from tasks.pose.people import MPII_BONES, MPII_JOINTS, People, label_of
from tasks.pose.places import Distribution, answers, peaks, places
from tasks.pose.views import Augmentation, View

FORMS: dict[Format, type[MpiiForm] | type[CocoForm]] = {"mpii": MpiiForm, "coco": CocoForm}
Side = Annotated[int, Ge(16)]


class Pose:
    """Pose estimation of single persons; a sample is a person.

    The pool is in the order of the json.

    Args:
        data_root: folder of the data, holding `images/` for MPII's form.
        train: json of the pool's persons, below `data_root`; for COCO's form ``"<image
            folder>:<json>"``, or several of them. See `docs/data.md`.
        test: json of the test set's persons, in the same form.
        heads: .mat with the test persons' head boxes and, for PCKh, the truth itself; None with
            PCK.
        joints: names in the order of the json, whose coordinates are 1-based; "left_x" and
            "right_x" change places in mirrored images. Of MPII's, pelvis and thorax are left out of
            the mean, as in its evaluation. None takes MPII's or, in COCO's form, those that the
            json names.
        stacks: hourglasses in a row.
        features: channels of their maps.
        blocks: residuals in a row.
        depth: how often an hourglass halves the resolution.
        input_size: side of a person's crop in pixels, or its width and height; heatmaps have a
            quarter of it.
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
        measure: ``"PCKh"``, by the size of the head; ``"PCK"``, by the longer side of the box
            around the joints; ``"OKS"``, COCO's average precision. None takes PCKh in MPII's form
            and OKS in COCO's.
        threshold: how close a joint must be, in these sizes; 0.5 for PCKh and 0.2 for PCK by
            default.
        test_limit: evaluate on so many test persons alone, evenly spread over all, for smoke runs;
            None means all.
        format: ``"mpii"``, or ``"coco"`` for COCO's person_keypoints json.
        network: ``"hourglass"``, ``"simple:<backbone of timm>"`` with three deconvolutions, or
            ``"hrnet:<HRNet of timm>"``; see `models.networks.simple_pose`.
        pretrained: the weights of timm's backbone: True for those that timm names (downloaded on
            first use), a file of timm's, or None for random ones.
        category: COCO's form: what the persons' category is called; None takes the one that has
            names of joints.
        sides: COCO's form: pairs of joints that change places in mirrored images; None goes by
            "left_" and "right_".
        oks_sigmas: of OKS, one a joint; None takes COCO's by the joints' names, and for others
            their mean, which is said.
        test_share: COCO's form: the share of the images of `train` that is drawn as the test set,
            in place of `test`.
        split_seed: of that draw.
        unlabeled: COCO's form: a pool or a test set in which no joint is annotated is a
            ``"fault"``, and persons without one are no samples; or ``"kept"``: where nobody of an
            image has an annotated joint, its persons are samples of the pool to be scored, not
            judged, and with a loss of 0.
    """

    fields = frozenset({"loss", "probs", "counts", "peaks"})

    def __init__(
        self,
        data_root: str,
        train: str | Sequence[str] | None = None,
        test: str | Sequence[str] | None = None,
        heads: str | None = "annot/gt_valid.mat",
        joints: Sequence[str] | None = None,
        stacks: Annotated[int, Ge(1)] = 2,
        features: Annotated[int, Ge(4), MultipleOf(4)] = 256,
        blocks: Annotated[int, Ge(1)] = 1,
        depth: Annotated[int, Ge(1)] = 4,
        input_size: Side | tuple[Side, Side] = 256,
        sigma: Annotated[float, Gt(0)] = 1.0,
        pose_loss: maps.PoseLoss = "annotated",
        distribution: Distribution = "squared",
        scale: Annotated[float, Ge(0), Le(0.9)] = 0.25,
        rotation: Annotated[float, Ge(0), Le(90)] = 30.0,
        flip: Annotated[float, Ge(0), Le(1)] = 0.5,
        colour: Annotated[float, Ge(0), Le(1)] = 0.2,
        flip_test: bool = False,
        measure: Measure | None = None,
        threshold: Annotated[float, Gt(0)] | None = None,
        test_limit: Annotated[int, Ge(1)] | None = None,
        format: Format = "mpii",
        network: str = "hourglass",
        pretrained: Pretrained = None,
        category: str | None = None,
        sides: Sequence[tuple[str, str]] | None = None,
        oks_sigmas: Sequence[Annotated[float, Gt(0)]] | None = None,
        test_share: Annotated[float, Gt(0), Lt(1)] | None = None,
        split_seed: Annotated[int, Ge(0)] = 0,
        unlabeled: Unlabeled = "fault",
    ) -> None:
        self.input_size = input_size
        sides_of_crop = [input_size] * 2 if isinstance(input_size, int) else input_size
        self.size = (sides_of_crop[0], sides_of_crop[1])  # width and height
        hourglass = HourglassSettings(stacks, features, blocks, depth)
        self._network = network_of(network, hourglass, self.size, pretrained)
        self.taps, self.stride = self._network.taps, self._network.stride
        if joints is not None and (len(set(joints)) != len(joints) or not joints):
            raise ValueError(f"joints: expected different names, but got {list(joints)}")
        self.root = Path(data_root).expanduser()
        self.sigma = sigma
        self.pose_loss = pose_loss
        self.distribution = distribution
        self.reach = max(1, round(sigma))
        self.augmentation = Augmentation(scale, rotation, flip, colour)
        self.flip_test = flip_test
        self.test_limit = test_limit
        settings = FormSettings(
            root=self.root,
            train=train,
            test=test,
            heads=heads,
            joints=joints,
            measure=measure,
            threshold=threshold,
            size=self.size,
            category=category,
            sides=sides,
            oks_sigmas=oks_sigmas,
            test_share=test_share,
            split_seed=split_seed,
            unlabeled=unlabeled,
        )
        self.unlabeled = unlabeled
        self.category = category or "person"
        self.form: Form = FORMS[format](settings)
        self.given = self.form.given
        self.metric = self.form.metric
        self.threshold = self.form.threshold
        self._notes: list[str] = []
        self._annotator: Annotator | None = None

    @property
    def joints(self) -> tuple[str, ...]:
        """Names in the order of the data's joints."""
        return self.form.joints

    @property
    def mirrored(self) -> list[int]:
        """For each joint the one it becomes in a mirrored image."""
        return self.form.mirrored(self.joints)

    def check(self, full: bool = False) -> list[str]:
        """Return the faults of both splits' files, and of the weights, which it downloads."""
        self._notes = []
        shown = partial(track, what="checking the data")
        faults: list[str] = list(self.form.faults(full, shown, self._notes))
        if not faults and self.unlabeled == "fault":
            path = self.root / self.form.tested
            faults += judging_faults(path, self.evaluator(), self._tested, self.test_limit)
        return faults + self._network.faults()

    def notes(self) -> list[str]:
        """Notes of the last `check`, and on unannotated joints; see `tasks.base.Noted`."""
        joints = joint_notes(self.joints, self._people.annotated, self.evaluator(), self._tested)
        idle = self._annotator.rates.idle(MEANT) if self._annotator else []
        return self._notes + self.form.notes(self.augmentation.flip) + joints + idle

    @property
    def _tested(self) -> list[int]:
        """The persons of the test set, as numbers in its json."""
        return even(len(self._test_people), self.test_limit)

    @property
    def _people(self) -> People:
        return self.form.people("train")

    @property
    def _test_people(self) -> People:
        return self.form.people("test")

    def noisy(self, oracle: Noisy, seed: int) -> None:
        """Learn from joints as people place them; see `tasks.noise.Fallible`."""
        self._annotator = Annotator(oracle, seed)

    def altered(self, index: int) -> bool:
        """Whether joints are swapped or left out; see `tasks.noise.Fallible`."""
        return bool(self._placed[1][index])

    @cached_property
    def _placed(self) -> tuple[People, np.ndarray]:
        """The pool's persons as people label them, and whether each has a mistake."""
        if self._annotator is None:
            return self._people, np.zeros(len(self._people), dtype=bool)
        return placed(self._annotator, self._people, self.mirrored)

    @cached_property
    def _train(self) -> View:
        return View(self._placed[0], self.size, self.mirrored, self.augmentation)

    @cached_property
    def _pool(self) -> View:
        return View(self._people, self.size, self.mirrored)

    @cached_property
    def _test(self) -> Dataset:
        test = View(self._test_people, self.size, self.mirrored)
        return test if self.test_limit is None else spread(test, self.test_limit)

    def dataset(self, split: Split) -> Dataset:
        """See `tasks.base.Task`; annotations are read once."""
        return {
            "train": lambda: self._train,
            "pool": lambda: self._pool,
            "test": lambda: self._test,
        }[split]()

    def collate(self, samples: Sequence[dict]) -> Batch:
        """The entries of `views.View`, stacked; `image` is (B, 3, height, width) uint8."""
        return default_collate(list(samples))

    def build(self) -> nn.Module:
        """A fresh network; its `forward` returns taps and heatmaps, of each stack if it has some.

        Raises:
            WeightsError: if there are no such weights.
        """
        return self._network.build(len(self.joints))

    def forward(self, network: nn.Module, batch: Batch, want: frozenset[str]) -> Output:
        """Return maps of the stages, or the last ones of the stacks, as taps; the wanted fields.


        These are each person's loss (B,) and its joints' distributions (B, J, cells).
        """
        taps, heatmaps = network(self._normalised(batch["image"]))
        last = heatmaps[-1]
        height, width = last.shape[-2:]
        loss = None
        if "loss" in want:
            target, weights = maps.targets(
                batch["joints"] / self.stride, batch["annotated"], (width, height), self.sigma
            )
            loss = maps.pose_losses(heatmaps, target, weights, self.pose_loss)
        counts = maps.found(last) if "counts" in want else None
        highest = peaks(last) if "peaks" in want else None
        probs = best = None
        if "probs" in want:
            probs = places(last, self.distribution)
            if self.distribution != "softmax":
                best = answers(probs, width, self.reach)
        return Output(taps, loss, probs, answers=best, counts=counts, peaks=highest)

    def heatmaps(
        self, network: nn.Module, batch: Batch, joints: Sequence[str] | None = None
    ) -> Tensor:
        """The last heatmaps (B, J, H, W) in evaluation, with those of the mirrored crop if set.

        `joints` are the network's; None asks the data.
        """
        images = self._normalised(batch["image"])
        heatmaps = network(images)[1][-1].float()
        if self.flip_test:
            flipped = network(images.flip(3))[1][-1].float()
            sides = self.form.mirrored(joints or self.joints)
            heatmaps = (heatmaps + maps.unflipped(flipped, sides)) / 2
        return heatmaps.detach()

    def predict(self, network: nn.Module, batch: Batch) -> list[BaseDataElement]:
        """Return each person's joints in pixels of the image, and `maxima` (J,) of its heatmaps."""
        heatmaps = self.heatmaps(network, batch)
        cells = maps.decode(heatmaps)
        joints = maps.to_image(cells, self.stride, batch["inverse"]).cpu().numpy()
        maxima = heatmaps.amax(dim=(2, 3)).cpu().numpy()
        rows = zip(batch["person"].tolist(), joints, maxima, strict=True)
        return [
            BaseDataElement(person=person, joints=own, maxima=highest)
            for person, own, highest in rows
        ]

    def _normalised(self, images: Tensor) -> Tensor:
        """Bytes -> about zero mean and unit variance, on the images' device."""
        mean, std = (
            images.new_tensor(values, dtype=torch.float32).view(3, 1, 1)
            for values in (self._network.mean, self._network.std)
        )
        return (images.float() / 255 - mean) / std

    def evaluator(self) -> BaseMetric:
        """PCKh by the published truth and head boxes, PCK by the json, or OKS-AP by pycocotools."""
        return self.form.evaluator()

    def pool_evaluator(self) -> BaseMetric:
        """The same over persons of the pool; see `tasks.base.Validated`."""
        if self.unlabeled == "kept":
            raise ValueError(UNJUDGED)
        return self.form.evaluator("train")

    def labels(self) -> tuple[str, ...]:
        """The joints; see `tasks.deployable.Deployable`."""
        return self.joints

    def deployment(self, labels: Sequence[str]) -> JointDeployment:
        """The network outside of a run; see `tasks.deployable.Deployable`."""
        return JointDeployment(self, labels, self._network)

    def labeling(self) -> Labeling:
        """Boxes and joints of persons; see `tasks.labelable.Labelable`."""
        if self.given is None:
            raise ValueError("task.joints: expected the names of the joints, but got None")
        bones = MPII_BONES if self.given == MPII_JOINTS else ()
        sides = tuple(self.form.mirrored(self.given))
        return Labeling("poses", (self.category,), self.given, bones, sides)

    @classmethod
    def on_labels(cls, files: LabelFiles) -> dict[str, Any]:
        """COCO's form; see `tasks.labelable.Labelable`."""
        return settings_on(files) | {"heads": None}

    def name(self, index: int) -> str:
        """The path of the image below `data_root`, and the person's number in it."""
        return self._people.names[index]

    def effort(self, index: int) -> int:
        """Return the number of a person's annotated joints."""
        return int(self._placed[0].annotated[index].sum())

    def traits(self, index: int) -> dict[str, list[str] | list[float]]:
        """Annotated joints, and the person's height by its scale; see `tasks.base.Described`."""
        people = self._people
        joints = [
            name for name, known in zip(self.joints, people.annotated[index], strict=True) if known
        ]
        return {
            "annotated joint": joints,
            "height of a person (pixels)": [float(people.heights[index])],
        }

    def sources(self, split: Read) -> list[Source]:
        """The images and the persons in them, several of one image too.

        See `tasks.base.Sourced`.
        """
        if split == "pool":
            people = self._people
            return [Source(path, label_of(people, i)) for i, path in enumerate(people.paths)]
        people, heads = self._test_people, self.form.heads
        return [Source(people.paths[i], label_of(people, i, heads)) for i in self._tested]

    def pinned(self) -> dict[str, Any]:
        """The hash of the weights that the backbone begins from; see `tasks.base.Pinned`."""
        return self._network.pinned()

    def thumbnail(self, index: int) -> Image.Image:
        """The crop with the joints, and the skeleton where it is known."""
        sample = self._pool[index]
        return drawn(
            sample["image"],
            sample["joints"],
            sample["annotated"],
            self.joints,
            self.form.bones,
        )
