"""One ranking over all configs of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tools.compare.findings import Findings
from tools.compare.ranking.gains import Gains, Wins, gains, wins
from tools.compare.ranking.profiles import Profile, profile
from tools.compare.ranking.ranks import Ranks, ranks
from tools.compare.ranking.resampling import Firmness, firmness
from tools.compare.ranking.scores import Scores, names_of, scores


@dataclass(frozen=True)
class Ranking:
    """Results over several configs.

    Args:
        scores: what the ranking is made of, what is left out, and why there may be none.
        gains: every strategy in every config.
        wins: pairwise, over the configs.
        ranks: None where there is no ranking, like the next two.
        firmness: over seeds and configs.
        profile: how near to the best.
    """

    scores: Scores
    gains: Gains
    wins: Wins
    ranks: Ranks | None = None
    firmness: Firmness | None = None
    profile: Profile | None = None


def ranking(found: Sequence[Findings]) -> Ranking | None:
    """Rank over all configs with a finished run; None for fewer than two of them."""
    finished = [one for one in found if one.legs]
    if len(finished) < 2:
        return None
    compared = [one.comparison for one in finished]
    of = scores(compared)
    matrices = gains(finished, names_of(compared)), wins([one.penalties for one in finished])
    if of.reason:
        return Ranking(of, *matrices)
    return Ranking(of, *matrices, ranks(of), firmness(of), profile(of))
