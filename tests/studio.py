"""A small Label Studio on the loopback: what its 1.23 answers, and the misfortunes that servers
have.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECRET = "sIgNaTuReOfAlLtHiNgS"
ACCESS_SECRET = "aCcEsStOaLl"
TOKEN = f"eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.{SECRET}"
Answer = tuple[int, Any]


@dataclass
class Studio:
    """What the server has, what goes wrong with the next requests, and the requests that came.

    Args:
        plan: (a part of "METHOD path", misfortune); one is used up by one request. A number is a
            status, "lost": done without an answer, "late": done, and answered after a second,
            "short": an answer cut in its middle, "html", "odd": a json of another form, "echo": an
            error that repeats what came, "moved": a redirection, "strange": another server's page.
        most: rows on a page, whatever was asked for.
        served: folders that may be served; None where none may.
    """

    url: str = ""
    token: str = TOKEN
    access: str = ""
    refreshed: int = 0
    projects: list[dict[str, Any]] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    storages: list[dict[str, Any]] = field(default_factory=list)
    plan: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    headers: list[str | None] = field(default_factory=list)
    most: int = 1000
    served: tuple[str, ...] | None = ("/photos",)

    def counted(self, part: str) -> int:
        """How many requests had this in "METHOD path"."""
        return sum(part in order for order in self.asked)

    def answer(self, method: str, address: str, authorization: str | None, body: Any) -> Answer:
        """What Label Studio would answer."""
        parts = urlsplit(address)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path == "/api/token/refresh/":
            return self._refresh(body)
        if not self.access or authorization != f"Bearer {self.access}":
            return 401, {"detail": "Authentication credentials were not provided."}
        if parts.path == "/api/projects/":
            return self._projects(method, query, body)
        if parts.path == "/api/storages/localfiles":
            return self._storages(method, query, body)
        if parts.path == "/data/local-files/":
            first = "/" + query["d"].partition("/")[0]
            served = any(storage["path"].endswith(first) for storage in self.storages)
            return (200, {}) if served else (404, {"detail": "no"})
        if method == "DELETE":
            gone = int(parts.path.split("/")[3])
            self.tasks = [task for task in self.tasks if task["id"] != gone]
            return 204, {}
        number = int(query["project"] if parts.path == "/api/tasks" else parts.path.split("/")[3])
        if number not in [project["id"] for project in self.projects]:
            if parts.path.endswith("/export"):
                return 404, None  # a page in HTML
            return 404, {"detail": "No Project matches the given query."}
        rows = [task for task in self.tasks if task["project"] == number]
        if parts.path == "/api/tasks":
            return 200, {"total": len(rows), "tasks": self._page(rows, query)}
        if method == "POST":
            first = max((task["id"] for task in self.tasks), default=0) + 1
            made = [{**task, "project": number, "id": first + i} for i, task in enumerate(body)]
            self.tasks += made
            return 201, {"task_count": len(body)}
        return 200, rows

    def _refresh(self, body: Any) -> Answer:
        if body != {"refresh": self.token}:
            return 401, {"detail": "Token is invalid"}
        self.refreshed += 1
        self.access = f"head.body.{ACCESS_SECRET}{self.refreshed}"
        return 200, {"access": self.access}

    def _projects(self, method: str, query: dict[str, str], body: Any) -> Answer:
        if method == "POST":
            if not 3 <= len(body["title"]) <= 50:
                words = ["Ensure this field has no more than 50 characters."]
                return 400, {"detail": "Validation error", "validation_errors": {"title": words}}
            self.projects.append({**body, "id": len(self.projects) + 1})
            return 201, self.projects[-1]
        rows = [p for p in self.projects if query["title"].lower() in p["title"].lower()]
        page = self._page(rows[::-1], query)
        return 200, {"count": len(rows), "results": page}

    def _storages(self, method: str, query: dict[str, str], body: Any) -> Answer:
        if method == "GET":
            return 200, [s for s in self.storages if s["project"] == int(query["project"])]
        if self.served is None or body["path"] not in self.served:
            said = {"non_field_errors": [f"{body['path']} must be a subdirectory"]}
            return 400, {"detail": "Validation error", "validation_errors": said}
        self.storages.append({**body, "id": len(self.storages) + 1})
        return 201, self.storages[-1]

    def _page(self, rows: list[Any], query: dict[str, str]) -> list[Any]:
        size = min(self.most, int(query["page_size"]))
        start = (int(query["page"]) - 1) * size
        return rows[start : start + size]


def free_port() -> int:
    """A port of the loopback at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def studio() -> Iterator[Studio]:
    """A server that ends with the block."""
    found = Studio()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            respond(self, found)

        do_GET = do_POST = do_DELETE = handle_one

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def respond(request: BaseHTTPRequestHandler, found: Studio) -> None:
    """One answer, or one misfortune."""
    body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
    order, authorization = f"{request.command} {request.path}", request.headers["Authorization"]
    found.asked.append(order)
    found.headers.append(authorization)
    what = ""
    if found.plan and found.plan[0][0] in order:
        what = found.plan.pop(0)[1]
    if what.isdecimal():
        status, content = int(what), {"detail": "not now"}
    elif what == "echo":
        status, content = 400, {"detail": f"{body.decode()} {authorization}"}
    elif what == "strange":
        status, content = 403, None
    elif what == "odd":
        status, content = 200, {"weather": "fine"}
    else:
        status, content = found.answer(
            request.command, request.path, authorization, json.loads(body or b"null")
        )
    if what == "late":
        time.sleep(1)
    if what == "lost":
        request.close_connection = True
        return
    sent = json.dumps(content).encode()
    if what == "html" or content is None:
        sent = b"<html>Welcome</html>"
    request.send_response(302 if what == "moved" else status)
    if what == "moved":
        request.send_header("Location", f"https://elsewhere.org/?token={authorization}")
    request.send_header("Content-Length", str(len(sent)))
    request.end_headers()
    with suppress(OSError):  # who did not want to wait is gone
        request.wfile.write(sent[: len(sent) // 2] if what == "short" else sent)
