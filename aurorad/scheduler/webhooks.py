"""Tells a server of what becomes of tasks (http-endpoints sheet, section 9).

The scheduler never waits for it: what is to be told is queued, and dropped and counted when the queue is full. The
changes of one task are told in their order.
"""

from __future__ import annotations

import logging
import math
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import trio

from aurorad.api.enums import ScheduleStatus
from aurorad.api.plain_json import plain
from aurorad.http_client import NoAnswer, post
from aurorad.storage.events import TaskChanged
from aurorad.vars import Vars

_log = logging.getLogger(__name__)

QUEUED_AT_MOST = 10_000
"""Changes that wait to be told; a dead server is given up on `AT_ONCE` of them a timeout."""

AT_ONCE = 10
"""Posts under way at the same time."""

QUIET_S = 60.0
"""Between two complaints in the log."""

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset({"connection", "content-length", "host", "timestamp", "transfer-encoding"})


class WebhookError(ValueError):
    """A webhook configuration that cannot be used; the text says what is wrong with it."""


class Webhook(msgspec.Struct, frozen=True):
    """Whom to tell of which new states. The headers may hold secrets: nothing here is ever shown."""

    url: str
    timeout_s: float
    headers: dict[str, str]
    statuses: frozenset[ScheduleStatus]

    def __repr__(self) -> str:
        return "Webhook(...)"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    headers: dict[str, str]
    target_url: str = msgspec.field(name="targetURL")
    timeout_ms: int = msgspec.field(name="timeoutMsec")
    statuses: list[str] | None = None


def parse(content: bytes) -> Webhook:
    """The content of a ``-webhook_config`` file. Raises `WebhookError`."""
    try:
        file = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise WebhookError(f"not a webhook configuration: {error}") from None
    if not re.match(r"https?://[^/?#@]+([/?#]|$)", file.target_url):
        raise WebhookError("targetURL: a URL such as http://host:port/path was expected")
    if file.timeout_ms <= 0:
        raise WebhookError(f"timeoutMsec is {file.timeout_ms}: a number above 0 was expected")
    for name, value in file.headers.items():
        if not _HEADER.fullmatch(name) or not value.isprintable() or not value.isascii():
            raise WebhookError(f"header {name!r}: a name and a value that HTTP allows were expected")
        if name.lower() in _OURS:
            raise WebhookError(f"header {name}: it is set for each request, and cannot be configured")
    named = {name.lower() for name in file.headers}
    headers = file.headers if "content-type" in named else {**file.headers, "Content-Type": "application/json"}
    return Webhook(file.target_url, file.timeout_ms / 1000, headers, _statuses(file.statuses))


def _statuses(names: list[str] | None) -> frozenset[ScheduleStatus]:
    if names is None or "*" in names:
        return frozenset(ScheduleStatus)
    unknown = [name for name in names if name not in ScheduleStatus.__members__]
    if unknown:
        raise WebhookError(f"statuses: {', '.join(unknown)} unknown; some of {', '.join(ScheduleStatus.__members__)}")
    return frozenset(ScheduleStatus[name] for name in names)


def configured(path: Path | None) -> Webhook | None:
    """That of ``-webhook_config``, if it is given. Raises `WebhookError` that names the file."""
    if path is None:
        return None
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise WebhookError(f"-webhook_config={path}: cannot be read: {error.strerror}") from None
    except WebhookError as error:
        raise WebhookError(f"-webhook_config={path}: {error}") from None


class Webhooks:
    """Posts what `changed` heard, a few at a time, once each."""

    def __init__(self, webhook: Webhook | None, stats: Vars, now_ms: Callable[[], int]) -> None:
        self._webhook = webhook
        self._stats = stats
        self._now_ms = now_ms
        self._quiet_until = -math.inf
        self._lanes = [trio.open_memory_channel[TaskChanged](QUEUED_AT_MOST // AT_ONCE) for _ in range(AT_ONCE)]
        if webhook is not None:
            stats.declare(*(f"webhooks_{what}" for what in ("attempts", "success", "errors", "user_errors", "dropped")))

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change, but not of what there is at the start."""
        before, after = change.before, change.after
        if self._webhook is None or after is None or after.status not in self._webhook.statuses:
            return
        if before is not None and before.status is after.status:
            return
        lane = zlib.crc32(after.assigned_task.task_id.encode()) % AT_ONCE
        try:
            self._lanes[lane][0].send_nowait(change)
        except trio.WouldBlock:
            self._stats.count("webhooks_dropped")

    async def run(self) -> None:
        """Post until cancelled; what is queued then is not told."""
        if self._webhook is None:
            return
        async with trio.open_nursery() as nursery:
            for _, changes in self._lanes:
                nursery.start_soon(self._tell_all, self._webhook, changes)

    async def _tell_all(self, webhook: Webhook, changes: trio.MemoryReceiveChannel[TaskChanged]) -> None:
        async for change in changes:
            self._stats.count("webhooks_attempts")
            headers = {**webhook.headers, "Timestamp": str(self._now_ms())}
            try:
                answer = await post(webhook.url, body_of(change), webhook.timeout_s, headers=headers)
            except NoAnswer as error:
                self._stats.count("webhooks_errors")
                self._note(str(error))
            else:
                self._stats.count("webhooks_success" if answer.status == 200 else "webhooks_user_errors")
                if answer.status != 200:
                    self._note(f"answered with status {answer.status}")

    def _note(self, trouble: str) -> None:
        """Say so, but not over and over."""
        if trio.current_time() >= self._quiet_until:
            self._quiet_until = trio.current_time() + QUIET_S
            _log.warning("webhook: %s", trouble)


def body_of(change: TaskChanged) -> bytes:
    """What is told: the task as it now is, and the state it was in."""
    old = change.before.status if change.before is not None else ScheduleStatus.INIT
    return msgspec.json.encode({"task": plain(change.after), "oldState": {"value": old.name}})
