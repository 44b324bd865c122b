"""Label Studio's server: a batch goes to a project of it, and its answers come back.

What it does with tasks that came twice, with a folder of images and with long titles was seen in
Label Studio 1.23.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

from models.process.text import abridged
from tasks.faults import Fault
from tools.label.labels import LabelError
from tools.label.studio.connection import PAUSES, Connection, ForNow, Refused
from tools.label.studio.tokens import Token

Task = Mapping[str, Any]
Row = dict[str, Any]
Key = tuple[str, str]

BATCH = 200  # tasks sent at once: about a second of the server's
PAGE = 500
LONG = 600.0  # seconds for an import and an export
LOCAL = "/data/local-files/"
NOTHING = "(?!)"  # a pattern that no file has: "Sync" of a folder would double its images as tasks
TWICE = "somebody labels each of them: delete one in Label Studio, and send the batch again"
SERVING = (
    "start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
    "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT set to a folder above the images' own"
)


class Server:
    """A Label Studio.

    Args:
        url: the address of its first page, as `http://127.0.0.1:8080`.
        token: a personal access token, as `tools.label.studio.tokens.token_from` finds it.
        pauses: seconds before each new try of what failed for now.

    Raises:
        LabelError: if the address is none, or has a password in it.
    """

    def __init__(self, url: str, token: Token, pauses: Sequence[float] = PAUSES) -> None:
        self._connection = Connection(url, token, pauses)

    def __repr__(self) -> str:
        return f"Server({self._connection.url!r})"

    def push(
        self,
        title: str,
        config: str,
        tasks: Sequence[Task],
        folder: str = "",
        project: int | None = None,
    ) -> int:
        """Send tasks to a project, those that are not there yet; a killed push is just repeated.

        Args:
            title: of the project, from 3 to 50 characters; one of this title and configuration is
                used again, else one is made.
            config: the labeling configuration, Label Studio's XML.
            tasks: of Label Studio's form; `data.key` and `data.batch` are together what tells one
                from another.
            folder: of images as the server sees it, which it then serves; empty where the tasks'
                images are at addresses that need no such folder.
            project: that is used, whatever its title and configuration.

        Returns:
            The project's id.

        Raises:
            LabelError: if the server is not there or refuses, if it does not serve the first of the
                images, or if somebody labels two equal tasks.
        """
        ours = Counter(_key(task) for task in tasks)
        _refuse_twice(ours, "the batch", "leave one of each out")
        if project is None:
            project = self._connection.patient(lambda: self._found_or_made(title, config))
        if folder:
            self._connection.patient(lambda: self._serve(project, folder))
        self._see_image(tasks)
        self._send(project, tasks)
        there = self._each_once(project, ours)
        lost = [f"{key!r} of batch {batch}" for key, batch in ours if (key, batch) not in there]
        if lost:
            came = f"{len(lost)} that are not there, as {abridged(lost, 5)}"
            remedy = "look into the server's log, and send the batch again"
            raise LabelError(Fault("tasks", self._connection.url, "all tasks", came, remedy))
        return project

    def pull(self, project: int) -> list[Row]:
        """Read all tasks of a project, as Label Studio's own JSON export has them.

        Tasks without annotations are in it, and skipped ones, of which `was_cancelled` is true;
        each task has all its annotations with `lead_time` in seconds, and its drafts. Predictions
        are ids.

        Raises:
            LabelError: if the server is not there or refuses, or has no such project.
        """
        path = f"/api/projects/{project}/export"
        query = {"exportType": "JSON", "download_all_tasks": "true"}
        with self._existing(project):
            found = self._connection.read(path, LONG, **query)
        return self._rows(found, path)

    def _found_or_made(self, title: str, config: str) -> int:
        """The first project of this title and configuration."""
        path = "/api/projects/"
        likely = self._all(path, "results", "count", title=title)
        same = [found for found in likely if found.get("title") == title]
        for found in sorted(same, key=lambda project: int(project["id"])):
            if _canonical(str(found.get("label_config"))) == _canonical(config):
                return int(found["id"])
        if same:
            where, came = self._connection.url, "one with another labeling configuration"
            remedy = "take another title, or name the project to use by its id"
            raise LabelError(Fault("project", where, f"a project {title!r}", came, remedy))
        made = self._connection.post(path, {"title": title, "label_config": config})
        (row,) = self._rows([made], path)
        return int(row["id"])

    def _serve(self, project: int, folder: str) -> None:
        """Have the server serve the images of a folder to those who see the project."""
        path = "/api/storages/localfiles"
        wanted = {"project": project, "path": folder, "title": "images", "regex_filter": NOTHING}
        with self._existing(project):
            there = self._rows(self._connection.read(path, project=project), path)
            if any(storage.get("path") == folder.rstrip("/") for storage in there):
                return
            try:
                self._connection.post(path, wanted)
            except Refused as error:
                if error.status != 400:
                    raise
                where, came = self._connection.url, f"a refusal ({error.said})"
                fault = Fault("images", where, f"it to serve {folder}", came, SERVING)
                raise LabelError(fault) from None

    def _see_image(self, tasks: Sequence[Task]) -> None:
        """Ask for the first image that the server itself is to serve."""
        images = [str(task["data"].get("image", "")) for task in tasks]
        first = next((image for image in images if image.startswith(LOCAL)), None)
        if first is None:
            return
        status = self._connection.status(first)
        if status != 200:
            where, came = self._connection.url + first, f"status {status}"
            raise LabelError(Fault("images", where, "an image", came, SERVING))

    def _send(self, project: int, tasks: Sequence[Task]) -> None:
        """Send what is not there yet, in parts; after a failure, look what is there."""
        path = f"/api/projects/{project}/import"
        missing = self._missing(project, tasks)
        pauses = iter(self._connection.pauses)
        while missing:
            try:
                with self._existing(project):
                    self._connection.post(path, [dict(task) for task in missing[:BATCH]], LONG)
            except ForNow:
                pause = next(pauses, None)
                if pause is None:
                    raise
                time.sleep(pause)
                missing = self._missing(project, tasks)
            else:
                missing = missing[BATCH:]
                pauses = iter(self._connection.pauses)

    def _missing(self, project: int, tasks: Sequence[Task]) -> list[Task]:
        there = self._there(project)
        return [task for task in tasks if _key(task) not in there]

    def _each_once(self, project: int, ours: Collection[Key]) -> Collection[Key]:
        """Delete what is there twice; it returns the tasks that are there.

        A server may take a part of a batch after its client was killed or has given up, and began
        anew. What somebody has begun to label stays, else the oldest.
        """
        there = self._there(project)
        if any(there[key] > 1 for key in ours):
            rows = self.pull(project)  # which has the drafts of all persons, as no list has
            equal: dict[Key, list[Row]] = {key: [] for key in ours}
            for row in sorted(rows, key=lambda row: int(row["id"])):
                if isinstance(row.get("data"), dict) and _key(row) in equal:
                    equal[_key(row)].append(row)
            for row in (row for rows in equal.values() for row in _spare(rows)):
                self._connection.delete(f"/api/tasks/{row['id']}/")
            counts = Counter({key: sum(map(_begun, rows)) for key, rows in equal.items()})
            _refuse_twice(counts, self._connection.url, TWICE)
        return there.keys()

    def _there(self, project: int) -> Counter[Key]:
        """How often the project has each task."""
        query = {"project": project, "fields": "task_only", "include": "id,data"}
        with self._existing(project):
            rows = self._all("/api/tasks", "tasks", "total", **query)
        return Counter(_key(row) for row in rows if isinstance(row.get("data"), dict))

    def _all(self, path: str, name: str, count: str, **query: Any) -> list[Row]:
        """The rows of all pages.

        Args:
            path: of the list.
            name: of the rows in an answer.
            count: name of their number on all pages.
            query: parameters of the list.
        """
        found: list[Row] = []
        page = 1
        while True:
            asked = {**query, "page": page, "page_size": PAGE}
            answer = self._connection.read(path, **asked)
            if not isinstance(answer, dict) or not isinstance(answer.get(count), int):
                raise self._strange(path)
            rows = self._rows(answer.get(name), path)
            found += rows
            if not rows or len(found) >= answer[count]:
                return found
            page += 1

    def _rows(self, found: Any, path: str) -> list[Row]:
        if not isinstance(found, list) or not all(
            isinstance(row, dict) and isinstance(row.get("id"), int) for row in found
        ):
            raise self._strange(path)
        return found

    def _strange(self, path: str) -> LabelError:
        where, came = self._connection.url + path, "a json of another form"
        remedy = "see whether that is a Label Studio; this was written for version 1.23"
        return LabelError(Fault("server", where, "Label Studio's answer", came, remedy))

    @contextmanager
    def _existing(self, project: int) -> Iterator[None]:
        """Tell the server's "not found" of a project in a sentence of its own."""
        try:
            yield
        except Refused as error:
            if error.status != 404:
                raise
            where, came = self._connection.url, f"none ({error.said})"
            remedy = "name another one, or send the batch again without naming one"
            fault = Fault("project", where, f"a project with id {project}", came, remedy)
            raise LabelError(fault) from None


def _key(task: Task) -> Key:
    """What tells a task from others: its image's key and its batch's number."""
    return str(task["data"].get("key")), str(task["data"].get("batch"))


def _begun(row: Row) -> bool:
    """Whether somebody has begun to label a task."""
    return bool(row.get("annotations") or row.get("drafts"))


def _spare(rows: Sequence[Row]) -> list[Row]:
    """Of equal tasks those without which each label and one task are there still."""
    begun = [row for row in rows if _begun(row)]
    kept = begun or list(rows[:1])
    return [row for row in rows if row not in kept]


def _refuse_twice(counts: Counter[Key], where: str, remedy: str) -> None:
    twice = [f"{key!r} of batch {batch}" for (key, batch), count in counts.items() if count > 1]
    if twice:
        came = f"{len(twice)} twice or more: {abridged(twice, 5)}"
        raise LabelError(Fault("tasks", where, "each task once", came, remedy))


def _canonical(config: str) -> str:
    """A configuration without the spaces in which two writers of XML differ."""
    try:
        return ElementTree.canonicalize(config, strip_text=True)
    except ElementTree.ParseError:
        return config
