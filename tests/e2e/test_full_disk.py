"""A disk without room: writes are refused in words, nothing is lost, and all is well again once there is room."""

import itertools
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurorad.api.calls import CreateJob
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response
from tests.e2e.cluster import Cluster, cluster, eventually
from tests.e2e.jobs import call, shell_job
from tests.e2e.test_durability import TOO_MANY_CPUS, job_names

# Big enough that the disk is full after a few.
PADDING = "# " + "x" * 20_000


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Cluster]:
    """A cluster whose log is on a file system of 1 MB, in a mount namespace of its own."""
    log = folder / "work" / "log"
    log.mkdir(parents=True, mode=0o700)
    log.parent.chmod(0o700)
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    mount = f'mount -t tmpfs -o size=1m none "{log}" && exec "$@"'
    with cluster(folder, prefix=(*namespace, "sh", "-c", mount, "sh")) as it:
        yield it


def create(it: Cluster, name: str) -> Response:
    return call(it, CreateJob(shell_job(name, PADDING, cpus=TOO_MANY_CPUS)))


def health(it: Cluster) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{it.scheduler}/health", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as sick:
        with sick:
            return sick.code, sick.read().decode()


def test_a_full_disk_refuses_writes_and_loses_nothing(small_disk: Cluster) -> None:
    it = small_disk
    filler = Path(f"/proc/{it.pid}/root{it.work_dir}/log/filler")
    filler.write_bytes(b"x" * 400_000)
    answered: set[str] = set()

    def fill() -> Response | None:
        name = f"job-{len(answered)}"
        answer = create(it, name)
        if answer.response_code is ResponseCode.OK:
            answered.add(name)
            return None
        return answer

    refusal = eventually("a refusal", fill)
    assert refusal.response_code is ResponseCode.ERROR_TRANSIENT
    assert "disk" in " ".join(detail.message or "" for detail in refusal.details)
    assert job_names(it) == answered
    status, text = health(it)
    assert status == 503
    assert text.startswith("SICK\n")

    filler.unlink()
    eventually("room is noticed", lambda: create(it, "after").response_code is ResponseCode.OK)
    eventually("health", lambda: health(it) == (200, "OK\n"))
    assert job_names(it) == answered | {"after"}


def test_a_full_disk_does_not_keep_the_tasks_from_being_stopped(small_disk: Cluster) -> None:
    it = small_disk
    assert call(it, CreateJob(shell_job("sleeper", "sleep 1000"))).response_code is ResponseCode.OK
    eventually("the task", it.task_processes)
    full = Path(f"/proc/{it.pid}/root{it.work_dir}/log/filler")
    full.write_bytes(b"x" * 400_000)
    names = map("job-{}".format, itertools.count())
    eventually("a refusal", lambda: create(it, next(names)).response_code is not ResponseCode.OK)
    assert it.stop() == 0, it.log()
    assert it.task_processes() == []
