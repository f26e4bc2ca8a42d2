from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import trio

from aurorad.log.disk import Folder
from aurorad.log.errors import LogUnknown
from aurorad.log.face import LedLog
from aurorad.log.journal import Journal, initialize
from aurorad.log.messages import Status
from aurorad.log.peers import TcpPeers
from aurorad.log.replicated import LogSettings, replicated_log
from aurorad.main import main
from aurorad.rules.tiers import BUILT_IN
from aurorad.storage import materialise, offline
from aurorad.storage.backup_folder import BackupFolder
from aurorad.storage.backups import loaded
from aurorad.storage.database import discard
from aurorad.storage.replay import Replay
from aurorad.storage.shared import Shared
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Table, Tables
from aurorad.vars import Vars
from tests.storage.opened import open_storage
from tests.storage.samples import task
from tests.waiting import until

BACKUP = Path(__file__).parents[1] / "contract" / "recordings" / "backup-1.bin"


@pytest.fixture(scope="module")
def expected() -> Tables:
    return loaded(BackupFolder(BACKUP.parent, 1), BACKUP.name, BUILT_IN)


async def save(storage: Storage, name: str) -> None:
    await storage.write(lambda tx: tx.save_tasks(task(name)))


def restore(*options: object) -> int:
    return main(["log", "restore", f"--from-backup={BACKUP}", *map(str, options)])


async def test_a_scheduler_that_is_alone_begins_with_the_backup(
    tmp_path: Path, expected: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    assert restore("--work_dir", tmp_path / "new", "--dlog_max_entry_size=4KB") == 0
    assert f"{BACKUP} is restored into {tmp_path / 'new'}: 49 tasks, 2 cron jobs" in capsys.readouterr().out
    async with open_storage(tmp_path / "new", stats=Vars(), now_ms=lambda: 1) as storage:
        assert storage.tables.copy() == expected.copy()
        await storage.write(lambda tx: tx.save_tasks(task("later")))
    async with open_storage(tmp_path / "new", stats=Vars(), now_ms=lambda: 1) as storage:
        assert storage.tables.task("later") is not None
        assert len(storage.tables.rows(Table.TASKS)) == 50


async def test_nothing_that_is_there_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_storage(tmp_path, stats=Vars(), now_ms=lambda: 1) as storage:
        await storage.write(lambda tx: tx.save_tasks(task("a")))
    for left in ("state.db", "log/00000000000000000000.log"):
        assert restore("--work_dir", tmp_path) == 1
        text = f"aurorad log restore: Refusing to recover into non-empty persistence: {tmp_path / left} is there\n"
        assert capsys.readouterr().err == text
        (tmp_path / left).unlink()
    assert restore("--work_dir", tmp_path) == 0


async def test_a_log_that_was_only_begun_is_empty(tmp_path: Path, expected: Tables) -> None:
    async with open_storage(tmp_path, stats=Vars(), now_ms=lambda: 1):
        pass
    discard(tmp_path / "state.db")
    assert restore("--work_dir", tmp_path) == 0
    async with open_storage(tmp_path, stats=Vars(), now_ms=lambda: 1) as storage:
        assert storage.tables.copy() == expected.copy()


async def test_a_database_of_the_log_that_was_lost_is_not_believed(
    tmp_path: Path, expected: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(materialise, "INTERVAL_S", 0.005)
    stats = Vars()
    async with open_storage(tmp_path / "old", stats=stats, now_ms=lambda: 1) as storage:
        for number in range(4):
            await save(storage, f"t{number}")
        await until(lambda: stats.get("storage_database_lag") == 0)
    assert restore("--work_dir", tmp_path / "new") == 0
    for position in range(12):
        shutil.copy(tmp_path / "old" / "state.db", tmp_path / "new")
        with sqlite3.connect(tmp_path / "new" / "state.db") as database:
            database.execute("UPDATE applied SET position = ?", (position,))
        database.close()
        async with open_storage(tmp_path / "new", stats=Vars(), now_ms=lambda: 1) as storage:
            assert storage.tables.copy() == expected.copy()


async def test_a_backup_that_cannot_be_read_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "backup").write_bytes(BACKUP.read_bytes()[:-100])
    assert main(["log", "restore", f"--from-backup={tmp_path / 'backup'}", f"--path={tmp_path / 'log'}"]) == 1
    assert capsys.readouterr().err.startswith(f"aurorad log restore: Failed to decode backup {tmp_path / 'backup'}: ")
    assert main(["log", "restore", f"--from-backup={tmp_path / 'none'}", f"--path={tmp_path / 'log'}"]) == 1
    assert not (tmp_path / "log").exists()


def test_where_to_must_be_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    for options in ((), ("--path=a", "--work_dir=b")):
        with pytest.raises(SystemExit, match="2"):
            restore(*options)


def opened(path: Path) -> Journal:
    return Journal.open(Folder(path), alone=True, rng=random.Random(1))


@pytest.mark.parametrize("initialized", [False, True])
def test_a_member_votes_once_all_is_there(tmp_path: Path, initialized: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "_GROUP_BYTES", 2000)
    path = tmp_path / "log"
    if initialized:
        initialize(Folder(path), random.Random(1))
    assert restore(f"--path={path}", "--dlog_max_entry_size=1KB") == 0
    journal = opened(path)
    assert (journal.stored.status, journal.stored.member, journal.stored.promised) == (Status.VOTING, 0, (1, 0))
    assert journal.begin > 10**15
    assert journal.learned_to == journal.end
    journal.close()
    assert restore(f"--path={path}") == 1


def test_one_that_was_cut_short_is_no_log_for_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(records: object) -> object:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(offline, "_groups", fail)
        assert restore(f"--path={tmp_path / 'log'}") == 1
    for _ in range(2):  # not even for a new cluster that begins by itself
        with pytest.raises(LogUnknown, match="restoring it was broken off: empty the folder and begin anew"):
            opened(tmp_path / "log")
    assert main(["log", "initialize", f"--path={tmp_path / 'log'}"]) == 1
    assert main(["log", "inspect", f"--path={tmp_path / 'log'}"]) == 0
    assert "note: restoring this log was broken off" in capsys.readouterr().out
    assert restore(f"--path={tmp_path / 'log'}") == 1
    assert "restoring it was broken off" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "log")
    assert restore(f"--path={tmp_path / 'log'}") == 0
    opened(tmp_path / "log").close()


async def members(*addresses: str) -> AsyncGenerator[frozenset[str], None]:
    yield frozenset(addresses)
    await trio.sleep_forever()


async def test_after_a_total_loss_copies_of_one_restored_log_are_a_quorum_and_the_others_learn_it(
    tmp_path: Path, expected: Tables
) -> None:
    assert restore(f"--path={tmp_path / 'a'}") == 0
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # c comes with an empty disk
    listeners = [(await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] for _ in "abc"]
    addresses = [f"127.0.0.1:{listener.socket.getsockname()[1]}" for listener in listeners]
    async with trio.open_nursery() as nursery:

        async def member(
            name: str, listener: trio.SocketListener, address: str, *, task_status: trio.TaskStatus[LedLog]
        ) -> None:
            stats, rng = Vars(), random.Random(name)
            peers = TcpPeers(listener, address, "example", stats, rng)
            settings = LogSettings("example", quorum=2)
            async with replicated_log(tmp_path / name, peers, members(*addresses), settings, stats, rng) as log:
                task_status.started(log)
                await trio.sleep_forever()

        a, b, c = [
            await nursery.start(member, name, listener, address)
            for name, listener, address in zip("abc", listeners, addresses, strict=True)
        ]
        with trio.fail_after(20):
            await a.fit()
            await a.lead()
            after = await (await a.submit([b"later"])).wait()
            await until(lambda: min(a.end, b.end, c.end) > after)
            for log in (a, b, c):
                found = await tables_before(log, after)
                assert found is not None
                assert found.copy() == expected.copy()
            await c.fit()
        nursery.cancel_scope.cancel()


async def tables_before(log: LedLog, last: int) -> Tables | None:
    replay = Replay(None, Vars(), Shared())
    async for records in log.read(log.begin):
        for position, record in records:
            if position < last:
                replay.feed(position, record)
    return replay.tables


async def test_a_log_can_be_restored_into_one_of_the_other_kind_and_back(tmp_path: Path) -> None:
    async with open_storage(tmp_path / "alone", stats=Vars(), now_ms=lambda: 1) as storage:
        await storage.write(lambda tx: tx.save_tasks(task("a"), task("b")))
        await storage.snapshot()
        await storage.write(lambda tx: tx.remove_tasks(["a"]))
        expected = storage.tables.copy()
        assert from_log(tmp_path / "alone" / "log", "--path", tmp_path / "early") == 1, "it is in use"
    assert from_log(tmp_path / "alone" / "log", "--path", tmp_path / "member") == 0
    assert from_log(tmp_path / "member", "--work_dir", tmp_path / "back") == 0
    async with open_storage(tmp_path / "back", stats=Vars(), now_ms=lambda: 1) as storage:
        assert storage.tables.copy() == expected
    async with open_storage(tmp_path / "alone", stats=Vars(), now_ms=lambda: 1) as storage:
        assert storage.tables.copy() == expected


def from_log(log: Path, *options: object) -> int:
    return main(["log", "restore", f"--from-log={log}", *map(str, options)])


async def test_a_log_that_is_damaged_or_tells_nothing_is_not_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_storage(tmp_path / "alone", stats=Vars(), now_ms=lambda: 1) as storage:
        for name in "abc":
            await save(storage, name)
    (segment,) = (tmp_path / "alone" / "log").iterdir()
    content = bytearray(segment.read_bytes())
    content[len(content) // 3] ^= 1
    segment.write_bytes(content)
    assert from_log(tmp_path / "alone" / "log", "--path", tmp_path / "member") == 1
    assert " is damaged at byte " in capsys.readouterr().err
    assert from_log(tmp_path / "none", "--path", tmp_path / "member") == 1
    assert f"{tmp_path / 'none'} cannot be read" in capsys.readouterr().err
    assert from_log(tmp_path, "--path", tmp_path / "member") == 1
    assert "holds no log" in capsys.readouterr().err
    assert not (tmp_path / "member").exists()
