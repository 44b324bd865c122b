"""What page and terminal say in the same words, short, for strategies together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tools.compare.chosen import Chosen
from tools.compare.module import CHANCE
from tools.compare.report import REFERENCE, Leg
from tools.compare.statistics import ALPHA, MOST, Pair, seeds_needed
from tools.compare.style import number


def verdicts(pairs: Sequence[Pair]) -> list[str]:
    """What is known of each strategy against random; those that are not told apart in one sentence.

    Without random it is what is known of each pair.
    """
    against = [pair for pair in pairs if REFERENCE in (pair.first, pair.second)]
    if not against:
        return [f"{pair}." for pair in pairs]
    alike = [pair for pair in against if pair.p >= ALPHA and pair.test.difference.std]
    if len(alike) < 2:
        return [f"{pair}." for pair in against]
    seeds = sorted({len(pair.seeds) for pair in alike})
    others = [pair.second if pair.first == REFERENCE else pair.first for pair in alike]
    needed = [seeds_needed(pair.test.effect) for pair in alike]
    told = [
        f"about {n:,} ({leg})" if n else f"more than {MOST:,} ({leg})" for leg, n in zip(others, needed, strict=True)
    ]
    paired = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
    line = f"Not told apart from {REFERENCE} with {paired} paired seeds: {listed(others)}. To tell the differences "
    line += (
        f"seen, each in one test with 80% power at .05, takes {listed(told)} seeds; these numbers are optimistic, as "
    )
    line += "differences seen in few seeds tend to be too large."
    return [*(f"{pair}." for pair in against if pair not in alike), line]


def significance(pairs: Sequence[Pair]) -> str:
    """How many differences in area are significant."""
    tests = [pair for pair in pairs if not math.isnan(pair.p)]
    how = "(paired t-test over seeds, at .05 after Holm's correction)"
    if not tests:
        return "There is no test: it takes two seeds that both strategies of a pair have."
    told = sum(pair.p < ALPHA for pair in tests)
    if len(tests) == 1:
        return f"The difference in area is {'' if told else 'not '}significant {how}."
    return f"{told or 'None'} of {len(tests)} differences in area {'is' if told == 1 else 'are'} significant {how}."


def labels_saved(legs: Sequence[Leg]) -> list[str]:
    """Who reaches random's final score with how many labels, by the mean curves and seed by seed."""
    if REFERENCE not in [leg.name for leg in legs]:
        return [f"No run of {REFERENCE} is finished, which all others should be held against."] if legs else []
    lines, never, at_once = [], [], []
    for leg in legs:
        told = leg.saving
        if told is None:
            continue
        if told.needed is None:
            never.append(leg.name)
        elif told.at_start:
            at_once.append(leg.name)
        else:
            final = f"{REFERENCE}'s final {number(told.target)} at {told.labels:,.0f} labels"
            saved = f"with {told.needed:,.0f} by the mean curves, saving {told.share:.0%} of labels"
            saved += ", but ends below it" if told.ends_below else ""
            lines.append(f"{leg.name} reaches {final} {saved}{f'; {told.spread}' if told.spread else ''}.")
    if never:
        lines.append(f"{REFERENCE}'s final score is not reached by {listed(never)}.")
    if at_once:
        lines.append(
            f"{REFERENCE}'s final score is reached with the initial labels already, before anything was chosen, by "
            f"{listed(at_once)}: the curve tells no saving."
        )
    return lines


def module_health(legs: Sequence[Leg]) -> list[str]:
    """In how many cycles each leg's module is known to rank better than chance."""
    lines = []
    for leg in legs:
        better = sum(row.p < ALPHA and row.pairs.mean > CHANCE for row in leg.health)
        if leg.health and better == len(leg.health):
            lines.append(f"{leg.name}'s module ranks better than chance in each of {better} cycles.")
        elif leg.health:
            which = f"{len(leg.health) - better} of {len(leg.health)} cycles"
            lines.append(f"{leg.name}'s module ranks no better than chance, as far as can be told, in {which}.")
    return lines


def crowds(found: Chosen) -> list[str]:
    """Annotations a queried sample beside the pool's mean; one sentence where all samples cost the same."""
    pool = found.pool_effort
    if pool is not None and all(value.mean == pool for value in found.effort.values()):
        return [f"Every image costs the same, {pool:g} annotation{'s' if pool != 1 else ''}."]
    beside = "" if pool is None else f", {number(pool)} in the pool"
    known = [(leg, value.mean) for leg, value in found.effort.items() if not math.isnan(value.mean)]
    return [f"{leg}: {number(mean)} annotations a queried sample{beside}" for leg, mean in known]


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
