"""The section `label` of a config: how people are asked, for `al_label.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from acquisition.pool import First

Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True)
class LabelSettings:
    """How people are asked for labels.

    Args:
        validation: images of the validation slice, which is drawn at random, labeled first and
            never trained on; at most a fifth of the pool is taken.
        first: how the first batch is chosen, where nothing is labeled: ``"cover"`` by k-center,
            ``"typiclust"`` or ``"kmeans"`` by clusters, all on the features of the network as the
            config builds it; or at ``"random"``.
        random: share of each batch that is drawn at random, with which the strategy's picks are
            compared.
        blind: share of a batch that goes out without predictions, to see whether these lead people.
        drafts: least score of a prediction that goes out for people to correct.
        twins: near duplicates among the picks are pointed out (``"mark"``), or all but the first
            are left for later (``"leave out"``).
        moved: a predicted box counts as kept where its intersection with the person's over their
            union is at least this, as moved where it is less, and as deleted where it is none's.
    """

    validation: Annotated[int, Ge(1)] = 100
    first: First = "cover"
    random: Share = 0.1
    blind: Share = 0.1
    drafts: Share = 0.1
    twins: Literal["mark", "leave out"] = "mark"
    moved: Share = 0.95
