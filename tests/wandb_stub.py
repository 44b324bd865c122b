"""A W&B server on the loopback that remembers what it is told, and a process in which
nobody is logged in.
"""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import wandb

from tools.mirror.modes import PROJECT

KEY = "0123456789" * 4  # an API key has 40 characters


@contextmanager
def nobody_logged_in(folder: Path) -> Iterator[Path]:
    """An empty home folder, no wandb variables, no wandb session: the user's own login is
    out of reach.
    """
    # a session keeps the variables it was started with, and names its service among them
    wandb.teardown()
    kept = dict(os.environ)
    for name in [
        name for name in kept if name.startswith("WANDB_") or name.lower().endswith("_proxy")
    ]:
        del os.environ[name]
    folder.mkdir()
    os.environ.update(HOME=str(folder), NETRC=str(folder / ".netrc"), WANDB_CONFIG_DIR=str(folder))
    try:
        yield folder
    finally:
        wandb.teardown()
        os.environ.clear()
        os.environ.update(kept)


@dataclass
class Stub:
    """What the server was told: the runs by id, as upsertBucket and the file stream left them."""

    url: str = ""
    accept: bool = True
    delay: float = 0.0  # seconds before each answer
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    summary: dict[str, dict[str, Any]] = field(default_factory=dict)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    uploads: set[str] = field(default_factory=set)
    exit_code: int | None = None
    replies: int = 0

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any] | None:
        """GraphQL data for the operations that a run needs; None for an unknown one."""
        entity = {"id": "e", "name": "me", "organization": None}
        if "query Viewer" in query or "query GetDefaultEntity" in query:
            return {
                "viewer": {
                    "id": "u",
                    "entity": "me",
                    "username": "me",
                    "flags": "{}",
                    "teams": {"edges": []},
                }
            }
        if "ServerFeaturesQuery" in query:
            return {"serverInfo": {"features": []}}
        if "RunResumeStatus" in query:
            return {
                "model": {
                    "id": "p",
                    "name": PROJECT,
                    "entity": entity,
                    "bucket": self.bucket(variables["name"]),
                }
            }
        if "UpsertBucket" in query:
            name = variables["name"] or variables["id"]
            told = {key: value for key, value in variables.items() if value is not None}
            fresh = name not in self.runs
            self.runs.setdefault(name, {}).update(told)
            bucket = {
                **(self.bucket(name) or {}),
                "project": {"id": "p", "name": PROJECT, "entity": entity},
            }
            return {"upsertBucket": {"bucket": bucket, "inserted": fresh}}
        if "UpsertView2" in query:
            given = variables.get("id")  # of a view that is there; without it, a new one
            view = {**variables, "id": given or f"view {len(self.views)}", "given": given}
            self.views[variables["name"]] = view
            return {
                "upsertView": {"view": {"id": view["id"], "name": view["name"]}, "inserted": True}
            }
        if "query View(" in query:
            view = self.views.get(variables["viewName"])
            return {
                "project": {"allViews": {"edges": [{"node": view}] if view else []}}
                if self.runs
                else None
            }
        if "CreateRunFiles" in query:
            files = [
                {"name": name, "uploadUrl": f"{self.url}/up/{name}"} for name in variables["files"]
            ]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        return None

    def bucket(self, name: str) -> dict[str, Any] | None:
        if name not in self.runs:
            return None
        rows, summary = self.history.get(name, []), self.summary.get(name, {})
        return {
            "id": "r",
            "name": name,
            "displayName": name,
            "config": self.runs[name].get("config", "{}"),
            "tags": [],
            "summaryMetrics": json.dumps(summary),
            "historyLineCount": len(rows),
            "eventsLineCount": 0,
            "logLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]),
            "eventsTail": "[]",
            # without it the client takes the run for one that never started
            "wandbConfig": '{"t": 1}',
        }

    def stream(self, name: str, body: dict[str, Any]) -> None:
        for file, part in body.get("files", {}).items():
            lines = [json.loads(line) for line in part["content"]]
            if file == "wandb-history.jsonl":
                self.history.setdefault(name, []).extend(lines)
            elif file == "wandb-summary.json":
                self.summary.setdefault(name, {}).update(lines[-1])
        self.exit_code = body.get("exitcode", self.exit_code)


class Handler(BaseHTTPRequestHandler):
    stub: Stub

    def do_POST(self) -> None:
        time.sleep(self.stub.delay)
        if self.path.endswith("/metrics"):  # of wandb itself
            return self.reply(200, {})
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(
            gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw
        )
        if self.path.endswith("/file_stream"):
            self.stub.stream(self.path.split("/")[-2], body)
            self.reply(200, {})
        else:
            data = (
                self.stub.answer(body["query"], body.get("variables") or {})
                if self.stub.accept
                else None
            )
            self.reply(
                *(
                    (200, {"data": data})
                    if data
                    else (400, {"errors": [{"message": "unknown operation"}]})
                )
            )

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.stub.uploads.add(self.path.removeprefix("/up/"))
        self.reply(200, {})

    def do_GET(self) -> None:
        self.reply(200, {})

    def reply(self, status: int, content: Any) -> None:
        self.stub.replies += 1
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Stub]:
    """The server, to which this process is logged in."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.stub = Stub(url=f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ.update(WANDB_BASE_URL=Handler.stub.url, WANDB_API_KEY=KEY)
    try:
        yield Handler.stub
    finally:
        wandb.teardown()
        server.shutdown()
        server.server_close()
