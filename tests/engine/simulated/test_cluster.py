"""A pretended cluster does what a Mesos master and its agents do."""

from __future__ import annotations

import random

import pytest

from aurorad.engine.base import (
    AgentLost,
    Event,
    InverseOffer,
    Offer,
    Offers,
    Rescind,
    Resource,
    StatusUpdate,
    TaskInfo,
    TaskState,
)
from aurorad.engine.simulated.agents import agent
from aurorad.engine.simulated.behaviour import Behaviour
from aurorad.engine.simulated.cluster import Cluster, UnknownAgent
from aurorad.engine.simulated.hosts import Amounts
from aurorad.engine.simulated.tasks import ENDED


class Run:
    """A cluster and its scheduler's notes. Time passes only by `until`."""

    def __init__(self, *agents: str, behaviour: Behaviour | None = None, seed: int = 1) -> None:
        names = agents or ("a",)
        self.cluster = Cluster([agent(name, f"host-{name}") for name in names], behaviour, random.Random(seed))
        self.now = 0.0
        self.events: list[Event] = []
        self.acknowledging = True
        self.cluster.connect(self.now)
        self.tell()

    def tell(self) -> list[Event]:
        """Everything there is to hear now."""
        told: list[Event] = []
        while self.cluster.next_at() <= self.now:
            events = self.cluster.advance(self.now)
            told += events
            for event in events:
                if isinstance(event, StatusUpdate) and event.uuid is not None and self.acknowledging:
                    self.cluster.acknowledge(self.now, event.task_id, event.uuid)
        self.cluster.check_invariants()
        self.events += told
        return told

    def until(self, now: float) -> list[Event]:
        """What is heard up to this time."""
        told = self.tell()
        while self.cluster.next_at() <= now:
            self.now = self.cluster.next_at()
            told += self.tell()
        self.now = now
        return told

    @property
    def offers(self) -> dict[str, Offer]:
        """The offers that are out, by agent."""
        out: dict[str, Offer] = {}
        for event in self.events:
            if isinstance(event, Offers):
                out.update({offer.agent_id: offer for offer in event.offers})
        return {a: o for a, o in out.items() if self.cluster.agents[a].offer_id == o.id}

    def launch(self, *task_ids: str, on: str = "a", refuse_s: float = 0.0, cpus: float = 1) -> None:
        infos = tuple(info(task_id, on, cpus) for task_id in task_ids)
        self.cluster.launch(self.now, self.offers[on].id, infos, refuse_s)


def info(task_id: str, agent_id: str = "a", cpus: float = 1, ports: tuple[tuple[int, int], ...] = ()) -> TaskInfo:
    resources = (Resource("cpus", cpus), Resource("mem", 32.0), *((Resource("ports", ranges=ports),) if ports else ()))
    return TaskInfo(task_id, "www/prod/web", agent_id, resources, "", (), f"www.prod.web.{task_id}", (), b"")


def statuses(events: list[Event]) -> list[tuple[str, str]]:
    return [(e.task_id, e.state.removeprefix("TASK_")) for e in events if isinstance(e, StatusUpdate)]


def free(offer: Offer) -> dict[str, object]:
    return {r.name: r.scalar if r.scalar is not None else r.ranges for r in offer.resources}


def test_all_that_is_free_is_offered_once() -> None:
    run = Run("a", "b")
    assert free(run.offers["a"]) == {"cpus": 16, "mem": 65536, "disk": 500000, "ports": ((31000, 32000),)}
    assert list(run.offers) == ["a", "b"]
    assert run.until(1000) == []


def test_a_launched_task_starts_and_runs_at_the_recorded_times() -> None:
    run = Run()
    run.launch("t")
    assert statuses(run.until(0.14)) == []
    assert statuses(run.until(0.16)) == [("t", "STARTING")]
    assert statuses(run.until(0.29)) == []
    assert statuses(run.until(1000)) == [("t", "RUNNING")]


def test_what_launched_tasks_leave_is_offered_at_once_or_when_the_refusal_ends() -> None:
    run = Run()
    run.launch("t")
    assert isinstance(run.tell()[0], Offers)
    assert free(run.offers["a"])["cpus"] == 15
    run.launch("u", refuse_s=5)
    assert run.offers == {}
    run.until(4.9)
    assert run.offers == {}
    run.until(5.1)
    assert free(run.offers["a"])["cpus"] == 14


def test_a_declined_offer_comes_back_after_its_time_or_when_there_is_more() -> None:
    run = Run("a", "b")
    run.launch("t", on="a")
    run.until(1)
    for name in ("a", "b"):
        run.cluster.decline(run.now, run.offers[name].id, 10)
    run.cluster.kill(run.now, "t")
    run.until(1.2)
    assert list(run.offers) == ["a"]
    run.until(11)
    assert list(run.offers) == ["a", "b"]


def test_an_offer_is_replaced_by_a_larger_one_when_tasks_end() -> None:
    run = Run()
    run.launch("t", "u")
    run.until(1)
    first = run.offers["a"]
    run.cluster.kill(run.now, "t")
    run.cluster.kill(run.now, "u")
    told = run.until(2)
    assert statuses(told) == [("t", "KILLED"), ("u", "KILLED")]
    assert [event for event in told if isinstance(event, Rescind)] == [Rescind(first.id)]
    assert free(run.offers["a"])["cpus"] == 16


def test_a_launch_on_an_offer_that_is_gone_is_lost() -> None:
    run = Run()
    run.cluster.launch(run.now, "offer-9", (info("t"),))
    (event,) = run.tell()
    assert isinstance(event, StatusUpdate)
    assert (event.state, event.message, event.reason) == (
        TaskState.TASK_LOST,
        "Task launched with invalid offers",
        "REASON_INVALID_OFFERS",
    )


@pytest.mark.parametrize("strict", [False, True])
def test_a_launch_on_an_offer_that_was_replaced_meanwhile_is_done_or_if_strict_lost(strict: bool) -> None:
    run = Run(behaviour=Behaviour(strict_offers=strict))
    run.launch("t")
    run.until(1)
    first = run.offers["a"].id
    run.cluster.kill(1, "t")
    run.until(2)
    second = run.offers["a"].id
    run.cluster.launch(2, first, (info("u"),))
    told = run.until(3)
    assert statuses(told) == ([("u", "LOST")] if strict else [("u", "STARTING"), ("u", "RUNNING")])
    assert (Rescind(second) in told) is not strict
    assert free(run.offers["a"])["cpus"] == (16 if strict else 15)
    run.cluster.launch(3, first, (info("v"),))
    assert statuses(run.until(4)) == [("v", "LOST")]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (info("t", cpus=17), "Task uses more cpus than available"),
        (info("t", ports=((31000, 31001),)), "Task uses more port 31000 than available"),
        (info("t", ports=((80, 80),)), "Task uses more port 80 than available"),
        (info("s"), "Task has duplicate ID: s"),
    ],
)
def test_a_task_that_does_not_fit_is_an_error(task: TaskInfo, message: str) -> None:
    run = Run()
    run.cluster.launch(run.now, run.offers["a"].id, (info("s", ports=((31000, 31000),)),))
    run.tell()
    run.cluster.launch(run.now, run.offers["a"].id, (task,))
    (event,) = [e for e in run.tell() if isinstance(e, StatusUpdate)]
    assert (event.state, event.message) == (TaskState.TASK_ERROR, message)


def test_ports_in_use_are_not_offered() -> None:
    run = Run()
    run.cluster.launch(run.now, run.offers["a"].id, (info("t", ports=((31000, 31000), (31500, 31501))),))
    run.until(1)
    assert free(run.offers["a"])["ports"] == ((31001, 31499), (31502, 32000))


def test_a_kill_takes_its_time_and_counts_once() -> None:
    run = Run()
    run.launch("t")
    run.until(1)
    run.cluster.kill(1, "t")
    run.until(1.1)
    run.cluster.kill(1.1, "t")
    assert statuses(run.until(1.14)) == []
    told = [event for event in run.until(1000) if isinstance(event, StatusUpdate)]
    assert [(event.state, event.message) for event in told] == [(TaskState.TASK_KILLED, "Instructed to kill task.")]
    assert not run.cluster.tasks


def test_a_task_killed_before_it_runs_never_runs() -> None:
    run = Run()
    run.launch("t")
    run.cluster.kill(0, "t")
    assert statuses(run.until(1000)) == [("t", "KILLED")]


def test_a_kill_of_an_unknown_task_is_lost() -> None:
    run = Run()
    run.cluster.kill(0, "t")
    (event,) = run.tell()
    assert isinstance(event, StatusUpdate)
    assert (event.state, event.message, event.reason) == (
        TaskState.TASK_LOST,
        "Attempted to kill an unknown task",
        "REASON_RECONCILIATION",
    )


def test_updates_are_repeated_in_order_until_acknowledged() -> None:
    run = Run()
    run.acknowledging = False
    run.launch("t")
    assert statuses(run.until(25)) == [("t", "STARTING")] * 3
    run.acknowledging = True
    assert statuses(run.until(100)) == [("t", "STARTING"), ("t", "RUNNING")]


def test_an_end_is_told_until_acknowledged_though_its_resources_are_free() -> None:
    run = Run()
    run.launch("t")
    run.until(1)
    run.acknowledging = False
    run.cluster.kill(1, "t")
    run.until(2)
    assert free(run.offers["a"])["cpus"] == 16
    assert run.cluster.tasks["t"].state is TaskState.TASK_KILLED
    run.acknowledging = True
    assert statuses(run.until(20)) == [("t", "KILLED")]
    assert not run.cluster.tasks


def test_a_new_scheduler_is_offered_everything_and_told_what_was_not_acknowledged() -> None:
    run = Run()
    run.acknowledging = False
    run.launch("t")
    run.until(1)
    run.cluster.disconnect(1)
    assert run.until(100) == []
    run.acknowledging = True
    run.cluster.connect(100)
    told = run.tell()
    assert statuses(told) == [("t", "STARTING"), ("t", "RUNNING")]
    assert free(run.offers["a"])["cpus"] == 15


def test_reconciliation_tells_of_known_and_unknown_tasks() -> None:
    run = Run()
    run.launch("t")
    run.until(1)
    run.cluster.reconcile(1, ("t", "u"))
    told = [event for event in run.tell() if isinstance(event, StatusUpdate)]
    assert statuses([*told]) == [("t", "RUNNING"), ("u", "LOST")]
    assert {event.reason for event in told} == {"REASON_RECONCILIATION"}
    assert told[1].message == "Reconciliation: Task is unknown"
    run.cluster.reconcile(1)
    assert statuses(run.tell()) == [("t", "RUNNING")]


def test_a_removed_agent_takes_its_tasks_along() -> None:
    run = Run("a", "b")
    run.launch("t")
    run.launch("u", on="b")
    run.until(1)
    offer = run.offers["a"]
    run.cluster.remove_agent(1, "a")
    told = run.tell()
    assert told[0] == Rescind(offer.id)
    assert told[-1] == AgentLost("a")
    assert isinstance(told[1], StatusUpdate)
    assert (told[1].task_id, told[1].state, told[1].message) == ("t", TaskState.TASK_LOST, "Agent removed")
    assert list(run.cluster.tasks) == ["u"]
    with pytest.raises(UnknownAgent):
        run.cluster.remove_agent(1, "a")


def test_a_cut_off_agent_comes_back_with_its_tasks_and_what_it_had_to_tell() -> None:
    run = Run()
    run.launch("runs", "ends")
    run.until(1)
    run.cluster.kill(1, "ends")
    run.cluster.cut_off(1, "a")
    assert statuses(run.until(50)) == [("ends", "UNREACHABLE"), ("runs", "UNREACHABLE")]
    assert run.offers == {}
    run.cluster.kill(50, "runs")
    run.cluster.reconcile(50, ("runs",))
    assert statuses(run.tell()) == [("runs", "UNREACHABLE")] * 2
    run.cluster.reach(50, "a")
    assert statuses(run.until(1000)) == [("ends", "KILLED"), ("runs", "RUNNING")]
    assert free(run.offers["a"])["cpus"] == 15


def test_an_announced_unavailability_is_told_and_in_a_new_offer() -> None:
    run = Run()
    first = run.offers["a"]
    run.cluster.announce_unavailability(0, "a", 1234)
    assert run.tell()[:2] == [InverseOffer("inverse-a", "host-a", 1234), Rescind(first.id)]
    assert run.offers["a"].unavailability_start_ms == 1234
    run.cluster.disconnect(0)
    run.cluster.connect(0)
    assert InverseOffer("inverse-a", "host-a", 1234) in run.tell()
    run.cluster.announce_unavailability(0, "a", None)
    run.tell()
    assert run.offers["a"].unavailability_start_ms is None


def test_a_reported_state_is_the_tasks_own_unless_it_is_only_said() -> None:
    run = Run()
    run.launch("t")
    run.until(1)
    run.cluster.report(1, "t", TaskState.TASK_FAILED, account=False)
    assert statuses(run.tell()) == [("t", "FAILED")]
    assert run.cluster.tasks["t"].state is TaskState.TASK_RUNNING
    run.cluster.report(1, "t", TaskState.TASK_FAILED, message="exit 1")
    assert statuses(run.until(2)) == [("t", "FAILED")]
    assert not run.cluster.tasks


def test_a_forgotten_task_is_gone_without_a_word() -> None:
    run = Run()
    run.launch("t")
    run.until(1)
    run.cluster.forget(1, "t")
    assert statuses(run.until(100)) == []
    assert free(run.offers["a"])["cpus"] == 16


def test_an_adopted_task_runs_on_if_there_is_room() -> None:
    cluster = Cluster([agent("a", "host-a", cpus=4)])
    wanted = Amounts.of((Resource("cpus", 3.0),))
    assert cluster.adopt(0, "t", "a", wanted, "www.prod.web.0")
    assert not cluster.adopt(0, "u", "a", wanted, "www.prod.web.1")
    assert not cluster.adopt(0, "u", "b", wanted, "www.prod.web.1")
    cluster.connect(0)
    (event,) = cluster.advance(0)
    assert isinstance(event, Offers)
    assert free(event.offers[0])["cpus"] == 1
    cluster.check_invariants()


def test_tasks_end_by_their_shares() -> None:
    behaviour = Behaviour(run_s=100, finish=0.2, fail=0.3, lose=0.1)
    run = Run(behaviour=behaviour)
    ids = [f"t{number}" for number in range(1000)]
    run.launch(*ids, cpus=0.01)
    ended = [state for _, state in statuses(run.until(200)) if state not in ("STARTING", "RUNNING")]
    assert 150 < ended.count("FINISHED") < 250
    assert 250 < ended.count("FAILED") < 350
    assert 50 < ended.count("LOST") < 150
    assert len(ended) + len(list(run.cluster.running())) == 1000


def test_a_flapping_instance_always_flaps() -> None:
    run = Run(behaviour=Behaviour(flap=0.5, flap_s=1))
    ids = [str(number) for number in range(100)]
    run.launch(*ids, cpus=0.01)
    flapping = {task_id for task_id, state in statuses(run.until(5)) if state == "FAILED"}
    assert 30 < len(flapping) < 70
    for task_id in set(ids) - flapping:
        run.cluster.forget(5, task_id)
    run.until(10)
    run.launch(*ids, cpus=0.01)
    assert {task_id for task_id, state in statuses(run.until(20)) if state == "FAILED"} == flapping


def test_the_same_seed_gives_the_same_events() -> None:
    def events(seed: int) -> list[Event]:
        run = Run("a", "b", behaviour=Behaviour(run_s=5, finish=0.3, fail=0.3, flap=0.2), seed=seed)
        for number in range(20):
            run.launch(f"t{number}", on="ab"[number % 2])
            run.until(number / 3)
        run.cluster.cut_off(run.now, "a")
        run.until(20)
        run.cluster.reach(run.now, "a")
        run.until(40)
        return run.events

    assert events(1) == events(1)
    assert events(1) != events(2)


def test_much_is_told_in_parts() -> None:
    cluster = Cluster(agent(f"a{number}", f"h{number}") for number in range(500))
    cluster.connect(0)
    sizes = []
    while cluster.next_at() <= 0:
        sizes += [len(event.offers) for event in cluster.advance(0) if isinstance(event, Offers)]
    assert sizes == [200, 200, 100]


def test_every_end_is_an_end() -> None:
    assert not ENDED & {TaskState.TASK_RUNNING, TaskState.TASK_UNREACHABLE, TaskState.TASK_KILLING}
