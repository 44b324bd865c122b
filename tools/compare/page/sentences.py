"""What page and terminal say in the same words, short, for strategies together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tasks.measures import error_measure
from tools.compare.chosen import Chosen
from tools.compare.curves import FEW, FEWEST
from tools.compare.findings import REFERENCE, Leg
from tools.compare.grouping import Comparison
from tools.compare.module import CHANCE
from tools.compare.page.style import number
from tools.compare.statistics import ALPHA, Pair, at_power


def verdicts(pairs: Sequence[Pair]) -> list[str]:
    """What is known of each strategy against random; those that are not told apart in one sentence.

    Without random it is what is known of each pair.
    """
    against = [pair for pair in pairs if REFERENCE in (pair.first, pair.second)]
    if not against:
        return [f"{pair}." for pair in pairs]
    alike = [pair for pair in against if pair.p >= ALPHA and pair.test.difference.std]
    unknown = [pair for pair in against if pair.claim == "none"]
    alike, unknown = (some if len(some) > 1 else [] for some in (alike, unknown))
    lines = [f"{pair}." for pair in against if pair not in alike and pair not in unknown]
    return lines + ([_alike(alike)] if alike else []) + ([_unknown(unknown)] if unknown else [])


def _alike(pairs: Sequence[Pair]) -> str:
    line = (
        f"Not told apart from {REFERENCE} with {_paired(pairs)}: {listed(_others(pairs))}. To "
        "tell the differences "
    )
    told = [f"{pair.many} ({leg})" for leg, pair in zip(_others(pairs), pairs, strict=True)]
    line += (
        f"seen, each with {at_power(pairs[0].tests)}, takes {listed(told)} seeds; these "
        "numbers are optimistic, as "
    )
    return line + "differences seen in few seeds tend to be too large."


def _unknown(pairs: Sequence[Pair]) -> str:
    return (
        f"No claim about {listed(_others(pairs))} against {REFERENCE}: {_paired(pairs)}, and a "
        f"test takes {FEWEST}."
    )


def _others(pairs: Sequence[Pair]) -> list[str]:
    return [pair.second if pair.first == REFERENCE else pair.first for pair in pairs]


def _paired(pairs: Sequence[Pair]) -> str:
    counts = sorted({len(pair.seeds) for pair in pairs})
    told = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    early = ", so preliminary" if any(pair.claim == "preliminary" for pair in pairs) else ""
    return f"{told} paired seed{'s' if counts[-1] != 1 else ''}{early}"


def direction(of: Comparison) -> str:
    """Which way the metric is better."""
    return f"{'lower' if of.lower else 'higher'} is better"


def doubts(of: Comparison) -> list[str]:
    """That a metric is called like an error and its task does not say that less of it is better."""
    word = "" if of.lower else error_measure(of.metric)
    told = (
        f"{of.metric} is read as better where it is higher, though {word!r} in its name says an "
        "error: the task says "
    )
    if word:
        return [told + "no `lower_is_better = True`, without which every verdict is turned round"]
    return []


def significance(pairs: Sequence[Pair]) -> str:
    """How many differences in area are significant."""
    tests = [pair for pair in pairs if not math.isnan(pair.p)]
    how = "(paired t-test over seeds, at .05 after Holm's correction)"
    if not tests:
        return f"There is no test: it takes {FEWEST} seeds that both strategies of a pair have."
    told, few = sum(pair.p < ALPHA for pair in tests), min(len(pair.seeds) for pair in tests)
    if few < FEW:
        early = f" This is preliminary, as there are {few} paired seeds and not {FEW}."
    else:
        early = ""
    if len(tests) == 1:
        return f"The difference in area is {'' if told else 'not '}significant {how}.{early}"
    count = f"{told or 'None'} of {len(tests)} differences in area"
    return f"{count} {'is' if told == 1 else 'are'} significant {how}.{early}"


def labels_saved(legs: Sequence[Leg]) -> list[str]:
    """How many labels each strategy needs for random's final score.

    This is read from the mean curves, and seed by seed.
    """
    if REFERENCE not in [leg.name for leg in legs]:
        if legs:
            return [f"No run of {REFERENCE} is finished, which all others should be held against."]
        return []
    lines, never, at_once = [], list[Leg](), list[Leg]()
    for leg in legs:
        told = leg.saving
        if told is None:
            continue
        if told.needed is None:
            never.append(leg)
        elif told.at_start:
            at_once.append(leg)
        else:
            final = f"{REFERENCE}'s final {number(told.target)} at {told.labels:,.0f} labels"
            saved = (
                f"with {told.needed:,.0f} by the mean curves, saving {told.share:.0%} of "
                f"labels{told.but}"
            )
            spread = f"; {told.spread}" if told.spread else ""
            lines.append(f"{leg.name} reaches {final} {saved}{spread}{told.caution}.")
    if never:
        lines.append(f"{REFERENCE}'s final score is not reached by {_named(never)}.")
    if at_once:
        lines.append(
            f"{REFERENCE}'s final score is reached with the initial labels already, before "
            "anything was chosen, by "
            f"{_named(at_once)}: the curve tells no saving."
        )
    return lines


def _named(legs: Sequence[Leg]) -> str:
    """Their names; where all are seen with as few seeds, that is said once."""
    told = [leg.saving.caution if leg.saving else "" for leg in legs]
    if len(set(told)) == 1:
        return listed([leg.name for leg in legs]) + told[0]
    return listed([leg.name + said for leg, said in zip(legs, told, strict=True)])


def module_health(legs: Sequence[Leg]) -> list[str]:
    """In how many cycles each leg's module is known to rank better than chance."""
    lines = []
    for leg in legs:
        better = sum(row.p < ALPHA and row.pairs.mean > CHANCE for row in leg.health)
        few = min((row.pairs.n for row in leg.health), default=FEW)
        about = "" if few >= FEW else f" (preliminary: {few} seeds)"
        if few >= FEWEST:
            about = about
        else:
            about = f" ({few} seed{'s' if few > 1 else ''}: no claim about its training)"
        if leg.health and better == len(leg.health):
            lines.append(
                f"{leg.name}'s module ranks better than chance in each of {better} cycles{about}."
            )
        elif leg.health:
            which = f"{len(leg.health) - better} of {len(leg.health)} cycles{about}"
            lines.append(
                f"{leg.name}'s module ranks no better than chance, as far as can be told, in "
                f"{which}."
            )
    return lines


def crowds(found: Chosen) -> list[str]:
    """Annotations a queried sample beside the pool's mean.

    One sentence where all samples cost the same.
    """
    pool = found.pool_effort
    if pool is not None and all(value.mean == pool for value in found.effort.values()):
        return [f"Every image costs the same, {pool:g} annotation{'s' if pool != 1 else ''}."]
    beside = "" if pool is None else f", {number(pool)} in the pool"
    known = [(leg, value.mean) for leg, value in found.effort.items() if not math.isnan(value.mean)]
    return [f"{leg}: {number(mean)} annotations a queried sample{beside}" for leg, mean in known]


def of_seeds(legs: Sequence[Leg]) -> str:
    """What a picture shows of each leg: how many seeds, and what the band is."""
    counts = sorted({len(leg.seeds) for leg in legs})
    if not counts:
        return "no finished run"
    if counts[-1] == 1:
        return "one seed, so no band"
    return f"{mean_of_seeds(legs)}, 95% band"


def mean_of_seeds(legs: Sequence[Leg]) -> str:
    """How many seeds stand behind a mean of each leg."""
    counts = sorted({len(leg.seeds) for leg in legs}) or [0]
    some = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    return "one seed" if counts[-1] == 1 else f"mean of {some} seeds"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
