"""Asks the coordinators of jobs whether a task may go (quota-tiers-sla sheet, section 6).

A coordinator is a URL that a job's author gave, so it gets little trust: http or https only, no redirects, a time
limit, a short answer, of which nobody sees more than yes or no.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import trio

from aurorad import http_client
from aurorad.api import keys, simple_json
from aurorad.api.tasks import CoordinatorSlaPolicy, ScheduledTask
from aurorad.flags import Flags
from aurorad.vars import Vars

STATUS_KEY = "drain"
"""Where the verdict is in an answer, unless the policy says otherwise."""


class Coordinators:
    """Puts one question at a time to each coordinator, and to all of them together only so many."""

    def __init__(self, *, flags: Flags, stats: Vars) -> None:
        self._cluster = flags.cluster_name
        self._timeout_s = flags.sla_coordinator_timeout
        self._limit = trio.CapacityLimiter(flags.max_parallel_coordinated_maintenance)
        self._stats = stats
        self._lines: dict[str, trio.Lock] = {}
        stats.declare(
            *(f"sla_coordinator_{what}" for what in ("attempts", "success", "errors", "user_errors", "lock_starvation"))
        )

    @asynccontextmanager
    async def asked(
        self, task: ScheduledTask, policy: CoordinatorSlaPolicy, parameters: Mapping[str, str]
    ) -> AsyncIterator[str | None]:
        """Why the task may not go, in a sentence, or None if it may; the coordinator is not asked again within.

        `parameters` go into the question. Whoever has to wait for as long as an answer may take is refused.
        """
        name = f"{self._cluster}/{keys.canonical(task.assigned_task.task.job)}/{task.assigned_task.instance_id}"
        url = policy.coordinator_url
        line = self._lines.setdefault(url, trio.Lock())
        try:
            async with AsyncExitStack() as turn:
                with trio.move_on_after(self._timeout_s) as waiting:
                    await turn.enter_async_context(line)
                    await turn.enter_async_context(self._limit)
                if waiting.cancelled_caught:
                    self._count("lock_starvation", name)
                    yield "its SLA coordinator is busy with other tasks"
                else:
                    yield await self._ask(task, name, policy, parameters)
        finally:
            if not line.locked() and not line.statistics().tasks_waiting:
                self._lines.pop(url, None)

    async def _ask(
        self, task: ScheduledTask, name: str, policy: CoordinatorSlaPolicy, parameters: Mapping[str, str]
    ) -> str | None:
        question = {**parameters, "taskConfig": simple_json.to_json(task), "task": name}
        self._stats.count("sla_coordinator_attempts")
        try:
            answer = await http_client.post(
                policy.coordinator_url, msgspec.json.encode(question), self._timeout_s, parameters=[("task", name)]
            )
        except http_client.NoAnswer as error:
            self._count("errors", name)
            return f"its SLA coordinator gives no answer: {error}"
        if answer.status != 200:
            self._count("user_errors", name)
            return f"its SLA coordinator answers with HTTP status {answer.status}, not 200"
        self._stats.count("sla_coordinator_success")
        key = policy.status_key or STATUS_KEY
        verdict = _member(answer.body, key)
        if verdict is None:
            self._count("user_errors", name)
            return f"its SLA coordinator's answer is no JSON object with true or false as {key!r}"
        return None if verdict else "its SLA coordinator says no"

    def _count(self, what: str, name: str) -> None:
        self._stats.count(f"sla_coordinator_{what}")
        self._stats.count(f"sla_coordinator_{what}_{name}")


def _member(body: bytes, key: str) -> bool | None:
    try:
        value = msgspec.json.decode(body, type=dict[str, object]).get(key)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return value if isinstance(value, bool) else None
