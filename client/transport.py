"""One call over HTTP: thrift's binary encoding in a POST (wire sheet, sections 1 and 3; client-internals sheet, 3).

The HTTP library brings netrc credentials, proxies and certificates from the environment.
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import requests

from aurorad.api import binary
from aurorad.api.calls import ApplicationException, Call, Reply
from aurorad.api.results import Response
from aurorad.api.wire import BINARY_TYPE, MessageHeader, MessageType, WireError
from client.errors import AuthenticationError, ProtocolError, TransportError

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

    def __init__(self, url: str, user_agent: str) -> None:
        self._url = urljoin(url, "api")
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": user_agent, "Content-Type": BINARY_TYPE, "Accept": BINARY_TYPE})
        self._proxies = direct_if_local(self._url)

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def send(self, call: Call) -> Response:
        """Raises `TransportError`, `AuthenticationError` or `ProtocolError`."""
        body = binary.encode_message(MessageHeader(call.method(), MessageType.CALL, 0), call)
        return _decode(self._post(body))

    def _post(self, body: bytes) -> bytes:
        try:
            answer = self._session.post(
                self._url, data=body, proxies=self._proxies, timeout=(_CONNECT_TIMEOUT_S, _ANSWER_TIMEOUT_S)
            )
        except requests.Timeout:
            raise TransportError(f"Timed out talking to {self._url}") from None
        except requests.ConnectionError as error:
            hint = " (is aurorad running?)" if self._proxies else ""
            raise TransportError(f"Cannot reach {self._url}: {reason(error)}{hint}") from error
        except requests.RequestException as error:
            raise TransportError(f"Unknown error talking to {self._url}: {reason(error)}") from error
        if answer.status_code in (401, 403):
            raise AuthenticationError(f"{answer.status_code} {answer.reason}")
        if answer.status_code >= 400:
            raise TransportError(f"Unknown error talking to {answer.url}: {answer.status_code} {answer.reason}")
        if answer.request.method != "POST":
            codes = ", ".join(str(step.status_code) for step in answer.history)
            raise TransportError(f"{self._url} redirects with {codes}, which drops the call: 307 or 308 was expected")
        return answer.content


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
