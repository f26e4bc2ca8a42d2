from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client import admin, main
from client.build import Build
from client.session import Outside
from tests.client import fake_scheduler
from tests.client.fake_scheduler import FakeScheduler

JOB_FILE = """
jobs = [
    Service(
        cluster = 'west', role = 'bozo', environment = 'test', name = 'hello', instances = 2,
        task = Task(
            processes = [Process(name = 'say', cmdline = 'echo {{word}}')],
            resources = Resources(cpu = 0.5, ram = 16 * MB, disk = 32 * MB))).bind(word = 'hello')
]
"""
KEY = "west/bozo/test/hello"
WALL_S = 1_000_000.0


@dataclasses.dataclass
class World:
    """Everything outside the command: time passes only while somebody sleeps."""

    now: float = 0.0
    slept: list[float] = dataclasses.field(default_factory=list)
    opened: list[str] = dataclasses.field(default_factory=list)
    has_browser: bool = True

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def open_url(self, url: str) -> bool:
        self.opened.append(url)
        return self.has_browser


@dataclasses.dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Runner = Callable[..., Ran]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no settings of this machine."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("AURORA_CONFIG_ROOT", "DIFF_VIEWER", "NETRC", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def scheduler(home: Path) -> Iterator[FakeScheduler]:
    """A fake scheduler that clusters.json calls `west`."""
    with fake_scheduler.running() as fake:
        folder = home / ".aurora"
        folder.mkdir()
        (folder / "clusters.json").write_text(json.dumps([{"name": "west", "scheduler_uri": fake.url}]))
        yield fake


@pytest.fixture
def aurora(home: Path, world: World, capsys: pytest.CaptureFixture[str]) -> Runner:
    return _runner(main.run, home, world, capsys)


@pytest.fixture
def aurora_admin(home: Path, world: World, capsys: pytest.CaptureFixture[str]) -> Runner:
    return _runner(admin.run, home, world, capsys)


def _runner(run: Callable[..., int], home: Path, world: World, capsys: pytest.CaptureFixture[str]) -> Runner:
    def call(*arguments: object, build: Build | None = None, **environ: str) -> Ran:
        outside = Outside(
            {"HOME": str(home), "AURORA_CONFIG_ROOT": str(home / "etc"), "PATH": "/usr/bin:/bin"} | environ,
            lambda: world.now,
            world.sleep,
            world.open_url,
            lambda: "our-own-id",
            lambda: WALL_S + world.now,
        )
        capsys.readouterr()
        words = [str(argument) for argument in arguments]
        code = run(words, outside) if build is None else run(words, outside, build)
        captured = capsys.readouterr()
        return Ran(int(code), captured.out, captured.err)

    return call


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    file = tmp_path / "hello.aurora"
    file.write_text(JOB_FILE)
    return file
