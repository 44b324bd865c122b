"""Batches through Label Studio itself: sent over its REST API, labeled as browsers label, read
back, and compared with what was drawn.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tasks.labelable import Labeling
from tests.conftest import REPOSITORY
from tests.label_studio.drawing import Hand, batch_of, boxes, make_image, pose
from tests.label_studio.environment import lane
from tests.label_studio.serving import FIRST, Person, Running, listens, running
from tools.label.formats import label_studio
from tools.label.labels import Entry, LabelError, PoolImage, Shape
from tools.label.studio import server as module
from tools.label.studio.server import Server
from tools.label.studio.tokens import Token

pytestmark = pytest.mark.slow

LANE = lane()

OBJECTS = Labeling("boxes", ("cat", "big dog"))
JOINTS = ("head", "left hand", "right hand")
PERSONS = Labeling("poses", ("person",), JOINTS, ((0, 1), (0, 2)), (0, 2, 1))
BOX_IMAGES = {  # key: stored size
    "accepted.jpg": (640, 427),
    "a b/größe #1 100%.png": (500, 375),
    "turned.jpg": (320, 200),
    "empty.jpg": (333, 251),
    "skipped.jpg": (300, 200),
    "rotated.jpg": (301, 199),
    "updated.jpg": (640, 480),
    "copied.jpg": (640, 480),
    "by two.jpg": (640, 480),
    "draft.jpg": (640, 480),
    "untouched.jpg": (640, 480),
}
POSE_IMAGES = {"two persons.jpg": (617, 409), "turned.jpg": (320, 200), "nobody.jpg": (200, 200)}
FIRST_DRAFT = (
    Shape("cat", (10.123456789, 20.987654321, 100.5, 50.25), score=0.9, id="draft-1"),
    Shape("big dog", (300.1, 100.2, 33.3, 44.4), score=0.4, id="draft-2"),
)
WALKER = pose((100.25, 50.5, 90.125, 200.75), (150.5, 60.125, 2), (110.3, 140.7, 1), (0, 0, 0))
SITTER = pose((300, 100, 80, 90), (340.1, 110.9, 2), (310.5, 150.5, 2), (370.25, 151.75, 1))


@dataclass(frozen=True)
class Sent:
    """A batch that is in a project.

    Args:
        project: its id.
        config: the labeling configuration.
        tasks: what Label Studio has, by key.
        images: the pool.
    """

    project: int
    config: str
    tasks: Mapping[str, dict[str, Any]]
    images: Mapping[str, PoolImage]

    def hand(self, key: str) -> Hand:
        return Hand(self.images[key].size, self.config)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("label studio")


@pytest.fixture(scope="module")
def there(place: Path) -> Iterator[Running]:
    """Label Studio, which is seen to end and to have asked nobody outside."""
    (place / "home").mkdir()
    with running(LANE, place / "home", place) as found:
        print(f"first answer after {found.seconds:.0f} s")
        yield found
    assert not listens(found.url)
    told = found.log.read_text(encoding="utf-8", errors="replace")
    assert "Starting development server" in told and "/api/token/refresh/" in told
    assert not [word for word in ("pypi.org", "sentry.io", "labelstud.io") if word in told]


@pytest.fixture(scope="module")
def person(there: Running) -> Person:
    return Person(there.url, *FIRST)


@pytest.fixture(scope="module")
def token(person: Person) -> str:
    return person.token()


@pytest.fixture(scope="module")
def server(there: Running, token: str) -> Server:
    return Server(there.url, Token(token))


def send(
    server: Server,
    place: Path,
    name: str,
    labeling: Labeling,
    sizes: Mapping[str, Any],
    drafts: Any,
) -> Sent:
    """Write a batch as `label_studio.write` does, and push it."""
    root = place / f"{name} photos"
    images = [make_image(root, key, size, "turned" in key) for key, size in sizes.items()]
    folder = place / name
    label_studio.write(batch_of(images, labeling, root, drafts), folder)
    config = (folder / label_studio.CONFIG).read_text(encoding="utf-8")
    tasks = json.loads((folder / label_studio.TASKS).read_text(encoding="utf-8"))
    project = server.push(name, config, tasks, str(root))
    held = {task["data"]["key"]: task for task in server.pull(project)}
    assert list(held) == list(sizes)
    return Sent(project, config, held, {image.key: image for image in images})


def read_back(server: Server, sent: Sent, labeling: Labeling, path: Path) -> dict[str, Entry]:
    """What comes back: pulled, kept as the file that an export would be, and read."""
    path.write_text(json.dumps(server.pull(sent.project)), encoding="utf-8")
    entries = label_studio.read(path, labeling, sent.images)
    found = {entry.name: entry for entry in entries}
    assert len(found) == len(entries)
    return found


def close(found: tuple[Shape, ...], drawn: tuple[Shape, ...]) -> None:
    """Classes and order as drawn, boxes and joints to a hundredth of a pixel."""
    assert [shape.label for shape in found] == [shape.label for shape in drawn]
    for one, other in zip(found, drawn, strict=True):
        assert one.box == pytest.approx(other.box, abs=0.01)
        assert [joint.visibility for joint in one.joints] == [j.visibility for j in other.joints]
        for joint, wanted in zip(one.joints, other.joints, strict=True):
            assert (joint.x, joint.y) == pytest.approx((wanted.x, wanted.y), abs=0.01)


# ---------------------------------------------------------------- boxes


@pytest.fixture(scope="module")
def sent(server: Server, place: Path) -> Sent:
    drafts = {"accepted.jpg": FIRST_DRAFT, "a b/größe #1 100%.png": FIRST_DRAFT, "empty.jpg": ()}
    return send(server, place, "boxes", OBJECTS, BOX_IMAGES, drafts)


@pytest.fixture(scope="module")
def labeled(sent: Sent, person: Person, server: Server, place: Path) -> dict[str, Entry]:
    """The boxes, after persons have done what persons do."""
    tasks = sent.tasks
    drawn = sent.hand("accepted.jpg").box
    (prediction,) = tasks["accepted.jpg"]["predictions"]
    regions = [drawn(shape.id, shape, origin="prediction") for shape in FIRST_DRAFT]
    person.submit(tasks["accepted.jpg"], regions, lead_time=4.5, parent_prediction=prediction)

    key = "a b/größe #1 100%.png"
    drawn = sent.hand(key).box
    moved, new = boxes(("cat", (11.5, 22.25, 99.75, 49.125)), ("cat", (0, 0, 500, 375)))
    regions = [drawn("draft-1", moved, origin="prediction-changed"), drawn("n3W_x", new)]
    person.draft(tasks[key], regions[:1], lead_time=3.0)
    person.submit(tasks[key], regions, lead_time=61.75)

    (shape,) = boxes(("big dog", (150.5, 219.25, 49.5, 100.75)))
    person.submit(tasks["turned.jpg"], [sent.hand("turned.jpg").box("t", shape)], lead_time=7)
    person.submit(tasks["empty.jpg"], [], lead_time=1.25)
    person.submit(tasks["skipped.jpg"], [], lead_time=0.75, was_cancelled=True)

    (shape,) = boxes(("cat", (100.0, 50.0, 40.0, 20.0)))
    person.submit(tasks["rotated.jpg"], [sent.hand("rotated.jpg").box("r", shape, 30)], lead_time=2)

    first, second = boxes(("cat", (1, 2, 30, 40)), ("big dog", (5.5, 6.5, 70, 80)))
    drawn = sent.hand("updated.jpg").box
    made = person.submit(tasks["updated.jpg"], [drawn("u", first)], lead_time=5)
    person.update(made, [drawn("u", second)], lead_time=9.5)
    made = person.submit(tasks["copied.jpg"], [drawn("u", first)], lead_time=5)
    copy = [drawn("u", second)]
    person.submit(tasks["copied.jpg"], copy, lead_time=3.5, parent_annotation=made["id"])

    other = Person(person.url, "second@example.org", "pass-of-the-second", new=True)
    person.submit(tasks["by two.jpg"], [drawn("u", first)], lead_time=5)
    other.submit(tasks["by two.jpg"], [drawn("v", second)], lead_time=6)
    person.draft(tasks["draft.jpg"], [drawn("d", first)], lead_time=8)
    return read_back(server, sent, OBJECTS, place / "boxes.json")


def test_images_without_an_annotation_are_no_answers(sent: Sent, labeled: dict[str, Entry]):
    assert set(sent.images) - set(labeled) == {"draft.jpg", "untouched.jpg"}


def test_drafts_are_pulled_but_do_not_count(sent: Sent, server: Server, labeled: dict[str, Entry]):
    by_key = {task["data"]["key"]: task for task in server.pull(sent.project)}
    (draft,) = by_key["draft.jpg"]["drafts"]
    assert draft["lead_time"] == 8 and len(draft["result"]) == 1
    assert by_key["draft.jpg"]["annotations"] == by_key["untouched.jpg"]["annotations"] == []


def test_an_accepted_prediction_keeps_its_ids(labeled: dict[str, Entry]):
    entry = labeled["accepted.jpg"]
    assert (entry.state, entry.seconds, entry.faults) == ("labeled", 4.5, ())
    assert [shape.id for shape in entry.shapes] == ["draft-1", "draft-2"]
    close(entry.shapes, FIRST_DRAFT)


def test_a_moved_box_keeps_its_id_and_a_new_one_has_another(labeled: dict[str, Entry]):
    entry = labeled["a b/größe #1 100%.png"]
    assert (entry.state, entry.seconds, entry.faults) == ("labeled", 61.75, ())
    assert [shape.id for shape in entry.shapes] == ["draft-1", "n3W_x"]
    wanted = boxes(("cat", (11.5, 22.25, 99.75, 49.125)), ("cat", (0, 0, 500, 375)))
    close(entry.shapes, wanted)


def test_an_image_that_exif_turns_is_drawn_on_as_it_is_shown(labeled: dict[str, Entry]):
    entry = labeled["turned.jpg"]
    assert entry.size == (200, 320) and entry.faults == ()
    close(entry.shapes, boxes(("big dog", (150.5, 219.25, 49.5, 100.75))))


def test_empty_is_not_skipped(labeled: dict[str, Entry]):
    empty, skipped = labeled["empty.jpg"], labeled["skipped.jpg"]
    assert (empty.state, empty.shapes, empty.seconds, empty.faults) == ("empty", (), 1.25, ())
    assert (skipped.state, skipped.shapes, skipped.seconds) == ("skipped", (), 0.75)


def test_a_rotated_box_is_named_and_enclosed(labeled: dict[str, Entry]):
    entry = labeled["rotated.jpg"]
    (fault,) = entry.faults
    assert fault.kind == "rotated box"
    # about the upper left corner, clockwise: by hand, with cos 30 = 0.8660254 and sin 30 = 0.5
    wanted = boxes(("cat", (90.0, 50.0, 44.641016, 37.320508)))
    close(entry.shapes, wanted)


def test_of_two_versions_the_newer_one_counts(labeled: dict[str, Entry]):
    for key, seconds in (("updated.jpg", 9.5), ("copied.jpg", 3.5)):
        entry = labeled[key]
        assert (entry.state, entry.seconds, entry.faults) == ("labeled", seconds, ())
        close(entry.shapes, boxes(("big dog", (5.5, 6.5, 70, 80))))


def test_two_persons_on_one_image_are_named(labeled: dict[str, Entry]):
    (fault,) = labeled["by two.jpg"].faults
    assert fault.kind == "two persons"
    assert len({labeled["by two.jpg"].by, labeled["accepted.jpg"].by}) == 2


def test_every_image_is_shown_to_a_person(sent: Sent, person: Person, labeled: dict[str, Entry]):
    for key, image in sent.images.items():
        answer = person.session.get(person.url + sent.tasks[key]["data"]["image"])
        assert answer.status_code == 200 and answer.content == image.path.read_bytes(), key
    stranger = requests.get(person.url + sent.tasks["turned.jpg"]["data"]["image"])
    assert stranger.status_code in (302, 401, 403)


# ---------------------------------------------------------------- poses


def test_poses_with_their_visibility(server: Server, place: Path, person: Person):
    draft = Shape("person", SITTER.box, SITTER.joints, 0.7, "sitter")
    drafts = {"two persons.jpg": (draft,)}
    sent = send(server, place, "poses", PERSONS, POSE_IMAGES, drafts)
    (prediction,) = sent.tasks["two persons.jpg"]["predictions"]
    hand = sent.hand("two persons.jpg")
    result = hand.person("sitter", SITTER, JOINTS, origin="prediction")
    result += hand.person("w", WALKER, JOINTS)
    person.submit(
        sent.tasks["two persons.jpg"], result, lead_time=33.5, parent_prediction=prediction
    )
    tall = pose((20.5, 10.25, 150, 300), (90, 20, 2), (30.5, 150.5, 1), (160.25, 310.125, 2))
    result = sent.hand("turned.jpg").person("t", tall, JOINTS)
    person.submit(sent.tasks["turned.jpg"], result[::-1], lead_time=20)  # in whatever order
    person.submit(sent.tasks["nobody.jpg"], [], lead_time=1)

    found = read_back(server, sent, PERSONS, place / "poses.json")
    assert [entry.faults for entry in found.values()] == [(), (), ()]
    close(found["two persons.jpg"].shapes, (SITTER, WALKER))
    assert [shape.id for shape in found["two persons.jpg"].shapes] == ["sitter", "w"]
    close(found["turned.jpg"].shapes, (tall,))
    assert found["nobody.jpg"].state == "empty"
    assert [entry.seconds for entry in found.values()] == [33.5, 20, 1]


def test_a_draft_that_is_submitted_as_it_came_is_read_as_it_went_out(
    server: Server, place: Path, person: Person
):
    """The regions that Label Studio holds of our predictions, submitted unchanged."""
    draft = Shape("person", WALKER.box, WALKER.joints, 0.7, "walker")
    sent = send(server, place, "as it is", PERSONS, {"a.jpg": (617, 409)}, {"a.jpg": (draft,)})
    query = {"project": sent.project, "fields": "all", "page_size": 5}
    (task,) = person.session.get(f"{person.url}/api/tasks", params=query).json()["tasks"]
    person.submit(sent.tasks["a.jpg"], task["predictions"][0]["result"], lead_time=2)
    (entry,) = read_back(server, sent, PERSONS, place / "as it is.json").values()
    close(entry.shapes, (WALKER,))
    assert entry.faults == () and entry.shapes[0].id == "walker"


# ---------------------------------------------------------------- push and pull


def test_the_same_image_in_a_later_batch_is_a_task_of_its_own(server: Server, place: Path):
    root, config = place / "later photos", label_studio.configuration(OBJECTS)
    images = [make_image(root, key, (100, 80)) for key in ("a.jpg", "b.jpg")]
    for number, chosen in enumerate((images, images[:1])):
        folder = place / f"later {number}"
        label_studio.write(batch_of(chosen, OBJECTS, root, {}, number), folder)
        tasks = json.loads((folder / label_studio.TASKS).read_text(encoding="utf-8"))
        projects = {server.push("later", config, tasks, str(root)) for _ in range(2)}
        assert len(projects) == 1
    held = [(task["data"]["batch"], task["data"]["key"]) for task in server.pull(projects.pop())]
    assert held == [(0, "a.jpg"), (0, "b.jpg"), (1, "a.jpg")]


def simple(count: int, batch: int = 0) -> list[dict[str, Any]]:
    data = [
        {"image": f"https://x.org/{i}.jpg", "key": f"{i}", "batch": batch} for i in range(count)
    ]
    return [{"data": each} for each in data]


CONFIG = label_studio.configuration(OBJECTS).replace("$reason", "$key")


PUSH = """
import sys
from tests.label_studio.test_label_studio import CONFIG, simple
from tools.label.studio import server
from tools.label.studio.tokens import token_from
server.BATCH = 5
print("begin", flush=True)
server.Server(sys.argv[1], token_from()).push("killed", CONFIG, simple(60))
"""


def test_pushes_that_are_killed_leave_each_task_once(server: Server, there: Running, token: str):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "LABEL_STUDIO_TOKEN": token}
    command = [sys.executable, "-c", PUSH, there.url]
    for seconds in (0.1, 0.3, 0.6, 0.9, 1.3):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"begin\n"
            time.sleep(seconds)
            process.kill()
    project = server.push("killed", CONFIG, simple(60))
    assert [task["data"]["key"] for task in server.pull(project)] == [str(i) for i in range(60)]
    assert server.push("killed", CONFIG, simple(4, batch=1)) == project
    batches = [task["data"]["batch"] for task in server.pull(project)]
    assert batches == [0] * 60 + [1] * 4


def test_what_came_twice_is_there_once_in_the_end(server: Server, person: Person):
    """As after a server that was still at work when its client began anew."""
    project = server.push("twice", CONFIG, simple(4))
    server._connection.post(f"/api/projects/{project}/import", simple(4))
    tasks = server.pull(project)
    assert [task["data"]["key"] for task in tasks] == ["0", "1", "2", "3"] * 2
    person.submit(tasks[5], [], lead_time=1)
    person.submit(tasks[6], [], lead_time=1, was_cancelled=True)
    other = Person(person.url, "third@example.org", "pass-of-the-third", new=True)
    other.draft(tasks[7], [], lead_time=1)
    assert server.push("twice", CONFIG, simple(4)) == project
    kept = [tasks[place]["id"] for place in (0, 5, 6, 7)]
    assert [task["id"] for task in server.pull(project)] == kept


def test_more_tasks_than_a_page(server: Server, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 7)
    project = server.push("pages", CONFIG, simple(30))
    assert server.push("pages", CONFIG, simple(30)) == project
    assert len(server.pull(project)) == 30


def test_another_configuration_is_told_from_the_same(server: Server):
    project = server.push("config", CONFIG, simple(1))
    assert server.push("config", CONFIG.replace("><", ">\n<"), simple(1)) == project
    with pytest.raises(LabelError, match="a project 'config', but got one with another labeling"):
        server.push("config", CONFIG.replace("cat", "dog"), simple(1))


def test_an_access_token_that_ended_is_renewed(server: Server):
    server._connection._access = Token("a.b.c")
    assert len(server.pull(server.push("config", CONFIG, simple(1)))) == 1


def test_what_label_studio_refuses_is_said(server: Server, there: Running, token: str, place: Path):
    with pytest.raises(LabelError, match="a project with id 999999, but got none"):
        server.pull(999999)
    with pytest.raises(LabelError, match="a project with id 999999, but got none"):
        server.push("x", CONFIG, simple(1), project=999999)
    with pytest.raises(LabelError, match="no more than 50 characters"):
        server.push("x" * 51, CONFIG, simple(1))
    with pytest.raises(LabelError, match=r"status 400 .*label_config"):
        server.push("broken", "<View><Imag", simple(1))
    with pytest.raises(LabelError, match=r"status 400 .*"):
        server.push("no image", CONFIG, [{"data": {"key": "a", "batch": 0}}])
    wrong = token[:-4] + "AAAA"
    with pytest.raises(LabelError, match="a token that is valid there, but got 'Token is invalid"):
        Server(there.url, Token(wrong)).pull(1)
    for folder in (place, Path("/usr"), place / "nowhere"):
        with pytest.raises(LabelError, match="but got a refusal .*LOCAL_FILES_DOCUMENT_ROOT"):
            server.push("folder", CONFIG, simple(1), str(folder))


def test_an_image_that_is_not_served_is_said_before_tasks_are_sent(server: Server):
    local = {"image": "/data/local-files/?d=nowhere/a.jpg", "key": "a.jpg", "batch": 0}
    with pytest.raises(LabelError, match="an image, but got status 404; start Label Studio with"):
        server.push("unserved", CONFIG, [{"data": local}])
    assert server.pull(server.push("unserved", CONFIG, [])) == []


def test_sync_of_the_folder_makes_no_tasks(sent: Sent, person: Person, labeled: dict[str, Entry]):
    query = {"project": sent.project}
    (storage,) = person.session.get(f"{person.url}/api/storages/localfiles", params=query).json()
    done = person.post(f"/api/storages/localfiles/{storage['id']}/sync", {})
    assert done["status"] == "completed" and done["last_sync_count"] == 0


def test_the_token_is_nowhere_in_what_is_kept(
    server: Server, token: str, place: Path, labeled: dict[str, Entry]
):
    """Neither in the batches and exports here, nor in the server's log."""
    secrets = [
        text.rpartition(".")[2].encode() for text in (token, server._connection._access.reveal())
    ]
    files = [path for path in place.rglob("*") if path.is_file() and "data" not in path.parts]
    assert len(files) > 10
    assert [path for path in files for secret in secrets if secret in path.read_bytes()] == []


def test_a_revoked_token_is_refused(there: Running, person: Person, token: str):
    """The last one: nobody has a token after it."""
    assert person.session.post  # a token is revoked by its owner
    headers = {"Referer": person.url, **person._secret("X-")}
    answer = person.session.post(
        f"{person.url}/api/token/blacklist", json={"refresh": token}, headers=headers
    )
    assert answer.status_code == 204, answer.text[:300]
    with pytest.raises(LabelError, match="a token that is valid there, but got 'Token is black"):
        Server(there.url, Token(token)).pull(1)
