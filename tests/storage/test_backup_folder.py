from __future__ import annotations

import os
from pathlib import Path

import pytest

from aurorad.storage.backup_folder import BackupFolder, BadFolder, NoSuchBackup, name_at


@pytest.fixture
def folder(tmp_path: Path) -> BackupFolder:
    folder = BackupFolder(tmp_path / "deep" / "backups", 3)
    folder.prepare()
    return folder


def save(folder: BackupFolder, name: str, content: bytes = b"x") -> None:
    new = folder.create(name)
    new.write(content)
    new.finish()


def test_a_backup_is_called_by_its_minute_on_the_clock_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    for zone, name in (("UTC", "2026-11-21-03-35"), ("Asia/Kolkata", "2026-11-21-09-05")):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert name_at(1795232147651) == f"scheduler-backup-{name}"
    monkeypatch.undo()
    time.tzset()


def test_the_folder_is_made_and_its_owner_alone_can_read_what_is_in_it(folder: BackupFolder) -> None:
    save(folder, "scheduler-backup-1")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert (folder.path / "scheduler-backup-1").stat().st_mode & 0o777 == 0o600


def test_a_file_is_there_whole_or_not_at_all(folder: BackupFolder) -> None:
    new = folder.create("scheduler-backup-1")
    new.write(b"a" * 100)
    assert folder.names() == []
    assert os.listdir(folder.path) == ["temp_scheduler-backup-1"]
    new.abandon()
    assert os.listdir(folder.path) == []


def test_a_second_one_of_a_minute_takes_the_place_of_the_first(folder: BackupFolder) -> None:
    save(folder, "scheduler-backup-1", b"first")
    new = folder.create("scheduler-backup-1")
    new.write(b"second")
    assert folder.read("scheduler-backup-1")[:] == b"first"
    new.finish()
    new.abandon()
    assert folder.read("scheduler-backup-1")[:] == b"second"


def test_what_a_crash_left_in_the_making_is_removed(folder: BackupFolder) -> None:
    (folder.path / "temp_scheduler-backup-1").write_bytes(b"half")
    (folder.path / "temp_mine").write_bytes(b"")
    folder.prepare()
    assert folder.names() == ["temp_mine"]
    (folder.path / "temp_scheduler-backup-1").write_bytes(b"half")
    save(folder, "scheduler-backup-1", b"whole")
    assert folder.read("scheduler-backup-1")[:] == b"whole"


def test_the_oldest_names_go_and_others_files_stay(folder: BackupFolder) -> None:
    for number in (3, 1, 5, 2, 4):
        save(folder, f"scheduler-backup-{number}")
    save(folder, "a-copy")
    folder.prune()
    assert folder.names() == ["a-copy", *(f"scheduler-backup-{number}" for number in (3, 4, 5))]


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..", ".", "", "sub/file", "a\0b"])
def test_names_lead_nowhere_else(folder: BackupFolder, name: str) -> None:
    (folder.path.parent / "secret").write_bytes(b"secret")
    with pytest.raises(NoSuchBackup, match="does not exist"):
        folder.read(name)


def test_what_is_no_file_is_no_backup(folder: BackupFolder) -> None:
    (folder.path / "folder").mkdir()
    os.mkfifo(folder.path / "pipe")
    assert folder.names() == []
    for name in ("folder", "pipe"):
        with pytest.raises(NoSuchBackup, match="it is no file"):
            folder.read(name)
    with pytest.raises(NoSuchBackup, match=f"^Backup {folder.path}/none does not exist.$"):
        folder.read("none")


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadFolder, match=f"^Unable to create backup dir {tmp_path}/file/backups.$"):
        BackupFolder(tmp_path / "file" / "backups", 1).prepare()
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(0o500)
        with pytest.raises(BadFolder, match=f"^Backup dir {tmp_path}/closed is not writable.$"):
            BackupFolder(tmp_path / "closed", 1).prepare()


def test_a_file_of_nothing_is_no_empty_state(folder: BackupFolder) -> None:
    (folder.path / "empty").write_bytes(b"")
    with pytest.raises(OSError, match="it is empty"):
        folder.read("empty")
