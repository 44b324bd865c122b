"""Adapters with one fault each, derived from the toy: what the contract's checks are there
to catch.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from models.output import Output, Tap
from tests.toy import NegativeError, Toy


class WithProbs(Toy):
    """The toy with one distribution over four classes a sample, of weight 1."""

    fields = frozenset({"loss", "probs"})

    def probs(self, taps, batch) -> torch.Tensor:
        return taps[1].flatten(1).softmax(1).unsqueeze(1)

    def weight(self, probs) -> torch.Tensor:
        return torch.ones_like(probs[:, :, 0])

    def forward(self, network, batch, want) -> Output:
        output = super().forward(network, batch, want)
        if "probs" not in want:
            return output
        probs = self.probs(output.taps, batch).float()
        return Output(output.taps, output.loss, probs, self.weight(probs))


# ---------------------------------------------------------------- faults of the data


class Broken(Toy):
    def check(self, full=False):
        raise OSError("no such disk")


class OtherLengths(Toy):
    def __init__(self) -> None:
        super().__init__()
        self._data["train"] = Toy(50)._data["train"]


class NoTestSamples(Toy):
    def __init__(self) -> None:
        super().__init__(test_size=0)


class SameNames(Toy):
    def name(self, index: int) -> str:
        return f"vector {index // 2}"


class NamesOfTwoLines(Toy):
    def name(self, index: int) -> str:
        return f"vector\n{index}"


class NoNames(Toy):
    def name(self, index: int) -> str:
        return f"vector {index}" if index != 7 else ""


class NegativeEffort(Toy):
    def effort(self, index: int) -> int:
        return index - 1


class NumpyEffort(Toy):
    def effort(self, index: int):
        return np.int64(index)


class Traits(Toy):
    """Samples take the given values in turn, a list under one name, or what is given as it is."""

    def __init__(self, values: list[list | dict | None]) -> None:
        super().__init__()
        self.values = values

    def traits(self, index: int):
        values = self.values[(index // 3) % len(self.values)]
        return {"trait": values} if isinstance(values, list) else values


class Told(Toy):
    """Tells as many sources as there are samples, or other numbers, made by `source(split,
    index)`.
    """

    def __init__(self, source, **sizes: int) -> None:
        super().__init__()
        self.source, self.sizes = source, sizes

    def sources(self, split):
        return [self.source(split, i) for i in range(self.sizes.get(split, len(self._data[split])))]


class LargeThumbnail(Toy):
    def thumbnail(self, index: int):
        return Image.new("RGB", (8, 300))


class ArrayThumbnail(Toy):
    def thumbnail(self, index: int):
        return np.zeros((8, 8, 3), np.uint8)


class RandomTest(Toy):
    def dataset(self, split):
        return super().dataset("train" if split == "test" else split)


class RandomPool(Toy):
    def dataset(self, split):
        return super().dataset("train" if split == "pool" else split)


class View(Dataset):
    """The toy's samples, changed by `change(sample, index)`."""

    def __init__(self, dataset, change) -> None:
        self.dataset, self.change, self.metainfo = dataset, change, {}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int):
        return self.change(self.dataset, index)


def own_generator(dataset, index: int):
    x, y, i = dataset[index]
    return x + torch.from_numpy(np.random.default_rng().normal(size=6)).float() / 10, y, i


def by_process(dataset, index: int):
    x, y, i = dataset[index]
    return x + os.getpid() % 1000, y, i


class OwnGenerator(Toy):
    def dataset(self, split):
        return (
            View(super().dataset(split), own_generator)
            if split == "train"
            else super().dataset(split)
        )


class OtherInWorkers(Toy):
    def dataset(self, split):
        return View(super().dataset(split), by_process)


class NotPickled(Toy):
    def dataset(self, split):
        return View(super().dataset(split), lambda dataset, index: dataset[index])


def last_first(dataset, index: int):
    return dataset[len(dataset) - 1 - index]


def next_one(dataset, index: int):
    return dataset[(index + 1) % len(dataset)]


def next_label(dataset, index: int):
    x, _, i = dataset[index]
    return x, next_one(dataset, index)[1], i


def next_input(dataset, index: int):
    _, y, i = dataset[index]
    return next_one(dataset, index)[0], y, i


class Ordered(Toy):
    def __init__(self, change) -> None:
        super().__init__()
        self.change = change

    def dataset(self, split):
        return (
            View(super().dataset(split), self.change)
            if split == "train"
            else super().dataset(split)
        )


# ------------------------------------------------------------- faults of the network and its output


class Unseeded(Toy):
    def build(self):
        network = super().build()
        torch.nn.init.constant_(network.head.bias, int.from_bytes(os.urandom(2), "little") / 1e5)
        return network


class OneNetwork(Toy):
    def build(self):
        self.network = getattr(self, "network", None) or super().build()
        return self.network


class NotInitialised(Toy):
    def build(self):
        network = super().build()
        network.register_buffer("unused", torch.tensor([float("nan")]))
        return network


class OtherTaps(Toy):
    taps = (Tap("first", 8), Tap("second", 5))


class Changed(Toy):
    """The toy with a changed output."""

    def change(self, output: Output, batch) -> Output:
        return output

    def forward(self, network, batch, want) -> Output:
        return self.change(super().forward(network, batch, want), batch)


class DetachedTap(Changed):
    def change(self, output, batch):
        return Output((output.taps[0].detach(), output.taps[1]), output.loss)


class FlatTaps(Changed):
    def change(self, output, batch):
        return Output(tuple(tap.flatten(1) for tap in output.taps), output.loss)


class TokenTaps(Changed):
    def change(self, output, batch):
        return Output(tuple(tap.flatten(2).mT for tap in output.taps), output.loss)


class AlwaysLoss(Toy):
    def forward(self, network, batch, want) -> Output:
        return super().forward(network, batch, frozenset({"loss"}))


class NeverProbs(WithProbs):
    def forward(self, network, batch, want) -> Output:
        return super().forward(network, batch, want - {"probs"})


class OddField(Toy):
    fields = frozenset({"loss", "entropy"})


class LossOfTheBatch(Changed):
    def change(self, output, batch):
        return (
            output if output.loss is None else Output(output.taps, output.loss + output.loss.mean())
        )


class SameLosses(Changed):
    def change(self, output, batch):
        loss = output.loss
        return output if loss is None else Output(output.taps, loss.mean().expand(len(loss)))


class OneLoss(Changed):
    def change(self, output, batch):
        return output if output.loss is None else Output(output.taps, output.loss.mean())


class InfiniteLoss(Changed):
    def change(self, output, batch):
        nan = 0 * output.loss.detach().log() / 0 if output.loss is not None else None
        return output if nan is None else Output(output.taps, output.loss + nan)


class HalfLoss(Toy):
    def forward(self, network, batch, want) -> Output:
        taps, found = network(batch["x"])
        return Output(taps, (found - batch["y"].to(found.dtype)) ** 2 if "loss" in want else None)


class FlatProbs(WithProbs):
    def probs(self, taps, batch):
        return super().probs(taps, batch)[:, 0]

    def weight(self, probs):
        return None


class Logits(WithProbs):
    def probs(self, taps, batch):
        return taps[1].flatten(1).unsqueeze(1) + 1


class NegativeProbs(WithProbs):
    def probs(self, taps, batch):
        return super().probs(taps, batch) + torch.tensor([-1.0, 1.0, 0.0, 0.0])


class OtherWeight(WithProbs):
    def weight(self, probs):
        return probs[:, 0, 0]


class NegativeWeight(WithProbs):
    def weight(self, probs):
        return -super().weight(probs)


class OtherDecision(WithProbs):
    def classes_decided(self) -> int:
        return 3


class WithAnswers(WithProbs):
    """The first two of the four classes are one answer; without a fault."""

    def answers(self, probs) -> torch.Tensor:
        return torch.stack([probs[..., :2].sum(-1), probs[..., 2], probs[..., 3]], dim=-1)

    def forward(self, network, batch, want) -> Output:
        output = super().forward(network, batch, want)
        best = None if output.probs is None else self.answers(output.probs)
        return Output(output.taps, output.loss, output.probs, output.weight, answers=best)


class AnswersAlone(WithAnswers):
    def forward(self, network, batch, want) -> Output:
        output = super().forward(network, batch, want)
        if output.probs is not None:
            return output
        return Output(output.taps, output.loss, answers=torch.ones(len(batch["y"]), 1, 2) / 2)


class FlatAnswers(WithAnswers):
    def answers(self, probs):
        return super().answers(probs)[:, 0]


class OneAnswer(WithAnswers):
    def answers(self, probs):
        return super().answers(probs)[..., :1]


class AnswersTwice(WithAnswers):
    def answers(self, probs):
        return super().answers(probs).repeat(1, 1, 2)


class UnlikelyAnswers(WithAnswers):
    def answers(self, probs):
        return super().answers(probs) / 4


class LabelInAnswers(WithAnswers):
    def forward(self, network, batch, want) -> Output:
        output = super().forward(network, batch, want)
        if output.answers is None:
            return output
        leak = 1e-6 * batch["y"].sigmoid().to(output.answers)[:, None, None]
        best = torch.cat([output.answers, leak], dim=-1)
        return Output(output.taps, output.loss, output.probs, output.weight, answers=best)


class HalfAnswers(WithAnswers):
    def answers(self, probs):
        return super().answers(probs).bfloat16()


class LabelInTap(Changed):
    def change(self, output, batch):
        return Output(
            (output.taps[0] + batch["y"][:, None, None, None], output.taps[1]), output.loss
        )


class LabelInProbs(WithProbs):
    def probs(self, taps, batch):
        return (
            (taps[1].flatten(1) + batch["y"][:, None] * torch.tensor([1.0, 0.0, 0.0, 0.0]))
            .softmax(1)
            .unsqueeze(1)
        )


class BothLabelsInTap(Toy):
    """A leak that shows where two labels are swapped together, and where one is not."""

    def collate(self, samples):
        batch = super().collate(samples)
        return batch | {"y": batch["y"], "again": batch["y"].clone()}

    def forward(self, network, batch, want) -> Output:
        output = super().forward(network, batch, want)
        truth = batch["x"].norm(dim=1)
        leak = ((batch["y"] - truth).abs() > 1e-3) & ((batch["again"] - truth).abs() > 1e-3)
        taps = (output.taps[0] + leak[:, None, None, None].float(), output.taps[1])
        return Output(
            taps, None if output.loss is None else output.loss + (batch["again"] - truth).abs()
        )


class NoLabelOfItsOwn(Toy):
    def collate(self, samples):
        batch = super().collate(samples)
        return {"all": torch.cat([batch["x"], batch["y"][:, None]], dim=1)}

    def forward(self, network, batch, want) -> Output:
        return super().forward(network, {"x": batch["all"][:, :6], "y": batch["all"][:, 6]}, want)

    def predict(self, network, batch) -> list:
        return super().predict(network, {"x": batch["all"][:, :6], "y": batch["all"][:, 6]})


class ListBatch(Toy):
    def collate(self, samples):
        return list(samples)


class Raising(Toy):
    def forward(self, network, batch, want) -> Output:
        return batch["boxes"]


# ---------------------------------------------------------------- faults of training and evaluation


class DetachedLoss(Changed):
    def change(self, output, batch):
        return output if output.loss is None else Output(output.taps, output.loss.detach())


class ConstantLoss(Changed):
    def change(self, output, batch):
        return (
            output
            if output.loss is None
            else Output(output.taps, output.loss.detach().requires_grad_())
        )


class BackwardLoss(Changed):
    def change(self, output, batch):
        return (
            output
            if output.loss is None
            else Output(output.taps, 2 * output.loss.detach() - output.loss)
        )


class OnePredictionLess(Toy):
    def predict(self, network, batch) -> list:
        return super().predict(network, batch)[:-1]


class PredictionsAsTensor(Toy):
    def predict(self, network, batch):
        return tuple(super().predict(network, batch))


class OtherMetric(Toy):
    metric = "accuracy"


class NamedLoss(NegativeError):
    def compute_metrics(self, results):
        return {"val_loss": float(np.mean(results))}


class CalledLikeAnError(Toy):
    """Its metric is called like an error, and the adapter says nothing of its direction."""

    metric = "val_loss"

    def evaluator(self):
        return NamedLoss()


class ErrorToBeLow(CalledLikeAnError):
    """The same with its direction."""

    lower_is_better = True


class AccuracyToBeLow(Toy):
    metric, lower_is_better = "accuracy", True


class Metric(Toy):
    def __init__(self, kind) -> None:
        super().__init__()
        self.kind = kind

    def evaluator(self):
        return self.kind()


class Words(NegativeError):
    def compute_metrics(self, results):
        return {"score": "good"}


class MeanOfMeans(NegativeError):
    def process(self, data_batch, data_samples) -> None:
        seen = [(s["found"] - s["truth"]) ** 2 for s in data_samples]
        self.results += [float(np.mean(seen)) + 1 / len(seen)] * len(seen)


class OneMetric(Toy):
    only = NegativeError()

    def evaluator(self):
        return self.only
