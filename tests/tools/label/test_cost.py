"""What people did with what was predicted, against counts by hand."""

from __future__ import annotations

import pytest

from tools.label.cost import cost, overlap, total
from tools.label.labels import Joint, Shape
from tools.label.versions import Cost

BOX = (10.0, 10.0, 20.0, 20.0)


def box(label: str, x: float, name: str = "", y: float = 10.0) -> Shape:
    return Shape(label, (x, y, 20.0, 20.0), id=name)


def person(x: float, *marks: int, name: str = "", framed: bool = True) -> Shape:
    """Three joints 10 pixels apart."""
    joints = tuple(
        Joint(x + 10 * k, 15.0, v) if v else Joint(0.0, 0.0, 0) for k, v in enumerate(marks)
    )
    return Shape("dog", (x, 10.0, 20.0, 20.0) if framed else None, joints, id=name)


def test_overlap_by_hand():
    assert overlap(BOX, BOX) == 1.0
    assert overlap(BOX, (20.0, 10.0, 20.0, 20.0)) == pytest.approx(200 / 600)
    assert overlap(BOX, (30.0, 10.0, 5.0, 5.0)) == 0.0, "they touch"
    assert overlap(None, None) == 1.0 and overlap(BOX, None) == 0.0
    assert overlap((0.0, 0.0, 0.0, 0.0), BOX) == 0.0


@pytest.mark.parametrize(
    ("drawn", "seen", "expected"),
    [
        ([], [], Cost()),
        ([box("cat", 10), box("cat", 60)], [], Cost(added=2)),  # blind
        ([], [box("cat", 10, "d1"), box("dog", 60, "d2")], Cost(deleted=2)),
        ([box("cat", 10, "d1")], [box("cat", 10, "d1")], Cost(kept=1)),
        # 19 / 21 = .905 < .95
        ([box("cat", 11, "d1")], [box("cat", 10, "d1")], Cost(moved=1)),
        # far away, but it is the same one
        ([box("cat", 70, "d1")], [box("cat", 10, "d1")], Cost(moved=1)),
        # without ids: 12 / 28 < .5 is another one
        ([box("cat", 18)], [box("cat", 10, "d1")], Cost(added=1, deleted=1)),
        ([box("cat", 11)], [box("cat", 10, "d1")], Cost(moved=1)),
        ([box("dog", 10)], [box("cat", 10, "d1")], Cost(renamed=1)),
        # renamed and moved is one thing that was done
        ([box("dog", 12, "d1")], [box("cat", 10, "d1")], Cost(renamed=1)),
        # of one's class rather than the nearer one of another class
        (
            [box("cat", 11)],
            [box("dog", 11, "d1"), box("cat", 10, "d2")],
            Cost(moved=1, deleted=1),
        ),
        # greedily the first would take the second's prediction, and leave that one nothing
        (
            [box("cat", 13), box("cat", 10)],
            [box("cat", 12, "d1"), box("cat", 18, "d2")],
            Cost(moved=2),
        ),
        # an id that was copied belongs to one of them
        ([box("cat", 10, "d1"), box("cat", 60, "d1")], [box("cat", 10, "d1")], Cost(1, added=1)),
        # of classes
        ([Shape("cat")], [Shape("cat", score=0.9, id="draft1")], Cost(kept=1)),
        ([Shape("cat")], [Shape("dog", score=0.9, id="draft1")], Cost(renamed=1)),
    ],
)
def test_boxes_and_classes(drawn: list[Shape], seen: list[Shape], expected: Cost):
    assert cost(drawn, seen, 0.95) == expected


@pytest.mark.parametrize(
    ("drawn", "seen", "expected"),
    [
        ([person(10, 2, 2, 0)], [], Cost(added=1, joints=2)),
        ([person(10, 2, 2, 2, name="d")], [person(10, 2, 2, 2, name="d")], Cost(kept=1)),
        # one hidden, one taken away
        ([person(10, 2, 1, 0, name="d")], [person(10, 2, 2, 2, name="d")], Cost(kept=1, joints=2)),
        # joints a pixel off are left alone; 18.5 / 20 of the box is not
        ([person(11, 2, 2, 2, name="d")], [person(10, 2, 2, 2, name="d")], Cost(moved=1)),
        (
            [person(11.5, 2, 2, 2, name="d")],
            [person(10, 2, 2, 2, name="d")],
            Cost(moved=1, joints=3),
        ),
        # a tool without boxes of persons: its joints alone tell what was done
        (
            [person(10, 2, 2, 2, name="d", framed=False)],
            [person(10, 2, 2, 2, name="d")],
            Cost(kept=1),
        ),
        (
            [person(60, 2, 2, 2, name="d", framed=False)],
            [person(10, 2, 2, 2, name="d")],
            Cost(kept=1, joints=3),
        ),
        ([person(60, 2, 2, 2, framed=False)], [person(10, 2, 2, 2)], Cost(0, 0, 0, 1, 1, 3)),
    ],
)
def test_persons(drawn: list[Shape], seen: list[Shape], expected: Cost):
    assert cost(drawn, seen, 0.95) == expected


def test_sums():
    costs = [Cost(1, 2, 3, 4, 5, 6), Cost(joints=1), Cost(kept=10)]
    assert total(costs) == Cost(11, 2, 3, 4, 5, 7)
    assert total([]) == Cost()
