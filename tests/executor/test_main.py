"""The executor around a task; what the task does is scripted."""

import logging
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from aurorad.api.tasks import AssignedTask
from aurorad.engine import executor_api as api
from aurorad.engine.base import TaskState
from aurorad.main import main as daemon_main
from executor import main
from executor.agent_link import AgentLink, Settings
from executor.execution import Report
from executor.flags import ExecutorFlags
from executor.forker import Forker
from executor.main import Executor
from executor.paths import RunDirectory
from tests.executor.agent import LIMIT_S, TOKEN, Agent, agent_on_tcp

RUNNING, KILLED, LOST, FAILED = (
    TaskState.TASK_RUNNING,
    TaskState.TASK_KILLED,
    TaskState.TASK_LOST,
    TaskState.TASK_FAILED,
)


class Task:
    """Runs until it is told to end."""

    def __init__(
        self, assigned: AssignedTask, directory: RunDirectory, flags: ExecutorFlags, forker: Forker | None = None
    ) -> None:
        self._told = trio.Event()
        self._reason = ""

    async def run(self, report: Report) -> None:
        await report(RUNNING, None)
        await self._told.wait()
        await report(KILLED, self._reason)

    def kill(self) -> None:
        self._reason = "killed"
        self._told.set()

    def shutdown(self, grace_s: float) -> None:
        self._reason = f"shut down within {grace_s:g} s"
        self._told.set()


@asynccontextmanager
async def executor(tmp_path: Path, *, checkpoint: bool = True) -> AsyncIterator[tuple[Agent, trio.Event]]:
    """An executor that has subscribed to the agent; the event says that it ended."""
    ended = trio.Event()
    async with agent_on_tcp() as (agent, nursery):
        settings = Settings("f-1", "e-1", agent.endpoint, TOKEN, checkpoint, backoff_max_s=0.1)

        async def run() -> None:
            link = AgentLink(settings, lambda: 0, random.Random(1))
            await Executor(link, tmp_path, make, settings.shutdown_grace_s).run()
            ended.set()

        def make(assigned: AssignedTask) -> Task:
            return Task(assigned, RunDirectory(tmp_path, tmp_path), ExecutorFlags())

        nursery.start_soon(run)
        await agent.subscribed()
        yield agent, ended


async def over(ended: trio.Event) -> None:
    with trio.fail_after(LIMIT_S):
        await ended.wait()


async def test_it_ends_when_the_end_of_its_task_is_acknowledged(tmp_path: Path) -> None:
    async with executor(tmp_path) as (agent, ended):
        agent.launch("t-1")
        assert await agent.updated() == ("t-1", RUNNING, None)
        agent.acknowledging = False
        agent.tell(api.Event("KILL", kill=api.Kill(api.Id("t-1"))))
        assert await agent.updated() == ("t-1", KILLED, "killed")
        assert not ended.is_set()
        agent.acknowledging = True
        agent.cut()
        assert len((await agent.subscribed()).unacknowledged_updates) == 1
        await over(ended)


async def test_a_kill_right_behind_the_launch_reaches_the_task(tmp_path: Path) -> None:
    async with executor(tmp_path) as (agent, ended):
        agent.launch("t-1")
        agent.tell(api.Event("KILL", kill=api.Kill(api.Id("t-1"))))
        await over(ended)


async def test_a_kill_of_another_task_is_ignored(tmp_path: Path) -> None:
    async with executor(tmp_path) as (agent, ended):
        agent.launch("t-1")
        agent.tell(api.Event("KILL", kill=api.Kill(api.Id("t-2"))))
        agent.tell(api.Event("SHUTDOWN"))
        await agent.updated()
        assert await agent.updated() == ("t-1", KILLED, "shut down within 5 s")
        await over(ended)


async def test_a_second_task_is_lost_and_the_first_goes_on(tmp_path: Path) -> None:
    async with executor(tmp_path) as (agent, ended):
        agent.launch("t-1")
        await agent.updated()
        agent.launch("t-2")
        assert await agent.updated() == ("t-2", LOST, "Task already running on this executor: t-1")
        assert not ended.is_set()
        agent.tell(api.Event("KILL", kill=api.Kill(api.Id("t-1"))))
        await over(ended)


async def test_told_twice_to_launch_its_task_it_goes_on_with_it(tmp_path: Path) -> None:
    async with executor(tmp_path) as (agent, ended):
        agent.launch("t-1")
        assert await agent.updated() == ("t-1", RUNNING, None)
        agent.launch("t-1")
        agent.tell(api.Event("KILL", kill=api.Kill(api.Id("t-1"))))
        assert await agent.updated() == ("t-1", KILLED, "killed")
        await over(ended)


async def test_a_task_that_cannot_be_read_has_failed(tmp_path: Path) -> None:
    async with executor(tmp_path) as (agent, ended):
        agent.launch("t-1", b"\x0b\x00")
        assert await agent.updated() == ("t-1", FAILED, "Could not deserialize task.")
        await over(ended)


async def test_without_a_task_it_ends_when_told_to(tmp_path: Path) -> None:
    async with executor(tmp_path) as (agent, ended):
        agent.tell(api.Event("SHUTDOWN"))
        await over(ended)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_without_a_task_it_ends_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    async with executor(tmp_path) as (_, ended):
        os.kill(os.getpid(), number)
        await over(ended)


async def test_without_a_task_it_ends_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "LAUNCH_TIMEOUT_S", 0.05)
    async with executor(tmp_path) as (_, ended):
        await over(ended)


async def test_it_ends_its_task_when_its_agent_is_gone(tmp_path: Path) -> None:
    async with executor(tmp_path, checkpoint=False) as (agent, ended):
        agent.launch("t-1")
        await agent.updated()
        agent.cut()
        await over(ended)


async def test_it_ends_its_task_when_its_directory_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "DIRECTORY_CHECK_S", 0.05)
    directory = tmp_path / "run"
    directory.mkdir()
    async with executor(directory) as (agent, ended):
        agent.launch("t-1")
        await agent.updated()
        directory.rmdir()
        await over(ended)


async def test_messages_are_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with executor(tmp_path) as (agent, ended):
        agent.launch("t-1")
        agent.tell(api.Event("MESSAGE", message=api.Message(b"hello")))
        agent.tell(api.Event("SOMETHING_NEW"))
        agent.tell(api.Event("KILL", kill=api.Kill(api.Id("t-1"))))
        await over(ended)
    assert "frameworkMessage() got message: 5 bytes, ignoring." in caplog.text


async def test_kills_without_a_task_and_of_others_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with executor(tmp_path) as (agent, ended):
        agent.tell(api.Event("KILL", kill=api.Kill(api.Id("t-1"))))
        agent.launch("t-1")
        await agent.updated()
        agent.tell(api.Event("KILL", kill=api.Kill(api.Id("t-2"))))
        agent.tell(api.Event("SHUTDOWN"))
        await over(ended)
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "Was asked to kill task but no task running!",
        "Asked to kill a task other than what we are running!",
    ]


@pytest.mark.parametrize("role", [["-role=executor"], ["--role", "executor"]])
def test_a_flag_that_is_none_is_a_usage_error(role: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert daemon_main([*role, "--no-such-flag"]) == 2
    assert capsys.readouterr().err == (
        "aurorad -role=executor: unknown flag --no-such-flag: -help lists those there are\n"
    )


def test_it_lists_its_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert daemon_main(["-role=executor", "--help"]) == 0
    assert "--announcer_ensemble=" in capsys.readouterr().out


def test_without_an_agents_environment_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([], {"MESOS_SANDBOX": str(tmp_path)}, Task) == 2
    expected = "MESOS_FRAMEWORK_ID is not set: an executor is started by an agent, which sets it"
    assert capsys.readouterr().err == f"aurorad -role=executor: {expected}\n"
