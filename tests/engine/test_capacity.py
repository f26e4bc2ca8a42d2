from pathlib import Path

import pytest
from frozendict import frozendict

from aurorad.engine.base import Resource
from aurorad.engine.local import capacity
from aurorad.engine.local.capacity import Amounts, amounts, from_resources, to_resources

_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:791D 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:7922 0100007F:791D 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
"""
_UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 00000000:7927 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 3 2 0 0
"""


def test_sums_of_decimal_fractions_come_out_even() -> None:
    total = amounts({"cpus": 0.3})
    for _ in range(3):
        total = total.minus(amounts({"cpus": 0.1}))
    assert total == Amounts()


def test_what_is_missing_is_named() -> None:
    have = amounts({"cpus": 1, "mem": 10}, [1, 2])
    assert have.missing_for(amounts({"cpus": 1, "mem": 10}, [1])) == []
    assert have.missing_for(amounts({"cpus": 1.5, "gpus": 1}, [2, 3])) == ["cpus", "gpus", "ports"]


def test_less_than_nothing_is_nothing() -> None:
    assert amounts({"cpus": 1}).minus(amounts({"cpus": 2})) == Amounts()


def test_resources_and_amounts_say_the_same() -> None:
    resources = (Resource("cpus", scalar=1.5), Resource("ports", ranges=((31000, 31001), (31004, 31004))))
    assert from_resources(resources) == Amounts(frozendict({"cpus": 1.5}), frozenset({31000, 31001, 31004}))
    assert to_resources(from_resources(resources)) == resources


def test_a_resource_in_two_parts_counts_once_as_their_sum() -> None:
    parts = (Resource("cpus", scalar=1.0, role="www"), Resource("cpus", scalar=0.5))
    assert from_resources(parts) == amounts({"cpus": 1.5})


@pytest.mark.parametrize(
    ("cpus", "mem_mb", "disk_mb", "expected"),
    [
        (1, 4096, 102400, {"cpus": 1.25, "mem": 4096 - 1024 + 128, "disk": 102400 - 5120}),
        (2, 1024, 2048, {"cpus": 2.5, "mem": 512 + 256, "disk": 1024}),
    ],
)
def test_a_machine_offers_its_own_less_the_systems_share_and_room_for_executors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cpus: int, mem_mb: int, disk_mb: int, expected: dict[str, float]
) -> None:
    class Size:
        def __init__(self, mb: int) -> None:
            self.total = mb << 20

    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cpus)))
    monkeypatch.setattr("psutil.virtual_memory", lambda: Size(mem_mb))
    monkeypatch.setattr("shutil.disk_usage", lambda _: Size(disk_mb))
    measured = capacity.measure(tmp_path, 0.25, 128)
    assert measured.scalars == expected
    assert (min(measured.ports), max(measured.ports), len(measured.ports)) == (31000, 32000, 1001)


def test_ports_that_others_listen_on_or_have_bound_are_in_use(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(_TCP)
    (tmp_path / "udp6").write_text(_UDP)
    assert capacity.ports_in_use(tmp_path) == {31005, 31015}
