"""Which settings may differ is said in one place, and report and check of runs both go by it."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from tests.comparekit import config
from tests.conftest import REPOSITORY
from tools.compare.grouping import _differences
from tools.experiment.settings import flat
from tools.record.comparable import AFTER_THE_FIRST, ANYWHERE, BETWEEN_LEGS, differing, free
from tools.verify.across import _setup


@pytest.mark.parametrize(
    ("key", "may", "expected"),
    [
        ("subset", ("subset",), True), ("subsets", ("subset",), False), ("committee.members", ("committee",), True),
        ("scoring.control", ("scoring.control",), True), ("scoring", ("scoring.control",), False), ("seed", (), False),
    ],
)  # fmt: skip
def test_a_key_is_free_by_itself_or_below_one(key, may, expected):
    assert free(key, may) == expected


def test_what_differs_is_named_in_order_whoever_lacks_it():
    one, other = {"b": 1, "a": 2, "c.d": 3, "e": 0}, {"b": 1, "a": 3, "f": 1, "e": 1}
    assert differing(one, other) == differing(other, one) == ["a", "c.d", "e", "f"]
    assert differing(one, other, ("c", "e")) == ["a", "f"]


FREE = ("training.deterministic", "training.workers", "scoring.batch_size", "scoring.keep_vectors",
        "training.keep_weights", "module.objective", "committee.members")  # fmt: skip
KEYS = (*FREE, "training.epochs", "training.amp", "task.size", "module.width", "budget.initial")


@pytest.mark.parametrize("key", KEYS)
def test_report_and_check_agree_on_what_two_legs_may_differ_in(key):
    settings = config("random"), config("entropy", **{key.replace(".", "__"): 3})
    same = {"folder": "run", "samples": "", "metric": "", "lower": False, "data": {}}
    runs = [SimpleNamespace(settings=flat(s), **same) for s in settings]
    setups = [_setup(SimpleNamespace(experiment=SimpleNamespace(config=s))) for s in settings]
    assert (
        (_differences(*runs, (*ANYWHERE, *BETWEEN_LEGS)) == [])
        == (setups[0] == setups[1])
        == (key in FREE)
    )


def test_the_lists_are_written_once():
    assert set(ANYWHERE) | set(BETWEEN_LEGS) < set(AFTER_THE_FIRST)
    for path in (
        path
        for room in ("tools", "models", "acquisition")
        for path in (REPOSITORY / room).rglob("*.py")
    ):
        text = path.read_text(encoding="utf-8")
        listed = re.search(r'"training\.workers",\s+"training\.checkpoint_every"', text)
        assert (listed is not None) == (path.name == "comparable.py"), path
