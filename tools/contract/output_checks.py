"""Checks of one forward pass: network, taps, and output fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.output import Tap
from models.process.seeding import seeded
from tasks.base import classes_decided
from tools.contract.field_checks import check_answers, check_fields, short
from tools.contract.gradient_checks import tap_changes
from tools.contract.subject import SEED, ContractError, SkippedError, Subject, same, signals

FOUND = {"counts", "peaks", "bag", "quality", "stability", "truth"}
FIELDS = {"loss", "probs", "gradient", "objective"} | FOUND


def build_is_seeded(subject: Subject) -> None:
    """`build` makes the same finite network after the same seed, and a new one every time."""
    with seeded(SEED):
        again = subject.task.build()
    if again is subject.network:
        raise ContractError(
            "a fresh network", "the one that was built before", "construct it in `build`"
        )
    first, second = subject.network.state_dict(), again.state_dict()
    trained = {key for key, _ in subject.network.named_parameters(remove_duplicate=False)}
    bad = [
        key
        for key, value in first.items()
        if isinstance(value, Tensor) and _bad(value, key in trained)
    ]
    if bad:
        raise ContractError("finite weights", f"others in {bad[:3]}", "initialise every parameter")
    differ = [key for key in first if not same(first[key], second.get(key))]
    if differ or first.keys() != second.keys():
        actual = differ[:3] or "other parameters"
        raise ContractError(
            "equal weights after equal seeds",
            f"{actual} that differ",
            "draw from torch's generator",
        )


def _bad(value: Tensor, trained: bool) -> bool:
    """Whether a value is not finite; a buffer may be infinite, as masks of attention are."""
    if trained:
        return not torch.isfinite(value).all()
    return bool(torch.isnan(value).any())


def taps_are_the_declared_ones(subject: Subject) -> str:
    """`forward` returns the declared taps in order, attached to the graph unless frozen.

    They are maps (B, channels, H, W) or tokens (B, N, channels).
    """
    declared = subject.task.taps
    if not declared or not all(isinstance(tap, Tap) for tap in declared):
        raise ContractError(
            "`taps` to hold `models.output.Tap`s", declared, "declare a name and channels for each"
        )
    ids = subject.ids()
    taps = subject.task.forward(subject.network, subject.batch("pool", ids), frozenset()).taps
    shapes = [tuple(tap.shape) for tap in taps]
    if [_outline(shape) for shape in shapes] != [_declared(tap, len(ids)) for tap in declared]:
        expected = ", ".join(f"{_form(tap, len(ids))} as {tap.name!r}" for tap in declared)
        raise ContractError(f"the taps {expected}", shapes, _as_map(shapes))
    loose = [place for place, value in enumerate(taps) if not value.requires_grad]
    if loose and (changing := tap_changes(subject, loose)):
        actual = (
            f"{[declared[place].name for place in loose]} detached, though {changing!r} changes "
            "them"
        )
        remedy = "return what the network computed"
        raise ContractError(
            "taps attached to the graph where their layers are trained", actual, remedy
        )
    sizes = [
        "x".join(map(str, value.shape[1:])) + " (frozen)" * (not value.requires_grad)
        for value in taps
    ]
    return ", ".join(f"{tap.name} {size}" for tap, size in zip(declared, sizes, strict=True))


def _outline(shape: Sequence[int]) -> tuple[int, ...]:
    """Dimensions, samples and channels of a tap."""
    return (3, shape[0], shape[2]) if len(shape) == 3 else (len(shape), *shape[:2])


def _declared(tap: Tap, count: int) -> tuple[int, ...]:
    """What `_outline` is to say of a declared tap."""
    return (3 if tap.tokens else 4, count, tap.channels)


def _form(tap: Tap, count: int) -> str:
    return f"({count}, N, {tap.channels})" if tap.tokens else f"({count}, {tap.channels}, H, W)"


def _as_map(shapes: Sequence[tuple[int, ...]]) -> str:
    """Return how to make maps of taps of other shapes: tokens (B, N, D) and vectors (B, D)."""
    if any(len(shape) == 3 for shape in shapes):
        return (
            "of tokens (B, N, D) make a map, `tokens.mT.unflatten(2, (h, w))` with N = h * w "
            "(leave class tokens out before that: `tokens[:, 1:]`), or pool them: "
            "`tokens.mean(1)[:, :, None, None]`, or declare them: `Tap(name, D, tokens=True)`"
        )
    if any(len(shape) == 2 for shape in shapes):
        return "of vectors (B, D) make maps of one cell: `vectors[:, :, None, None]`"
    return "mend `taps`, or what is returned"


def fields_are_those_asked_for(subject: Subject) -> str:
    """A field is returned if it is in `want`, with its shape, and is None otherwise."""
    fields = subject.task.fields
    if not fields <= FIELDS:
        raise ContractError(
            f"`fields` among {sorted(FIELDS)}", sorted(fields), "name what `forward` can return"
        )
    wants = [frozenset(), *(frozenset({field}) for field in sorted(fields)), fields]
    for want in dict.fromkeys(wants):
        output = subject.output(subject.batch("pool"), want)
        actual = {field for field in FIELDS if getattr(output, field) is not None}
        if actual != want:
            expected = f"the fields {sorted(want)} where they are wanted"
            raise ContractError(expected, sorted(actual), "return None for what is not in `want`")
        for name in ("weight", "answers"):
            if getattr(output, name) is not None and output.probs is None:
                remedy = "return None for what is not in `want`"
                raise ContractError(f"no `{name}` without `probs`", "one", remedy)
        check_fields(output, len(subject.ids()))
    return ", ".join(sorted(fields))


def probs_are_distributions(subject: Subject) -> str:
    """`probs` are not negative and sum to 1 over their last dimension; `weight` is not negative."""
    if "probs" not in subject.task.fields:
        raise SkippedError("because `fields` has no 'probs'")
    output = subject.output(subject.batch("pool"), frozenset({"probs"}))
    if output.probs is None:
        raise ContractError(
            "`probs` if they are in `want`", None, "return them, or take them out of `fields`"
        )
    check_fields(output, len(subject.ids()))
    off = (output.probs.sum(dim=-1) - 1).abs().max().item()
    low = output.probs.min().item()
    if not (off < 1e-4 and low >= 0):
        actual = f"sums off by {off:.3g} and {low:.3g} as the least"
        raise ContractError(
            "sums of 1 and nothing below 0", actual, "softmax over the last dimension"
        )
    if output.weight is not None and not (output.weight >= 0).all():
        raise ContractError(
            "weights of at least 0", output.weight.min().item(), "weigh by something positive"
        )
    if output.answers is not None:
        check_answers(output.answers, output.probs)
    decided = classes_decided(subject.task)
    if decided is not None and output.probs.shape[1:] != (1, decided):
        expected = f"probs (B, 1, {decided}), as `classes_decided` says"
        raise ContractError(expected, tuple(output.probs.shape), "leave that method out")
    return f"{output.probs.shape[1]} of {output.probs.shape[2]} classes a sample"


def loss_is_per_sample(subject: Subject) -> None:
    """A sample has the same loss in a batch as alone, at test time."""
    with torch.no_grad():
        together = subject.loss("pool", subject.network)
        alone = torch.cat([subject.loss("pool", subject.network, [i]) for i in subject.ids()])
    # losses may be small: a heatmap's squared error is about 1e-4
    largest = alone.abs().max().item()
    if together.shape != alone.shape or not torch.allclose(
        together, alone, rtol=1e-4, atol=1e-4 * largest
    ):
        actual = f"{short(together)} together and {short(alone)} alone"
        raise ContractError(
            "losses that do not depend on the batch", actual, "divide by what is the sample's own"
        )


def losses_differ(subject: Subject) -> str:
    """Different samples have different losses."""
    with torch.no_grad():
        losses = subject.loss("pool", subject.network)
    if len(set(losses.tolist())) < min(2, len(losses)):
        raise ContractError("losses that differ", short(losses), "do not average over the batch")
    return short(losses)


def fields_stay_float32(subject: Subject) -> None:
    """Losses and probabilities are float32 under mixed precision (bfloat16) too."""
    with torch.autocast("cpu", torch.bfloat16):
        output = subject.output(subject.batch("pool", subject.ids()[:2]), subject.task.fields)
    names = sorted(FIELDS - {"truth"} | {"answers"})  # which are whole numbers
    given: dict[str, Any] = {
        field: value for field in names if (value := getattr(output, field)) is not None
    }
    if "gradient" in given:
        given["gradient"] = given["gradient"][0]  # of its two parts
    if "bag" in given:
        bag = given.pop("bag")
        given |= {"bag.score": bag.score, "bag.feature": bag.feature}
    actual = {field: value.dtype for field, value in given.items()}
    if set(actual.values()) - {torch.float32}:
        raise ContractError(
            "torch.float32", actual, "use `.float()` on what the network returns, before the loss"
        )


def labels_count_for_the_loss_alone(subject: Subject) -> str:
    """Other samples' labels change the loss, and change no tap and no probability."""
    if "loss" not in subject.task.fields:
        raise SkippedError("because `fields` has no 'loss'")
    if len(subject.ids()) < 2:
        raise SkippedError("because it takes 2 samples to swap labels")
    inputs, labels = subject.keys
    if not labels:
        remedy = "keep labels under keys of their own, and out of the taps and probabilities"
        actual = f"inputs {inputs} alone: each changes taps or probabilities, or else nothing"
        raise ContractError("a key of the batch that changes the loss alone", actual, remedy)
    plain = subject.output(subject.batch("pool"), subject.task.fields)
    swapped = subject.output(subject.swapped(labels), subject.task.fields)
    if not same(signals(plain), signals(swapped)):
        actual = f"others where {labels} are other samples'"
        raise ContractError(
            "the same taps and probabilities", actual, "compute them from the inputs alone"
        )
    return f"taken for inputs: {', '.join(inputs)}; for labels: {', '.join(labels)}"
