import threading

import trio

from aurorad.api.calls import GetJobs
from aurorad.api.results import Response, Result, ScheduleStatusResult
from aurorad.api.tasks import AssignedTask, ScheduledTask
from aurorad.web.large import decoded, encoded

LARGE = b"x" * (1 << 20)


async def test_what_is_small_is_done_at_once_and_what_is_large_in_a_thread() -> None:
    here = threading.get_ident()
    tasks = tuple(ScheduledTask(AssignedTask(str(i))) for i in range(2000))
    many = Response(result=Result(schedule_status_result=ScheduleStatusResult(tasks)))
    assert await decoded(lambda _: threading.get_ident(), b"x") == here
    assert await encoded(GetJobs(), lambda _: threading.get_ident()) == here
    assert await decoded(lambda _: threading.get_ident(), LARGE) != here
    assert await encoded(many, lambda _: threading.get_ident()) != here


async def test_only_a_few_large_bodies_are_read_at_once() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def decode(_: bytes) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.01)
        with lock:
            running -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(decoded, decode, LARGE)
    assert most == 2
