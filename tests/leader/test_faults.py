"""Candidates and servers to whom everything happens at once: two never lead, and in the end one does.

More than the suite has time for: ``python -m tests.leader.test_faults FIRST LAST`` tries these seeds.
"""

from __future__ import annotations

import contextlib
import math
import random
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from aurorad.leader.zookeeper_leadership import ZooKeeperLeadership
from tests.leader.harness import SHORT_S, connected, until
from tests.zookeeper import Ensemble, Relay

PATH = "/aurora/scheduler"
_STILL_A_MEMBER_S = (
    1.5  # who stands still for longer joins the ensemble again, after which 3.8.0 may hang (ZOOKEEPER-4712)
)
FAULTS = ("kill", "freeze", "freeze", "isolate", "isolate", "cut", "no quorum", "withdraw")


class Candidate:
    """One process after the other: each ends when it is defeated. It has a way of its own to each server."""

    def __init__(self, name: str, ways: list[Relay], leading: dict[str, ZooKeeperLeadership]) -> None:
        self.name = name
        self.ways = ways
        self.reigns = 0
        self._leading = leading

    async def live(self) -> None:
        while True:
            endpoints = [way.address for way in self.ways]
            async with (
                connected(*endpoints, session_timeout_s=SHORT_S, patience_s=math.inf) as session,
                trio.open_nursery() as nursery,
            ):
                leadership = ZooKeeperLeadership(session, PATH, self.name, 8081)
                await nursery.start(leadership.run)
                await self._reign(leadership)
                nursery.cancel_scope.cancel()

    async def _reign(self, leadership: ZooKeeperLeadership) -> None:
        await leadership.elected()
        others = [name for name, other in self._leading.items() if other.leads]
        assert not others, f"{self.name} was elected while {others} led"
        self._leading[self.name] = leadership
        self.reigns += 1
        await leadership.defeated()
        assert not leadership.leads
        del self._leading[self.name]


@asynccontextmanager
async def candidates(ensemble: Ensemble) -> AsyncIterator[tuple[list[Candidate], dict[str, ZooKeeperLeadership]]]:
    leading: dict[str, ZooKeeperLeadership] = {}
    with contextlib.ExitStack() as stack:
        all_ = [
            Candidate(f"host{n}", [stack.enter_context(Relay(server)) for server in ensemble.servers], leading)
            for n in range(3)
        ]
        async with trio.open_nursery() as nursery:
            for one in all_:
                nursery.start_soon(one.live)
            yield all_, leading
            nursery.cancel_scope.cancel()


async def storm(ensemble: Ensemble, seed: int, steps: int) -> int:
    """How often one was elected."""
    rng = random.Random(seed)
    async with candidates(ensemble) as (all_, leading):
        await until(lambda: bool(leading))
        for _ in range(steps):
            await happen(rng.choice(FAULTS), ensemble, rng.choice(all_), leading, rng)
            await trio.sleep(rng.uniform(0, 0.5))
        await until(lambda: len(leading) == 1)
        return sum(one.reigns for one in all_)


async def happen(
    fault: str, ensemble: Ensemble, one: Candidate, leading: dict[str, ZooKeeperLeadership], rng: random.Random
) -> None:
    duration_s = rng.uniform(0.2, 1.5 * SHORT_S)
    if fault in ("freeze", "no quorum"):
        duration_s = min(duration_s, _STILL_A_MEMBER_S)
    servers = rng.sample(ensemble.servers, 2)
    with contextlib.ExitStack() as stack:
        match fault:
            case "kill":
                servers[0].stop()
                stack.callback(servers[0].launch)
            case "freeze":
                stack.enter_context(servers[0].frozen())
            case "no quorum":
                for server in servers:
                    stack.enter_context(server.frozen())
            case "isolate":
                for way in one.ways:
                    stack.enter_context(way.still())
            case "cut":
                for way in one.ways:
                    way.cut()
            case _:
                for leadership in list(leading.values()):
                    await leadership.withdraw()
        await trio.sleep(duration_s)


@pytest.mark.parametrize("seed", [1])
async def test_two_never_lead_at_once_and_in_the_end_one_does(ensemble: Ensemble, seed: int) -> None:
    assert await storm(ensemble, seed, steps=5) > 0


def main() -> None:
    first, last = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        ensemble = Ensemble(Path(folder))
        try:
            for seed in range(first, last + 1):
                ensemble.start()
                print(f"seed {seed}: {trio.run(storm, ensemble, seed, 12)} reigns", flush=True)
        finally:
            ensemble.stop()


if __name__ == "__main__":
    main()
