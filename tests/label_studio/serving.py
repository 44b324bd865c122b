"""Label Studio itself on the loopback, for as long as a block lasts, and persons who use it as
their browsers would.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.studio import free_port

PATIENCE = 300  # seconds for the first answer: it makes its database
FIRST = ("first@example.org", "pass-of-the-first")
QUIET = {  # nothing leaves the machine: no version check, no statistics, no reports of errors
    "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
    "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
    "LABEL_STUDIO_SENTRY_DSN": "",
    "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
    "http_proxy": "http://127.0.0.1:9",  # where nobody listens
    "https_proxy": "http://127.0.0.1:9",
    "no_proxy": "127.0.0.1,localhost",
}


@dataclass
class Person:
    """Somebody with a browser: a session that is logged in.

    Args:
        url: of the server.
        email: of the account.
        password: of the account.
        new: whether the account is made now.
    """

    url: str
    email: str
    password: str
    new: bool = False
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        page = "/user/signup/" if self.new else "/user/login/"
        self.session.trust_env = False
        self.session.get(self.url + page).raise_for_status()
        form = {"email": self.email, "password": self.password, **self._secret("")}
        answer = self.session.post(
            self.url + page, data=form, headers={"Referer": self.url}, allow_redirects=False
        )
        assert answer.status_code == 302, (answer.status_code, answer.text[:500])

    def post(self, path: str, content: Any = None, method: str = "POST", **query: Any) -> Any:
        """What the browser sends when a button is pressed."""
        headers = {"Referer": self.url, **self._secret("X-")}
        answer = self.session.request(
            method, self.url + path, json=content, params=query, headers=headers
        )
        assert answer.ok, (answer.status_code, answer.text[:1000])
        return answer.json()

    def token(self) -> str:
        """A personal access token, as "Account & Settings" makes it."""
        return self.post("/api/token/")["token"]

    def submit(self, task: Mapping[str, Any], result: list[Any], **fields: Any) -> Any:
        """Press Submit, or Skip with `was_cancelled`."""
        path = f"/api/tasks/{task['id']}/annotations/"
        return self.post(path, {"result": result, **fields}, project=task["project"])

    def update(self, annotation: Mapping[str, Any], result: list[Any], **fields: Any) -> Any:
        """Press Update."""
        path = f"/api/annotations/{annotation['id']}/"
        query = {"project": annotation["project"], "taskId": annotation["task"]}
        return self.post(path, {"result": result, **fields}, "PATCH", **query)

    def draft(self, task: Mapping[str, Any], result: list[Any], **fields: Any) -> Any:
        """Draw and press nothing."""
        path = f"/api/tasks/{task['id']}/drafts"
        return self.post(path, {"result": result, **fields}, project=task["project"])

    def _secret(self, form: str) -> dict[str, str]:
        """The secret of a form: in a header, or in a field."""
        secret = self.session.cookies["csrftoken"]
        return {"X-CSRFToken": secret} if form else {"csrfmiddlewaretoken": secret}


@dataclass
class Running:
    """A server that runs.

    Args:
        url: its address.
        log: what it prints.
        process: itself.
        seconds: until its first answer.
    """

    url: str
    log: Path
    process: subprocess.Popen[bytes]
    seconds: float


@contextmanager
def running(environment: Path, home: Path, root: Path) -> Iterator[Running]:
    """Start Label Studio and stop it with the block.

    Args:
        environment: that it is installed in.
        home: an empty folder for its database.
        root: above the folders of images that it may serve.
    """
    port = free_port()
    log = home / "log.txt"
    command = [environment / "bin/label-studio", "start", "--no-browser"]
    command += ["--internal-host", "127.0.0.1", "--port", str(port)]
    settings = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(home / "data"),
        "LABEL_STUDIO_USERNAME": FIRST[0],
        "LABEL_STUDIO_PASSWORD": FIRST[1],
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(root),
        "HOME": str(home),
        **QUIET,
    }
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    started = time.monotonic()
    with open(log, "wb") as out:
        process = subprocess.Popen(
            command, cwd=home, env={**kept, **settings}, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}"
        await_health(url, process, log, started + PATIENCE)
        yield Running(url, log, process, time.monotonic() - started)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_health(url: str, process: subprocess.Popen[bytes], log: Path, until: float) -> None:
    """Wait until the server says that it is up."""
    while True:
        told = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        assert process.poll() is None, f"it ended with {process.returncode}: {told}"
        assert time.monotonic() < until, f"no answer within {PATIENCE} seconds: {told}"
        try:
            answer = requests.get(f"{url}/health", timeout=5)
            if answer.json() == {"status": "UP"}:
                return
        except (requests.RequestException, ValueError):
            time.sleep(0.5)


def listens(url: str) -> bool:
    """Whether anything listens at an address."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0
