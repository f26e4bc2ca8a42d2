"""Calls to the scheduler: what is tried again, and what a failure means (client-internals sheet, section 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import msgspec

from aurorad.api import keys
from aurorad.api.calls import Call, ReadOnlyCall, RestartShards, StartJobUpdate
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response, Result
from aurorad.api.tasks import JobKey
from client.clock import Clock
from client.clusters import Cluster
from client.errors import (
    AuthenticationError,
    CommandError,
    DeclinedError,
    Exit,
    HopelessError,
    ProtocolError,
    TransportError,
    UnsentError,
)
from client.explained import Explained, Plan, Sandboxes
from client.terminal import Terminal

T = TypeVar("T")
Told = TypeVar("Told", Explained, Plan, Sandboxes)

RETRY_WINDOW_S = 600.0
RETRY_PAUSE_S = 5.0
_HOW_LONG = f"every {RETRY_PAUSE_S:g} s for up to {RETRY_WINDOW_S / 60:g} minutes ..."
# Doing these twice does no harm: reads, and two writes that the scheduler recognises.
_REPEATABLE = (ReadOnlyCall, StartJobUpdate, RestartShards)

_UPDATING_HINT = (
    "\tError: job is locked by an active update.\n"
    "      Run 'aurora update abort' or wait for the active update to finish."
)


class Sender(Protocol):
    def send(self, call: Call) -> Response:
        """Raises `TransportError`, `AuthenticationError` or `ProtocolError`."""

    def plan(self, call: Call) -> bytes:
        """Raises `DeclinedError`, `TransportError` or `AuthenticationError`; so does `get`."""

    def get(self, path: str, asked: Sequence[tuple[str, str]] = ()) -> bytes: ...

    @property
    def url(self) -> str:
        """Where the scheduler is, ending in a slash. May raise `CommandError`."""


@dataclasses.dataclass(frozen=True)
class Scheduler:
    """The scheduler of one cluster."""

    cluster: Cluster
    transport: Sender
    clock: Clock
    terminal: Terminal
    heard: Callable[[Call, Response], None] = lambda call, response: None
    """Told of every answer."""

    @property
    def page_url(self) -> str:
        """Where people look at the cluster, ending in a slash. May raise `CommandError`."""
        return self.cluster.proxy_url or self.transport.url

    def call(self, call: Call, *, repeatable: bool | None = None) -> Response:
        """Whatever the scheduler answers. Raises `CommandError` when it does not.

        `repeatable` says whether the call may be sent again after trouble on the way; unset, its kind decides.
        """
        may_repeat = isinstance(call, _REPEATABLE) if repeatable is None else repeatable
        response = self._insist(call.method(), lambda: self._attempt(call, may_repeat))
        self.heard(call, response)
        return response

    def plan(self, call: Call) -> Plan:
        """What `call` would do. Raises `CommandError`."""
        return self._told(f"the plan of {call.method()}", lambda: self.transport.plan(call), Plan)

    def explain(self, job: JobKey, instances: Iterable[int]) -> Explained:
        """Why these instances of `job`, or all of them, wait. Raises `CommandError`."""
        asked = [("job", keys.canonical(job)), *(("instance", str(instance)) for instance in sorted(instances))]
        return self._told("an explanation", lambda: self.transport.get("explain", asked), Explained)

    def sandboxes(self) -> Sandboxes:
        """Where its own agents keep the sandboxes of tasks. Raises `CommandError`."""

        def get() -> bytes:
            try:
                return self.transport.get("sandboxes")
            except DeclinedError:
                return b"{}"

        return self._told("the place of sandboxes", get, Sandboxes)

    def _told(self, what: str, get: Callable[[], bytes], kind: type[Told]) -> Told:
        """An answer as JSON; asking again does no harm."""

        def attempt() -> bytes | str:
            try:
                return get()
            except AuthenticationError as error:
                raise self._unauthorized(error) from None
            except DeclinedError as error:
                raise CommandError(Exit.COMMAND_FAILURE, str(error)) from None
            except TransportError as error:
                return self._after(error, may_repeat=True)

        data = self._insist(what, attempt)
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError as error:
            text = f"The answer of {self.cluster.name} cannot be read: {error}"
            raise CommandError(Exit.UNKNOWN_ERROR, text) from None

    def _insist(self, what: str, attempt: Callable[[], T | str]) -> T:
        """What `attempt` gives; a text says why it should be made again, later."""
        deadline = self.clock.now() + RETRY_WINDOW_S
        told = ""
        while True:
            outcome = attempt()
            if not isinstance(outcome, str):
                return outcome
            if self.clock.now() + RETRY_PAUSE_S > deadline:
                raise CommandError(Exit.TIMEOUT, f"Timed out attempting to issue {what} to {self.cluster.name}")
            if outcome != told:
                self.terminal.warn(outcome)
                told = outcome
            self.clock.sleep(RETRY_PAUSE_S)

    def _unauthorized(self, error: AuthenticationError) -> CommandError:
        return CommandError(Exit.AUTH_ERROR, f"Not authorized to talk to {self.cluster.name}: {error}")

    def ask(
        self,
        call: Call,
        failure: str = "Command failure:",
        code: Exit = Exit.API_ERROR,
        *,
        repeatable: bool | None = None,
    ) -> Result:
        """The result of a call that must succeed. Raises `CommandError` with `failure` and the scheduler's words."""
        response = self.call(call, repeatable=repeatable)
        self.require_ok(response, failure, code)
        return response.result or Result()

    def require_ok(self, response: Response, failure: str, code: Exit = Exit.API_ERROR) -> None:
        """Raises `CommandError` unless the answer is OK; what an OK says is logged."""
        if response.response_code is ResponseCode.OK:
            if response.details:
                self.terminal.info(messages(response))
            return
        lines = [failure, f"\t{messages(response)}"]
        if response.response_code is ResponseCode.JOB_UPDATING_ERROR:
            lines.append(_UPDATING_HINT)
        raise CommandError(code, "\n".join(lines))

    def _attempt(self, call: Call, may_repeat: bool) -> Response | str:
        """The answer, or why the call should be sent again."""
        self.terminal.debug(f"{call.method()} to {self.cluster.name}")
        try:
            response = self.transport.send(call)
        except AuthenticationError as error:
            raise self._unauthorized(error) from None
        except ProtocolError as error:
            text = f"Error during thrift call {call.method()} to {self.cluster.name}: {error}"
            raise CommandError(Exit.UNKNOWN_ERROR, text) from None
        except TransportError as error:
            return self._after(error, may_repeat)
        if response.response_code is ResponseCode.ERROR_TRANSIENT:
            return f"Connection error with scheduler: {messages(response)}, reconnecting {_HOW_LONG}"
        return response

    def _after(self, error: TransportError, may_repeat: bool) -> str:
        """Why a call shall be sent again. Raises `CommandError` if it shall not."""
        trouble = "Transport error communicating with scheduler"
        if isinstance(error, HopelessError):
            raise CommandError(Exit.NETWORK_ERROR, f"{trouble}: {error}, not retrying") from error
        if may_repeat or isinstance(error, UnsentError):
            return f"{trouble}: {error}, retrying {_HOW_LONG}"
        text = f"{trouble} during non-idempotent operation: {error}, not retrying"
        raise CommandError(Exit.NETWORK_ERROR, text) from error


def messages(response: Response) -> str:
    return ", ".join(detail.message or "Unknown error" for detail in response.details)
