"""One call over HTTP: thrift's binary encoding in a POST (wire sheet, sections 1 and 3; client-internals sheet, 3).
Questions that thrift has no words for are answered as JSON, at addresses beside ``/api``.

The HTTP library brings netrc credentials, proxies and certificates from the environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import requests

from aurorad.api import binary
from aurorad.api.calls import ApplicationException, Call, Reply
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response
from aurorad.api.wire import BINARY_TYPE, MessageHeader, MessageType, WireError
from client.auth import NO_CERTIFICATES, Certificates, Mechanism
from client.errors import (
    AuthenticationError,
    DeclinedError,
    HopelessError,
    ProtocolError,
    TransportError,
    UnsentError,
)

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_CONNECT_TIMEOUT_S = 30.0
# A scheduler may think for a while; longer than the window for retries nobody waits.
_ANSWER_TIMEOUT_S = 600.0
# Of the refusals, these are about the moment.
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
_WRONG_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.SSLError,
    requests.TooManyRedirects,
    ValueError,  # a name that no host can have
)


def direct_if_local(url: str) -> dict[str, str] | None:
    """The proxies to use: a server of this machine is not behind one, whatever the environment says."""
    host = urlsplit(url).hostname
    return {"no_proxy": host} if host in _LOOPBACK else None


class Where(Protocol):
    """Who is to be talked to."""

    @property
    def url(self) -> str:
        """Ending in a slash. May raise `CommandError`."""

    def doubt(self) -> None:
        """It may be somebody else the next time."""


class Transport:
    """A session with the scheduler that leads."""

    def __init__(
        self,
        leader: Where,
        user_agent: str,
        mechanism: Mechanism,
        bypass_leader_redirect: bool = False,
        certificates: Certificates = NO_CERTIFICATES,
    ) -> None:
        self._leader = leader
        self._mechanism = mechanism
        self._session = requests.Session()
        self._session.auth = mechanism.auth
        if certificates.certificate is not None and certificates.key is not None:
            self._session.cert = (certificates.certificate, certificates.key)
        self._authority = certificates.authority
        self._session.headers.update({"User-Agent": user_agent, "Content-Type": BINARY_TYPE, "Accept": BINARY_TYPE})
        if bypass_leader_redirect:
            self._session.headers["Bypass-Leader-Redirect"] = "true"

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    @property
    def url(self) -> str:
        """Where the scheduler is, ending in a slash. May raise `CommandError`."""
        return self._leader.url

    def send(self, call: Call) -> Response:
        """Raises `TransportError`, `AuthenticationError` or `ProtocolError`."""
        answer = self._request("POST", "api", data=_encode(call))
        if answer.request.method != "POST":
            codes = ", ".join(str(step.status_code) for step in answer.history)
            text = f"{answer.history[0].url} redirects with {codes}, which drops the call: 307 or 308 was expected"
            raise HopelessError(text)
        self._require_success(answer)
        response = _decode(answer.content)
        if response.response_code is ResponseCode.ERROR_TRANSIENT:
            self._leader.doubt()
        return response

    def plan(self, call: Call) -> bytes:
        """What `call` would do, as JSON. Raises `DeclinedError` as well."""
        return self._json(self._request("POST", "plan", data=_encode(call)))

    def get(self, path: str, asked: Sequence[tuple[str, str]] = ()) -> bytes:
        """What is told at this address, as JSON. Raises `DeclinedError` as well."""
        return self._json(self._request("GET", path, params=asked))

    def _request(
        self, method: str, path: str, data: bytes | None = None, params: Sequence[tuple[str, str]] = ()
    ) -> requests.Response:
        url = urljoin(self._leader.url, path)
        try:
            answer = self._attempt(method, url, data, params)
        except TransportError:
            self._leader.doubt()
            raise
        if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise AuthenticationError(f"{answer.status_code} {answer.reason}. {self._mechanism.failed}")
        return answer

    def _attempt(
        self, method: str, url: str, data: bytes | None, params: Sequence[tuple[str, str]]
    ) -> requests.Response:
        proxies = direct_if_local(url)
        timeouts = (_CONNECT_TIMEOUT_S, _ANSWER_TIMEOUT_S)
        try:
            return self._session.request(
                method,
                url,
                data=data,
                params=list(params),
                proxies=proxies,
                timeout=timeouts,
                verify=self._authority,  # None: whom the environment trusts
            )
        except requests.ConnectTimeout:
            raise UnsentError(f"Timed out talking to {url}") from None
        except requests.Timeout:
            raise TransportError(f"Timed out talking to {url}") from None
        except _WRONG_ADDRESS as error:
            raise HopelessError(f"Cannot talk to {url}: {reason(error)}") from error
        except requests.ConnectionError as error:
            hint = " (is aurorad running?)" if proxies else ""
            raise TransportError(f"Cannot reach {url}: {reason(error)}{hint}") from error
        except requests.RequestException as error:
            raise TransportError(f"Unknown error talking to {url}: {reason(error)}") from error

    def _require_success(self, answer: requests.Response) -> None:
        if answer.status_code < HTTPStatus.BAD_REQUEST:
            return
        self._leader.doubt()
        text = f"Unknown error talking to {answer.url}: {answer.status_code} {answer.reason}"
        if answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR and answer.status_code not in _PASSING:
            raise HopelessError(text)
        raise TransportError(text)

    def _json(self, answer: requests.Response) -> bytes:
        kind = answer.headers.get("Content-Type", "")
        if HTTPStatus.BAD_REQUEST <= answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR and kind.startswith(
            "text/plain"
        ):
            raise DeclinedError(answer.text.strip())
        if answer.status_code == HTTPStatus.NOT_FOUND or (answer.ok and not kind.startswith("application/json")):
            raise DeclinedError(f"This scheduler does not know {urlsplit(answer.url).path}: it may be an older one.")
        self._require_success(answer)
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
