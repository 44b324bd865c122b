"""The values that `ranking.html.j2` shows of a ranking over configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from tools.compare.page.diagrams import critical_differences, profiles, uri
from tools.compare.ranking import words
from tools.compare.ranking.profiles import Profile
from tools.compare.ranking.result import Ranking
from tools.display.looks import Style
from tools.display.sheet import interval

WITHIN = {"difference": (0.0, 0.005, 0.01, 0.02, 0.05), "factor": (1.0, 1.01, 1.02, 1.05, 1.1)}


def ranking_view(of: Ranking, looks: Mapping[str, Style]) -> dict[str, Any]:
    """The values of the section."""
    tested = of.wins.tested
    shares = np.divide(of.wins.matrix, tested, out=np.full(tested.shape, np.nan), where=tested > 0)
    view: dict[str, Any] = {
        "of": of,
        "short": words.summary(of),
        "missing": words.missing(of.gains),
        "wins": [] if np.isnan(shares).all() else shares.tolist(),
        "rows": [],
        "profile": [],
    }
    if of.ranks is None or of.firmness is None or of.profile is None:
        return view
    view |= {
        "rows": _rows(of),
        "diagram": Markup(uri(critical_differences(of.ranks, looks))),
        "lefts": [*of.firmness.configs, *of.firmness.seeds],
    }
    if of.profile.cases:
        view |= {
            "profile": _profile(of.profile),
            "within": [_within(of.profile, value) for value in WITHIN[of.profile.by]],
            "nearness": words.nearness(of.profile),
            "profiles": Markup(uri(profiles(of.profile, looks))),
        }
    return view


def _rows(of: Ranking) -> list[dict[str, Any]]:
    """A row for each strategy by mean rank: its rank in each config, its interval, its share."""
    if of.ranks is None or of.firmness is None:
        return []
    rows = []
    drawn = of.firmness.drawn
    for leg in of.ranks.order:
        i = of.ranks.legs.index(leg)
        rows.append(
            {
                "leg": leg,
                "mean": f"{of.ranks.mean[i]:.2f}",
                "ranks": [f"{rank:g}" for rank in of.ranks.table[:, i]],
                "interval": interval(drawn.low[i], drawn.high[i]) if drawn else "–",
                "first": f"{drawn.first[i]:.0%}" if drawn else "–",
            }
        )
    return rows


def _profile(of: Profile) -> list[tuple[str, list[str]]]:
    """Shares of the cases within some distances, the strategy that is most often best first."""
    shares = np.array([of.share(value) for value in WITHIN[of.by]])
    order = sorted(range(len(of.legs)), key=lambda i: (-shares[:, i]).tolist())
    return [(of.legs[i], [f"{share:.0%}" for share in shares[:, i]]) for i in order]


def _within(of: Profile, value: float) -> str:
    if value == of.least:
        return "best"
    return f"within {value:g}"
