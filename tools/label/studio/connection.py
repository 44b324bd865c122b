"""A connection to a Label Studio: requests that say what is wrong, and try again.

For a personal access token the server gives access tokens, each of five minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from models.process.text import shown
from tasks.faults import Fault
from tools.label.labels import LabelError
from tools.label.studio.tokens import ABOUT_TOKENS, Token

T = TypeVar("T")

REFRESH = "/api/token/refresh/"
CONNECT = 10.0  # seconds until a server that says nothing is not there
PAUSES = (0.5, 1.5, 4.0)  # seconds before each new try
FOR_NOW = (429, 500, 502, 503, 504)  # what a server says that is busy, or starts
ABOUT_SERVER = "start it (label-studio start), or correct the address"
ABOUT_ADDRESS = "give the address of Label Studio's first page, as http://127.0.0.1:8080"


class ForNow(LabelError):
    """An error that may be gone at the next try; whether the server did it is unknown."""


class Refused(LabelError):
    """What a server refuses.

    Args:
        fault: the message.
        status: of HTTP.
        said: by the server, without secrets.
    """

    def __init__(self, fault: Fault, status: int, said: str) -> None:
        super().__init__(fault)
        self.status = status
        self.said = said


@dataclass(frozen=True)
class _Order:
    """A request; `bare` ones want the status alone, and each status is an answer to them."""

    method: str
    path: str
    seconds: float
    query: Mapping[str, Any] = field(default_factory=dict)
    content: Any = None
    bare: bool = False


class _Bearer(AuthBase):
    """The header of an access token; without `auth`, requests would take that of a `.netrc`."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token.reveal():
            request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


class Connection:
    """Requests to one Label Studio in the name of one person.

    Args:
        url: the address of its first page, as `http://127.0.0.1:8080`.
        token: a personal access token.
        pauses: seconds before each new try of what failed for now.

    Raises:
        LabelError: if the address is none, or has a password in it.
    """

    def __init__(self, url: str, token: Token, pauses: Sequence[float] = PAUSES) -> None:
        self.url = _address(url)
        self.pauses = tuple(pauses)
        self._token = token
        self._access = Token("")

    def __repr__(self) -> str:
        return f"Connection({self.url!r})"

    def read(self, path: str, seconds: float = 60.0, **query: Any) -> Any:
        """Read a json, again if that fails for now.

        Args:
            path: as "/api/projects/".
            seconds: without a byte, after which an answer is no longer awaited.
            query: parameters of the address.

        Raises:
            LabelError: if the server is not there or refuses.
        """
        order = _Order("GET", path, seconds, query)
        return self.patient(lambda: self._json(self._done(order)))

    def post(self, path: str, content: Any, seconds: float = 60.0) -> Any:
        """Post a json, once: a server that fails for now may have taken it.

        Raises:
            ForNow: if it is unknown whether the server has taken it.
            LabelError: if it has not.
        """
        return self._json(self._done(_Order("POST", path, seconds, content=content)))

    def delete(self, path: str) -> None:
        """Delete what is at a path; it is no error if nothing is there any more.

        Raises:
            LabelError: if the server is not there or refuses.
        """
        order = _Order("DELETE", path, 60.0)
        try:
            self.patient(lambda: self._done(order))
        except Refused as error:
            if error.status != 404:
                raise

    def status(self, path: str) -> int:
        """What the server answers to whoever asks for a file; 200 if it gives the file."""
        order = _Order("GET", path, 60.0, bare=True)
        return self.patient(lambda: self._done(order).status_code)

    def patient(self, work: Callable[[], T]) -> T:
        """Do what may fail for now, again after each pause.

        Raises:
            LabelError: if it failed each time; no `ForNow`, so that nobody begins once more.
        """
        for pause in self.pauses:
            try:
                return work()
            except ForNow:
                time.sleep(pause)
        try:
            return work()
        except ForNow as error:
            raise LabelError(*error.args) from None

    def _done(self, order: _Order) -> requests.Response:
        """The answer; where an access token ended, that of the same request with a new one."""
        if not self._access.reveal():
            self._refresh()
        answer = self._sent(order, self._access)
        if answer.status_code == 401:
            self._refresh()
            answer = self._sent(order, self._access)
        if not order.bare or answer.status_code in FOR_NOW:
            self._check(answer, order.path)
        return answer

    def _refresh(self) -> None:
        """Ask for an access token."""
        content = {"refresh": self._token.reveal()}
        answer = self._sent(_Order("POST", REFRESH, 60.0, content=content), Token(""))
        if answer.status_code == 401 and _is_json(answer):
            came = f"{self._said(answer)!r}: it is of another server, expired or revoked"
            expected = "a token that is valid there"
            raise LabelError(Fault("token", self.url, expected, came, ABOUT_TOKENS))
        unknown = answer.status_code in (404, 405) or not _is_json(answer)
        if unknown and 400 <= answer.status_code < 500:
            self._is_strange(REFRESH, f"status {answer.status_code}")
        self._check(answer, REFRESH)
        found = self._json(answer)
        if not isinstance(found, dict) or not isinstance(found.get("access"), str):
            self._is_strange(REFRESH, "a json of another form")
        self._access = Token(found["access"])

    def _sent(self, order: _Order, token: Token) -> requests.Response:
        """Send a request; not in a session, whose cookie would want a form's secret with it."""
        kind: type[LabelError] = ForNow
        try:
            answer = requests.request(
                order.method,
                self.url + order.path,
                params=order.query,
                json=order.content,
                auth=_Bearer(token),
                timeout=(CONNECT, order.seconds),
                allow_redirects=False,
                stream=order.bare,
            )
            if order.bare:
                answer.close()
            return answer
        except requests.Timeout:
            came = f"none within {order.seconds:g} seconds"
        except requests.exceptions.SSLError as error:
            came, kind = _bottom(error), LabelError
        except requests.RequestException as error:
            came = _bottom(error)
        expected = "an answer of Label Studio"
        raise kind(Fault("server", self.url, expected, self._hide(came), ABOUT_SERVER))

    def _check(self, answer: requests.Response, path: str) -> None:
        """Raise what a status other than success means."""
        status, where, said = answer.status_code, self.url + path, self._said(answer)
        came = f"status {status} ({said})"
        if 300 <= status < 400:
            target = self._hide(answer.headers.get("location", ""))
            self._is_strange(path, f"a redirection to {shown(target)}")
        if status in FOR_NOW:
            remedy = "try again later, and look into the server's log"
            raise ForNow(Fault("server", where, "an answer of Label Studio", came, remedy))
        if status in (401, 403):
            raise Refused(Fault("token", where, "to be let in", came, ABOUT_TOKENS), status, said)
        if status >= 400:
            remedy = "correct what the server names"
            raise Refused(Fault("server", where, "success", came, remedy), status, said)

    def _json(self, answer: requests.Response) -> Any:
        try:
            return answer.json()
        except ValueError:
            self._is_strange(urlsplit(answer.url).path, "no json")

    def _is_strange(self, path: str, came: str) -> NoReturn:
        """Raise that something else listens there."""
        where = self.url + path
        raise LabelError(Fault("server", where, "Label Studio's answer", came, ABOUT_ADDRESS))

    def _said(self, answer: requests.Response) -> str:
        """What the server says of an error, on a line and without secrets."""
        parts: list[Any] = []
        if _is_json(answer) and isinstance(answer.json(), dict):
            parts = [answer.json().get("detail"), answer.json().get("validation_errors")]
        text = " ".join(str(part) for part in parts if part) or str(answer.reason)
        return self._hide(text)[:600]

    def _hide(self, text: str) -> str:
        return self._access.hide(self._token.hide(text))


def _address(url: str) -> str:
    """An address without the slash at its end."""
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        expected = "an address with http or https"
        raise LabelError(Fault("server", "the server", expected, shown(url), ABOUT_ADDRESS))
    if "@" in parts.netloc or parts.query or parts.fragment:
        expected = "an address without a name, a password or parameters"
        came = "one with them"  # not shown: they may be secrets
        raise LabelError(Fault("server", str(parts.hostname), expected, came, ABOUT_ADDRESS))
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _is_json(answer: requests.Response) -> bool:
    try:
        answer.json()
    except ValueError:
        return False
    return True


def _bottom(error: BaseException) -> str:
    """The reason below all that requests and urllib3 wrap around it."""
    found: BaseException | None = error
    text = type(error).__name__
    while found is not None:
        text = getattr(found, "strerror", None) or text
        found = found.__cause__ or found.__context__
    return str(text)[:200]
