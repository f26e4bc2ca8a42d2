"""Images pinned through a registry (config-schema sheet, section 8)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurorad.jobfile.errors import ConfigError
from client import docker
from tests.client import fake_registry
from tests.client.conftest import Runner
from tests.client.fake_registry import BEARER, DIGEST, FakeRegistry

KEY = "west/bozo/test/boxed"
FILE = """
jobs = [Job(
    cluster = 'west', role = 'bozo', environment = 'test', name = 'boxed',
    container = Docker(image = '{{docker.image[library/python][3.11]}}'),
    task = SimpleTask('boxed', 'python -V'))]
"""


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry.running() as fake:
        yield fake


@pytest.fixture
def boxed(registry: FakeRegistry, home: Path) -> Path:
    (home / ".aurora").mkdir()
    (home / ".aurora" / "clusters.json").write_text(
        json.dumps([{"name": "west", "scheduler_uri": "http://localhost:1", "docker_registry": registry.url}])
    )
    file = home / "boxed.aurora"
    file.write_text(FILE)
    return file


def resolve(registry: FakeRegistry, tag: str = "3.11") -> str:
    with docker.Registry(registry.url) as asked:
        return asked.resolve("library/python", tag)


def test_a_tag_becomes_a_digest_before_the_job_is_sent(aurora: Runner, boxed: Path, registry: FakeRegistry) -> None:
    ran = aurora("job", "inspect", "--write-json", KEY, boxed)
    image = f"{registry.host}/library/python@{DIGEST}"
    assert json.loads(ran.out)["container"] == {"image": image, "parameters": []}
    assert ran.err == f" INFO] Resolved library/python:3.11 => {image}\n"
    assert ran.code == 0


def test_a_tag_bound_by_the_user_is_not_asked_for(aurora: Runner, boxed: Path, registry: FakeRegistry) -> None:
    ran = aurora("job", "inspect", "--write-json", "--bind", "docker.image[library/python][3.11]=mine", KEY, boxed)
    assert json.loads(ran.out)["container"]["image"] == "mine"
    assert registry.requests == []


def test_listing_a_file_asks_nobody(aurora: Runner, boxed: Path, registry: FakeRegistry) -> None:
    assert aurora("config", "list", boxed).out == f"jobs=[{KEY}]\n"
    assert registry.requests == []


def test_an_image_that_is_not_there_is_status_3(aurora: Runner, boxed: Path, registry: FakeRegistry) -> None:
    registry.images.clear()
    ran = aurora("job", "inspect", KEY, boxed)
    assert (ran.code, ran.err) == (
        3,
        "Error loading configuration: Unable to resolve image library/python:3.11 "
        f"({registry.url} answers 404 Not Found)\n",
    )


def test_what_is_asked(registry: FakeRegistry) -> None:
    registry.challenge = BEARER
    assert resolve(registry) == f"{registry.host}/library/python@{DIGEST}"
    token = ("GET", "/token?service=registry&scope=repository%3Alibrary%2Fpython%3Apull%2Cpush", None)
    manifest = ("HEAD", "/v2/library/python/manifests/3.11", "application/vnd.docker.distribution.manifest.v2+json")
    version = ("HEAD", "/v2/", "*/*")
    assert registry.requests == [version, token, version, manifest, token, manifest]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"challenge": BEARER, "private": True}, "Private Docker repository - library/python:3.11"),
        ({"challenge": BEARER, "token": None}, r"Failed to get auth token. \(.*/token answers 200 OK\)"),
        ({"challenge": 'Basic realm="x"'}, 'Basic authorization not supported: Basic realm="x"'),
        ({"challenge": "Digest x"}, "Unknown auth challenge: Digest x"),
        ({"challenge": "Bearer x"}, "Unknown auth challenge: Bearer x"),
        ({"challenge": ""}, "No auth challenge. Www-Authenticate header not returned."),
        ({"status": 404}, r"http://.* is not a registry v2 \(it answers 404 Not Found\)"),
        ({"images": {"library/python:3.11": "../../x"}}, "Unable to resolve image library/python:3.11"),
    ],
)
def test_what_goes_wrong_is_told(registry: FakeRegistry, settings: dict[str, object], message: str) -> None:
    for name, value in settings.items():
        setattr(registry, name, value)
    with pytest.raises(ConfigError, match=message):
        resolve(registry)


def test_a_registry_that_is_not_there_is_told() -> None:
    with docker.Registry("http://127.0.0.1:1") as asked, pytest.raises(ConfigError, match="Connection refused"):
        asked.resolve("a", "b")
