"""What the process says that it is doing."""

import trio

from aurorad import introspection


class Service:
    async def run(self) -> None:
        await trio.sleep_forever()


async def holds(lock: trio.Lock, begun: trio.Event) -> None:
    async with lock:
        begun.set()
        await trio.sleep_forever()


async def wants(lock: trio.Lock) -> None:
    async with lock:
        raise AssertionError


async def test_each_task_is_told_with_where_it_is() -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(Service().run)
        await trio.testing.wait_all_tasks_blocked()
        text = await introspection.as_text()
        nursery.cancel_scope.cancel()
    lines = [line.strip() for line in text.splitlines()]
    assert "Name: MainThread" in lines
    assert "Task: tests.test_introspection.Service.run (3 of them)" in lines
    assert any(line.startswith("tests/test_introspection.py:") and line.endswith(" run") for line in lines)


async def test_who_waits_for_a_lock_is_told_with_who_has_it() -> None:
    lock, begun = trio.Lock(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(holds, lock, begun)
        await begun.wait()
        nursery.start_soon(wants, lock)
        await trio.testing.wait_all_tasks_blocked()
        found = [wait for wait in introspection.waits() if wait.name.endswith("wants")]
        nursery.cancel_scope.cancel()
    assert [(wait.what, wait.held_by) for wait in found] == [("Lock", ("tests.test_introspection.holds",))]


def test_services_are_the_classes_of_ours_that_run() -> None:
    names = [
        "<init>",
        "aurorad.storage.storage.Storage.run",
        "aurorad.daemon._Daemon.run",
        "aurorad.scheduler.placement.Placement.run",
        "aurorad.scheduler.placement.Placement.run",
        "aurorad.web.connection.Connection.run.<locals>.inner",
        "hypercorn.trio.run",
    ]
    assert introspection.services(names) == ["Placement", "Storage", "Daemon"]
