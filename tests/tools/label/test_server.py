"""What is sent to a Label Studio and read from it, what is said when that fails, and that the
token is in none of it.
"""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.studio import ACCESS_SECRET, SECRET, TOKEN, Studio, free_port, studio
from tools.label.labels import LabelError
from tools.label.studio import server as module
from tools.label.studio.server import Server
from tools.label.studio.tokens import Token, token_from

CONFIG = '<View><Image name="image" value="$image"/></View>'


@pytest.fixture
def there() -> Iterator[Studio]:
    with studio() as found:
        yield found


def client(there: Studio, **changes: Any) -> Server:
    return Server(**{"url": there.url, "token": Token(there.token), "pauses": (0, 0), **changes})


def tasks(count: int, batch: int = 0, image: str = "https://images.org/{}.jpg") -> list[dict]:
    """Tasks of a batch."""
    data = [{"image": image.format(i), "key": f"{i}.jpg", "batch": batch} for i in range(count)]
    return [{"data": each} for each in data]


def secrets(text: str) -> list[str]:
    return [secret for secret in (SECRET, ACCESS_SECRET) if secret in text]


def held(there: Studio) -> Counter:
    return Counter((task["data"]["batch"], task["data"]["key"]) for task in there.tasks)


def wanted(count: int, batch: int = 0) -> Counter:
    return Counter((batch, f"{i}.jpg") for i in range(count))


# ---------------------------------------------------------------- tokens


def test_a_token_comes_from_the_environment_before_a_file(tmp_path: Path):
    file = tmp_path / "token"
    file.write_bytes(b"\xef\xbb\xbf" + TOKEN.encode() + b"\r\n")
    assert token_from({"LABEL_STUDIO_TOKEN_FILE": str(file)}).reveal() == TOKEN
    both = {"LABEL_STUDIO_TOKEN": " a.b.c\n", "LABEL_STUDIO_TOKEN_FILE": str(file)}
    assert token_from(both).reveal() == "a.b.c"
    assert token_from({**both, "LABEL_STUDIO_TOKEN": " "}).reveal() == TOKEN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "TOKEN_FILE=.*token: expected a file with a token, but got No such file"),
        (b"", "expected a token, but got nothing; make a personal access token"),
        (SECRET.encode() * 2, "three parts with a dot between.*but got a legacy token, which Label"),
        (SECRET.encode(), "but got 20 characters of another form"),
        (f"{TOKEN}\n{TOKEN}".encode(), "but got .* characters of another form"),
        (f"a..{SECRET}".encode(), "but got 23 characters of another form"),
        (f"{TOKEN}ü".encode("latin-1"), "but got bytes that are no text in UTF-8"),
        (f"{TOKEN}ü".encode(), "characters of another form"),
    ],
)  # fmt: skip
def test_what_is_no_token_is_said_without_it(tmp_path: Path, content: bytes | None, message: str):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(LabelError, match=message) as caught:
        token_from({"LABEL_STUDIO_TOKEN_FILE": str(file)})
    assert SECRET not in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("wrong", [TOKEN, SECRET * 2])
def test_a_token_in_place_of_a_path_is_not_shown(wrong: str):
    with pytest.raises(LabelError, match="FILE: expected a file with a token, but got No suc") as c:
        token_from({"LABEL_STUDIO_TOKEN_FILE": wrong})
    assert SECRET not in str(c.value)


def test_without_a_token_the_two_variables_are_named():
    with pytest.raises(LabelError, match=r"LABEL_STUDIO_TOKEN: .* nothing; .*LABEL_STUDIO_TOKEN_F"):
        token_from({})


def test_a_token_is_neither_shown_nor_written(there: Studio):
    token, server = Token(TOKEN), client(there)
    server.push("bolts", CONFIG, tasks(1))  # after which it has an access token, too
    for held in (token, server, server._connection, vars(server), vars(server._connection)):
        assert not secrets(f"{held} {held!r}")
    for write in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a token is not written anywhere"):
            write(token)
    with pytest.raises(TypeError, match="a token is not written anywhere"):
        pickle.dumps(server)


@pytest.mark.parametrize("part", ["refresh", "GET /api/projects/", "POST /api/projects/", "import"])
@pytest.mark.parametrize("what", ["echo", "moved", "html", "odd", "401", "403", "400", "500"])
def test_no_error_and_no_log_has_the_token(
    there: Studio, part: str, what: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    there.plan = [(part, what)] * 9
    try:
        client(there).push("bolts", CONFIG, tasks(1))
    except LabelError as error:
        told = str(error) + "".join(traceback.format_exception(error))
    else:  # Label Studio's answer to an import is not needed: what is there is looked at
        assert (part, what) == ("import", "odd")
        told = ""
    assert not secrets(told + caplog.text) and "/api/" in caplog.text


def test_the_users_own_netrc_is_not_sent(there: Studio, tmp_path: Path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert client(there).push("bolts", CONFIG, tasks(1)) == 1
    assert set(there.headers) == {None, f"Bearer {there.access}"}


# ---------------------------------------------------------------- push and pull


def test_a_batch_is_sent_once_and_the_next_one_goes_beside_it(there: Studio, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)
    assert client(there).push("bolts", CONFIG, tasks(5)) == 1
    assert held(there) == wanted(5) and there.counted("import") == 3
    assert client(there).push("bolts", CONFIG.replace(">", ">\n "), tasks(5)) == 1
    assert held(there) == wanted(5) and there.counted("import") == 3
    assert client(there).push("bolts", CONFIG, tasks(3, batch=1)) == 1
    assert held(there) == wanted(5) + wanted(3, 1)
    assert [project["title"] for project in there.projects] == ["bolts"]
    assert [task["data"]["key"] for task in client(there).pull(1)] == [
        "0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "0.jpg", "1.jpg", "2.jpg"
    ]  # fmt: skip


def test_a_killed_push_is_finished_by_the_next(there: Studio, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)
    for killed in range(1, 4):  # at its n-th part
        post = client(there)
        send, left = post._connection.post, [killed]

        def stop(path: str, content: Any, seconds: float = 60.0, send=send, left=left) -> Any:
            left[0] -= "import" in path
            if left[0] == 0:
                raise KeyboardInterrupt
            return send(path, content, seconds)

        monkeypatch.setattr(post._connection, "post", stop)
        with pytest.raises(KeyboardInterrupt):
            post.push("bolts", CONFIG, tasks(6, killed))
        assert held(there)[killed, "0.jpg"] == (killed > 1)
        assert sum(count for (batch, _), count in held(there).items() if batch == killed) < 6
        client(there).push("bolts", CONFIG, tasks(6, killed))
        assert held(there) == sum((wanted(6, batch) for batch in range(1, killed + 1)), Counter())


STEPS = ("refresh", "GET /api/p", "POST /api/p", "GET /api/st", "POST /api/st", "tasks", "import")


@pytest.mark.parametrize(
    ("part", "what"),
    [
        *((part, what) for part in STEPS for what in ("lost", "short", "502", "429")),
        ("import", "late"),
    ],
)
def test_what_fails_for_now_is_tried_again_and_nothing_is_doubled(
    there: Studio, part: str, what: str, monkeypatch
):
    monkeypatch.setattr(module, "BATCH", 3)
    monkeypatch.setattr(module, "LONG", 0.2)
    there.plan = [(part, what)]
    client(there).push("bolts", CONFIG, tasks(5), "/photos")
    assert held(there) == wanted(5) and there.plan == []
    assert len(there.projects) == 1 and len(there.storages) == 1


def test_after_the_last_try_it_is_said(there: Studio):
    client(there).push("bolts", CONFIG, tasks(1))
    there.plan = [("export", "503")] * 9
    with pytest.raises(LabelError, match=r"/export: .* status 503 \(not now\); try again later"):
        client(there).pull(1)
    assert there.counted("export") == 3
    there.plan = [("import", "503")] * 9
    with pytest.raises(LabelError, match=r"/import: .* status 503"):
        client(there).push("bolts", CONFIG, tasks(2))
    assert there.counted("import") == 4 and held(there) == wanted(1)


def test_an_access_token_that_ended_is_renewed(there: Studio):
    server = client(there)
    server.push("bolts", CONFIG, tasks(1))
    there.access = "ended"
    assert len(server.pull(1)) == 1 and there.refreshed == 2


def test_lists_longer_than_a_page_are_read_to_their_end(there: Studio):
    titles = [f"bolts {i}" for i in range(6)] + ["bolts", "Bolts"]
    there.projects = [
        {"id": i + 1, "title": title, "label_config": CONFIG} for i, title in enumerate(titles)
    ]
    there.most = 3
    assert client(there).push("bolts", CONFIG, tasks(8)) == 7
    client(there).push("bolts", CONFIG, tasks(8))
    assert held(there) == wanted(8) and len(there.projects) == 8


def test_of_two_equal_projects_the_older_one_is_taken(there: Studio):
    there.projects = [{"id": i, "title": "bolts", "label_config": CONFIG} for i in (1, 2)]
    assert client(there).push("bolts", CONFIG, tasks(1)) == 1


def test_a_named_project_is_used_whatever_its_configuration(there: Studio):
    there.projects = [{"id": 1, "title": "mine", "label_config": "<View/>"}]
    assert client(there).push("bolts", CONFIG, tasks(2), project=1) == 1
    assert held(there) == wanted(2) and len(there.projects) == 1


def test_another_configuration_under_the_same_title_is_refused(there: Studio):
    there.projects = [{"id": 1, "title": "bolts", "label_config": "<View/>"}]
    with pytest.raises(LabelError, match="a project 'bolts', but got one with another labeling"):
        client(there).push("bolts", CONFIG, tasks(1))
    assert there.tasks == []


def test_a_batch_with_a_task_twice_is_refused(there: Studio):
    twice = r"expected each task once, but got 1 twice or more: '0.jpg' of batch 0; "
    with pytest.raises(LabelError, match=f"the batch: {twice}leave one"):
        client(there).push("bolts", CONFIG, tasks(2) + tasks(1))
    assert there.asked == []


@pytest.mark.parametrize("begun", ["annotations", "drafts"])
def test_what_came_twice_is_there_once_in_the_end(there: Studio, begun: str):
    """As after a client that was killed while the server was still at work."""
    client(there).push("bolts", CONFIG, tasks(3))
    there.tasks += [{**task, "id": 10 + task["id"]} for task in there.tasks]
    there.tasks += [{"id": 30, "project": 1, "data": {"key": "0.jpg", "batch": 1}}]
    there.tasks[3 + 1][begun] = [{}]
    client(there).push("bolts", CONFIG, tasks(3))
    assert sorted(task["id"] for task in there.tasks) == [1, 3, 12, 30]
    there.tasks[0]["annotations"] = [{}]
    there.tasks.append({**there.tasks[0], "id": 40})
    with pytest.raises(LabelError, match="1 twice or more: '0.jpg' of batch 0; somebody labels ea"):
        client(there).push("bolts", CONFIG, tasks(3))
    assert sorted(task["id"] for task in there.tasks) == [1, 3, 12, 30, 40]


def test_tasks_that_the_server_did_not_keep_are_named(there: Studio):
    there.plan = [("import", "odd")]
    with pytest.raises(LabelError, match=r"all tasks, but got 2 that are not there, as '0.jpg' of"):
        client(there).push("bolts", CONFIG, tasks(2))


def test_a_persons_own_tasks_in_the_project_are_no_matter(there: Studio):
    there.projects = [{"id": 1, "title": "bolts", "label_config": CONFIG}]
    own = [{"id": 1, "data": {"image": "a.jpg"}}, {"id": 2, "data": {"image": "a.jpg"}}]
    there.tasks = [{**task, "project": 1} for task in own]
    client(there).push("bolts", CONFIG, tasks(2))
    assert len(there.tasks) == 4 and client(there).pull(1)[0]["data"] == {"image": "a.jpg"}


# ---------------------------------------------------------------- images


def test_a_folder_is_served_once_and_its_images_are_no_tasks(there: Studio):
    local = tasks(2, image="/data/local-files/?d=photos/{}.jpg")
    for _ in range(2):
        client(there).push("bolts", CONFIG, local, "/photos")
    (storage,) = there.storages
    assert storage["path"] == "/photos" and storage["regex_filter"] == "(?!)"
    assert there.counted("/data/local-files/?d=photos/0.jpg") == 2


def test_a_folder_that_is_not_served_is_named_before_any_task_is_sent(there: Studio):
    there.served = None
    why = r"serve /photos, but got a refusal .*must be a subdirectory.*LOCAL_FILES_DOCUMENT_ROOT"
    with pytest.raises(LabelError, match=why):
        client(there).push("bolts", CONFIG, tasks(2), "/photos")
    local = tasks(2, image="/data/local-files/?d=photos/{}.jpg")
    with pytest.raises(LabelError, match=r"d=photos/0.jpg: expected an image, but got status 404"):
        client(there).push("bolts", CONFIG, local)
    assert there.tasks == []


# ---------------------------------------------------------------- what goes wrong


def test_a_server_that_is_not_there(there: Studio):
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(LabelError, match=f"{address}: .*got Connection refused; start it"):
        client(there, url=address).pull(1)


def test_a_name_that_nobody_knows(there: Studio):
    with pytest.raises(LabelError, match=r"http://nowhere\.invalid: expected an answer of Label"):
        client(there, url="http://nowhere.invalid").pull(1)


def test_a_server_that_speaks_no_tls(there: Studio):
    with pytest.raises(LabelError, match=r"https://127.0.0.1:\d+: expected an answer .*SSL"):
        client(there, url=there.url.replace("http", "https")).pull(1)


def test_a_server_that_says_nothing(there: Studio, monkeypatch):
    client(there).push("bolts", CONFIG, tasks(1))
    monkeypatch.setattr(module, "LONG", 0.1)
    there.plan = [("export", "late")] * 9
    with pytest.raises(LabelError, match=r"but got none within 0\.1 seconds; start it"):
        client(there).pull(1)


def test_a_token_of_another_server(there: Studio):
    with pytest.raises(LabelError, match="valid there, but got 'Token is invalid': it is of ano"):
        client(there, token=Token("a.b.c")).pull(1)
    assert there.counted("refresh") == 1, "a wrong token is not tried again"


def test_a_person_who_may_not_see_the_project(there: Studio):
    there.plan = [("export", "403")]
    with pytest.raises(LabelError, match=r"expected to be let in, but got status 403 \(not now\)"):
        client(there).pull(1)


@pytest.mark.parametrize(
    ("part", "what", "message"),
    [
        ("refresh", "404", "refresh/: expected Label Studio's answer, but got status 404; give the"),
        ("refresh", "strange", "refresh/: expected Label Studio's answer, but got status 403; give"),
        ("refresh", "html", "refresh/: expected Label Studio's answer, but got no json"),
        ("refresh", "odd", "refresh/: .* but got a json of another form"),
        ("refresh", "moved", "but got a redirection to 'https://elsewhere.org/"),
        ("export", "html", "export: expected Label Studio's answer, but got no json"),
        ("export", "odd", "but got a json of another form; see whether that is a Label Studio"),
        ("export", "moved", "but got a redirection to 'https://elsewhere.org/.token=Bearer .token"),
    ],
)  # fmt: skip
def test_what_is_no_label_studio_is_said(there: Studio, part: str, what: str, message: str):
    client(there).push("bolts", CONFIG, tasks(1))
    there.plan = [(part, what)]
    with pytest.raises(LabelError, match=message):
        client(there).pull(1)


def test_a_project_that_is_gone(there: Studio):
    gone = r"a project with id 7, but got none \("
    with pytest.raises(LabelError, match=rf"{gone}Not Found\); name another one"):
        client(there).pull(7)
    gone = rf"{gone}No Project matches the given query\.\)"
    with pytest.raises(LabelError, match=gone):
        client(there).push("bolts", CONFIG, tasks(1), project=7)


def test_what_the_server_refuses_is_passed_on(there: Studio):
    with pytest.raises(LabelError, match=r"status 400 .*no more than 50 characters.*correct what"):
        client(there).push("b" * 51, CONFIG, tasks(1))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:8080", "an address with http or https, but got '127.0.0.1:8080'"),
        ("ftp://a.org", "an address with http or https"),
        ("http://", "an address with http or https"),
        ("http://a.org:eighty", "an address with http or https"),
        ("http://[::1", "an address with http or https"),
        ("http://me:sIgNaTuRe@a.org", "a.org: expected an address without a name, a password"),
        ("http://a.org/?token=sIgNaTuRe", "a.org: expected an address without a name, a password"),
    ],
)
def test_an_address_that_is_none(url: str, message: str):
    with pytest.raises(LabelError, match=message) as caught:
        Server(url, Token(TOKEN))
    assert "sIgNaTuRe" not in str(caught.value)


def test_the_slash_at_the_end_of_an_address_is_no_matter(there: Studio):
    assert client(there, url=f" {there.url}/ ").push("bolts", CONFIG, tasks(1)) == 1
