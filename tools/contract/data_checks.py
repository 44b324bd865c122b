"""Checks of a task's data and of its views."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor
from torch.nn import functional as F

from models.process.seeding import seeded
from models.process.shared_memory import enough
from models.training.loading import loader
from tasks.base import Described, Noted, Read, Source, Sourced, Split
from tasks.grouping import told
from tasks.twins import shared_images
from tools.contract.subject import ContractError, SkippedError, Subject, same

THUMBNAIL = 256  # pixels of the longer side
LEAST = 5  # samples that a comparison of orders needs
DRAWS = 8  # of the augmentation
LOOKED_AT = 24  # samples
PERMUTATIONS = 2000  # random orders
CHANCE = 0.01  # most of them that may look as much alike
TEST_TIME: tuple[Split, ...] = ("pool", "test")
READ: tuple[Read, ...] = ("pool", "test")


def data_is_whole(subject: Subject) -> str:
    """`check` finds no fault in data and weights."""
    faults = subject.task.check(subject.full)
    if faults:
        raise ContractError(
            "no faults", f"{len(faults)}, the first: {faults[0]}", "mend the data or the settings"
        )
    if not isinstance(subject.task, Noted):
        return ""
    return "; ".join(told(subject.task.notes()))


def views_have_samples(subject: Subject) -> str:
    """Train and pool have one length, and no split is empty."""
    sizes = {split: subject.length(split) for split in ("train", "pool", "test")}
    if sizes["train"] != sizes["pool"] or min(sizes.values()) == 0:
        raise ContractError(
            "samples in each split, as many in train as in pool", sizes, "filter nothing out of one"
        )
    return f"train and pool {sizes['pool']:,}, test {sizes['test']:,}"


def names_tell_samples_apart(subject: Subject) -> None:
    """Every sample of the pool has a name of one line, which no other sample has."""
    first: dict[str, int] = {}
    for i in range(subject.length("pool")):
        name = subject.task.name(i)
        if not isinstance(name, str) or len(name.splitlines()) != 1:
            raise ContractError(
                "a name of one line", f"{name!r} for sample {i}", "take the file's path"
            )
        if name in first:
            raise ContractError(
                "a name of its own", f"{name!r} for samples {first[name]} and {i}", "add its folder"
            )
        first[name] = i


def efforts_are_counts(subject: Subject) -> str:
    """The effort of a sample is a whole number of annotations, 0 or more."""
    efforts = [subject.task.effort(i) for i in subject.ids(LOOKED_AT)]
    wrong = [effort for effort in efforts if not isinstance(effort, int) or effort < 0]
    if wrong:
        raise ContractError(
            "Python's int, at least 0", repr(wrong[0]), "count what somebody annotates"
        )
    return f"{min(efforts)} to {max(efforts)}"


def traits_are_words_or_numbers(subject: Subject) -> str:
    """Traits, if a task has any, are words or finite numbers, with one set of names."""
    if not isinstance(subject.task, Described):
        return "the task has no traits"
    rows = [subject.task.traits(i) for i in subject.ids(LOOKED_AT)]
    remedy = "return a dict of lists, an empty one where a sample has none"
    for row in rows:
        if not isinstance(row, Mapping) or list(row) != list(rows[0]):
            raise ContractError(
                "a dict with the same names for every sample", repr(row)[:100], remedy
            )
    for name in rows[0]:
        values = [value for row in rows for value in row[name]]
        numbers = [
            value for value in values if isinstance(value, int | float) and math.isfinite(value)
        ]
        if not all(isinstance(value, str) for value in values) and len(numbers) < len(values):
            raise ContractError(
                f"words alone or finite numbers alone in {name!r}", repr(values)[:100], remedy
            )
    return ", ".join(map(str, rows[0]))


def sources_are_one_a_sample(subject: Subject) -> str:
    """Sources, if a task has any, are a file that exists or content, one for each sample."""
    if not isinstance(subject.task, Sourced):
        return "the task has no sources"
    for split in READ:
        sources = subject.task.sources(split)
        size = subject.length(split)
        if len(sources) != size:
            actual = f"{len(sources)} for the {size} of {split!r}"
            raise ContractError(
                "a source for each sample", actual, "go through the samples in their order"
            )
        for source in sources:
            _check_source(source, split)
    shared, _ = shared_images(subject.task)
    return "; ".join(fault.came for fault in shared)


def _check_source(source: Source, split: Read) -> None:
    if not isinstance(source, Source) or not isinstance(source.label, str):
        remedy = "write the annotation by `tasks.data.canonical`"
        raise ContractError(
            f"a `Source` with text as label in {split!r}", repr(source)[:100], remedy
        )
    if source.file is None and not isinstance(source.content, bytes):
        remedy = "give `file`, or as `content` a digest"
        raise ContractError(f"a file or bytes in {split!r}", repr(source)[:100], remedy)
    if source.file is not None and not Path(source.file).is_file():
        raise ContractError(
            f"files that exist in {split!r}", str(source.file), "give the path that is read"
        )


def thumbnails_are_small(subject: Subject) -> None:
    """A thumbnail is an image of PIL of at most 256 pixels a side."""
    for i in subject.ids():
        image = subject.task.thumbnail(i)
        if not isinstance(image, Image) or max(image.size) > THUMBNAIL:
            actual = image.size if isinstance(image, Image) else type(image).__name__
            raise ContractError(
                f"an image of PIL, at most {THUMBNAIL} pixels a side",
                actual,
                "use `Image.thumbnail`",
            )


def scored_views_hold_no_chance(subject: Subject) -> None:
    """A sample of pool or test is the same whenever it is read."""
    for split in TEST_TIME:
        ids = subject.ids() if split == "pool" else [0]
        reads = []
        for seed in (1, 2):
            with seeded(seed):
                reads.append(subject.samples(split, ids))
        if not same(*reads):
            actual = f"two different ones in {split!r}"
            raise ContractError(
                "one view of a sample", actual, "use no augmentation in 'pool' and 'test'"
            )


def augmentation_follows_the_seed(subject: Subject) -> None:
    """A training view is the same after the same seed of the global generators.

    Those are Python's, NumPy's and torch's.
    """
    reads = []
    for _ in range(2):
        with seeded(1):
            reads.append(subject.samples("train"))
    if not same(*reads):
        remedy = (
            "draw from the global generators, which the caller seeds, and keep no generator "
            "or counter"
        )
        raise ContractError("the same view after the same seed", "two different ones", remedy)


def workers_read_the_same(subject: Subject) -> None:
    """A view that a worker process reads from a pickle gives the same samples as in this process.

    It does so for a batch at once and for one sample after the other.
    """
    ids = subject.ids()
    collate = subject.task.collate
    dataset = pickle.loads(pickle.dumps(subject.task.dataset("pool")))
    (own,) = loader(subject.task.dataset("pool"), ids, len(ids), 0, collate)
    with enough():
        (workers,) = loader(dataset, ids, len(ids), 1, collate)
    if not same(_plain(own), _plain(workers)):
        raise ContractError(
            "the batch that is read here", "another from a worker", "keep no state between reads"
        )
    if not hasattr(dataset, "__getitems__"):
        return
    at_once = subject.output(own, subject.task.fields)
    one_by_one = subject.output(subject.batch("pool", ids), subject.task.fields)
    if not same(at_once, one_by_one):
        raise ContractError(
            "the outputs of samples read one by one", "others from `__getitems__`", "mend that"
        )


def _plain(batch: Any) -> Any:
    """Return a batch with plain tensors: a loader may replace subclasses of Tensor."""
    plain = dict(batch)
    for key, value in batch.items():
        if isinstance(value, Tensor):
            plain[key] = value.as_subclass(Tensor)
    return plain


def train_and_pool_are_in_one_order(subject: Subject) -> str:
    """Sample i of train and of pool are one: fixed labels are equal, and inputs look alike.

    Labels are fixed if no draw of the augmentation changes them. Inputs are compared by 8 x 8
    thumbnails of the network's input, averaged over draws of the augmentation: matching them by id
    must do better than 99% of random matchings. A few samples out of place, or a shift among
    samples that look alike, are not noticed.
    """
    inputs, labels = subject.keys
    ids = subject.ids(LOOKED_AT)
    pool = subject.batch("pool", ids)
    draws = []
    for seed in range(DRAWS):
        with seeded(seed):
            draws.append(subject.batch("train", ids))
    fixed = [key for key in labels if all(same(draws[0][key], draw[key]) for draw in draws)]
    for key in fixed:
        if not same(draws[0][key], pool[key]):
            raise ContractError(
                f"one order of train and pool, so equal {key!r}", "others", "read one list for both"
            )
    better = _better_matchings(
        _looks(pool, inputs), np.mean([_looks(draw, inputs) for draw in draws], axis=0)
    )
    if better > CHANCE:
        actual = f"{better:.0%} of random orders at least as much alike"
        raise ContractError(
            "inputs of train to look most like those of pool by id",
            actual,
            "read one list for both",
        )
    return f"equal: {', '.join(fixed) or 'no label'}; alike: {', '.join(inputs)}"


def _looks(batch: dict[str, Any], keys: list[str]) -> np.ndarray:
    """Return small versions (B, D) of the inputs that are tensors of one shape."""
    small = []
    for key in keys:
        entries = list(batch[key])
        if all(isinstance(e, Tensor) and e.shape == entries[0].shape for e in entries):
            values = torch.stack([e.as_subclass(Tensor) for e in entries]).float()
            if values.dim() == 4:
                values = F.adaptive_avg_pool2d(values, 8)
            small.append(values.reshape(len(values), -1))
    count = max((len(batch[key]) for key in keys), default=0)
    if count < LEAST:
        raise SkippedError(f"because it takes {LEAST} samples at least, and the pool has {count}")
    if not small:
        raise SkippedError(
            f"because no input is a tensor of one shape in all samples: {_forms(batch, keys)}"
        )
    return torch.cat(small, dim=1).numpy()


def _forms(batch: dict[str, Any], keys: list[str]) -> str:
    """Describe the inputs: the shapes of tensors, the types of others."""

    def form(entry: Any) -> str:
        """Return the shape of a tensor, or the type of anything else."""
        return str(list(entry.shape)) if isinstance(entry, Tensor) else type(entry).__name__

    forms = [f"{key} {' '.join(map(form, list(batch[key])[:2]))}" for key in keys]
    return ", ".join(forms) or "there is none"


def _better_matchings(pool: np.ndarray, train: np.ndarray) -> float:
    """Return the share of random matchings that are at least as good as that by position.

    A matching is good if its rows are similar.
    """
    spread = pool.std(axis=0) + 1e-12
    rows = [(part - part.mean(axis=0)) / spread for part in (pool, train)]
    first, second = (part / (np.linalg.norm(part, axis=1, keepdims=True) + 1e-12) for part in rows)
    alike = first @ second.T
    rng = np.random.default_rng(0)
    order = np.arange(len(pool))
    random = np.array([alike[order, rng.permutation(len(pool))].sum() for _ in range(PERMUTATIONS)])
    return float((random >= np.trace(alike)).mean())
