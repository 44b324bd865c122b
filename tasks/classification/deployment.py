"""A trained classification network outside of its run: classes of any images, and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Protocol

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from models.networks import resnet
from models.networks.preparation import Channels
from tasks.base import Batch, DataError
from tasks.classification.networks import PREFIX as PREFIX_OF_TIMM
from tasks.classification.pictures import Pictures
from tasks.classification.views import Augmentation
from tasks.data import read_image
from tasks.deployable import Export, Record, Subject
from tasks.deployment import WEIGHTS, canvas, source_of
from tasks.drawing import caption_height, write

PREFIX = "p_"  # of the columns with probabilities, so that a class may be called "file"
IMPORTS = """
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock
"""


class Classifier(Protocol):
    """What is asked of the adapter; none of it reads data, but `whole` of a frozen network."""

    network: str
    given: tuple[str, ...] | None
    pictures: Pictures
    augmentation: Augmentation
    input_size: int
    mean: Channels
    std: Channels

    def bare(self, classes: int) -> nn.Module:
        """What a run trains, with random weights."""
        ...

    def whole(self, network: nn.Module) -> nn.Module:
        """The network that takes images."""
        ...

    def loading(self, classes: int) -> str:
        """The arguments by which its library makes the network."""
        ...


class Files(Dataset):
    """Sample i is an image (3, H, W), uint8 RGB, as at test time, and 0 in the place of a label.

    Args:
        task: whose transform it is.
        subjects: whole images.
    """

    def __init__(self, task: Classifier, subjects: Sequence[Subject]) -> None:
        self.subjects = subjects
        self.transform = task.pictures.as_tested()
        self.side = task.input_size if task.augmentation == "crop" else None

    def __len__(self) -> int:
        return len(self.subjects)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path = self.subjects[index].path
        pixels = read_image(path)
        height, width = pixels.shape[:2]
        if self.side is not None and (width, height) != (self.side, self.side):
            raise DataError(
                f"{path}: expected {self.side} x {self.side} pixels, as the run's "
                f"task.augmentation='crop' takes them, but got {width} x {height}; resize it"
            )
        return self.transform(torch.from_numpy(pixels).permute(2, 0, 1)), 0


class ClassDeployment:
    """See `tasks.deployable.Deployment`: a row for each image, with the probability of each class.

    Args:
        task: the adapter; its data are not read.
        labels: the classes in the network's order.
    """

    form: ClassVar[Literal["coco", "csv"]] = "csv"
    categories: ClassVar[Sequence[Record]] = ()
    crops = False

    def __init__(self, task: Classifier, labels: Sequence[str]) -> None:
        given = task.given
        if given is not None and tuple(labels) != given:
            raise ValueError(f"expected the classes {list(given)}, but got {list(labels)}")
        self.task = task
        self.labels = tuple(labels)
        # a network, and what takes images with it
        self._whole: tuple[nn.Module, nn.Module] | None = None

    def build(self) -> nn.Module:
        """A network of the right shape; of a frozen one, the layer that is trained."""
        return self.task.bare(len(self.labels))

    def images(self, subjects: Sequence[Subject]) -> Files:
        """Samples without labels; images of another size than the network's are refused."""
        return Files(self.task, subjects)

    def collate(self, samples: Sequence[Any]) -> Batch:
        """As the task's, of images."""
        return self.task.pictures.collate(samples)

    def records(self, network: nn.Module, batch: Batch) -> list[list[Record]]:
        """The likeliest class (the first of equal ones), and the probability of each."""
        images = self.task.pictures.normalised(batch["images"])
        if self._whole is None or self._whole[0] is not network:
            self._whole = network, self.task.whole(network).to(images.device).eval()
        whole = self._whole[1]
        _, logits = whole(images)
        return [[self._row(own)] for own in logits.float().softmax(dim=1).tolist()]

    def _row(self, probabilities: list[float]) -> Record:
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        columns = [f"{PREFIX}{name}" for name in self.labels]
        return {"class": self.labels[best], **dict(zip(columns, probabilities, strict=True))}

    def picture(self, path: Any, records: Sequence[Record], threshold: float) -> Image.Image:
        """The image above its class and probability; only the line where that is too low."""
        image, _ = canvas(path)
        sheet = Image.new("RGB", (image.width, image.height + caption_height()))
        sheet.paste(image)
        name = records[0]["class"]
        share = records[0][f"{PREFIX}{name}"]
        if share >= threshold:
            write(sheet, (0, image.height), f"{name} {share:.2f}", "white")
        return sheet

    def exported(self, network: nn.Module) -> Export:
        """The weights by torchvision's names; of the small ones for CIFAR with the network's code.

        Raises:
            ValueError: if the network is of none of these, nor timm's.
        """
        task = self.task
        network = task.whole(network)
        meta = {
            "network": task.network,
            "classes": list(self.labels),
            "input": f"RGB in [0, 1], minus mean, over std, {task.input_size} x {task.input_size}",
            "view": task.augmentation,
            "mean": list(task.mean),
            "std": list(task.std),
        }
        count = len(self.labels)
        if isinstance(network, resnet.Tapped):
            lines = [f"network = torchvision.models.get_model({task.loading(count)})"]
            return Export(network.network.state_dict(), meta, _script("torchvision", lines))
        if task.network.startswith(PREFIX_OF_TIMM):
            lines = [f"network = timm.create_model({task.loading(count)})"]
            return Export(network.state_dict(), meta, _script("timm", lines))
        if not isinstance(network, resnet.CifarResNet):
            raise ValueError(
                f"expected a network of torchvision, of timm or a ResNet for CIFAR, but got "
                f"{type(network).__name__}"
            )
        if task.network == "resnet18_cifar":
            lines = [
                f"network = torchvision.models.resnet18(num_classes={count})",
                "network.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)",
                "network.maxpool = torch.nn.Identity()",
            ]
            return Export(network.state_dict(), meta, _script("torchvision", lines))
        width, blocks = resnet.CIFAR_NETWORKS[task.network]
        lines = [f"network = CifarResNet({count}, width={width}, blocks={blocks})"]
        code = source_of(resnet._stage, resnet.CifarResNet, imports=IMPORTS)
        return Export(
            network.state_dict(),
            meta,
            _script(
                "network", lines, "from network import CifarResNet  # which gives taps and logits"
            ),
            {"network.py": code},
        )


def _script(module: str, lines: Sequence[str], line: str | None = None) -> str:
    """The lines that load the weights, without this project."""
    libraries = "torch" if module == "network" else f"torch and {module}"
    return "\n".join(
        [
            f'"""Loads a network for classification by {libraries} alone."""',
            "",
            "from pathlib import Path",
            "",
            "import torch",
            line or f"import {module}",
            "",
            f'kept = torch.load(Path(__file__).with_name("{WEIGHTS}"), weights_only=True)',
            *lines,
            'network.load_state_dict(kept["state_dict"])',
            'network.eval()  # of images as kept["meta"] says',
            "",
        ]
    )
