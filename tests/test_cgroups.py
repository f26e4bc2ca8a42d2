"""Control groups, in a hierarchy that is only a folder, and in real ones."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurorad.cgroups import EXECUTOR, TASK, Hierarchy, Limits, TaskGroup, find_group, find_hierarchy, group_name
from tests import control_groups

MOUNT = "36 35 0:31 / {} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
OTHERS = "33 32 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"


@pytest.fixture(params=control_groups.found() or (None,), ids=control_groups.name)
def real(request: pytest.FixtureRequest) -> Iterator[Hierarchy | None]:
    """None where this machine has none for us: then the tests of it say that there is none to be found."""
    with control_groups.own(request.param) as own:
        yield own


def fake(place: Path, *, controllers: str = "", enabled: str = "", populated: int = 0) -> Path:
    """A control group as the kernel shows it."""
    place.mkdir(parents=True, exist_ok=True)
    files = {
        "cgroup.controllers": controllers,
        "cgroup.subtree_control": enabled,
        "cgroup.procs": "",
        "cgroup.kill": "",
        "cgroup.events": f"populated {populated}\nfrozen 0\n",
    }
    if "cpu" in controllers:
        files |= {"cpu.max": "max 100000", "cpu.weight": "100"}
    if "memory" in controllers:
        events = "low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\n"
        files |= {"memory.max": "max", "memory.swap.max": "max", "memory.oom.group": "0", "memory.events": events}
    for name, text in files.items():
        (place / name).write_text(text)
    return place


def look(tmp_path: Path, own: str, *, systemd: bool = False) -> Hierarchy | None:
    (tmp_path / "mountinfo").write_text(OTHERS + MOUNT.format(tmp_path / "cgroup"))
    (tmp_path / "own").write_text(f"4:memory:/elsewhere\n0::{own}\n")
    (tmp_path / "systemd").mkdir()
    return find_hierarchy(
        tmp_path / "mountinfo", tmp_path / "own", tmp_path / "systemd" if systemd else tmp_path / "none"
    )


class TestWhatIsOurs:
    def test_without_systemd_it_is_the_group_that_we_are_in_and_may_write_to(self, tmp_path: Path) -> None:
        ours = fake(tmp_path / "cgroup/a/b")
        assert look(tmp_path, "/a/b") == Hierarchy(ours)

    def test_what_systemd_did_not_delegate_is_not_ours_though_root_could_write_to_it(self, tmp_path: Path) -> None:
        fake(tmp_path / "cgroup/user.slice/session-1.scope")
        assert look(tmp_path, "/user.slice/session-1.scope", systemd=True) is None

    @pytest.mark.parametrize("own", ["/system.slice/aurorad.service", "/system.slice/aurorad.service/daemon"])
    def test_what_systemd_delegated_is_ours_also_from_a_subgroup_of_it(self, tmp_path: Path, own: str) -> None:
        unit = fake(tmp_path / "cgroup/system.slice/aurorad.service")
        fake(unit / "daemon")
        os.setxattr(unit, "user.delegate", b"1")
        assert look(tmp_path, own, systemd=True) == Hierarchy(unit)

    def test_an_executor_that_was_started_in_a_tasks_group_finds_the_same_one_again(self, tmp_path: Path) -> None:
        base = fake(tmp_path / "cgroup/a")
        group = Hierarchy(base).group("t-1", tmp_path)
        fake(group.path / EXECUTOR)
        found = look(tmp_path, f"/a/{group.path.name}/{EXECUTOR}", systemd=True)
        assert found is not None
        assert found.group("t-1", tmp_path) == group

    def test_a_group_that_was_removed_or_does_not_exist_is_not_ours(self, tmp_path: Path) -> None:
        fake(tmp_path / "cgroup")
        assert look(tmp_path, "/gone (deleted)") is None

    def test_where_only_version_1_is_mounted_there_are_none(self, tmp_path: Path) -> None:
        (tmp_path / "mountinfo").write_text(OTHERS)
        (tmp_path / "own").write_text("4:memory:/elsewhere\n0::/\n")
        assert find_hierarchy(tmp_path / "mountinfo", tmp_path / "own") is None


class TestNames:
    def test_any_task_id_makes_a_name_of_its_own_that_a_file_can_have(self, tmp_path: Path) -> None:
        ids = ["t-1", "t/1", "t 1", "..", "t\n1", "\N{SNOWMAN}", "x" * 400, "x" * 401]
        names = [group_name(task_id, tmp_path) for task_id in ids]
        assert len(set(names)) == len(ids)
        for name in names:
            (tmp_path / name).mkdir()
        assert group_name("t-1", tmp_path).startswith("aurora.t-1.")

    def test_the_same_task_elsewhere_is_another_one_and_a_link_leads_to_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path)
        assert group_name("t-1", tmp_path / "link") == group_name("t-1", tmp_path)
        assert group_name("t-1", tmp_path / "other") != group_name("t-1", tmp_path)


class TestLimits:
    def made(self, tmp_path: Path, controllers: str, limits: Limits) -> Path:
        base = fake(tmp_path / "base", controllers=controllers, enabled=controllers)
        group = Hierarchy(base).group("t-1", tmp_path, limits)
        fake(group.path, controllers=controllers)
        fake(group.path / TASK, controllers=controllers)
        group.make()
        return group.path

    def test_cpu_is_dealt_out_ten_times_a_second_and_memory_is_hard(self, tmp_path: Path) -> None:
        group = self.made(tmp_path, "cpu memory", Limits(cpu=2.5, ram=64 << 20))
        assert (group / TASK / "cpu.max").read_text() == "250000 100000"
        assert (group / "cpu.weight").read_text() == "250"
        assert (group / TASK / "memory.max").read_text() == str(64 << 20)
        assert (group / TASK / "memory.swap.max").read_text() == "0"
        assert (group / TASK / "memory.oom.group").read_text() == "1"
        assert (group / "cgroup.subtree_control").read_text() == "+memory"  # a fake one keeps the last order only

    def test_very_little_cpu_is_what_the_kernel_allows_at_least(self, tmp_path: Path) -> None:
        group = self.made(tmp_path, "cpu", Limits(cpu=0.001, ram=1))
        assert (group / TASK / "cpu.max").read_text() == "1000 100000"
        assert (group / "cpu.weight").read_text() == "1"

    def test_what_nobody_reserved_is_not_limited(self, tmp_path: Path) -> None:
        group = self.made(tmp_path, "cpu memory", Limits(cpu=0, ram=0))
        assert (group / TASK / "cpu.max").read_text() == "max 100000"
        assert (group / TASK / "memory.max").read_text() == "max"

    def test_without_controllers_there_are_no_limits_and_the_log_says_so_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        group = self.made(tmp_path, "", Limits(cpu=1, ram=1))
        assert not (group / TASK / "cpu.max").exists()
        Hierarchy(tmp_path / "base").enable_limits()
        assert len(caplog.messages) == 2
        assert "no limit of cpu: the controller is not delegated to us" in caplog.messages[0]

    def test_the_kernels_kills_for_memory_are_counted(self, tmp_path: Path) -> None:
        group = self.made(tmp_path, "memory", Limits(cpu=1, ram=1))
        assert TaskGroup(group).oom_kills() == 2

    def test_where_memory_is_not_limited_there_is_nothing_to_count(self, tmp_path: Path) -> None:
        assert TaskGroup(self.made(tmp_path, "cpu", Limits(cpu=1, ram=1))).oom_kills() is None


def test_a_fake_group_is_killed_by_one_word_to_the_kernel(tmp_path: Path) -> None:
    fake(tmp_path / TASK)
    TaskGroup(tmp_path).kill()
    assert (tmp_path / TASK / "cgroup.kill").read_text() == "1"


def test_a_group_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    group = TaskGroup(tmp_path / "none")
    group.kill()
    assert (group.exists, group.populated(), group.pids(), group.remove()) == (False, False, [], True)


def start(group: TaskGroup, script: str) -> subprocess.Popen[bytes]:
    """In the group; returns when it has written a line."""
    started = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, preexec_fn=group.enter)
    assert started.stdout is not None
    started.stdout.readline()
    started.stdout.close()
    return started


class TestRealOnes:
    """In a part of the real hierarchy; where there is none, all that can be said is that none is found."""

    def test_what_is_forked_in_a_group_is_in_it_and_is_killed_with_it(
        self, real: Hierarchy | None, tmp_path: Path
    ) -> None:
        if real is None:
            assert find_hierarchy(systemd=tmp_path / "none") is None
            return
        group = real.group("t-1", tmp_path, Limits(1, 64 << 20))
        group.make()
        started = start(group, "(setsid sleep 1000 &); (exec -c setsid sleep 1000 &) ; echo; wait; sleep 1000")
        assert len(group.pids()) == 3
        assert (group.populated(), group.remove()) == (True, False)
        group.kill()
        assert started.wait(10) == -signal.SIGKILL
        wait_until_empty(group)
        assert group.remove()
        assert not group.exists

    def test_a_kernel_that_cannot_kill_groups_freezes_them(
        self, real: Hierarchy | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if real is None:
            assert find_hierarchy(systemd=tmp_path / "none") is None
            return

        def refuse(file: Path, text: str) -> None:
            if file.name == "cgroup.kill":
                raise FileNotFoundError(errno.ENOENT, "no such file", file)
            file.write_text(text)

        monkeypatch.setattr("aurorad.cgroups._write", refuse)
        group = real.group("t-1", tmp_path)
        group.make()
        started = start(group, "for i in 1 2 3; do (while :; do sleep 0.01; done) & done; echo; wait")
        while group.populated():
            group.kill()
        assert started.wait(10) == -signal.SIGKILL

    @pytest.mark.parametrize("inner", ["task", "task/inner"])
    def test_processes_in_a_threaded_group_are_found_and_killed(
        self, real: Hierarchy | None, tmp_path: Path, inner: str
    ) -> None:
        if real is None:
            assert find_hierarchy(systemd=tmp_path / "none") is None
            return
        group = real.group("t-1", tmp_path)
        group.make()
        place = group.path / inner
        place.mkdir(exist_ok=True)
        (place / "cgroup.type").write_text("threaded")
        started = start(group, f"echo $$ >{place}/cgroup.procs; sleep 1000 & echo; wait")
        assert len(group.pids()) == 2
        assert started.pid in group.pids()
        while group.populated():
            group.kill()
        assert started.wait(10) == -signal.SIGKILL

    def test_groups_that_nobody_is_in_are_removed_and_others_are_not(
        self, real: Hierarchy | None, tmp_path: Path
    ) -> None:
        if real is None:
            assert find_hierarchy(systemd=tmp_path / "none") is None
            return
        empty, full = (real.group(task_id, tmp_path) for task_id in ("empty", "full"))
        for group in (empty, full):
            group.make()
        started = start(full, "echo; sleep 1000")
        real.remove_empty()
        assert (empty.exists, full.exists) == (False, True)
        assert find_group("full", tmp_path) == full
        assert find_group("empty", tmp_path) is None
        full.kill()
        started.wait(10)

    def test_an_empty_group_that_was_removed_is_made_anew_for_whoever_enters(
        self, real: Hierarchy | None, tmp_path: Path
    ) -> None:
        if real is None:
            assert find_hierarchy(systemd=tmp_path / "none") is None
            return
        group = real.group("t-1", tmp_path)
        group.make()
        assert group.remove()
        started = start(group, "echo; sleep 1000")
        assert group.pids() == [started.pid]
        group.kill()
        started.wait(10)


def wait_until_empty(group: TaskGroup) -> None:
    while group.populated():
        group.kill()
