"""A server hears of what becomes of tasks, if it listens."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, ScheduledTask
from aurorad.scheduler import webhooks
from aurorad.scheduler.webhooks import Webhook, WebhookError, Webhooks, configured, parse
from aurorad.storage.events import TaskChanged
from aurorad.vars import Vars
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import World, config
from tests.waiting import until
from tests.web_servers import answer, answering, hanging, request, server

S = ScheduleStatus
COUNTERS = ("attempts", "success", "errors", "user_errors", "dropped")


def file(**changes: object) -> bytes:
    whole = {"headers": {"X-Token": "s3cret"}, "targetURL": "http://localhost:5000/", "timeoutMsec": 50}
    return msgspec.json.encode({**whole, **changes})


def hook(url: str, timeout_s: float = 5, statuses: frozenset[S] = frozenset(S)) -> Webhook:
    return Webhook(url, timeout_s, {"X-Token": "s3cret"}, statuses)


def change(task_id: str, before: S | None, after: S | None) -> TaskChanged:
    tasks = [ScheduledTask(AssignedTask(task_id), status) if status is not None else None for status in (before, after)]
    return TaskChanged(*tasks)


def counted(stats: Vars) -> dict[str, object]:
    return {name: count for name in COUNTERS if (count := stats.get(f"webhooks_{name}"))}


async def until_counted(stats: Vars, **expected: int) -> None:
    await until(lambda: counted(stats) == expected)


def test_a_file_says_whom_to_tell_of_what() -> None:
    webhook = parse(file(statuses=["LOST", "FAILED"]))
    assert (webhook.url, webhook.timeout_s) == ("http://localhost:5000/", 0.05)
    assert webhook.headers == {"X-Token": "s3cret", "Content-Type": "application/json"}
    assert webhook.statuses == {S.LOST, S.FAILED}
    assert parse(file(headers={"content-type": "text/plain"})).headers == {"content-type": "text/plain"}
    assert parse(file()).statuses == parse(file(statuses=["*", "LOST"])).statuses == frozenset(S)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a webhook configuration: "),
        (b'{"headers": {}}', "not a webhook configuration: .*missing required field `targetURL`"),
        (file(more=1), "not a webhook configuration: .*unknown field `more`"),
        (file(timeoutMsec="50"), "not a webhook configuration: Expected `int`, got `str`"),
        (file(timeoutMsec=0), "timeoutMsec is 0: a number above 0 was expected"),
        (file(targetURL="localhost:5000"), "targetURL: a URL such as http://host:port/path was expected"),
        (file(targetURL="http://me:pw@host/"), "targetURL: a URL"),
        (file(statuses=["LOST", "GONE"]), "statuses: GONE unknown; some of INIT|statuses: GONE unknown"),
        (file(headers={"X Y": "s3cret"}), "header 'X Y': a name and a value that HTTP allows"),
        (file(headers={"X": "s3cret\n"}), "header 'X': a name and a value that HTTP allows"),
        (file(headers={"Content-Length": "7"}), "header Content-Length: it is set for each request"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(content: bytes, complaint: str) -> None:
    with pytest.raises(WebhookError, match=complaint) as refused:
        parse(content)
    assert "s3cret" not in str(refused.value)


def test_what_is_wrong_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(WebhookError, match=r"-webhook_config=.*hook.json: cannot be read: No such file"):
        configured(tmp_path / "hook.json")
    (tmp_path / "hook.json").write_bytes(b"{}")
    with pytest.raises(WebhookError, match=r"-webhook_config=.*hook.json: not a webhook configuration"):
        configured(tmp_path / "hook.json")
    assert configured(None) is None


def test_a_webhook_does_not_show_its_secrets() -> None:
    assert "s3cret" not in repr(parse(file()))


async def test_a_server_is_told_of_every_change_in_the_order_of_each_task(nursery: trio.Nursery) -> None:
    heard: list[tuple[list[str], dict[str, Any]]] = []

    async def serve(stream: trio.SocketStream) -> None:
        lines, body = await request(stream)
        heard.append((lines, msgspec.json.decode(body)))
        await stream.send_all(answer(b"ignored"))

    async with server(serve) as url:
        stats = Vars()
        it = Webhooks(hook(f"{url}/tell?a=b"), stats, lambda: 1234)
        nursery.start_soon(it.run)
        states = (None, S.PENDING, S.ASSIGNED, S.STARTING, S.RUNNING, S.FAILED)
        for before, after in itertools.pairwise(states):
            for task_id in ("a", "b"):
                it.changed(change(task_id, before, after))
        await until_counted(stats, attempts=10, success=10)
    lines, _ = heard[0]
    assert lines[0] == "POST /tell?a=b HTTP/1.1"
    assert {"X-Token: s3cret", "Timestamp: 1234"} <= set(lines)
    told = [body for _, body in heard if body["task"]["assignedTask"]["taskId"] == "a"]
    assert [body["oldState"]["value"] for body in told] == ["INIT", "PENDING", "ASSIGNED", "STARTING", "RUNNING"]
    assert [body["task"]["status"] for body in told] == ["PENDING", "ASSIGNED", "STARTING", "RUNNING", "FAILED"]


async def test_only_what_was_selected_and_only_changes_of_state_are_told(nursery: trio.Nursery) -> None:
    async with server(answering(answer(b""))) as url:
        stats = Vars()
        it = Webhooks(hook(url, statuses=frozenset({S.LOST})), stats, lambda: 1)
        nursery.start_soon(it.run)
        it.changed(change("a", S.RUNNING, S.FINISHED))
        it.changed(change("a", S.LOST, None))
        it.changed(change("a", S.LOST, S.LOST))
        it.changed(change("a", S.RUNNING, S.LOST))
        await until_counted(stats, attempts=1, success=1)


async def test_answers_other_than_200_and_none_are_counted_and_not_repeated(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stats = Vars()
    async with server(answering(answer(b"", 204))) as url:
        it = Webhooks(hook(url), stats, lambda: 1)
        nursery.start_soon(it.run)
        it.changed(change("a", S.RUNNING, S.LOST))
        it.changed(change("a", S.LOST, S.KILLED))
        await until_counted(stats, attempts=2, user_errors=2)
    it.changed(change("a", S.RUNNING, S.LOST))
    await until_counted(stats, attempts=3, user_errors=2, errors=1)
    assert [record.message for record in caplog.records] == ["webhook: answered with status 204"]


async def test_a_server_that_hangs_holds_nobody_up(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "QUEUED_AT_MOST", 20)
    stats = Vars()
    async with server(hanging) as url:
        it = Webhooks(hook(url, timeout_s=0.05), stats, lambda: 1)
        for _ in range(10):
            it.changed(change("a", S.RUNNING, S.LOST))
        assert counted(stats) == {"dropped": 8}
        nursery.start_soon(it.run)
        await until_counted(stats, attempts=2, errors=2, dropped=8)


async def test_a_scheduler_tells_of_what_happens_and_not_of_what_it_finds(
    autojump_clock: MockClock,
) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as it:
        (task_id,) = await it.create(config())
        await it.until_status(task_id, S.RUNNING)
        told: list[TaskChanged] = []
        it.new_scheduler, make = (lambda: _listening(make(), told)), it.new_scheduler  # type: ignore[method-assign]
        await it.restart()
        await it.kill(task_id)
        await it.until_status(task_id, S.KILLED)
        await trio.testing.wait_all_tasks_blocked()
    states = [(c.before.status, c.after.status) for c in told if c.before is not None and c.after is not None]
    assert states == [(S.RUNNING, S.KILLING), (S.KILLING, S.KILLED)]


def _listening(scheduler: Any, told: list[TaskChanged]) -> Any:
    scheduler._webhooks.changed = told.append
    return scheduler
