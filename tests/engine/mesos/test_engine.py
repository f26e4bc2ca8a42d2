"""How the engine gets on with a master that does what it likes."""

from __future__ import annotations

import itertools
import json
import logging
import math
import socket
import struct
from collections.abc import Callable, Mapping

import msgspec
import pytest
import trio
from trio.testing import MockClock

from aurorad.engine import base
from aurorad.engine.base import (
    AgentLost,
    Disconnected,
    InverseOffer,
    Offers,
    Registered,
    Rescind,
    StatusUpdate,
    TaskState,
)
from aurorad.engine.mesos.engine import FrameworkFailed, FrameworkRemoved
from aurorad.engine.mesos.framework import Credential
from aurorad.engine.mesos.launching import Unlaunchable
from aurorad.vars import Vars
from tests.engine.mesos.fake_master import WRONG_STREAM, Answer, FakeMaster, Json, Stream, fake_master, serving
from tests.engine.mesos.session import Commands, engine_at, session, task

REFUSALS = {
    "a master that fails": Answer(500, "Internal error"),
    "a master that cannot read the call": Answer(400, "Failed to convert JSON into Call protobuf"),
    "a credential that is refused": Answer(401),
    "a redirect to nowhere": Answer(307, "", (("Location", "/master"),)),
    "an answer that is no subscription": Answer(200, "hello"),
}


def offered(*ids: str, agent: str = "agent") -> Json:
    offers = [
        {
            "id": {"value": id_},
            "framework_id": {"value": "framework"},
            "agent_id": {"value": agent},
            "hostname": "host",
            "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 4.0}, "role": "*"}],
        }
        for id_ in ids
    ]
    return {"type": "OFFERS", "offers": {"offers": offers}}


def update(task_id: str, state: str, uuid: str | None = "AAAA", **more: object) -> Json:
    status = {"task_id": {"value": task_id}, "state": state, "agent_id": {"value": "agent"}, **more}
    if uuid is not None:
        status["uuid"] = uuid
    return {"type": "UPDATE", "update": {"status": status}}


def an_offer(id_: str = "offer") -> base.Offer:
    return base.Offer(id_, "agent", "host", ())


async def test_it_registers_anew_or_as_the_framework_that_it_was() -> None:
    async with fake_master() as (master, address):
        async with session(engine_at(address)) as it:
            assert await it.hear(Registered) == Registered("framework")
            (first, no_id) = ((await master.streams.receive()).call, None)
        async with session(engine_at(address), "framework") as it:
            await it.hear(Registered)
            second = (await master.streams.receive()).call
    assert first.get("framework_id") is no_id
    assert "id" not in first["subscribe"]["framework_info"]
    assert second["framework_id"] == second["subscribe"]["framework_info"]["id"] == {"value": "framework"}


async def test_a_credential_goes_with_every_call_and_into_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen = []

    def refuses(call: Json, headers: Mapping[str, str]) -> None:
        seen.append((call["type"], headers["authorization"]))

    engine_credential = Credential("aurora", "secret")
    async with fake_master() as (master, address):
        master.refuses = refuses
        engine = engine_at(address, credential=engine_credential)
        async with session(engine) as it:
            await it.hear(Registered)
            await it.engine.kill("task")
            await master.called("KILL")
    assert seen == [("SUBSCRIBE", "Basic YXVyb3JhOnNlY3JldA=="), ("KILL", "Basic YXVyb3JhOnNlY3JldA==")]
    assert "secret" not in repr(engine_credential)
    assert not [record for record in caplog.records if "YXVyb3" in record.getMessage()]


CUTS: dict[str, Callable[[Stream], None]] = {
    "died": Stream.cut,
    "ended": Stream.end,
    "talked nonsense": lambda stream: stream.send(b"hello\n"),
    "sent no JSON": lambda stream: stream.send(b"5\n{]..."),
    "sent what is no event": lambda stream: stream.tell({"type": "UPDATE", "update": {"status": {}}}),
    "fell silent": lambda stream: None,
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_it_comes_back_when_the_master(cut: Callable[[Stream], None], quick_clock: MockClock) -> None:
    async with fake_master() as (master, address), session(engine_at(address)) as it:
        for _ in range(4):
            await it.hear(Registered)
            cut(await master.streams.receive())
            await it.hear(Disconnected)
        await it.hear(Registered)
        assert (await master.streams.receive()).call["framework_id"] == {"value": "framework"}


async def test_a_cut_of_the_connection_for_calls_is_one_of_the_subscription(quick_clock: MockClock) -> None:
    async with fake_master() as (_, address), session(engine_at(address)) as it:
        await it.hear(Registered)
        subscription = it.engine._subscription
        assert subscription is not None
        stream = subscription.calls._stream
        assert isinstance(stream, trio.SocketStream)
        stream.socket.shutdown(trio.socket.SHUT_RDWR)
        await it.hear(Disconnected)
        await it.hear(Registered)


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
async def test_it_tries_on_after(refusal: Answer, quick_clock: MockClock) -> None:
    refused: list[float] = []

    def refuses(call: Json, headers: object) -> Answer | None:
        if len(refused) == 8:
            return None
        refused.append(trio.current_time())
        return refusal

    stats = Vars()
    async with fake_master() as (master, address):
        master.refuses = refuses
        async with session(engine_at(address, stats)) as it:
            with trio.fail_after(600):
                await it._see()
    waits = [later - earlier for earlier, later in itertools.pairwise(refused)]
    for wait, least in zip(waits, [0.5, 1, 2, 4, 8, 16, 30], strict=True):
        assert least <= wait < 2.1 * least
    assert stats.get("mesos_scheduler_subscription_attempts") == 9


async def test_a_master_that_recovers_is_not_left_waiting_for_long(quick_clock: MockClock) -> None:
    began = trio.current_time()
    async with fake_master() as (master, address):
        recovering = Answer(503, "Master has not finished recovery")
        master.refuses = lambda call, headers: recovering if trio.current_time() < began + 300 else None
        async with session(engine_at(address)) as it:
            with trio.fail_after(306):
                await it._see()


async def test_it_goes_where_it_is_sent_and_does_not_go_round_for_ever(quick_clock: MockClock) -> None:
    async with fake_master() as (leader, leading), fake_master() as (other, address):
        other.refuses = lambda call, headers: Answer(307, "", (("Location", f"//{leading}/master/api/v1/scheduler"),))
        async with session(engine_at(address)) as it:
            await it.hear(Registered)
            await it.engine.kill("task")
            await leader.called("KILL")
        leader.refuses = lambda call, headers: Answer(307, "", (("Location", f"//{address}/api/v1/scheduler"),))
        stats = Vars()
        async with session(engine_at(address, stats)):
            await trio.sleep(100)
        assert 5 < int(stats.get("mesos_scheduler_subscription_attempts")) < 12


async def test_of_several_masters_one_after_the_other_is_asked(quick_clock: MockClock) -> None:
    async with (
        fake_master() as (first, one),
        fake_master() as (second, two),
        session(engine_at(f"127.0.0.1:1,{one},{two}")) as it,
    ):
        for master in (first, second, first):
            await it.hear(Registered)
            (await master.streams.receive()).cut()
            await it.hear(Disconnected)


async def test_a_full_channel_loses_nothing_and_no_heartbeat_is_missed(quick_clock: MockClock) -> None:
    send, events = trio.open_memory_channel[base.Event](0)
    async with fake_master(heartbeat_s=1.0) as (master, address), trio.open_nursery() as nursery:
        nursery.start_soon(engine_at(address).run, send, None)
        assert isinstance(await events.receive(), Registered)
        stream = await master.streams.receive()
        for number in range(20):
            stream.tell({"type": "HEARTBEAT"}, {"type": "RESCIND", "rescind": {"offer_id": {"value": str(number)}}})
            await trio.sleep(1.0)
        heard = [await events.receive() for _ in range(20)]
        assert heard == [Rescind(str(number)) for number in range(20)]
        nursery.cancel_scope.cancel()


async def test_many_offers_hold_nobody_up() -> None:
    """An offer in each of so many agents comes in one record."""
    body = json.dumps(offered(*(str(number) for number in range(20_000)))).encode()
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await trio.sleep(0.001)
            turns += 1

    async with fake_master() as (master, address), session(engine_at(address)) as it, trio.open_nursery() as nursery:
        await it.hear(Registered)
        stream = await master.streams.receive()
        nursery.start_soon(turn)
        stream.send(b"%d\n%b" % (len(body), body))
        assert len((await it.hear(Offers)).offers) == 20_000
        nursery.cancel_scope.cancel()
    assert turns > 10


async def test_an_error_ends_it_with_the_masters_words() -> None:
    async with fake_master() as (master, address):
        send, _events = trio.open_memory_channel[base.Event](math.inf)

        async def fail(text: str) -> None:
            (await master.streams.receive()).tell({"type": "ERROR", "error": {"message": text}})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, "Framework failed over")
            with pytest.raises(FrameworkFailed, match="Framework failed over"):
                await engine_at(address).run(send, None)
            nursery.start_soon(fail, "Framework has been removed")
            with pytest.raises(FrameworkRemoved, match=r"framework .*-forget_framework=framework"):
                await engine_at(address).run(send, "framework")


async def test_events_are_told_as_the_engines() -> None:
    stats = Vars()
    async with fake_master() as (master, address), session(engine_at(address, stats)) as it:
        stream = await master.streams.receive()
        start = {"unavailability": {"start": {"nanoseconds": 7_000_000_000}}}
        url = {"url": {"address": {"hostname": "host", "port": 5051}}}
        stream.tell(
            {"type": "FAILURE", "failure": {"agent_id": {"value": "agent"}}},
            {"type": "FAILURE", "failure": {}},
            {"type": "MESSAGE", "message": {"data": "AAAA"}},
            {"type": "RESCIND_INVERSE_OFFER", "rescind_inverse_offer": {"inverse_offer_id": {"value": "i"}}},
            {"type": "SOMETHING_NEW"},
            {"type": "INVERSE_OFFERS", "inverse_offers": {"inverse_offers": [{"id": {"value": "i"}, **url, **start}]}},
        )
        assert await it.hear(AgentLost) == AgentLost("agent")
        assert await it.hear(InverseOffer) == InverseOffer("i", "host", 7000)
        accepted = (await master.called("ACCEPT_INVERSE_OFFERS"))["accept_inverse_offers"]
        assert accepted == {"inverse_offer_ids": [{"value": "i"}], "filters": {}}
    counted = {name: value for name, value in stats.snapshot().items() if "_event_" in name and value}
    assert counted == {
        "mesos_scheduler_event_FAILURE": 2,
        "mesos_scheduler_event_HEARTBEAT": 1,
        "mesos_scheduler_event_INVERSE_OFFERS": 1,
        "mesos_scheduler_event_MESSAGE": 1,
        "mesos_scheduler_event_RESCIND_INVERSE_OFFER": 1,
        "mesos_scheduler_event_SUBSCRIBED": 1,
        "mesos_scheduler_event_UNKNOWN": 1,
    }
    assert stats.get("scheduler_framework_message") == 1


async def test_calls_come_in_the_order_they_were_made() -> None:
    async with fake_master() as (master, address), session(engine_at(address)) as it:
        await it.hear(Registered)
        for number in range(3000):  # more than may be unanswered at a time
            await it.engine.kill(str(number))
        killed = [(await master.calls.receive())["kill"]["task_id"]["value"] for _ in range(3000)]
        assert killed == [str(number) for number in range(3000)]


async def test_a_call_that_is_cancelled_is_no_half_call() -> None:
    async with fake_master() as (master, address), session(engine_at(address)) as it:
        await it.hear(Registered)
        with trio.CancelScope() as scope:
            scope.cancel()
            await it.engine.reconcile(tuple(map(str, range(1000))))
        await it.engine.kill("task")
        while (call := await master.calls.receive())["type"] != "KILL":
            assert len(call["reconcile"]["tasks"]) == 1000


async def test_what_any_master_can_be_told_waits_for_one_and_what_is_void_does_not(quick_clock: MockClock) -> None:
    async with fake_master() as (master, address), session(engine_at(address)) as it, trio.open_nursery() as nursery:
        await it.hear(Registered)
        master.refuses = lambda call, headers: Answer(503)
        (await master.streams.receive()).cut()
        await it.hear(Disconnected)
        nursery.start_soon(it.engine.kill, "task")
        nursery.start_soon(it.engine.reconcile, ())
        await it.engine.decline("offer", 0.0)
        await it.engine.acknowledge(StatusUpdate("task", TaskState.TASK_RUNNING, "agent", uuid=b"1"))
        await it.engine.suppress()
        await it.engine.revive()
        await it.engine.launch("offer", (task(an_offer(), "lost"),), 0.0)
        dropped = await it.hear(StatusUpdate)
        assert (dropped.task_id, dropped.state, dropped.uuid) == ("lost", TaskState.TASK_DROPPED, None)
        master.refuses = lambda call, headers: None
        await it.hear(Registered)
        assert {(await master.calls.receive())["type"] for _ in range(2)} == {"KILL", "RECONCILE"}
        assert master.calls.statistics().current_buffer_used == 0


async def test_launches_of_which_nothing_was_heard_are_asked_about_until_there_is_an_answer(
    quick_clock: MockClock,
) -> None:
    async with fake_master() as (master, address), session(engine_at(address)) as it:
        stream = await master.streams.receive()
        stream.tell(offered("offer"))
        offer = await it.offer()
        await it.engine.launch(offer.id, (task(offer, "heard"), task(offer, "staging"), task(offer, "lost")), 0.0)
        accept = (await master.called("ACCEPT"))["accept"]
        assert accept["offer_ids"] == [{"value": "offer"}]
        assert accept["filters"] == {"refuse_seconds": 0.0}
        assert [each["task_id"]["value"] for each in accept["operations"][0]["launch"]["task_infos"]] == [
            *("heard", "staging", "lost")
        ]
        stream.tell(update("heard", "TASK_STARTING"), update("staging", "TASK_STAGING", uuid=None))
        await it.state("staging", TaskState.TASK_STAGING)
        stream.cut()
        stream = await master.streams.receive()
        for _ in range(3):
            asked = (await master.called("RECONCILE"))["reconcile"]["tasks"]
            assert sorted(each["task_id"]["value"] for each in asked) == ["lost", "staging"]
            assert {each["agent_id"]["value"] for each in asked} == {"agent"}
        stream.tell(update("lost", "TASK_LOST", uuid=None), update("staging", "TASK_RUNNING"))
        await it.state("staging", TaskState.TASK_RUNNING)
        await trio.sleep(300)
        assert master.calls.statistics().current_buffer_used <= 1  # the acknowledgement


async def test_a_launch_that_is_refused_is_an_error_of_its_tasks_and_of_nothing_else() -> None:
    class Picky(Commands):
        def task(self, info: base.TaskInfo, framework_id: str) -> msgspec.Struct:
            if info.task_id.startswith("bad"):
                raise Unlaunchable("Task had no supported container set.")
            return super().task(info, framework_id)

    offer = an_offer()
    async with fake_master() as (master, address), session(engine_at(address, launching=Picky())) as it:
        await it.hear(Registered)
        await it.engine.launch(offer.id, (task(offer, "bad"), task(offer, "good")), 0.0)
        (operation,) = (await master.called("ACCEPT"))["accept"]["operations"]
        assert [each["task_id"]["value"] for each in operation["launch"]["task_infos"]] == ["good"]
        assert (await it.state("bad", TaskState.TASK_ERROR)).message == "Task had no supported container set."
        await it.engine.launch(offer.id, (task(offer, "bad 2"),), 3.0)
        assert (await master.called("DECLINE"))["decline"] == {
            "offer_ids": [{"value": "offer"}],
            "filters": {"refuse_seconds": 3.0},
        }
        master.refuses = lambda call, headers: Answer(400, "no") if call["type"] == "ACCEPT" else None
        await it.engine.launch(offer.id, (task(offer, "refused"),), 0.0)
        assert (await it.state("refused", TaskState.TASK_ERROR)).message == "Mesos refuses to launch it: no"
        await it.engine.kill("task")  # over the same subscription
        await master.called("KILL")


async def test_calls_that_fail_are_counted() -> None:
    stats = Vars()
    async with fake_master() as (master, address), session(engine_at(address, stats)) as it:
        await it.hear(Registered)
        master.refuses = lambda call, headers: Answer(400, "no") if call["type"] == "KILL" else None
        await it.engine.kill("task")
        await it.engine.reconcile(())
        assert (await master.called("RECONCILE"))["reconcile"] == {"tasks": []}
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert stats.get("scheduler_driver_kill_failures") == 1


async def test_a_master_that_answers_no_calls_is_left_though_it_tells_events(quick_clock: MockClock) -> None:
    master = FakeMaster()
    forgotten: list[Json] = []

    async def handle(call: Json, headers: Mapping[str, str]) -> Answer | Stream:
        if call["type"] == "KILL" and not forgotten:
            forgotten.append(call)
            await trio.sleep_forever()
        return await master.handle(call, headers)

    async with serving(handle) as address, session(engine_at(address)) as it, trio.open_nursery() as nursery:
        await it.hear(Registered)
        nursery.start_soon(_beat, await master.streams.receive())
        await it.engine.kill("task")
        await it.hear(Disconnected)
        await it.hear(Registered)
        await it.engine.kill("task")
        await master.called("KILL")
        nursery.cancel_scope.cancel()


async def _beat(stream: Stream) -> None:
    while True:
        stream.tell({"type": "HEARTBEAT"})
        await trio.sleep(15)


@pytest.mark.parametrize(
    "answer",
    [
        *(Answer(status) for status in (307, 401, 403, 500, 503)),
        Answer(400, WRONG_STREAM.format("x", "framework")),
        Answer(400, "Framework cannot be found"),
        Answer(400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header"),
    ],
)
async def test_who_is_not_known_any_more_subscribes_again(answer: Answer, quick_clock: MockClock) -> None:
    async with fake_master() as (master, address), session(engine_at(address)) as it:
        await it.hear(Registered)
        master.refuses = lambda call, headers: answer if call["type"] == "KILL" else None
        await it.engine.kill("task")
        await it.hear(Disconnected)
        await it.hear(Registered)


async def test_a_stream_that_is_not_the_masters_any_more_is_left(quick_clock: MockClock) -> None:
    async with fake_master() as (master, address), session(engine_at(address)) as it:
        await it.hear(Registered)
        assert master._stream is not None
        master._stream.id = "another"
        await it.engine.kill("task")
        await it.hear(Disconnected)
        await it.hear(Registered)


async def test_a_master_that_takes_connections_and_says_nothing_is_not_waited_for(quick_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener, fake_master() as (_, address):
            silent = f"127.0.0.1:{listener.socket.getsockname()[1]}"
            async with session(engine_at(f"{silent},{address}")) as it:
                await it.hear(Registered)
        nursery.cancel_scope.cancel()


async def test_a_connection_that_is_reset_before_anything_was_sent_is_tried_again(
    quick_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resets(stream: trio.SocketStream) -> None:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def opened_late(host: str, port: int) -> trio.SocketStream:
        stream = await connect(host, port)
        if port == listener.socket.getsockname()[1]:
            await trio.lowlevel.wait_readable(stream.socket)
        return stream

    connect = trio.open_tcp_stream
    monkeypatch.setattr(trio, "open_tcp_stream", opened_late)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, resets, [listener])
        async with fake_master() as (_, address):
            ending = f"127.0.0.1:{listener.socket.getsockname()[1]}"
            async with session(engine_at(f"{ending},{address}")) as it:
                await it.hear(Registered)
        nursery.cancel_scope.cancel()


@pytest.fixture(params=["subscribing", "subscribed", "waiting to try again", "telling a full channel"])
def moment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_it_can_be_cancelled_while(moment: str) -> None:
    async def never(call: Json, headers: object) -> Answer:
        await trio.sleep_forever()
        raise AssertionError

    master = FakeMaster()
    if moment == "waiting to try again":
        master.refuses = lambda call, headers: Answer(503)
    send, _events = trio.open_memory_channel[base.Event](0 if "full" in moment else 10)
    handle = never if moment == "subscribing" else master.handle
    async with serving(handle) as address, trio.open_nursery() as nursery:
        nursery.start_soon(engine_at(address).run, send, None)
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()
