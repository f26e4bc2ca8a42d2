"""Retries, redirects, credentials: what happens between the command and the scheduler."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from aurorad.api import binary
from aurorad.api.calls import (
    ApplicationException,
    CreateJob,
    GetJobs,
    GetQuota,
    GetTasksWithoutConfigs,
    KillTasks,
    StartJobUpdate,
)
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.results import GetJobsResult, GetQuotaResult, Response
from aurorad.api.tasks import JobConfiguration
from aurorad.api.wire import MessageHeader, MessageType
from client.auth import Mechanism
from client.clock import Clock
from client.clusters import Cluster
from client.errors import CommandError, Exit, HopelessError, TransportError, UnsentError
from client.leaders import Leader
from client.scheduler import Scheduler
from client.terminal import Terminal
from client.transport import Transport
from tests.client import fake_scheduler
from tests.client.conftest import KEY, Runner, World
from tests.client.fake_scheduler import Drop, FakeScheduler, Http, ok, refused
from tests.client.values import HELLO, task, tasks

JOBS = ok(get_jobs_result=GetJobsResult(frozenset({JobConfiguration(key=HELLO)})))
ASKING = " INFO] Retrieving jobs for role *\n"
NOT_READY = refused("Storage is not READY", ResponseCode.ERROR_TRANSIENT)


@pytest.mark.parametrize("trouble", [Drop(), Http(503), Http(500)])
def test_a_read_is_tried_again_after_trouble_on_the_way_which_is_told_once(
    aurora: Runner, scheduler: FakeScheduler, world: World, trouble: fake_scheduler.Answer
) -> None:
    scheduler.on(GetJobs, trouble, trouble, JOBS)
    ran = aurora("job", "list", "west/*")
    assert (ran.code, ran.out) == (0, f"{KEY}\n")
    assert world.slept == [5, 5]
    assert ran.err.count(" WARN] Transport error communicating with scheduler: ") == 1
    assert ran.err.endswith(", retrying every 5 s for up to 10 minutes ...\n")


def test_a_write_is_not_tried_again_after_trouble_on_the_way(
    aurora: Runner, scheduler: FakeScheduler, world: World, job_file: Path
) -> None:
    scheduler.on(CreateJob, Drop())
    ran = aurora("job", "create", KEY, job_file)
    assert ran.code == 7
    assert "Transport error communicating with scheduler during non-idempotent operation: " in ran.err
    assert ran.err.endswith(", not retrying\n")
    assert world.slept == []


def test_a_scheduler_that_is_not_ready_is_asked_again_even_to_write(
    aurora: Runner, scheduler: FakeScheduler, world: World
) -> None:
    scheduler.on(KillTasks, NOT_READY, ok())
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, ScheduleStatus.KILLED)))
    ran = aurora("job", "killall", "--no-batching", KEY)
    assert ran.code == 0
    assert " WARN] Connection error with scheduler: Storage is not READY, reconnecting every 5 s" in ran.err
    assert world.slept == [5]


def test_starting_an_update_may_be_repeated() -> None:
    world = World()
    sender = _Broken()
    with pytest.raises(CommandError) as caught:
        _scheduler(sender, world).call(StartJobUpdate())
    assert caught.value.code is Exit.TIMEOUT
    assert sender.sent == 121


def test_after_ten_minutes_it_gives_up() -> None:
    world = World()
    with pytest.raises(CommandError, match="Timed out attempting to issue getJobs to west") as caught:
        _scheduler(_Broken(), world).call(GetJobs())
    assert caught.value.code is Exit.TIMEOUT
    assert world.now == 600


class _Broken:
    def __init__(self, error: TransportError | None = None) -> None:
        self.sent = 0
        self._error = error or TransportError("gone")

    url = "http://west/"

    def send(self, call: object) -> Response:
        self.sent += 1
        raise self._error

    def plan(self, call: object) -> bytes:
        raise NotImplementedError

    def get(self, path: str, asked: object = ()) -> bytes:
        raise NotImplementedError


def transport_to(url: str) -> Transport:
    cluster, clock = Cluster("west", {"scheduler_uri": url}), Clock(lambda: 0.0, lambda seconds: None)
    leader = Leader(cluster, clock, Terminal(io.StringIO(), io.StringIO()))
    return Transport(leader, "test", Mechanism(None, ""))


def _scheduler(sender: _Broken, world: World) -> Scheduler:
    terminal = Terminal(io.StringIO(), io.StringIO())
    return Scheduler(Cluster("west", {}), sender, Clock(lambda: world.now, world.sleep), terminal)


@pytest.mark.parametrize("code", [307, 308])
def test_a_redirect_keeps_the_call(aurora: Runner, scheduler: FakeScheduler, code: int) -> None:
    with fake_scheduler.running() as leader:
        leader.on(GetJobs, JOBS)
        scheduler.on(GetJobs, Http(code, {"Location": f"{leader.url}/api"}))
        assert aurora("job", "list", "west/*").out == f"{KEY}\n"


def test_a_redirect_that_would_lose_the_call_is_trouble(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(CreateJob, Http(302, {"Location": f"{scheduler.url}/elsewhere"}))
    with transport_to(scheduler.url) as made, pytest.raises(TransportError):
        made.send(CreateJob())


def test_a_thrift_exception_is_status_20(aurora: Runner, scheduler: FakeScheduler) -> None:
    exception = ApplicationException("Invalid method name: 'getJobs'", 1)
    body = binary.encode_message(MessageHeader("getJobs", MessageType.EXCEPTION, 0), exception)
    scheduler.on(GetJobs, Http(200, body=body))
    ran = aurora("job", "list", "west/*")
    assert ran.code == 20
    assert ran.err == f"{ASKING}Error during thrift call getJobs to west: Invalid method name: 'getJobs'\n"


@pytest.mark.parametrize("body", [b"", b"<html>", b"\x80\x01\x00\x02\x00\x00\x00\x01x\x00\x00\x00\x00\x00"])
def test_an_answer_that_is_no_thrift_is_status_20(aurora: Runner, scheduler: FakeScheduler, body: bytes) -> None:
    scheduler.on(GetJobs, Http(200, body=body))
    ran = aurora("job", "list", "west/*")
    assert (ran.code, ran.out) == (20, "")
    assert ran.err.startswith(f"{ASKING}Error during thrift call getJobs to west: the answer ")


def test_what_the_original_sends_is_sent(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobs, JOBS)
    aurora("job", "list", "west/*")
    ((path, headers),) = scheduler.requests
    assert path == "/api"
    assert headers["User-Agent"] == "Aurora V2"
    assert headers["Content-Type"] == headers["Accept"] == "application/vnd.apache.thrift.binary"
    assert "Authorization" not in headers


def test_credentials_come_from_netrc(aurora: Runner, scheduler: FakeScheduler, home: Path) -> None:
    (home / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (home / ".netrc").chmod(0o600)
    scheduler.on(GetJobs, JOBS)
    aurora("job", "list", "west/*")
    assert scheduler.requests[0][1]["Authorization"].startswith("Basic ")


def test_this_machines_scheduler_is_never_behind_a_proxy(
    aurora: Runner, scheduler: FakeScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    scheduler.on(GetJobs, JOBS)
    assert aurora("job", "list", "west/*").code == 0


def test_a_scheduler_elsewhere_may_be_behind_a_proxy(
    aurora: Runner, scheduler: FakeScheduler, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", scheduler.url)
    far = '[{"name": "west", "scheduler_uri": "http://scheduler.invalid:8081"}]'
    (home / ".aurora" / "clusters.json").write_text(far)
    scheduler.on(GetJobs, JOBS)
    assert aurora("job", "list", "west/*").code == 0
    assert scheduler.requests[0][0] == "http://scheduler.invalid:8081/api"


def test_a_write_that_did_not_arrive_is_sent_again() -> None:
    world = World()
    sender = _Broken(UnsentError("Timed out talking to http://west/api"))
    with pytest.raises(CommandError, match="Timed out attempting to issue killTasks to west"):
        _scheduler(sender, world).call(KillTasks())
    assert sender.sent == 121


def test_what_will_not_be_better_is_asked_once() -> None:
    sender = _Broken(HopelessError("certificate verify failed"))
    with pytest.raises(CommandError, match="certificate verify failed, not retrying") as caught:
        _scheduler(sender, World()).call(GetJobs())
    assert (caught.value.code, sender.sent) == (Exit.NETWORK_ERROR, 1)


@pytest.mark.parametrize("address", ["ftp://west", f"http://{'w' * 64}.example:8081"])
def test_an_address_that_is_none_is_not_tried_again(address: str) -> None:
    with transport_to(address) as made, pytest.raises(HopelessError, match=f"Cannot talk to {address}/api"):
        made.send(GetJobs())


def test_what_an_ok_says_is_logged(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetQuota, ok("by the way", get_quota_result=GetQuotaResult()))
    assert " INFO] by the way\n" in aurora("quota", "get", "west/bozo").err


def test_nobody_listening_is_told_in_the_words_of_the_system() -> None:
    with (
        transport_to("http://127.0.0.1:1/") as made,
        pytest.raises(TransportError, match=r"127\.0\.0\.1:1/api: Connection refused \(is aurorad running\?\)"),
    ):
        made.send(GetJobs())


@pytest.mark.parametrize("status", [400, 404, 413])
def test_what_will_be_refused_again_is_not_asked_again(
    aurora: Runner, scheduler: FakeScheduler, world: World, status: int
) -> None:
    scheduler.on(GetJobs, Http(status))
    ran = aurora("job", "list", "west/*")
    assert (ran.code, world.slept) == (7, [])
    assert f"Unknown error talking to {scheduler.url}/api: {status}" in ran.err


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_of_the_moment_is_asked_again(
    aurora: Runner, scheduler: FakeScheduler, world: World, status: int
) -> None:
    scheduler.on(GetJobs, Http(status), JOBS)
    assert aurora("job", "list", "west/*").code == 0
    assert world.slept == [5]


@pytest.mark.parametrize("status", [401, 403])
def test_a_scheduler_that_wants_credentials_is_status_30(aurora: Runner, scheduler: FakeScheduler, status: int) -> None:
    scheduler.on(GetJobs, Http(status))
    ran = aurora("job", "list", "west/*")
    assert ran.code == 30
    assert ran.err.startswith(f"{ASKING}Not authorized to talk to west: {status}")
    assert "~/.netrc" in ran.err
