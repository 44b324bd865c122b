"""A task whose labels people give: what they draw, and how the task reads what they drew.

Labeling tools need these names, so nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

Kind = Literal["boxes", "poses", "classes"]
# samples that nobody has labeled: refused, or kept to be scored alone
UNJUDGED = "samples that nobody has labeled would be among them (task.unlabeled='kept')"
Unlabeled = Literal["fault", "kept"]


@dataclass(frozen=True)
class Labeling:
    """What people draw on an image.

    Args:
        kind: a box and a class for each object; a box and joints for each person; or one class.
        classes: in label order; of poses the one name of what has the joints.
        joints: of poses, in their order.
        bones: pairs of joints, by place, that a picture joins by a line.
        mirrored: for each joint the place of the one it becomes in a mirrored image.
    """

    kind: Kind
    classes: tuple[str, ...]
    joints: tuple[str, ...] = ()
    bones: tuple[tuple[int, int], ...] = ()
    mirrored: tuple[int, ...] = ()


@dataclass(frozen=True)
class LabelFiles:
    """The labels so far, in the files from which a task reads them.

    Images without labels are in them, too. Of boxes and poses each file is COCO's json, whose
    `file_name` lies below `images`. Of classes each is a csv with the columns `file` and `class`,
    in which `class` is empty where an image has none yet. Of poses, where a sample is a person, an
    image without labels has one as large as itself, or some that a detector found, whose joints are
    not annotated (v 0); an image in which people saw nobody has no annotation.

    Args:
        images: the folder of images.
        pool: of the images that may be trained on, and of those that may be asked for.
        validation: of the images that give the curve.
    """

    images: Path
    pool: Path
    validation: Path


@runtime_checkable
class Labelable(Protocol):
    """An optional part of a task: it learns from what people label in a folder of images.

    A task of this kind is `tasks.base.Sourced` and `tasks.deployable.Deployable`, too: its samples
    are found by their files, and its predictions are what people begin with.
    """

    def labeling(self) -> Labeling:
        """What people draw; it reads no data.

        Raises:
            ValueError: if the settings do not say it, naming the one that would.
        """
        ...

    @classmethod
    def on_labels(cls, files: LabelFiles) -> dict[str, Any]:
        """The settings of a config's section `task` with which the task reads these files.

        They replace those that the config has for its own data; every one of those is in it. The
        pool has the samples of each image of `files.pool` in the order of the images, and an image
        without labels is a sample, too; the test set has those of `files.validation`.
        """
        ...
