"""Users who set quotas, create and kill jobs and look at them, of whoever leads, and remember all of it."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import requests

from aurorad.api.calls import Call, CreateJob, GetQuota, GetTasksWithoutConfigs, KillTasks, SetQuota
from aurorad.api.enums import ACTIVE_STATES, ResponseCode, ScheduleStatus
from aurorad.api.results import Response, Result
from aurorad.api.tasks import JobKey, Resource, ResourceAggregate, TaskQuery
from tests.cluster.calls import ENVIRONMENT, ROLE, NotDone, Unknown, ask
from tests.cluster.history import ABSENT, Operation, is_linearizable, life, register
from tests.cluster.schedulers import Scheduler
from tests.e2e.jobs import shell_job

PAUSE_S = 0.02
_LIVING = ACTIVE_STATES - {ScheduleStatus.KILLING}


class Users:
    """They use the things of one round, which nobody has used before. They work within the block."""

    def __init__(
        self, schedulers: Sequence[Scheduler], leader: Scheduler, name: str, seed: str, count: int = 4
    ) -> None:
        """One more than `count`: who reads what the leader of the beginning says, whatever has become of it."""
        self._schedulers = list(schedulers)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._values = 0
        self.roles = [f"{name}-{n}" for n in range(2)]
        self.jobs = [f"{name}-{n}" for n in range(count)]
        self.operations: dict[str, list[Operation]] = defaultdict(list)
        self.acknowledged: list[tuple[float, float]] = []
        """When each write that was acknowledged began and ended."""
        self.refused = 0
        self.errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._use, args=(n, seed), daemon=True) for n in range(count)]
        self._threads.append(threading.Thread(target=self._insist, args=(leader, seed), daemon=True))

    def __enter__(self) -> Users:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def look(self, leader: Scheduler) -> None:
        """At all that they have, in the end."""
        session = requests.Session()
        for role in self.roles:
            self._read_quota(leader, role, session)
        for job in self.jobs:
            self._read_job(leader, job, session)

    def objections(self) -> list[str]:
        """What no single scheduler would have answered."""
        wrong = []
        for name, operations in self.operations.items():
            model, start = (register, 0) if name.startswith("quota ") else (life, ABSENT)
            if not is_linearizable(operations, model, start):
                story = "\n".join(f"  {one}" for one in sorted(operations, key=lambda one: one.began))
                wrong.append(f"{name}:\n{story}")
        return wrong

    def longest_wait_s(self, since: float) -> float:
        """For a write to be acknowledged, from `since` on."""
        ends = sorted(ended for _, ended in self.acknowledged)
        before = [end for end in ends if end <= since]
        points = [before[-1] if before else since, *(end for end in ends if end > since)]
        return max((later - earlier for earlier, later in pairwise(points)), default=0.0)

    @property
    def unknown(self) -> int:
        return sum(one.ended is None for operations in self.operations.values() for one in operations)

    def _use(self, number: int, seed: str) -> None:
        rng = random.Random(f"{seed} {number}")
        session = requests.Session()
        whom = rng.choice(self._schedulers)
        steps = ["create", "kill"]
        try:
            while not self._over.is_set():
                try:
                    self._do(rng, number, whom, session, steps)
                except NotDone:
                    self.refused += 1
                    whom = rng.choice(self._schedulers)
                    self._over.wait(0.05)
                except Unknown:
                    session = requests.Session()
                    whom = rng.choice(self._schedulers)
                self._over.wait(PAUSE_S * rng.random())
        except BaseException as error:
            self.errors.append(error)

    def _insist(self, whom: Scheduler, seed: str) -> None:
        rng = random.Random(f"{seed} insists")
        try:
            while not self._over.is_set():
                with suppress(NotDone, Unknown):
                    self._read_quota(whom, rng.choice(self.roles), requests.Session(), timeout_s=2.0)
                self._over.wait(PAUSE_S)
        except BaseException as error:
            self.errors.append(error)

    def _do(
        self, rng: random.Random, number: int, whom: Scheduler, session: requests.Session, steps: list[str]
    ) -> None:
        role, job = rng.choice(self.roles), self.jobs[number]
        match rng.choices(("write", "quota", "job", "step"), (4, 3, 3, 0.15))[0]:
            case "write":
                self._set_quota(whom, role, session)
            case "quota":
                self._read_quota(whom, role, session)
            case "job":
                self._read_job(whom, rng.choice(self.jobs), session)
            case _ if steps:
                self._step(whom, job, session, steps)

    def _set_quota(self, whom: Scheduler, role: str, session: requests.Session) -> None:
        with self._lock:
            self._values += 1
            value = self._values
        quota = ResourceAggregate(frozenset({Resource(num_cpus=1.0), Resource(ram_mb=value), Resource(disk_mb=1)}))
        self._write(f"quota {role}", Operation("write", value, 0, None), whom, SetQuota(role, quota), session)

    def _step(self, whom: Scheduler, job: str, session: requests.Session, steps: list[str]) -> None:
        """Create the job, later kill it; each once, as long as it is not known to have been refused."""
        what = steps[0]
        creation = CreateJob(shell_job(job, "false"))
        call = creation if what == "create" else KillTasks(JobKey(ROLE, ENVIRONMENT, job))
        try:
            self._write(f"job {job}", Operation(what, None, 0, None), whom, call, session)
        except Unknown:
            steps.pop(0)
            raise
        steps.pop(0)

    def _write(self, name: str, operation: Operation, whom: Scheduler, what: Call, session: requests.Session) -> None:
        began = time.monotonic()
        try:
            answer = ask(whom.url, what, session=session)
        except Unknown:
            self._remember(name, replace(operation, began=began, whom=whom.name))
            raise
        ended = time.monotonic()
        assert answer.response_code is ResponseCode.OK, f"{what}: {answer}"
        self.acknowledged.append((began, ended))
        self._remember(name, replace(operation, began=began, ended=ended, whom=whom.name))

    def _read_quota(self, whom: Scheduler, role: str, session: requests.Session, timeout_s: float = 5.0) -> None:
        began = time.monotonic()
        answer = _result(ask(whom.url, GetQuota(role), timeout_s, session)).get_quota_result
        assert answer is not None
        value = next((one.ram_mb for one in answer.quota.resources if one.ram_mb is not None), 0)
        self._remember(f"quota {role}", Operation("read", value, began, time.monotonic(), whom.name))

    def _read_job(self, whom: Scheduler, job: str, session: requests.Session) -> None:
        began = time.monotonic()
        query = TaskQuery(role=ROLE, environment=ENVIRONMENT, job_name=job, statuses=frozenset(_LIVING))
        answer = _result(ask(whom.url, GetTasksWithoutConfigs(query), session=session)).schedule_status_result
        assert answer is not None
        self._remember(f"job {job}", Operation("read", bool(answer.tasks), began, time.monotonic(), whom.name))

    def _remember(self, name: str, operation: Operation) -> None:
        with self._lock:
            self.operations[name].append(operation)


def _result(answer: Response) -> Result:
    assert answer.response_code is ResponseCode.OK, answer
    assert answer.result is not None, answer
    return answer.result
