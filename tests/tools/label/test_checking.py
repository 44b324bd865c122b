"""What is taken of what came back, and what is said of the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.faults import Fault
from tasks.labelable import Labeling
from tasks.pose import keypoint_records
from tests.tools.label.labelkit import BOXES, CLASSES, POSES
from tools.label.checking import Checked, check
from tools.label.formats import kinds
from tools.label.labels import Answer, Entry, Joint, PoolImage, Shape

IMAGES = {
    "a/1.jpg": PoolImage("a/1.jpg", Path("/pool/a/1.jpg"), (100, 50), "0a"),
    "a/2.jpg": PoolImage("a/2.jpg", Path("/pool/a/2.jpg"), (100, 50), "0b"),
    "b/1.jpg": PoolImage("b/1.jpg", Path("/pool/b/1.jpg"), (60, 60), "0c"),
    "b/3.jpg": PoolImage("b/3.jpg", Path("/pool/b/3.jpg"), (30, 80), "0d", turned=True),
}
CAT = Shape("cat", (10.0, 10.0, 20.0, 20.0), score=0.5, id="x")
NOWHERE = Joint(0.0, 0.0, 0)
PERSON = Shape(
    "person", (10.0, 10.0, 20.0, 20.0), (Joint(11.0, 12.0, 2), Joint(0, 0, 0), Joint(20, 20, 1))
)
GOOD = Entry("a/2.jpg", "f, [0]", "labeled", (CAT,), (100, 50), 3.5, "ann")


def said(checked: Checked) -> dict[str, list[str]]:
    return {name: [fault.kind for fault in faults] for name, faults in checked.faults.items()}


def only(entry: Entry, labeling: Labeling = BOXES, lenient: bool = False) -> Checked:
    return check([entry], IMAGES, labeling, lenient=lenient)


def test_what_is_taken_has_no_scores_and_keeps_the_rest():
    checked = only(GOOD)
    kept = replace(CAT, score=None)
    assert checked == Checked((Answer("a/2.jpg", "labeled", (kept,), 3.5, "ann"),), {}, (), (), ())


@pytest.mark.parametrize(
    ("entry", "done", "states", "unclear"),
    [
        (replace(GOOD, state="empty", shapes=()), None, ["empty"], []),
        (replace(GOOD, state="skipped"), None, ["skipped"], []),
        (replace(GOOD, state=None, shapes=()), None, [], ["a/2.jpg"]),
        (replace(GOOD, state=None), None, [], ["a/2.jpg"]),
        (replace(GOOD, state=None, shapes=()), "all", ["empty"], []),
        (replace(GOOD, state=None, shapes=()), ["2.jpg"], ["empty"], []),
        (replace(GOOD, state=None), [r"a\2.jpg"], ["labeled"], []),
        (replace(GOOD, state=None), [], [], ["a/2.jpg"]),
        (replace(GOOD, state="skipped"), "all", ["skipped"], []),
        (replace(GOOD, state="labeled", shapes=()), None, ["empty"], []),
    ],
)  # fmt: skip
def test_three_states(entry: Entry, done: object, states: list[str], unclear: list[str]):
    checked = check([entry], IMAGES, BOXES, done)  # type: ignore[arg-type]
    assert [answer.state for answer in checked.answers] == states
    assert list(checked.unclear) == unclear and checked.faults == {}
    shapes = [answer.shapes for answer in checked.answers]
    assert all(
        bool(found) == (state == "labeled") for found, state in zip(shapes, states, strict=True)
    )


def test_a_finished_image_that_the_file_lacks_is_named():
    checked = check([GOOD], IMAGES, BOXES, ["a/2.jpg", "b/3.jpg", "1.jpg", "c.jpg"])
    assert said(checked) == {
        "b/3.jpg": [kinds.NOT_IN_FILE],
        "1.jpg": [kinds.AMBIGUOUS_IMAGE],
        "c.jpg": [kinds.UNKNOWN_IMAGE],
    }
    assert [answer.key for answer in checked.answers] == ["a/2.jpg"]


def test_names_that_mean_no_image_or_several():
    entries = [GOOD, replace(GOOD, name="1.jpg"), replace(GOOD, name="x/b2.jpg"), replace(GOOD, name="x/b2.jpg")]  # fmt: skip
    checked = check(entries, IMAGES, BOXES)
    assert said(checked) == {
        "1.jpg": [kinds.AMBIGUOUS_IMAGE],
        "x/b2.jpg": [kinds.UNKNOWN_IMAGE] * 2,
    }
    assert checked.unknown == ("1.jpg", "x/b2.jpg")
    assert "a/1.jpg" in checked.faults["1.jpg"][0] and "b/1.jpg" in checked.faults["1.jpg"][0]
    assert "did you mean 'a/2.jpg'?" in checked.faults["x/b2.jpg"][0]


def test_an_image_twice_in_a_file_is_not_taken_at_all():
    entries = [GOOD, replace(GOOD, name="/x/a/2.jpg", where="f, [1]")]
    checked = check(entries, IMAGES, BOXES, lenient=True)
    assert said(checked) == {"a/2.jpg": [kinds.TWICE]} and checked.answers == ()
    assert "f, [1]" in checked.faults["a/2.jpg"][0]


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((10.0, 10.0, 91.5, 20.0), kinds.BOX_OUTSIDE),
        ((-1.5, 10.0, 20.0, 20.0), kinds.BOX_OUTSIDE),
        ((10.0, 40.0, 20.0, 11.5), kinds.BOX_OUTSIDE),
        ((10.0, 10.0, 0.5, 20.0), kinds.SMALL_BOX),
        ((10.0, 10.0, 20.0, 0.985), kinds.SMALL_BOX),
        ((10.0, 10.0, 20.0, 0.0), kinds.SMALL_BOX),
        ((30.0, 10.0, -20.0, 20.0), kinds.SMALL_BOX),
        ((99.5, 10.0, 1.4, 20.0), kinds.SMALL_BOX),
        ((float("nan"), 10.0, 20.0, 20.0), kinds.COORDINATE),
        ((10.0, 10.0, float("inf"), 20.0), kinds.COORDINATE),
        (None, kinds.SHAPE),
    ],
)  # fmt: skip
def test_boxes(box: tuple | None, kind: str):
    checked = only(replace(GOOD, shapes=(CAT, replace(CAT, box=box))))
    assert said(checked) == {"a/2.jpg": [kind]} and checked.answers == ()


@pytest.mark.parametrize(
    ("box", "taken", "noted"),
    [
        ((10.0, 10.0, 90.0, 40.0), (10.0, 10.0, 90.0, 40.0), ""),
        ((-0.75, 10.0, 20.0, 20.0), (0.0, 10.0, 19.25, 20.0), "0.75 pixels"),
        ((10.0, 10.0, 91.0, 20.0), (10.0, 10.0, 90.0, 20.0), "1 pixels"),
        ((-0.5, -0.25, 101.0, 51.0), (0.0, 0.0, 100.0, 50.0), "1 pixels"),
        ((-1e-9, 10.0, 20.0, 20.0), (0.0, 10.0, 20.0, 20.0), ""),
        ((10.0, 10.0, 1.0, 1.0), (10.0, 10.0, 1.0, 1.0), ""),
    ],
)  # fmt: skip
def test_a_pixel_outside_is_rounding(box: tuple, taken: tuple, noted: str):
    checked = only(replace(GOOD, shapes=(replace(CAT, box=box),)))
    assert checked.answers[0].shapes[0].box == pytest.approx(taken, abs=1e-8)
    assert len(checked.notes) == bool(noted)
    assert all("a/2.jpg: 'cat' 0" in note and noted in note for note in checked.notes)


@pytest.mark.parametrize(
    ("box", "taken", "noted"),
    [
        ((10.0, 10.0, 0.99968, 20.0), (10.0, 10.0, 1.0, 20.0), 0),
        ((10.0, 10.0, 0.991, 0.9999), (10.0, 10.0, 1.0, 1.0), 1),
        ((99.0, 49.005, 1.0, 0.995), (99.0, 49.0, 1.0, 1.0), 1),
        ((99.0004, 10.0, 1.0, 20.0), (99.0, 10.0, 1.0, 20.0), 0),
    ],
)
def test_a_side_of_a_pixel_that_rounding_took_a_little_of_is_one(
    box: tuple, taken: tuple, noted: int
):
    """As the tasks take it: below 1 they refuse a box, or leave it out."""
    for labeling, shape in ((BOXES, CAT), (POSES, replace(PERSON, joints=(NOWHERE,) * 3))):
        checked = only(replace(GOOD, shapes=(replace(shape, box=box),)), labeling)
        assert checked.answers[0].shapes[0].box == taken
        assert len(checked.notes) == noted
        assert all("it is one pixel now" in note for note in checked.notes)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (dict(joints=PERSON.joints[:2]), kinds.JOINT_COUNT),
        (dict(joints=()), kinds.JOINT_COUNT),
        (dict(joints=(Joint(102, 12, 2), *PERSON.joints[1:])), kinds.JOINT_OUTSIDE),
        (dict(joints=(Joint(11, -3, 1), *PERSON.joints[1:])), kinds.JOINT_OUTSIDE),
        (dict(joints=(Joint(float("nan"), 1, 1), *PERSON.joints[1:])), kinds.COORDINATE),
        (dict(joints=(Joint(11, 12, 3), *PERSON.joints[1:])), kinds.VISIBILITY),
        (dict(label="persom"), kinds.WRONG_CLASS),
        (dict(box=(10.0, 10.0, 95.0, 20.0)), kinds.BOX_OUTSIDE),
        (dict(box=(70.0, 10.0, 20.0, 20.0)), kinds.JOINTS_ASTRAY),
        (dict(box=None, joints=(NOWHERE,) * 3), kinds.SHAPE),
    ],
)  # fmt: skip
def test_persons(change: dict, kind: str):
    checked = only(replace(GOOD, shapes=(replace(PERSON, **change),)), POSES)
    assert said(checked) == {"a/2.jpg": [kind]}


@pytest.mark.parametrize("x", [0.0, 20.9, 21.1, 29.9, 30.1, 40.0, 70.0])
def test_joints_elsewhere_are_those_that_the_tasks_refuse(x: float):
    """Joints at x = 11 and 20: beside a box of 20 x 20 they may lie by 10, and half of them must."""
    person = replace(PERSON, box=(x, 10.0, 20.0, 20.0))
    numbers = [value for joint in person.joints for value in (joint.x, joint.y, joint.visibility)]
    refused = [*keypoint_records.outside({"bbox": list(person.box), "keypoints": numbers}, "")]
    assert bool(refused) == (x > 30)
    checked = only(replace(GOOD, shapes=(person,)), POSES)
    assert said(checked) == ({"a/2.jpg": [kinds.JOINTS_ASTRAY]} if refused else {})


def test_joints_a_pixel_outside_are_moved_and_absent_ones_are_nowhere():
    joints = (Joint(100.5, 12.0, 2), Joint(0, 0, 0), Joint(-0.25, 50.0, 1))
    person = Shape("person", (0.0, 10.0, 100.0, 40.0), joints)
    checked = only(replace(GOOD, shapes=(person,)), POSES)
    moved = checked.answers[0].shapes[0].joints
    assert moved == (Joint(100.0, 12.0, 2), Joint(0, 0, 0), Joint(0.0, 50.0, 1))
    assert "0.5 pixels" in checked.notes[0] and len(checked.notes) == 1


def test_persons_without_a_box_are_taken():
    checked = only(replace(GOOD, shapes=(replace(PERSON, box=None),)), POSES)
    assert checked.answers[0].shapes[0].box is None and checked.faults == {}


@pytest.mark.parametrize(
    ("shapes", "state", "found"),
    [
        ((Shape("cat"),), "labeled", []),
        ((Shape("bird"), Shape("cat")), "labeled", [kinds.SEVERAL_CLASSES]),
        ((), "empty", [kinds.NO_CLASS]),
        ((), "labeled", [kinds.NO_CLASS]),
        ((Shape("Cat "),), "labeled", [kinds.WRONG_CLASS]),
        ((CAT,), "labeled", [kinds.SHAPE]),
        ((), "skipped", []),
    ],
)  # fmt: skip
def test_one_class_an_image(shapes: tuple, state: str, found: list[str]):
    for lenient in (False, True):
        entry = replace(GOOD, shapes=shapes, state=state, size=None)  # type: ignore[arg-type]
        checked = only(entry, CLASSES, lenient)
        assert said(checked) == ({"a/2.jpg": found} if found else {})
        assert len(checked.answers) == (not found)


def test_a_wrong_class_comes_with_the_nearest():
    checked = only(replace(GOOD, shapes=(replace(CAT, label="traffic_light"),)))
    assert said(checked) == {"a/2.jpg": [kinds.WRONG_CLASS]}
    assert "did you mean 'traffic light'?" in checked.faults["a/2.jpg"][0]


@pytest.mark.parametrize(
    ("key", "size", "words"),
    [
        ("a/2.jpg", (200, 100), "look whether /pool/a/2.jpg is the image"),
        ("a/2.jpg", (50, 100), "the sides are swapped: label the image as it is now"),
        ("b/3.jpg", (80, 30), "the labels lie on the pixels as stored"),
    ],
)  # fmt: skip
def test_sizes_that_disagree(key: str, size: tuple, words: str):
    for lenient in (False, True):
        checked = only(replace(GOOD, name=key, size=size, shapes=(replace(CAT, box=(1, 1, 9, 9)),)), lenient=lenient)  # fmt: skip
        assert said(checked) == {key: [kinds.WRONG_SIZE]}
        assert words in checked.faults[key][0]


FAULT = Fault(kinds.ROTATED, "f, [0], box", "an upright box", "30", "draw it upright")


def test_nothing_of_a_faulty_image_is_taken_unless_told_so():
    entry = replace(GOOD, shapes=(CAT, replace(CAT, label="cow")), faults=(FAULT,))
    checked = only(entry)
    assert said(checked) == {"a/2.jpg": [kinds.ROTATED, kinds.WRONG_CLASS]}
    assert checked.answers == () and checked.notes == ()
    lenient = only(entry, lenient=True)
    assert lenient.faults == {} and len(lenient.answers[0].shapes) == 1
    assert [note.partition(": f")[0] for note in lenient.notes] == ["a/2.jpg: taken in part (1 shapes)"] * 2  # fmt: skip


@pytest.mark.parametrize(
    "entry",
    [
        replace(GOOD, shapes=(replace(CAT, label="cow"),)),  # or it would be an empty image
        replace(GOOD, shapes=(), faults=(FAULT,)),
        replace(GOOD, state=None, faults=(FAULT,)),
        replace(GOOD, faults=(Fault(kinds.TURNED_IMAGE, "f", "a", "b", "c"),)),
    ],
)
def test_what_even_a_lenient_check_does_not_take(entry: Entry):
    checked = only(entry, lenient=True)
    assert checked.answers == () and list(checked.faults) == ["a/2.jpg"]


def test_a_skipped_image_may_have_wrong_shapes():
    checked = only(replace(GOOD, state="skipped", shapes=(replace(CAT, label="cow"),)))
    assert [answer.state for answer in checked.answers] == ["skipped"] and checked.faults == {}


def test_faults_of_an_entry_without_a_name_are_kept():
    fault = Fault(kinds.NO_IMAGE, "f, [0]", "a name", "none", "write it")
    checked = only(replace(GOOD, name="", faults=(fault,)))
    assert checked.faults == {"": (fault,)} and checked.unknown == ()


def test_two_persons_are_named_even_if_the_last_one_skipped():
    fault = Fault(kinds.TWO_PERSONS, "f, [0]", "one person's", "two", "delete one")
    entry = replace(GOOD, state="skipped", faults=(fault,))
    assert said(only(entry)) == {"a/2.jpg": [kinds.TWO_PERSONS]}
    lenient = only(entry, lenient=True)
    assert [answer.state for answer in lenient.answers] == ["skipped"] and len(lenient.notes) == 1
