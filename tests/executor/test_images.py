"""Tasks in a file system of their own (executor sheet, section 6; thermos-runner sheet, section 8)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from aurorad.api.tasks import AppcImage, AssignedTask, Container, DockerImage, MesosContainer, Volume
from aurorad.api.tasks import Image as ImageName
from aurorad.engine.base import TaskState
from executor import images, preparation
from executor.flags import ExecutorFlags
from executor.images import BadContainerizer, Image, resolve_within
from executor.sandbox import SandboxError, User
from tests.executor.harness import Executor, assigned, process, task

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")

SHELL = {"shell": False, "value": "/bin/bash", "arguments": ["/bin/bash", "-c", "echo hi"]}
NOBODY = User("nobody", 65534, 65534, (65534,), drop=True)

CONTAINERIZER = f"""#!{sys.executable}
import json, os, sys
if sys.argv[1:] == ["launch"]:
    sys.exit("usage: launch " + {{words!r}})
flags = dict(flag[2:].partition("=")[::2] for flag in sys.argv[2:])
info = json.loads(flags["launch_info"]) if "launch_info" in flags else dict(flags, command=json.loads(flags["command"]))
print(sorted(flags), file=open("{{log}}", "a"))
os.chroot(info["rootfs"])
os.chdir(info["working_directory"])
(entry,) = [line.split(":") for line in open("/etc/passwd") if line.startswith(info["user"] + ":")]
os.setgroups([])
os.setgid(int(entry[3]))
os.setuid(int(entry[2]))
os.execv(info["command"]["value"], info["command"]["arguments"])
"""


class TestCommand:
    def test_settings_go_as_one_launch_info(self) -> None:
        image = Image(Path("/run/taskfs"), Path("/mnt/sandbox"), Path("/mesos-containerizer"), launch_info=True)
        *start, info = image.command("echo hi", "role")
        assert start == ["/mesos-containerizer", "launch", "--unshare_namespace_mnt"]
        assert json.loads(info.removeprefix("--launch_info=")) == {
            "rootfs": "/run/taskfs",
            "user": "role",
            "working_directory": "/mnt/sandbox",
            "command": SHELL,
        }

    def test_or_as_one_flag_each(self) -> None:
        image = Image(Path("/run/taskfs"), Path("/mnt/sandbox"), Path("/mesos-containerizer"), launch_info=False)
        *rest, command = image.command("echo hi", "role")
        assert rest == [
            "/mesos-containerizer",
            "launch",
            "--working_directory=/mnt/sandbox",
            "--rootfs=/run/taskfs",
            "--user=role",
        ]
        assert json.loads(command.removeprefix("--command=")) == SHELL


class TestContainerizer:
    def test_it_must_be_there_and_executable(self, tmp_path: Path) -> None:
        path = tmp_path / "mesos-containerizer"
        refused = "Cannot launch task using a filesystem image: "
        with pytest.raises(BadContainerizer, match=f"^{refused}mesos_containerizer_path  {path} does not exist.$"):
            images.check_containerizer(path)
        path.touch(0o644)
        with pytest.raises(BadContainerizer, match=f"^{refused}.*{path} is not marked as executable.$"):
            images.check_containerizer(path)
        path.chmod(0o755)
        images.check_containerizer(path)

    @pytest.mark.parametrize(("words", "knows"), [("--launch_info=VALUE", True), ("--command=VALUE", False)])
    def test_it_is_asked_what_it_understands(self, tmp_path: Path, words: str, knows: bool) -> None:
        path = tmp_path / "mesos-containerizer"
        path.write_text(CONTAINERIZER.format(words=words, log="/dev/null"))
        path.chmod(0o755)
        assert images.knows_launch_info(path) is knows


class TestResolving:
    @pytest.mark.parametrize(
        ("path", "place"),
        [
            ("/mnt/sandbox", "mnt/sandbox"),
            ("mnt/sandbox", "mnt/sandbox"),
            ("//mnt", "mnt"),
            ("/../../mnt", "mnt"),
            ("/absolute/x", "real/x"),
            ("/relative/x", "real/x"),
            ("/out/x", "etc/x"),
            ("/out/../x", "x"),
            ("/twice/x", "real/x"),
        ],
    )
    def test_no_link_leads_out(self, tmp_path: Path, path: str, place: str) -> None:
        (tmp_path / "real").mkdir()
        for name, target in (
            ("absolute", "/real"),
            ("relative", "./real"),
            ("out", "../../../../../../../../etc"),
            ("twice", "absolute"),
        ):
            (tmp_path / name).symlink_to(target)
        assert resolve_within(tmp_path, path) == tmp_path / place

    def test_a_circle_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        with pytest.raises(OSError, match="Too many levels of symbolic links"):
            resolve_within(tmp_path, "/a/x")


class TestUsers:
    def furnish(self, root: Path) -> None:
        images.furnish(root, root, Path("/mnt"), (), NOBODY, create_user=True)

    @pytest.fixture(autouse=True)
    def nothing_mounted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(images, "_bind", lambda *places: None)

    def test_they_are_added(self, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh")
        self.furnish(tmp_path)
        assert (tmp_path / "etc/passwd").read_text() == (
            "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/mnt:/bin/sh\n"
        )
        assert (tmp_path / "etc/group").read_text() == "nogroup:x:65534:\n"

    def test_those_that_are_there_stay(self, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/group").write_text("nogroup:*:65534:x,y\n")
        (tmp_path / "etc/passwd").write_text("a:x:65534:1::/:/x\nnobody:*:65534:65534:N:/var:/bin/false\n")
        self.furnish(tmp_path)
        self.furnish(tmp_path)
        assert (tmp_path / "etc/group").read_text() == "nogroup:*:65534:x,y\n"
        assert len((tmp_path / "etc/passwd").read_text().splitlines()) == 2

    @pytest.mark.parametrize(
        ("file", "line", "text"),
        [
            (
                "group",
                "nogroup:x:7:",
                "Group id result nogroup:x:7: from image does not match name nogroup and id 65534",
            ),
            ("group", "b:x:65534:", "Group id result b:x:65534: from image does not match name nogroup and id 65534"),
            (
                "passwd",
                "nobody:x:9:65534::/:/sh",
                "User group result nobody:x:9:65534::/:/sh from task image does not start with expected prefix "
                "uid=65534(nobody) gid=65534(nogroup)",
            ),
        ],
    )
    def test_others_in_their_place_are_refused(self, tmp_path: Path, file: str, line: str, text: str) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc" / file).write_text(f"{line}\n")
        with pytest.raises(SandboxError) as refused:
            self.furnish(tmp_path)
        assert str(refused.value) == text

    def test_what_is_no_file_is_not_read(self, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        os.mkfifo(tmp_path / "etc/group")
        with pytest.raises(SandboxError, match=r"^Failed to create group in sandbox for task image: "):
            self.furnish(tmp_path)

    def test_network_files_replace_links_and_follow_none(self, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_text("untouched")
        root = tmp_path / "root"
        (root / "etc").mkdir(parents=True)
        (root / "etc/hosts").symlink_to(victim)
        self.furnish(root)
        assert victim.read_text() == "untouched"


def test_without_an_image_store_the_task_says_where_images_work(tmp_path: Path) -> None:
    job = _with_image(assigned(task(process("p", "true"))))
    assert Executor(job, tmp_path).finish() == (
        TaskState.TASK_FAILED,
        f"Failed to initialize sandbox: no image at {tmp_path / 'taskfs'}: "
        "a Mesos agent puts it there, the local engine has no images",
    )


@pytest.fixture
def run() -> Iterator[Path]:
    """A run directory with an image, that every user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        (path / "taskfs").mkdir()
        yield path


def _with_image(job: AssignedTask, *volumes: Volume, appc: bool = False) -> AssignedTask:
    name = ImageName(appc=AppcImage("i", "1")) if appc else ImageName(docker=DockerImage("i", "1"))
    container = Container(mesos=MesosContainer(name, volumes))
    return msgspec.structs.replace(job, task=msgspec.structs.replace(job.task, container=container))


def _fill(root: Path) -> None:
    """A file system in which bash, id and cat run."""
    programs = ["/bin/bash", *(found for name in ("id", "cat") if (found := shutil.which(name)))]
    libraries = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True).stdout.split()
    for file in {*programs, *(word for word in libraries if word.startswith("/") and not word.endswith(":"))}:
        place = root / file.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)


@root_only
@pytest.mark.parametrize("words", ["--launch_info=VALUE", "--command=VALUE"])
def test_a_task_runs_in_its_image_and_leaves_no_mount(run: Path, words: str) -> None:
    root, log = run / "taskfs", run / "containerizer.log"
    _fill(root)
    containerizer = run / "mesos-containerizer"
    containerizer.write_text(CONTAINERIZER.format(words=words, log=log))
    containerizer.chmod(0o755)
    volume, file = run / "volume", run / "file"
    volume.mkdir()
    (volume / "data").write_text("in the volume\n")
    file.write_text("a file\n")
    mounts = Path("/proc/self/mountinfo").read_text()

    who = process(
        "who", f"id -u; id -g; pwd; echo $HOME; cat {volume}/data {file}; echo 'echo sourced' > .thermos_profile"
    )
    then = process("then", "echo hello; echo up > up; until test -e end; do :; done")
    health = {"health_checker": {"shell": {"shell_command": "test -e /mnt/here/up && test $(id -u) = 65534"}}}
    job = assigned(
        task(who, then, order=("who", "then")),
        role="nobody",
        health_check_config={**health, "interval_secs": 0.1, "initial_interval_secs": 30, "timeout_secs": 20},
    )
    job = _with_image(job, Volume(str(volume), "/on/host"), Volume(str(file), "/on/host"), Volume("taskfs", "x"))
    flags = ExecutorFlags(mesos_containerizer_path=containerizer, sandbox_mount_point=Path("/mnt/here"))
    executor = Executor(job, run, flags=flags)
    assert executor.until(TaskState.TASK_RUNNING) == "Task is healthy."
    (executor.sandbox / "end").touch()
    assert executor.finish() == (TaskState.TASK_FINISHED, "Task finished.")

    assert executor.output("who").split("\n") == [
        "65534",
        "65534",
        "/mnt/here",
        "/mnt/here",
        "in the volume",
        "a file",
        "",
    ]
    assert executor.output("then") == "sourced\nhello\n"
    assert (executor.sandbox / "up").stat().st_uid == 65534
    assert (executor.sandbox / ".logs/who/0/stdout").stat().st_uid == 65534
    assert (root / "etc/hosts").read_text() == Path("/etc/hosts").read_text()
    new = ["launch_info", "unshare_namespace_mnt"]
    assert log.read_text().splitlines()[0] == str(
        new if "launch_info" in words else ["command", "rootfs", "user", "working_directory"]
    )
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert list((root / "mnt/here").iterdir()) == []


@root_only
class TestStarting:
    def test_a_containerizer_that_is_not_there_fails_the_task(self, run: Path) -> None:
        flags = ExecutorFlags(mesos_containerizer_path=Path("/no/such"), no_create_user=True)
        job = _with_image(assigned(task(process("p", "true"))), appc=True)
        assert Executor(job, run, flags=flags).finish() == (
            TaskState.TASK_FAILED,
            "Cannot launch task using a filesystem image: mesos_containerizer_path  /no/such does not exist.",
        )
        assert not (run / "taskfs/etc/passwd").exists()

    def test_one_that_does_not_answer_is_given_up(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(preparation, "START_LIMIT_S", 0.3)
        containerizer = run / "mesos-containerizer"
        containerizer.write_text("#!/bin/sh\nsleep 1000\n")
        containerizer.chmod(0o755)
        flags = ExecutorFlags(mesos_containerizer_path=containerizer)
        job = _with_image(assigned(task(process("p", "true"))))
        assert Executor(job, run, flags=flags).finish() == (
            TaskState.TASK_LOST,
            "Timed out waiting for task to start!",
        )

    def test_an_image_that_is_never_ready_is_given_up(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(preparation, "SANDBOX_LIMIT_S", 0.3)
        monkeypatch.setattr(images, "furnish", _hang)
        executor = Executor(_with_image(assigned(task(process("p", "true")))), run)
        assert executor.finish() == (TaskState.TASK_FAILED, "Timed out waiting for sandbox to initialize!")

    def test_a_kill_while_it_is_made_ready_ends_the_task(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(images, "furnish", _hang)
        executor = Executor(_with_image(assigned(task(process("p", "true")))), run)
        executor.until(TaskState.TASK_STARTING)
        executor.kill()
        assert executor.finish() == (TaskState.TASK_KILLED, "Task killed during initialization.")

    def test_what_nobody_thought_of_fails_the_task(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*arguments: object, **options: object) -> None:
            raise RuntimeError("no idea")

        monkeypatch.setattr(images, "furnish", fail)
        executor = Executor(_with_image(assigned(task(process("p", "true")))), run)
        assert executor.finish() == (TaskState.TASK_FAILED, "Unknown exception initializing sandbox: no idea")


def _hang(*arguments: object, **options: object) -> None:
    while True:
        os.read(os.pipe()[0], 1)
