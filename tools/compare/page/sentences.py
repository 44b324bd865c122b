"""Short sentences about several strategies, which page and terminal share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tasks.measures import error_measure
from tools.compare.chosen import Chosen
from tools.compare.curves import FEW, FEWEST, plural
from tools.compare.findings import REFERENCE, Leg
from tools.compare.grouping import Comparison
from tools.compare.held import Choice
from tools.compare.module import CHANCE
from tools.compare.page.style import number
from tools.compare.statistics import ALPHA, Pair, at_power


def held_out(held: Choice | None) -> list[str]:
    """What the validation split would choose, and what that is worth on the test set."""
    if held is None:
        return []
    of = {one.leg: one for one in held.judged}[held.chosen]
    told = (
        f"By the validation split {held.chosen} is best (area {number(of.validation.mean)}; "
        f"{number(of.test.mean)} on the test set)"
    )
    if held.chosen == held.best:
        return [f"{told}, and so it is by the test set."]
    return [f"{told}; by the test set it is {held.best}, ahead by {number(held.cost)}."]


def verdicts(pairs: Sequence[Pair]) -> list[str]:
    """Compare each strategy with random, those that do not differ significantly in one sentence.

    Without random, compare each pair.
    """
    against = [pair for pair in pairs if REFERENCE in (pair.first, pair.second)]
    if not against:
        return [f"{pair}." for pair in pairs]
    alike = [pair for pair in against if pair.p >= ALPHA and pair.test.difference.std]
    unknown = [pair for pair in against if pair.claim == "none"]
    if len(alike) == 1:
        alike = []
    if len(unknown) == 1:
        unknown = []
    lines = [f"{pair}." for pair in against if pair not in [*alike, *unknown]]
    if alike:
        lines.append(_alike(alike))
    if unknown:
        lines.append(_unknown(unknown))
    return lines


def _alike(pairs: Sequence[Pair]) -> str:
    others = _others(pairs)
    seeds = [f"{pair.many} ({leg})" for leg, pair in zip(others, pairs, strict=True)]
    return (
        f"No significant difference from {REFERENCE} with {_paired(pairs)}: {listed(others)}. "
        f"Detecting the differences seen, each with {at_power(pairs[0].tests)}, takes "
        f"{listed(seeds)} seeds; these numbers are optimistic, as differences seen in few seeds "
        "tend to be too large."
    )


def _unknown(pairs: Sequence[Pair]) -> str:
    return (
        f"No claim about {listed(_others(pairs))} against {REFERENCE}: {_paired(pairs)}, and a "
        f"test takes {FEWEST}."
    )


def _others(pairs: Sequence[Pair]) -> list[str]:
    """The strategy of each pair that is not random."""
    return [leg for pair in pairs for leg in (pair.first, pair.second) if leg != REFERENCE]


def _paired(pairs: Sequence[Pair]) -> str:
    counts = [len(pair.seeds) for pair in pairs]
    seeds = f"{_range(counts)} paired seed"
    if max(counts) != 1:
        seeds += "s"
    if any(pair.claim == "preliminary" for pair in pairs):
        seeds += ", so preliminary"
    return seeds


def _range(counts: Sequence[int]) -> str:
    """The least and the largest of some numbers, which are at least one number."""
    least, largest = min(counts), max(counts)
    return f"{least} to {largest}" if least < largest else str(least)


def direction(of: Comparison) -> str:
    """Return which values of the metric are better."""
    return "lower is better" if of.lower else "higher is better"


def doubts(of: Comparison) -> list[str]:
    """Warn of a metric that is named like an error while the task treats more of it as better."""
    if of.lower:
        return []
    word = error_measure(of.metric)
    if not word:
        return []
    return [
        f"{of.metric} counts as better where it is higher, though {word!r} in its name suggests an "
        "error; set `lower_is_better = True` in the task if less of it is better, or every verdict "
        "is reversed"
    ]


def significance(pairs: Sequence[Pair]) -> str:
    """Count the differences in area that are significant, in words."""
    tests = [pair for pair in pairs if not math.isnan(pair.p)]
    how = "(paired t-test over seeds, at .05 after Holm's correction)"
    if not tests:
        return f"There is no test: it takes {FEWEST} seeds that both strategies of a pair have."
    few = min(len(pair.seeds) for pair in tests)
    early = ""
    if few < FEW:
        early = f" This is preliminary, as there are {few} paired seeds and not {FEW}."
    significant = sum(pair.p < ALPHA for pair in tests)
    if len(tests) > 1:
        verb = "is" if significant == 1 else "are"
        which = f"{significant or 'None'} of {len(tests)} differences in area {verb}"
    elif significant:
        which = "The difference in area is"
    else:
        which = "The difference in area is not"
    return f"{which} significant {how}.{early}"


def labels_saved(legs: Sequence[Leg]) -> list[str]:
    """Return the labels that each strategy needs for random's final score, in words.

    They are read from the mean curves, and seed by seed.
    """
    if REFERENCE not in [leg.name for leg in legs]:
        if legs:
            return [f"No run of {REFERENCE} is finished, so no strategy can be compared with it."]
        return []
    lines = []
    never: list[Leg] = []
    at_once: list[Leg] = []
    for leg in legs:
        saving = leg.saving
        if saving is None:
            continue
        if saving.needed is None:
            never.append(leg)
        elif saving.at_start:
            at_once.append(leg)
        else:
            line = (
                f"{leg.name} reaches {REFERENCE}'s final {number(saving.target)} at "
                f"{saving.labels:,.0f} labels with {saving.needed:,.0f} by the mean curves, saving "
                f"{saving.share:.0%} of labels{saving.but}"
            )
            if saving.spread:
                line += f"; {saving.spread}"
            lines.append(f"{line}{saving.caution}.")
    if never:
        lines.append(f"{REFERENCE}'s final score is not reached by {_named(never)}.")
    if at_once:
        lines.append(
            f"{REFERENCE}'s final score is reached with the initial labels already, before "
            f"anything was chosen, by {_named(at_once)}: the curve shows no saving."
        )
    return lines


def _named(legs: Sequence[Leg]) -> str:
    """The names of legs with a saving, each with its caution, or once with that of all."""
    cautions = [leg.saving.caution for leg in legs if leg.saving]
    if len(set(cautions)) == 1:
        return listed([leg.name for leg in legs]) + cautions[0]
    return listed([leg.name + caution for leg, caution in zip(legs, cautions, strict=True)])


def module_health(legs: Sequence[Leg]) -> list[str]:
    """Count the cycles in which each leg's module ranks better than chance, in words."""
    lines = []
    for leg in legs:
        if not leg.health:
            continue
        cycles = len(leg.health)
        better = sum(row.p < ALPHA and row.pairs.mean > CHANCE for row in leg.health)
        note = _seeds_note(min(row.pairs.n for row in leg.health))
        how = f"ranks better than chance in each of {cycles} cycles"
        if better < cycles:
            worse = cycles - better
            how = f"does not rank significantly better than chance in {worse} of {cycles} cycles"
        lines.append(f"{leg.name}'s module {how}{note}.")
    return lines


def _seeds_note(seeds: int) -> str:
    if seeds < FEWEST:
        return f" ({plural(seeds, 'seed')}: no claim about its training)"
    if seeds < FEW:
        return f" (preliminary: {seeds} seeds)"
    return ""


def noise_met(legs: Sequence[Leg]) -> list[str]:
    """Say how often each strategy met a mistake of simulated people; nothing where there are none.

    That is no test: a strategy that chooses what is hard to label may well meet more.
    """
    shares = [f"{leg.name} {leg.noisy.mean:.1%}" for leg in legs if leg.noisy is not None]
    if not shares:
        return []
    return [
        f"Labeled samples with a mistake of the simulated people, in the end: {', '.join(shares)}."
    ]


def costs_the_same(chosen: Chosen) -> bool:
    """Return whether each leg's annotations a queried sample equal the pool's mean."""
    pool = chosen.pool_effort
    return pool is not None and all(value.mean == pool for value in chosen.effort.values())


def crowds(chosen: Chosen) -> list[str]:
    """Compare the annotations a queried sample with the pool's mean, in words.

    This is one sentence if all samples cost the same.
    """
    pool = chosen.pool_effort
    if costs_the_same(chosen):
        cost = "1 annotation" if pool == 1 else f"{pool:g} annotations"
        return [f"Every image costs the same, {cost}."]
    beside = ""
    if pool is not None:
        beside = f", {number(pool)} in the pool"
    known = [
        (leg, value.mean) for leg, value in chosen.effort.items() if not math.isnan(value.mean)
    ]
    return [f"{leg}: {number(mean)} annotations a queried sample{beside}" for leg, mean in known]


def of_seeds(legs: Sequence[Leg], banded: bool = True) -> str:
    """Describe a picture of legs in words: the number of seeds, and the kind of band, if any."""
    if not legs:
        return "no finished run"
    if banded and all(len(leg.seeds) == 1 for leg in legs):
        return "one seed, so no band"
    if not banded:
        return mean_of_seeds(legs)
    return f"{mean_of_seeds(legs)}, 95% band"


def mean_of_seeds(legs: Sequence[Leg]) -> str:
    """Return the number of seeds of each leg's mean, in words."""
    counts = [len(leg.seeds) for leg in legs] or [0]
    if max(counts) == 1:
        return "one seed"
    return f"mean of {_range(counts)} seeds"


def listed(names: Sequence[str]) -> str:
    """Join names to a list in words.

    Examples:
        >>> listed(["a", "b", "c"])
        'a, b and c'
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
