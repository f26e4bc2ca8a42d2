"""A backup that the original wrote is read here as it meant it, and one that we write can be read by the original."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aurorad.api import binary
from aurorad.api.calls import (
    Call,
    GetJobs,
    GetJobSummary,
    GetJobUpdateDetails,
    GetJobUpdateSummaries,
    GetQuota,
    GetRoleSummary,
    GetTasksStatus,
    Reply,
)
from aurorad.api.enums import MaintenanceMode
from aurorad.api.tasks import TaskQuery
from aurorad.api.updates import JobUpdateQuery
from aurorad.api.wire import MessageHeader, MessageType
from aurorad.flags import Flags
from aurorad.rules.tiers import BUILT_IN
from aurorad.scheduler.limits import admission_limits
from aurorad.scheduler.rpc import reads
from aurorad.scheduler.rpc.answers import Handlers
from aurorad.scheduler.rpc.dispatch import Api
from aurorad.scheduler.rpc.updates import UpdateCalls
from aurorad.storage.backup_folder import BackupFolder
from aurorad.storage.backups import Backups, loaded
from aurorad.storage.storage import Storage
from aurorad.vars import Vars
from tests.contract import wire
from tests.contract.compare import Ids
from tests.contract.daemon import Daemon, running
from tests.contract.scenario import OURS, Setup
from tests.e2e.cluster import eventually
from tests.storage.opened import open_storage

BACKUP = OURS / "backup-1.bin"
WRITTEN_MS = 1795232147651


@pytest.fixture(scope="module")
def spec() -> Any:
    return json.loads((OURS / "backup-1.json").read_text())


def ask(daemon: Daemon, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": wire.TYPES["binary"], "Accept": wire.TYPES["binary"]}
    answer = daemon.ask("POST", "/api", wire.request("binary", method, arguments), headers)
    response: dict[str, Any] = wire.answer("binary", answer.body)["success"]
    return response


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory, spec: Any) -> Path:
    """The folder of a daemon that other tasks ran on until the backup was staged, looked at and committed."""
    folder = tmp_path_factory.mktemp("committed")
    saved = folder / "elsewhere"
    saved.mkdir()
    shutil.copy(BACKUP, saved / spec["originalFileName"])
    setup = Setup(tuple(spec["agents"]), (*spec["flags"], f"-backup_dir={saved}"), True)
    with running(setup, folder) as daemon:
        assert ask(daemon, "queryRecovery", {"query": {}})["details"] == [{"message": "No backup loaded."}]
        assert ask(daemon, "stageRecovery", {"backupId": spec["originalFileName"]})["responseCode"] == "OK"
        assert not ask(daemon, "getTasksStatus", {"query": {}})["result"]["scheduleStatusResult"]["tasks"]
        staged = ask(daemon, "queryRecovery", {"query": {}})["result"]["queryRecoveryResult"]
        expected = spec["content"]["tasks"]["scheduleStatusResult"]
        assert not Ids().differences(expected, staged)
        assert ask(daemon, "commitRecovery", {})["responseCode"] == "OK"
        _wait_until_down(daemon)
        eventually("the log says so", lambda: "a recovery was committed" in daemon.log())  # a thread writes it
    return folder / "work"


def _wait_until_down(daemon: Daemon) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            daemon.ask("GET", "/health")
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError("the daemon goes on")


@pytest.fixture
async def storage(committed: Path) -> AsyncIterator[Storage]:
    """What the next start finds, with nobody who would go on from there: that depends on the date."""
    async with open_storage(committed, stats=Vars(), now_ms=lambda: WRITTEN_MS) as opened:
        yield opened


async def test_the_next_start_finds_what_was_in_the_backup_and_nothing_else(storage: Storage) -> None:
    assert storage.tables.copy() == loaded(BackupFolder(OURS, 1), BACKUP.name, BUILT_IN).copy()


CALLS: dict[str, Call] = {
    "roles": GetRoleSummary(),
    "jobSummaries": GetJobSummary(),
    "jobs": GetJobs(),
    "tasks": GetTasksStatus(TaskQuery()),
    "updates": GetJobUpdateDetails(query=JobUpdateQuery()),
    "updateSummaries": GetJobUpdateSummaries(JobUpdateQuery()),
    "quotas.web": GetQuota("web"),
    "quotas.ads": GetQuota("ads"),
    "quotas.data": GetQuota("data"),
}


@pytest.mark.parametrize("what", CALLS)
async def test_calls_answer_as_the_original_did(storage: Storage, spec: Any, what: str) -> None:
    expected = spec["content"]
    for name in what.split("."):
        expected = expected[name]
    got = await answer(storage, CALLS[what])
    for summaries in (expected, got):  # when a cron job fires next is another day's matter
        for summary in summaries.get("jobSummaryResult", {}).get("summaries", ()):
            summary.pop("nextCronRunMs", None)
    assert not Ids().differences(expected, got)


async def answer(storage: Storage, call: Call) -> dict[str, Any]:
    """What goes out on the wire, as Apache's library reads it."""
    flags, stats = Flags(), Vars()
    limits = admission_limits(flags)
    updates = UpdateCalls(storage, None, limits, BUILT_IN, flags, stats, None)  # type: ignore[arg-type]
    handlers: Handlers = {
        **reads.handlers(
            storage=storage, limits=limits, tiers=BUILT_IN, reason=lambda _: "", next_run_ms=lambda _: None
        ),
        GetJobUpdateSummaries: updates.summaries,
        GetJobUpdateDetails: updates.details,
    }
    response = await Api(handlers, storage, flags, stats).handle(call, "me")
    data = binary.encode_message(MessageHeader(call.method(), MessageType.REPLY, 1), Reply(response))
    result: dict[str, Any] = wire.answer("binary", data)["success"]["result"]
    return result


async def test_hosts_are_in_their_modes(storage: Storage, spec: Any) -> None:
    statuses = spec["content"]["maintenance"]["maintenanceStatusResult"]["statuses"]
    assert {host.host: host.mode for host in storage.tables.hosts.values()} == {
        status["host"]: MaintenanceMode[status["mode"]] for status in statuses
    }


async def test_what_we_write_is_read_by_apaches_library_as_what_the_original_wrote(
    storage: Storage, tmp_path: Path
) -> None:
    backups = Backups(storage, BackupFolder(tmp_path, 1), 3600, BUILT_IN, lambda: WRITTEN_MS, Vars())
    await backups.take()
    (name,) = await backups.names()
    theirs, ours = (wire.stored("Snapshot", path.read_bytes()) for path in (BACKUP, tmp_path / name))
    assert ours["schedulerMetadata"].pop("details")["aurorad"]
    del theirs["schedulerMetadata"]["details"]
    assert not Ids().differences(theirs, ours)
