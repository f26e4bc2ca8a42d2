"""Templates of the executor (config-schema sheet, sections 2, 8 and 9)."""

from __future__ import annotations

import pytest

from executor.templates import Bindings, JsonValue, UnboundError, fill, resolve_ports

BINDINGS = Bindings("task-1", 7, "host.example", "www-data", {"http": 31000, "x_7": 31001})


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("no tags", "no tags"),
        ("{{thermos.task_id}}", "task-1"),
        ("{{mesos.instance}} on {{mesos.hostname}}", "7 on host.example"),
        ("{{thermos.user}}", "www-data"),
        ("-p {{thermos.ports[http]}} -p {{thermos.ports[http]}}", "-p 31000 -p 31000"),
        ("{{thermos.ports[x_{{mesos.instance}}]}}", "31001"),
        # Not ours: the client left it for the author.
        ("docker inspect --format '{{.Id}}'", "docker inspect --format '{{.Id}}'"),
        ("{{ spaced }} {{other}} ${#x} {{{}}}", "{{ spaced }} {{other}} ${#x} {{{}}}"),
    ],
)
def test_tags_are_filled_in(text: str, filled: str) -> None:
    assert fill(text, BINDINGS) == filled


def test_every_string_of_a_tree_is_filled_and_nothing_else_changes() -> None:
    tree: JsonValue = {"a": ["{{mesos.instance}}", 1, None, {"b": "{{thermos.user}}"}], "{{mesos.instance}}": True}
    assert fill(tree, BINDINGS) == {"a": ["7", 1, None, {"b": "www-data"}], "{{mesos.instance}}": True}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{thermos.ports[admin]}}", "Task requires unbound port admin!"),
        (
            "{{mesos.nothing}} {{thermos.ports.http}}",
            "Unexpected unbound refs: {{mesos.nothing}} {{thermos.ports.http}}. "
            "Make sure you are not nesting template variables.",
        ),
    ],
)
def test_unbound_tags_of_ours_are_refused(text: str, says: str) -> None:
    with pytest.raises(UnboundError) as refused:
        fill([text], BINDINGS)
    assert str(refused.value) == says


@pytest.mark.parametrize(
    ("portmap", "resolved"),
    [
        ({}, {}),
        (
            {"http": 80, "aurora": "http", "https": "aurora", "thrift": "service"},
            {"http": 80, "aurora": 80, "https": 80},
        ),
        ({"aurora": "8080"}, {"aurora": 8080}),
        ({"aurora": "\u00b2", "\u00b2": 31000}, {"aurora": 31000, "\u00b2": 31000}),
    ],
)
def test_ports_are_followed_to_their_numbers(portmap: dict[str, str | int], resolved: dict[str, int]) -> None:
    assert resolve_ports(portmap) == resolved


def test_ports_that_name_each_other_are_refused() -> None:
    with pytest.raises(UnboundError, match="Found cycle in portmap!"):
        resolve_ports({"a": "b", "b": "a"})
