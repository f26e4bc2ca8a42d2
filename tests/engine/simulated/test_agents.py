"""Agents come from flags or a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.api.tasks import Attribute
from aurorad.engine.base import Resource
from aurorad.engine.simulated.agents import Agent, BadAgents, make_agents, read_agents

LINE = "agent-1 host-1 16 65536 500000.5 31000-32000 rack=r1,zone=z9,dedicated=stores/disk"


def read(folder: Path, text: str) -> tuple[Agent, ...]:
    file = folder / "agents"
    file.write_text(text)
    return read_agents(file)


def test_a_line_is_an_agent(tmp_path: Path) -> None:
    (agent,) = read(tmp_path, LINE)
    assert (agent.id, agent.hostname) == ("agent-1", "host-1")
    assert agent.resources == (
        Resource("cpus", 16.0),
        Resource("mem", 65536.0),
        Resource("disk", 500000.5),
        Resource("ports", ranges=((31000, 32000),)),
    )
    assert agent.attributes == {
        Attribute("host", frozenset({"host-1"})),
        Attribute("rack", frozenset({"r1"})),
        Attribute("zone", frozenset({"z9"})),
        Attribute("dedicated", frozenset({"stores/disk"})),
    }


def test_attributes_may_be_left_out_and_lines_be_empty_or_comments(tmp_path: Path) -> None:
    agents = read(tmp_path, "# ours\n\na h 1 2 3 4-5\n  b   i 1 2 3 4-5   x=1,x=2\n")
    assert [agent.id for agent in agents] == ["a", "b"]
    assert Attribute("x", frozenset({"1", "2"})) in agents[1].attributes


@pytest.mark.parametrize(
    "line",
    [
        "agent-1",
        "a h 1 2 3",
        "a h one 2 3 4-5",
        "a h -1 2 3 4-5",
        "a h 1 2 3 5-4",
        "a h 1 2 3 4-65536",
        "a h 1 2 3 4-5 rack",
        "a h 1 2 3 4-5 =r1",
        "a h 1 2 3 4-5 rack=r1 zone=z",
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadAgents, match=r"agents, line 2: 'id host cpus .*' was expected, not ") as refused:
        read(tmp_path, f"{LINE}\n{line}\n")
    assert str(refused.value).endswith(f"not {line!r}")


def test_a_file_without_agents_or_with_one_twice_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAgents, match="no agents"):
        read(tmp_path, "# nothing\n")
    with pytest.raises(BadAgents, match="line 2: agent agent-1 is there already"):
        read(tmp_path, f"{LINE}\n{LINE}")
    with pytest.raises(BadAgents, match="cannot be read: No such file"):
        read_agents(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(BadAgents, match="cannot be read: "):
        read_agents(tmp_path / "binary")


def test_made_agents_are_spread_over_racks() -> None:
    made = list(make_agents(5, cpus=1, mem_mb=2, disk_mb=3, ports=(4, 5), racks=2))
    racks = [value for agent in made for a in agent.attributes if a.name == "rack" for value in a.values]
    assert racks == ["rack-1", "rack-2", "rack-1", "rack-2", "rack-1"]
    assert len({agent.id for agent in made}) == len({agent.hostname for agent in made}) == 5
