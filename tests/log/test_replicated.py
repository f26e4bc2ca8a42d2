from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from aurorad.log import replicated
from aurorad.log.errors import LogFull, LogLost, NotElected, Refused
from aurorad.log.journal import Journal, initialize
from aurorad.log.peers import TcpPeers
from aurorad.log.replicated import LogSettings, ReplicatedLog
from aurorad.vars import Vars
from tests.log.certificates import Authority
from tests.log.ensemble import QUICK, Ensemble, Member, Writer, entries, has, running, write
from tests.log.fake_disk import FakeDisk
from tests.waiting import until


@pytest.mark.parametrize("count", [1, 3, 5])
async def test_what_a_leader_writes_all_members_have(tmp_path: Path, count: int) -> None:
    async with running(tmp_path, count) as ensemble:
        leader = await ensemble.leader()
        first = await write(leader, b"a", b"b")
        second = await write(leader, b"c")
        for member in ensemble.members:
            await has(member, b"a", b"b", b"c")
        positions = [at async for some in leader.log.read(0) for at, _ in some]
        assert positions == [first - 1, first, second]
        assert leader.log.end > second > first, "the log may have written something of its own between"
        assert leader.stats.get("scheduler_log_entries_written") == 3
        assert leader.stats.get("log/ensemble_size") == count
        assert all(member.stats.get("log/recovered") == 1 for member in ensemble.members)
        assert [member.var("role") for member in ensemble.members].count("LEADER") == 1


async def test_many_writes_under_way_keep_their_order(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as ensemble:
        leader = await ensemble.leader()
        receipts = [await leader.log.submit([b"%d" % number, b"."]) for number in range(300)]
        positions = [await receipt.wait() for receipt in receipts]
        assert all(after >= before + 2 for before, after in itertools.pairwise(positions))
        await has(ensemble.members[-1], *(part for number in range(300) for part in (b"%d" % number, b".")))


async def test_a_large_write_goes_in_pieces_and_never_too_many_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicated, "_PIECE_BYTES", 10_000)
    monkeypatch.setattr(replicated, "MAX_UNDER_WAY", 100_000)
    async with running(tmp_path, 3) as ensemble:
        leader = await ensemble.leader()
        large = [bytes([number % 256]) * 5000 for number in range(200)]
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, int(leader.var("under_way_bytes")))
                await trio.sleep(0.0005)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await write(leader, *large)
            nursery.cancel_scope.cancel()
        assert most <= 100_000
        await has(ensemble.members[-1], *large)


async def test_nothing_comes_between_the_pieces_of_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wrote it counts positions from the last one back."""
    monkeypatch.setattr(replicated, "_PIECE_BYTES", 10_000)
    monkeypatch.setattr(replicated, "MAX_UNDER_WAY", 30_000)
    async with running(tmp_path, 3) as ensemble:
        leader = await ensemble.leader()
        large = [bytes([number % 256]) * 5000 for number in range(200)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, leader, *large)
            await until(lambda: leader.var("under_way_bytes") != 0)
            await leader.log.truncate(1)
        positions = [at async for some in leader.log.read(leader.log.begin) for at, _ in some]
        assert positions[-1] - positions[0] == len(large) - 1


async def test_a_follower_that_was_away_catches_up(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as ensemble:
        leader = await ensemble.leader()
        away = ensemble.members[-1]
        await away.stop()
        written = [bytes([number]) * 30_000 for number in range(150)]
        for entry in written:
            await write(leader, entry)
        assert int(leader.var("end")) > 150
        await away.start()
        await has(away, *written)


async def test_who_follows_gets_all_that_comes_and_waits_for_more(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as ensemble:
        leader = await ensemble.leader()
        follower = ensemble.members[-1]
        got: list[bytes] = []

        async def follow(position: int) -> None:
            async for some in follower.log.follow(position):
                got.extend(entry for _, entry in some)

        async def write_and_get(entry: bytes) -> None:
            await write(leader, entry)
            await until(lambda: got[-1:] == [entry])

        await write(leader, b"before")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow, 0)
            for number in range(20):
                await write_and_get(b"%d" % number)
            nursery.cancel_scope.cancel()
        assert got == [b"before", *(b"%d" % number for number in range(20))]


async def test_what_was_truncated_is_gone_everywhere_and_cannot_be_read(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as ensemble:
        leader, late = await ensemble.leader(), ensemble.members[-1]
        await late.stop()
        for number in range(150):
            await write(leader, bytes([number]) * 100_000)
        kept = await write(leader, b"kept")
        assert leader.log.size > 8 << 20
        await leader.log.truncate(kept)
        assert leader.log.begin == kept
        assert leader.log.size < 8 << 20
        await write(leader, b"more")
        with pytest.raises(LookupError):
            await entries(leader.log, 1)
        await late.start()
        await has(late, b"kept", b"more")
        assert late.log.begin == kept
        with pytest.raises(LookupError):
            async for _ in late.log.follow(kept - 1):
                pass


async def test_another_member_takes_over_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as ensemble:
        writer = Writer()
        leader = await ensemble.leader()
        for number in range(6):
            for _ in range(5):
                assert await writer.write(leader)
            for (
                member
            ) in ensemble.members:  # the first leader names those it has heard, and the others when it hears them
                await member.log.fit()
            await leader.stop()
            old, leader = leader, await ensemble.leader([one for one in ensemble.members if one is not leader])
            assert await entries(leader.log) == writer.acknowledged, f"fail-over {number}"
            await old.start()
        for member in ensemble.members:
            await has(member, *writer.acknowledged)


async def test_who_was_deposed_learns_so_and_confirms_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as ensemble:
        old = await ensemble.leader()
        await old.log.confirm()
        others = [one for one in ensemble.members if one is not old]
        new = await ensemble.leader(others)
        with pytest.raises(LogLost, match="promise lost"):
            await old.log.confirm()
        assert "promise lost" in await old.log.lost()
        for attempt in (lambda: old.log.submit([b"x"]), lambda: old.log.truncate(0)):
            with pytest.raises(LogLost):
                await attempt()
        await write(new, b"mine")
        await has(old, b"mine")
        assert old.var("append_failures") == 1


async def test_without_a_quorum_a_leader_loses_the_log_and_what_it_was_writing_is_of_unknown_outcome(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, 3) as ensemble:
        leader = await ensemble.leader()
        await write(leader, b"a")
        others = [one for one in ensemble.members if one is not leader]
        for member in others:
            await member.stop()
        receipt = await leader.log.submit([b"b"])
        with pytest.raises(LogLost, match="No quorum took a write within 2 s"):
            await receipt.wait()
        for member in others:
            await member.start()
        await leader.restart()
        new = await ensemble.leader()
        assert await entries(new.log) in ([b"a"], [b"a", b"b"])


async def test_without_a_quorum_nobody_is_elected(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as ensemble:
        for member in ensemble.members[1:]:
            await member.stop()
        ensemble.members[0].settings = ensemble.settings._replace(timing=QUICK._replace(election_s=0.2))
        await ensemble.members[0].restart()
        with pytest.raises((NotElected, Refused)):
            await ensemble.members[0].log.lead()


async def test_nobody_leads_with_another_quorum_than_the_others(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as ensemble:
        odd = ensemble.members[0]
        odd.settings = ensemble.settings._replace(quorum=3)
        await odd.restart()
        await until(lambda: odd.var("peers_connected") == 2)
        await until(lambda: "quorum" in str(odd.var("unfit")))
        with pytest.raises(Refused, match="quorum"):
            await odd.log.lead()


async def test_a_member_of_another_cluster_has_no_part(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as ensemble:
        strange = ensemble.members[2]
        strange.settings = ensemble.settings._replace(cluster_id="east")
        await strange.restart()
        leader = await ensemble.leader(ensemble.members[:2])
        await write(leader, b"a")
        await until(lambda: strange.var("strangers") and leader.var("strangers"))
        assert strange.log.end == 0


async def test_with_certificates_they_agree_and_without_them_nobody_joins(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    async with running(tmp_path, 3) as ensemble:
        for number, member in enumerate(ensemble.members[:2]):
            member.certificates = authority.member(str(number))
            await member.restart()
        bare = ensemble.members[2]
        leader = await ensemble.leader(ensemble.members[:2])
        await write(leader, b"a")
        await until(lambda: leader.var("strangers"))
        assert bare.log.end == 0
        bare.certificates = authority.member("2")
        await bare.restart()
        await has(bare, b"a")


async def test_a_member_that_lost_its_disk_learns_everything_again(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as ensemble:
        writer, leader = Writer(), await ensemble.leader()
        for _ in range(10):
            await writer.write(leader)
        lost = ensemble.members[-1]
        await lost.stop()
        shutil.rmtree(lost.folder)
        await lost.start()
        with trio.fail_after(30):
            await lost.log.fit()
        await has(lost, *writer.acknowledged)
        await leader.stop()
        new = await ensemble.leader([one for one in ensemble.members if one is not leader])
        assert await entries(new.log) == writer.acknowledged


async def test_a_damaged_member_is_mended_by_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path, 3) as ensemble:
        writer, leader = Writer(), await ensemble.leader()
        for _ in range(10):
            await writer.write(leader)
        damaged = ensemble.members[-1]
        await damaged.stop()
        for file in damaged.folder.glob("*[0-9]*"):
            content = bytearray(file.read_bytes())
            content[len(content) // 100 : len(content) // 100 + 2000] = bytes(2000)
            file.write_bytes(content)
        await damaged.start()
        await has(damaged, *writer.acknowledged)
        with trio.fail_after(30):
            await damaged.log.fit()


async def test_a_full_disk_refuses_before_anything_was_placed(tmp_path: Path) -> None:
    disk = FakeDisk(sector=512)
    async with running(tmp_path, 3, {0: disk}) as ensemble:
        leader = await ensemble.leader(ensemble.members[:1])
        await write(leader, b"a")
        disk.room = 0
        with pytest.raises(LogFull):
            await leader.log.submit([bytes(100_000)] * 100)
        await write(leader, b"b")
        disk.room = 1 << 30
        await write(leader, *[bytes(100_000)] * 100)
        await has(ensemble.members[-1], b"a", b"b", *[bytes(100_000)] * 100)


async def test_a_follower_without_room_takes_nothing_and_holds_nobody_up(tmp_path: Path) -> None:
    disk = FakeDisk(sector=512)
    async with running(tmp_path, 3, {2: disk}) as ensemble:
        leader, poor = await ensemble.leader(), ensemble.members[2]
        disk.room = 0
        written = [bytes([number]) * 100_000 for number in range(150)]
        for entry in written:
            await write(leader, entry)
        assert poor.log.end < leader.log.end
        assert not poor.var("stuck")
        await until(lambda: "no room" in str(poor.log.unfit))
        await leader.stop()  # nobody writes any more
        disk.room = 1 << 30
        with trio.fail_after(30):
            await poor.log.fit()
        await leader.start()
        await ensemble.leader()
        await has(poor, *written)


async def test_a_follower_without_room_hears_of_a_truncation_and_has_room_again(tmp_path: Path) -> None:
    disk = FakeDisk(sector=512)
    async with running(tmp_path, 3, {2: disk}) as ensemble:
        leader, poor = await ensemble.leader(ensemble.members[:2]), ensemble.members[2]
        for number in range(30):
            kept = await write(leader, bytes([number]) * 100_000)
        await until(lambda: poor.log.end > kept)
        disk.room = 0
        while poor.log.unfit is None:
            kept = await write(leader, bytes(100_000))
        for number in range(50):
            kept = await write(leader, bytes([number]) * 100_000)
        assert poor.log.end <= kept
        await leader.log.truncate(kept)
        await write(leader, b"more")
        await has(poor, bytes([49]) * 100_000, b"more")
        with trio.fail_after(30):
            await poor.log.fit()


async def test_a_disk_that_fails_ends_the_member(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as ensemble:
        leader = ensemble.members[0]
        disk = FakeDisk(sector=512)
        initialize(disk, random.Random())
        peers = TcpPeers(
            (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0], leader.me, "west", Vars(), random.Random()
        )
        journal = Journal.open(disk, alone=True, rng=random.Random())
        log = ReplicatedLog(journal, peers, _nobody_else(), LogSettings("west"), Vars(), random.Random())
        with pytest.RaisesGroup(pytest.RaisesExc(OSError), flatten_subgroups=True):
            async with trio.open_nursery() as nursery:
                await nursery.start(log.run)
                await log.lead()
                disk.sync_error = 5
                with trio.CancelScope(shield=True):
                    receipt = await log.submit([b"a"])
                    with pytest.raises(LogLost, match="The log was closed"):
                        await receipt.wait()
        await log.aclose()


async def test_connections_cut_after_any_number_of_bytes_lose_no_write(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as ensemble:
        writer, leader = Writer(), await ensemble.leader()
        for size in (1, 2, 3, 4, 5, 9, 17, 40, 70, 100, 101, 102, 103, 104, 130, 200):
            for member in ensemble.members:
                member.proxy.bytes_left = size
            for _ in range(3):
                assert await writer.write(leader)
        for member in ensemble.members:
            await has(member, *writer.acknowledged)


async def test_members_that_are_cut_off_stalled_garbled_and_killed_keep_what_was_acknowledged(tmp_path: Path) -> None:
    rng = random.Random(5)
    writer = Writer()

    async def write_on(ensemble: Ensemble) -> None:
        while True:
            leader = rng.choice(ensemble.members)
            try:
                with trio.move_on_after(5):
                    await leader.log.lead()
                    while await writer.write(leader):  # noqa: ASYNC110  # not too many
                        await trio.sleep(0.002)
            except (NotElected, Refused, LogLost, AssertionError):
                await trio.sleep(0.02)
            if leader.is_running:
                await leader.restart()

    async with running(tmp_path, 3) as ensemble:
        await ensemble.leader()  # a new log begins with all of them
        with trio.fail_after(100):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write_on, ensemble)
                mishaps = 0
                while mishaps < 40 or len(writer.acknowledged) < 40:
                    mishaps += 1
                    victim = rng.choice(ensemble.members)
                    await _misbehave(victim, rng)
                    await trio.sleep(rng.uniform(0, 0.2))
                    _behave(victim)
                    await trio.sleep(rng.uniform(0, 0.2) if mishaps > 40 else 0)
                nursery.cancel_scope.cancel()
        for member in ensemble.members:
            await member.restart()
        leader = await ensemble.leader()
        await write(leader, b"1000000")
        found = await entries(leader.log)
        writer.acknowledged.append(b"1000000")
        writer.check(found)
        for member in ensemble.members:
            await has(member, *found)


async def _misbehave(victim: Member, rng: random.Random) -> None:
    match rng.randrange(6):
        case 0:
            victim.proxy.close()
        case 1:
            victim.proxy.stall()
        case 2:
            victim.proxy.garble = lambda data: bytes(byte ^ (rng.random() < 0.01) for byte in data)
        case 3:
            victim.proxy.bytes_left = rng.randrange(1, 2000)
        case 4:
            await victim.restart()
        case _:
            victim.proxy.cut()


def _behave(victim: Member) -> None:
    victim.proxy.is_open = True
    victim.proxy.garble = lambda data: data
    victim.proxy.go_on()


async def _nobody_else() -> AsyncIterator[frozenset[str]]:
    yield frozenset()
    await trio.sleep_forever()
