"""From a task's name to its web server (http-endpoints sheet, section 6)."""

import pytest
from frozendict import frozendict
from quart_trio import QuartTrio
from quart_trio.testing import TrioClient

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, JobKey, ScheduledTask, TaskConfig
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.web.mname import mname_endpoints

JOB = JobKey("ops", "prod", "web")


def task(instance: int, status: ScheduleStatus, ports: dict[str, int], host: str = "h1") -> ScheduledTask:
    assigned = AssignedTask(f"t{instance}{status.name}", "a", host, TaskConfig(JOB), frozendict(ports), instance)
    return ScheduledTask(assigned, status)


def tables() -> Tables:
    made = Tables()
    Transaction(made).save_tasks(
        task(0, ScheduleStatus.RUNNING, {"http": 31000, "health": 31001}),
        task(0, ScheduleStatus.FAILED, {"http": 1}),
        task(1, ScheduleStatus.STARTING, {"http": 31000}),
        task(2, ScheduleStatus.RUNNING, {"thrift": 31000}),
        task(3, ScheduleStatus.RUNNING, {"admin": 80}, "2001:db8::1"),
        task(4, ScheduleStatus.KILLED, {"http": 31000}),
    )
    return made


async def ask(path: str, method: str = "GET") -> tuple[int, str]:
    app = QuartTrio(__name__, static_folder=None)
    app.register_blueprint(mname_endpoints(tables()))
    answer = await TrioClient(app).open(path, method=method)
    return answer.status_code, answer.headers.get("Location") or await answer.get_data(as_text=True)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
async def test_every_method_is_sent_to_the_task(method: str) -> None:
    assert await ask("/mname/ops/prod/web/0", method) == (307, "http://h1:31001/")
    assert await ask("/mname/ops/prod/web/0/a/b%20c?x=1&y=%2F", method) == (307, "http://h1:31001/a/b%20c?x=1&y=%2F")
    assert await ask("/mname/ops/prod/web/3", method) == (307, "http://[2001:db8::1]:80/")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/mname/ops/prod/web/1", 404, "The selected instance is currently in state STARTING"),
        ("/mname/ops/prod/web/2", 404, "The task does not have a registered http port."),
        ("/mname/ops/prod/web/4", 404, "No such live instance found."),
        ("/mname/ops/prod/web/9", 404, "No such live instance found."),
        ("/mname/ops/prod/we%20b/0", 404, "No such live instance found."),
        ("/mname/ops/prod/web/x", 404, "'x' is no instance: a number such as 0 was expected."),
        ("/mname/ops/prod/web/99999999999", 404, "'99999999999' is no instance: a number such as 0 was expected."),
    ],
)
async def test_who_cannot_be_sent_anywhere_is_told_why(path: str, status: int, words: str) -> None:
    assert await ask(path) == (status, words)


async def test_without_a_name_the_usage_is_told() -> None:
    status, text = await ask("/mname")
    assert (status, "Usage: /mname/{role}/{env}/{job}/{instance}" in text) == (400, True)


async def test_a_path_cannot_split_headers_or_change_the_host() -> None:
    assert (await ask("/mname/ops/prod/web/0/%0d%0aX:y"))[0] == 404
    assert await ask("/mname/ops/prod/web/0/a%0d?x=%0d%0aX:y") == (307, "http://h1:31001/a%0D?x=%0d%0aX:y")
