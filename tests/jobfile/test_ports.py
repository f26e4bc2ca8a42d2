from __future__ import annotations

import pytest
from pystachio import Ref

from aurorad.jobfile import ports
from aurorad.jobfile.errors import ConfigError


def test_ports_are_followed_to_a_number_or_an_unmapped_name() -> None:
    portmap = {"http": "80", "aurora": "http", "https": "aurora", "thrift": "service"}
    assert ports.resolve(portmap) == {"http": 80, "aurora": 80, "https": 80, "thrift": "service"}


@pytest.mark.parametrize(
    ("portmap", "mentioned", "requested"),
    [
        ({"http": "80"}, {"http"}, set()),
        ({"http": "80"}, {"http", "thrift"}, {"thrift"}),
        ({"http": "aurora"}, set(), {"aurora"}),
        ({"http": "aurora"}, {"http"}, {"aurora"}),
        ({"aurora": "http"}, set(), {"http"}),
        ({"aurora": "http"}, {"http"}, {"http"}),
        ({}, {"http", "thrift"}, {"http", "thrift"}),
    ],
)
def test_the_ports_to_ask_for(portmap: dict[str, str], mentioned: set[str], requested: set[str]) -> None:
    assert ports.requested(portmap, mentioned) == requested


def test_a_cycle_is_told() -> None:
    with pytest.raises(ConfigError, match="Found cycle in portmap! a -> b -> a"):
        ports.resolve({"a": "b", "b": "a"})


def test_only_port_references_count() -> None:
    refs = [Ref.from_address(a) for a in ("thermos.ports[http]", "mesos.instance", "thermos.task_id")]
    assert ports.referenced(refs) == {"http"}
