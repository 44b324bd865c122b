"""What a ranking over configs says, in sentences that page and terminal share."""

from __future__ import annotations

import math

from tools.compare.curves import plural
from tools.compare.ranking.gains import Gains
from tools.compare.ranking.profiles import Profile
from tools.compare.ranking.ranks import Ranks
from tools.compare.ranking.resampling import Drawn, Firmness, Left
from tools.compare.ranking.result import Ranking
from tools.compare.statistics import ALPHA

FEW = 6  # configs: with fewer not even all wins are significant for one pair


def summary(of: Ranking) -> list[str]:
    """The ranking, its tests and how firm it is; why there is none, else."""
    if of.ranks is None or of.firmness is None:
        return [f"There is no ranking over all configs: {of.scores.reason}."]
    return [order(of.ranks), overall(of.ranks), *scope(of.ranks), *firm(of.firmness)]


def order(of: Ranks) -> str:
    """The strategies by mean rank."""
    mean = dict(zip(of.legs, of.mean.tolist(), strict=True))
    listed = ", ".join(f"{leg} {mean[leg]:.2f}" for leg in of.order)
    return f"Mean ranks over {plural(len(of.table), 'config')}, 1 is best: {listed}."


def overall(of: Ranks) -> str:
    """The result of Friedman's test, and of the pairs."""
    if not math.isnan(of.p):
        found = (
            f"Friedman's test over all strategies: chi-square {of.statistic:.3g}, p = {of.p:.2g}"
        )
        if of.p >= ALPHA:
            return (
                f"{found}: these ranks do not differ more than chance would let them, so no pair "
                "is called different."
            )
        found += ": some strategies differ. "
    else:
        found = ""
    different = sum(duel.corrected < ALPHA for duel in of.duels)
    how = "significantly by Wilcoxon's signed-rank test after Holm's correction"
    if len(of.duels) == 1:
        return f"{found}The two {'differ' if different else 'do not differ'} {how}."
    return f"{found}{different or 'None'} of {len(of.duels)} pairs of strategies differ {how}."


def scope(of: Ranks) -> list[str]:
    """What so few configs cannot say."""
    configs = len(of.table)
    if of.decidable:
        return []
    return [
        f"With {configs} configs the least p-value that a pair can have is {of.least_p:.2g}, and "
        f"Holm asks for less than {ALPHA} / {len(of.duels)}: no pair can be significant, whatever "
        f"the results; that takes {of.needed} configs at least. So the ranks sum up these configs "
        "and say nothing about others."
    ]


def firm(of: Firmness) -> list[str]:
    """How firm the order is over seeds and configs."""
    lines = []
    if of.drawn is None:
        lines.append("Each config has one seed, so it is unknown how far chance moves the ranks.")
    else:
        lines.append(_drawn(of.drawn))
        if of.drawn.fixed:
            names = ", ".join(of.drawn.fixed)
            lines.append(f"No draw can vary the one seed of {names}.")
    for what, lefts in (("seed", of.seeds), ("config", of.configs)):
        known = [left for left in lefts if not math.isnan(left.tau)]
        if known:
            lines.append(_least(what, known))
    return lines


def _drawn(of: Drawn) -> str:
    over = f"Over {of.draws:,} draws of the seeds"
    if math.isnan(of.tau):
        return f"{over} there is no order to compare: all strategies share one rank."
    return (
        f"{over} the order agrees with that of all seeds by Kendall's tau {of.tau:.2f} in the mean "
        f"(1 is the same order, 0 none), and 97.5% of them by {of.tau_low:.2f} or more."
    )


def _least(what: str, lefts: list[Left]) -> str:
    least = min(lefts, key=lambda left: left.tau)
    leaders = {left.first for left in lefts}
    end = "the same strategy leads each time"
    if len(leaders) > 1:
        several = sorted({leg for first in leaders for leg in first})
        end = f"who leads depends on it ({', '.join(several)})"
    return (
        f"Without one {what} the order agrees by tau {least.tau:.2f} at the least (without "
        f"{least.what}); {end}."
    )


def missing(of: Gains) -> list[str]:
    """The empty cells of the matrix, by config."""
    return [
        f"{config}: no finished run of {', '.join(lacking)}"
        for config, row in zip(of.configs, of.cells, strict=True)
        if (lacking := [leg for leg, cell in zip(of.legs, row, strict=True) if cell is None])
    ]


def nearness(of: Profile) -> str:
    """What the profile's axis is."""
    if of.by == "difference":
        return "points of the metric below the best (.01 is one percentage point)"
    return "times as bad as the best (as a factor of the metric)"
