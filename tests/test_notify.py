"""What a supervisor is told, over a real socket."""

from __future__ import annotations

import errno
import math
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from aurorad.notify import Notifier, status


class Supervisor:
    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))

    def hears(self, within_s: float = 30.0) -> list[str]:
        """The next datagram's lines. Raises `TimeoutError`."""
        self.socket.settimeout(within_s)
        return self.socket.recv(4096).decode().split("\n")

    def heard(self) -> list[list[str]]:
        """What is there already."""
        self.socket.setblocking(False)
        datagrams = []
        while True:
            try:
                datagrams.append(self.socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return datagrams


@pytest.fixture(params=["path", "abstract"])
def supervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervisor]:
    address = f"{tmp_path}/notify" if request.param == "path" else f"@aurorad-test-{os.getpid()}"
    listening = Supervisor(address)
    with closing(listening.socket):
        yield listening


OWN, OTHER = str(os.getpid()), "1"


@pytest.mark.parametrize(
    ("given", "ping_every_s"),
    [
        ({}, math.inf),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": OWN}, 15.0),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": OTHER}, math.inf),
        ({"WATCHDOG_USEC": "0"}, math.inf),
        ({"WATCHDOG_USEC": "soon"}, math.inf),
    ],
)
async def test_the_loop_is_vouched_for_at_half_of_what_the_watchdog_takes(
    given: dict[str, str], ping_every_s: float, supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    environment = {"NOTIFY_SOCKET": supervisor.address, "PATH": "/bin", **given}
    notifier = Notifier.from_environment(environment)
    assert environment == {"PATH": "/bin"}  # children are not meant
    with trio.move_on_after(61):
        await notifier.run(lambda: "leads")
    pings = sum("WATCHDOG=1" in lines for lines in supervisor.heard())
    assert pings == (1 if ping_every_s == math.inf else 5)


async def test_what_it_does_is_told_when_it_changes(supervisor: Supervisor, autojump_clock: MockClock) -> None:
    doing = ["follows"] * 3 + ["leads,\n\nat last\nWATCHDOG=1"] * 3 + ["x" * 5000]
    told = iter([*doing, *[doing[-1]] * 100])
    with trio.move_on_after(20):
        await Notifier(supervisor.address).run(lambda: next(told))
    (first, *first_ping), second, third = supervisor.heard()
    assert (first, first_ping) == ("STATUS=follows", ["WATCHDOG=1"])
    assert second == ["STATUS=leads, at last WATCHDOG=1"]
    assert third == ["STATUS=" + "x" * 500]


@pytest.mark.parametrize("address", [None, "vsock:2:1234", ""])
async def test_where_nobody_listens_it_says_nothing(
    address: str | None, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    notifier = Notifier.from_environment({} if address is None else {"NOTIFY_SOCKET": address})
    notifier.tell("READY=1")
    with trio.fail_after(5):
        await notifier.run(lambda: "leads")
    assert len(caplog.records) == (address is not None)


def test_one_that_is_gone_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier(f"{tmp_path}/none")
    notifier.tell("READY=1")
    notifier.tell("STOPPING=1")
    assert [record.message for record in caplog.records] == [
        "systemd cannot be told anything: No such file or directory"
    ]


def test_no_text_and_no_want_of_descriptors_is_in_its_way(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(supervisor.address)
    notifier.tell(status("cannot read /a\udcff\n/b"))
    assert supervisor.hears() == ["STATUS=cannot read /a\\udcff /b"]

    def no_more(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", no_more)
        notifier.tell("WATCHDOG=1")
    assert "Too many open files" in caplog.text


def test_what_a_full_queue_does_not_take_is_said_later(supervisor: Supervisor) -> None:
    notifier = Notifier(supervisor.address)
    said = [[f"STATUS={number}"] for number in range(1000)] + [["READY=1"]]
    for lines in said:
        notifier.tell(*lines)
    taken = supervisor.heard()
    assert 0 < len(taken) < len(said)
    while len(taken) < len(said):
        notifier.tell()
        taken += supervisor.heard()
    assert taken == said


def test_a_loop_that_is_held_is_not_vouched_for(tmp_path: Path) -> None:
    supervisor = Supervisor(f"{tmp_path}/notify")
    release, held, done = threading.Event(), threading.Event(), threading.Event()

    async def hold() -> None:
        await trio.sleep(0.01)
        held.set()
        release.wait()

    async def live() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Notifier(supervisor.address, watchdog_s=0.01).run, lambda: "leads")
            nursery.start_soon(hold)
            await trio.to_thread.run_sync(done.wait)
            nursery.cancel_scope.cancel()

    thread = threading.Thread(target=trio.run, args=[live])
    with closing(supervisor.socket):
        thread.start()
        assert held.wait(60)
        supervisor.heard()
        with pytest.raises(TimeoutError):
            supervisor.hears(within_s=0.2)
        release.set()
        assert supervisor.hears() == ["WATCHDOG=1"]
        done.set()
        thread.join()
