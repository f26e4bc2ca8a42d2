"""Whatever a scheduler and fortune do to a cluster, its books are right, and what it tells is true in the end."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from aurorad.engine.base import AgentLost, Offers, Rescind, StatusUpdate, TaskState
from aurorad.engine.simulated.agents import agent
from aurorad.engine.simulated.behaviour import Behaviour
from aurorad.engine.simulated.cluster import Cluster
from aurorad.engine.simulated.tasks import ENDED
from tests.engine.simulated.test_cluster import info

AGENTS = ("a", "b", "c")


class Story:
    """A scheduler that does anything, and notes what it is told."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        behaviour = Behaviour(
            run_s=20, flap_s=1, finish=0.3, fail=0.2, lose=0.1, flap=0.1, strict_offers=self.rng.random() < 0.5
        )
        self.cluster = Cluster([agent(name, f"h-{name}") for name in AGENTS], behaviour, self.rng)
        self.now = 0.0
        self.launched = 0
        self.offers: dict[str, str] = {}
        self.heard: dict[str, TaskState] = {}
        self.cluster.connect(0)
        self.connected = True

    def step(self) -> None:
        self.rng.choice((self.launch, self.launch, self.kill, self.decline, self.wait, self.hosts, self.connection))()
        self.listen()

    def listen(self, acknowledged: float = 0.8) -> None:
        while self.connected and self.cluster.next_at() <= self.now:
            for event in self.cluster.advance(self.now, at_most=self.rng.choice((1, 7, 500))):
                match event:
                    case Offers(offers):
                        assert all(offer.agent_id not in self.offers.values() for offer in offers)
                        self.offers |= {offer.id: offer.agent_id for offer in offers}
                    case Rescind(offer_id):
                        self.offers.pop(offer_id, None)
                    case StatusUpdate():
                        self.heard[event.task_id] = event.state
                        if event.uuid is not None and self.rng.random() < acknowledged:
                            self.cluster.acknowledge(self.now, event.task_id, event.uuid)
                    case AgentLost(agent_id):
                        assert agent_id not in self.offers.values()
            self.cluster.check_invariants()

    def launch(self) -> None:
        if self.offers:
            offer_id = self.rng.choice(sorted(self.offers))
            agent_id = self.offers.pop(offer_id)
            count = self.rng.randrange(4)
            names = [f"t{self.launched + number}" for number in range(count)]
            self.launched += count
            self.cluster.launch(
                self.now, offer_id, [info(name, agent_id) for name in names], self.rng.choice((0.0, 5.0))
            )

    def kill(self) -> None:
        for task_id in sorted(self.cluster.tasks)[:3]:
            self.cluster.kill(self.now, task_id)

    def decline(self) -> None:
        for offer_id in sorted(self.offers)[:2]:
            del self.offers[offer_id]
            self.cluster.decline(self.now, offer_id, self.rng.choice((0.0, 5.0)))

    def wait(self) -> None:
        self.now += self.rng.choice((0.01, 0.2, 3.0, 30.0))
        if not self.connected:
            self.cluster.advance(self.now)

    def hosts(self) -> None:
        name = self.rng.choice(AGENTS)
        if name not in self.cluster.agents:
            self.cluster.add_agent(self.now, agent(name, f"h-{name}"))
            return
        self.rng.choice(
            (
                self.cluster.cut_off,
                self.cluster.reach,
                self.cluster.reach,
                self.cluster.remove_agent,
                self.cluster.rescind,
            )
        )(self.now, name)

    def connection(self) -> None:
        if self.connected:
            self.cluster.disconnect(self.now)
            self.offers.clear()
        else:
            self.cluster.connect(self.now)
        self.connected = not self.connected

    def end(self) -> None:
        """Everything is well again, and a scheduler that acknowledges asks about all it knows."""
        if not self.connected:
            self.connection()
        for name in self.cluster.agents:
            self.cluster.reach(self.now, name)
        for _ in range(20):
            self.now += 20
            self.listen(acknowledged=1)
        self.cluster.reconcile(self.now, sorted(self.heard))
        self.listen(acknowledged=1)


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_the_books_are_right_and_in_the_end_a_scheduler_knows_what_is(seed: int) -> None:
    story = Story(seed)
    for _ in range(60):
        story.step()
    story.end()
    running = {task.id: task.state for task in story.cluster.running()}
    assert {task_id: state for task_id, state in story.heard.items() if state not in ENDED} == running
    assert set(story.cluster.tasks) == set(running)
    assert set(story.offers.values()) == set(story.cluster.agents)
