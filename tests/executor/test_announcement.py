import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.node_paths import is_node_path
from aurorad.api.tasks import JobKey
from aurorad.flag_parsing import FlagError
from executor.announcement import (
    AnnouncerSettings,
    CannotAnnounce,
    announcement_of,
    connect_limit_s,
    unmapped,
)
from executor.flags import ExecutorFlags
from executor.task import Announcer, HealthCheckConfig

JOB = JobKey("www", "prod", "hello")
DEFAULT = Announcer()
SETTINGS = AnnouncerSettings("zk.example:2181")


def announced(announce: Announcer = DEFAULT, settings: AnnouncerSettings = SETTINGS, **ports: int) -> tuple[str, Any]:
    announcement = announcement_of(announce, settings, JOB, 3, "host.example", ports)
    return announcement.path, json.loads(announcement.data)


def test_a_member_has_its_endpoints_status_and_shard() -> None:
    _, member = announced(http=31000, aurora=31000, admin=31001)
    assert member == {
        "serviceEndpoint": {"host": "host.example", "port": 31000},
        "additionalEndpoints": {
            "http": {"host": "host.example", "port": 31000},
            "aurora": {"host": "host.example", "port": 31000},
            "admin": {"host": "host.example", "port": 31001},
        },
        "status": "ALIVE",
        "shard": 3,
    }


def test_a_primary_port_without_a_number_is_announced_as_0() -> None:
    _, member = announced(Announcer(primary_port="web"), http=31000)
    assert member["serviceEndpoint"] == {"host": "host.example", "port": 0}
    assert list(member["additionalEndpoints"]) == ["http"]


def test_the_operator_may_choose_the_host() -> None:
    settings = AnnouncerSettings("zk.example:2181", hostname="outside.example")
    _, member = announced(settings=settings, http=31000)
    assert "host.example" not in str(member).replace("outside.example", "")


@pytest.mark.parametrize(("root", "path"), [("/aurora", "/aurora/"), ("/a/b/", "/a/b/"), ("/", "/")])
def test_the_path_is_the_job_key_below_the_root(root: str, path: str) -> None:
    settings = AnnouncerSettings("zk.example:2181", root=root)
    assert announced(settings=settings)[0] == f"{path}www/prod/hello"


def test_a_job_may_choose_its_path_if_the_operator_allows_it() -> None:
    settings = AnnouncerSettings("zk.example:2181", allow_custom_path=True)
    assert announced(Announcer(zk_path="/my/own"), settings)[0] == "/my/own"


def test_a_path_of_the_jobs_choice_is_fatal_otherwise() -> None:
    with pytest.raises(CannotAnnounce) as error:
        announced(Announcer(zk_path="/my/own"))
    assert str(error.value) == (
        "Executor must be started with --announcer-allow-custom-serverset-path in order to use zk_path in the "
        "Announcer config"
    )


@pytest.mark.parametrize("path", ["", "/", "a/b", "/a/", "//a", "/a//b", "/./a", "/a/..", "/a\n", "/a\0", "/\ue000"])
def test_a_path_that_zookeeper_cannot_have_is_fatal(path: str) -> None:
    settings = AnnouncerSettings("zk.example:2181", allow_custom_path=True)
    with pytest.raises(CannotAnnounce, match=r"zk_path in the Announcer config is .*: a path like /a/b was expected"):
        announced(Announcer(zk_path=path), settings)


@given(st.lists(st.from_regex(r"[\w.-]+", fullmatch=True).filter(lambda name: name not in (".", "..")), min_size=1))
def test_names_between_slashes_are_a_path(names: list[str]) -> None:
    assert is_node_path("/" + "/".join(names))


@pytest.mark.parametrize(
    "ensemble", ["zk", "zk.example:2181", "10.0.0.1:2181,10.0.0.2", "[::1]:2181,zk:1", "zk:2181,zk2:2181/a/b"]
)
def test_an_ensemble_is_hosts_with_ports_and_a_path(ensemble: str) -> None:
    settings = AnnouncerSettings.read(ExecutorFlags(announcer_ensemble=ensemble))
    assert settings == AnnouncerSettings(ensemble)


@pytest.mark.parametrize(
    "ensemble", ["", "zk:port", "zk:2181,", "zk:2181/", "zk:2181/a/", "zk 2", "zk:1:2", "zk:123456"]
)
def test_what_is_no_ensemble_is_a_usage_error(ensemble: str) -> None:
    with pytest.raises(FlagError, match=r"^--announcer-ensemble=.*: host:port,host:port/path was expected$"):
        AnnouncerSettings.read(ExecutorFlags(announcer_ensemble=ensemble))


def test_without_an_ensemble_nothing_else_is_looked_at() -> None:
    assert AnnouncerSettings.read(ExecutorFlags(announcer_serverset_path="no path")) is None


def test_names_that_lead_to_no_number_are_told() -> None:
    announce = Announcer(portmap={"aurora": "{{primary_port}}", "web": "80", "thrift": "service"})
    assert unmapped(announce, {"aurora": 31000, "http": 31000, "web": 80}) == {"thrift": "service"}
    assert unmapped(Announcer(), {}) == {"aurora": "http"}


@pytest.mark.parametrize(
    ("config", "limit_s"),
    [
        (HealthCheckConfig(), 15),
        (HealthCheckConfig(initial_interval_secs=5, interval_secs=2, max_consecutive_failures=3), 11),
        (HealthCheckConfig(initial_interval_secs=None), 15),
        (HealthCheckConfig(initial_interval_secs=0), 5),
    ],
)
def test_zookeeper_may_take_as_long_as_health_may(config: HealthCheckConfig, limit_s: float) -> None:
    assert connect_limit_s(config) == limit_s
