"""One call over HTTP: thrift's binary encoding in a POST (wire sheet, sections 1 and 3; client-internals sheet, 3).
Questions that thrift has no words for are answered as JSON, at addresses beside ``/api``.

The HTTP library brings netrc credentials, proxies and certificates from the environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

import requests

from aurorad.api import binary
from aurorad.api.calls import ApplicationException, Call, Reply
from aurorad.api.results import Response
from aurorad.api.wire import BINARY_TYPE, MessageHeader, MessageType, WireError
from client.errors import AuthenticationError, DeclinedError, ProtocolError, TransportError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_CONNECT_TIMEOUT_S = 30.0
# A scheduler may think for a while; longer than the window for retries nobody waits.
_ANSWER_TIMEOUT_S = 600.0


def direct_if_local(url: str) -> dict[str, str] | None:
    """The proxies to use: a server of this machine is not behind one, whatever the environment says."""
    host = urlsplit(url).hostname
    return {"no_proxy": host} if host in _LOOPBACK else None


class Transport:
    """A session with one scheduler."""

    def __init__(self, url: str, user_agent: str, bypass_leader_redirect: bool = False) -> None:
        self._base = url
        self._url = urljoin(url, "api")
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": user_agent, "Content-Type": BINARY_TYPE, "Accept": BINARY_TYPE})
        if bypass_leader_redirect:
            self._session.headers["Bypass-Leader-Redirect"] = "true"
        self._proxies = direct_if_local(self._url)

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def send(self, call: Call) -> Response:
        """Raises `TransportError`, `AuthenticationError` or `ProtocolError`."""
        answer = self._request("POST", self._url, data=_encode(call))
        if answer.status_code >= 400:
            raise TransportError(f"Unknown error talking to {answer.url}: {answer.status_code} {answer.reason}")
        if answer.request.method != "POST":
            codes = ", ".join(str(step.status_code) for step in answer.history)
            raise TransportError(f"{self._url} redirects with {codes}, which drops the call: 307 or 308 was expected")
        return _decode(answer.content)

    def plan(self, call: Call) -> bytes:
        """What `call` would do, as JSON. Raises `DeclinedError` as well."""
        return _json(self._request("POST", urljoin(self._base, "plan"), data=_encode(call)))

    def explain(self, asked: Sequence[tuple[str, str]]) -> bytes:
        """Why instances of a job wait, as JSON. Raises `DeclinedError` as well."""
        return _json(self._request("GET", urljoin(self._base, "explain"), params=asked))

    def _request(
        self, method: str, url: str, data: bytes | None = None, params: Sequence[tuple[str, str]] = ()
    ) -> requests.Response:
        try:
            answer = self._session.request(
                method,
                url,
                data=data,
                params=list(params),
                proxies=self._proxies,
                timeout=(_CONNECT_TIMEOUT_S, _ANSWER_TIMEOUT_S),
            )
        except requests.Timeout:
            raise TransportError(f"Timed out talking to {url}") from None
        except requests.ConnectionError as error:
            hint = " (is aurorad running?)" if self._proxies else ""
            raise TransportError(f"Cannot reach {url}: {reason(error)}{hint}") from error
        except requests.RequestException as error:
            raise TransportError(f"Unknown error talking to {url}: {reason(error)}") from error
        if answer.status_code in (401, 403):
            raise AuthenticationError(f"{answer.status_code} {answer.reason}")
        return answer


def _json(answer: requests.Response) -> bytes:
    if answer.status_code >= 500:
        raise TransportError(f"Unknown error talking to {answer.url}: {answer.status_code} {answer.reason}")
    if answer.status_code >= 400 and answer.headers.get("Content-Type", "").startswith("text/plain"):
        raise DeclinedError(answer.text.strip())
    if not answer.headers.get("Content-Type", "").startswith("application/json"):
        raise DeclinedError(f"This scheduler does not know {urlsplit(answer.url).path}: it may be an older one.")
    return answer.content


def _encode(call: Call) -> bytes:
    return binary.encode_message(MessageHeader(call.method(), MessageType.CALL, 0), call)


def _decode(data: bytes) -> Response:
    try:
        header, start = binary.decode_header(data)
        if header.type is MessageType.EXCEPTION:
            raise ProtocolError(binary.read_struct(ApplicationException, data, start)[0].message or "no reason given")
        response = binary.read_struct(Reply, data, start)[0].success
    except WireError as error:
        raise ProtocolError(f"the answer cannot be read: {error}") from None
    if response is None:
        raise ProtocolError("the answer is empty")
    return response


def reason(error: BaseException) -> str:
    """The innermost cause, which is what a person wants to read."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return getattr(error, "strerror", None) or str(error)
