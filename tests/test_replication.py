"""Which log and leadership the flags ask for, and where the members of a log reach each other."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest
import trio

from aurorad.ensemble import ensemble
from aurorad.flags import Flags
from aurorad.leader.alone import Alone
from aurorad.leader.zookeeper_leadership import ZooKeeperLeadership
from aurorad.replication import _listening
from aurorad.startup import CannotStart
from aurorad.storage.following import Settings
from aurorad.vars import Vars

SEVERAL = Flags(
    zk_endpoints=("127.0.0.1:1",),  # nobody is there
    serverset_path="/aurora/scheduler",
    native_log_zk_group_path="/aurora/log",
    engine="simulated",
)
SETTINGS = Settings(lambda: 1)


async def told(flags: Flags) -> str:
    listener, me = await _listening(flags)
    await listener.aclose()
    return me


async def test_who_is_alone_leads_at_once_with_a_log_of_its_own(tmp_path: Path) -> None:
    async with ensemble(Flags(work_dir=tmp_path), SETTINGS, Vars(), "here", 8081) as one:
        assert one.is_alone
        assert isinstance(one.leadership, Alone)
        async with one.follow() as state:
            await state.log.lead()
            async with state.leading() as storage:
                assert storage.tables is state.tables
    assert (tmp_path / "log").is_dir()


async def test_one_of_several_follows_without_zookeeper_too(tmp_path: Path) -> None:
    flags = dataclasses.replace(SEVERAL, work_dir=tmp_path, native_log_file_path=tmp_path / "member")
    async with ensemble(flags, SETTINGS, Vars(), "here", 8081) as several:
        assert not several.is_alone
        assert isinstance(several.leadership, ZooKeeperLeadership)
        async with several.follow() as state:
            assert state.log.unfit is not None
            assert not any(state.tables.copy().values())
    assert (tmp_path / "member").is_dir()
    assert not (tmp_path / "log").exists()


async def test_certificates_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    flags = dataclasses.replace(
        SEVERAL,
        work_dir=tmp_path,
        native_log_file_path=tmp_path / "member",
        native_log_tls_key=missing,
        native_log_tls_certificate=missing,
        native_log_tls_ca=missing,
    )
    with pytest.RaisesGroup(pytest.RaisesExc(CannotStart, match="these files cannot be used: .*No such file")):
        await _follow(flags)


async def _follow(flags: Flags) -> None:
    async with ensemble(flags, SETTINGS, Vars(), "here", 8081) as several, several.follow():
        pass


async def test_members_reach_it_at_loopback_and_any_port_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIBPROCESS_IP", "LIBPROCESS_PORT", "LIBPROCESS_ADVERTISE_IP"):
        monkeypatch.delenv(name, raising=False)
    host, _, port = (await told(Flags())).partition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


async def test_flag_and_environment_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        free = taken.getsockname()[1]
    monkeypatch.setenv("LIBPROCESS_IP", "127.0.0.2")
    monkeypatch.setenv("LIBPROCESS_PORT", str(free))
    assert await told(Flags(ip="127.0.0.1")) == f"127.0.0.2:{free}"
    monkeypatch.setenv("LIBPROCESS_ADVERTISE_IP", "192.0.2.1")
    assert (await told(Flags(native_log_port=0))).startswith("192.0.2.1:")


async def test_an_address_to_listen_everywhere_is_not_what_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIBPROCESS_ADVERTISE_IP", raising=False)
    assert (await told(Flags(ip="0.0.0.0", hostname="localhost"))).startswith("127.0.0.1:")


@pytest.mark.parametrize("port", ["x", "-1", "65536", ""])
async def test_a_port_that_is_none_is_told(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBPROCESS_PORT", port)
    with pytest.raises(CannotStart, match=f"^LIBPROCESS_PORT={port}: a port was expected$"):
        await told(Flags())


async def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            CannotStart, match=f"cannot listen on 127.0.0.1:{port} for the members of the log: .*in use"
        ):
            await told(Flags(native_log_port=port))


async def test_a_listener_is_closed_if_nothing_came_of_it(tmp_path: Path) -> None:
    flags = dataclasses.replace(SEVERAL, work_dir=tmp_path, native_log_file_path=tmp_path / "member", native_log_port=0)
    with trio.CancelScope() as scope:
        async with ensemble(flags, SETTINGS, Vars(), "here", 8081) as several, several.follow():
            scope.cancel()
            await trio.sleep_forever()
