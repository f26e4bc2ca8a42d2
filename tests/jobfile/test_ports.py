from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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


def test_only_decimal_digits_are_a_number() -> None:
    assert ports.resolve({"a": "007", "b": "8080x", "c": "²", "d": "-1"}) == {"a": 7, "b": "8080x", "c": "²", "d": "-1"}


UNHURRIED = settings(max_examples=60)
_names = st.sampled_from("abcdef")
_portmaps = st.dictionaries(_names, st.one_of(_names, st.integers(0, 65535).map(str)))


@UNHURRIED
@given(_portmaps)
def test_a_portmap_leads_somewhere_or_goes_in_a_circle(portmap: dict[str, str]) -> None:
    """A name is followed until a number or an unmapped name; only a circle has neither."""
    try:
        resolved = ports.resolve(portmap)
    except ConfigError:
        ends = {name for name, target in portmap.items() if target not in portmap}
        while reached := {name for name in portmap.keys() - ends if portmap[name] in ends}:
            ends |= reached
        assert portmap.keys() - ends
        return
    for name, target in resolved.items():
        assert isinstance(target, int) or target not in portmap
        following = portmap[name]
        assert target == (int(following) if following.isdecimal() else resolved.get(following, following))


@UNHURRIED
@given(_portmaps, st.sets(_names))
def test_only_names_are_asked_for_and_none_that_has_a_number(portmap: dict[str, str], mentioned: set[str]) -> None:
    try:
        resolved = ports.resolve(portmap)
    except ConfigError:
        return
    asked = ports.requested(portmap, mentioned)
    assert asked <= mentioned | set(portmap.values())
    assert not asked & {name for name, target in resolved.items() if isinstance(target, int)}
    assert asked >= mentioned - portmap.keys()
