"""A storm: users who create, change and kill jobs from several threads, while something kills the processes of the
cluster; and what must hold afterwards. All choices come from a seed, though threads and the kernel have their say.

Each instance's shell locks a file of its instance for as long as anything of it lives: whoever finds the lock taken
proves that an instance ran twice.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import requests

from aurorad.api.calls import (
    AbortJobUpdate,
    Call,
    CreateJob,
    GetJobUpdateSummaries,
    GetTasksWithoutConfigs,
    KillTasks,
    PauseJobUpdate,
    RestartShards,
    ResumeJobUpdate,
    RollbackJobUpdate,
    StartJobUpdate,
)
from aurorad.api.enums import (
    ACTIVE_JOB_UPDATE_STATES,
    ACTIVE_STATES,
    TERMINAL_STATES,
    JobUpdateStatus,
    ResponseCode,
    ScheduleStatus,
)
from aurorad.api.results import Response
from aurorad.api.tasks import JobConfiguration, JobKey, ScheduledTask, TaskQuery
from aurorad.api.updates import JobUpdateKey, JobUpdateQuery, JobUpdateRequest, JobUpdateSettings
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.jobs import call, shell_job

# Many small tasks on whatever machine there is, and no penalties: a storm makes tasks flap.
FLAGS = (
    "-thermos_executor_cpu=0.001",
    "-thermos_executor_ram=1MB",
    "-flapping_task_threshold=0secs",
    "-initial_task_kill_retry_interval=1secs",
    "-history_max_per_job_threshold=100000",
)
MOST_INSTANCES = 4
FAILS = "fails@example.com"  # marks versions that end at once
PATIENCE_S = 60.0


class Broken(AssertionError):
    """Something that must hold does not."""


class User(threading.Thread):
    """One who owns a few jobs and does things to them; it believes what was answered, and nothing else."""

    def __init__(self, storm: Storm, number: int, seed: int) -> None:
        super().__init__(name=f"user-{number}")
        self._storm = storm
        self._rng = random.Random(f"{seed}-{number}")  # a string: the same in every process
        self.jobs = {f"job-{number}-{n}": Believed() for n in range(2)}
        self.error: BaseException | None = None
        self.answered = 0

    def run(self) -> None:
        try:
            while not self._storm.over.is_set():
                name = self._rng.choice(sorted(self.jobs))
                try:
                    self._act(name, self.jobs[name])
                except requests.RequestException:
                    self._come_back(name)
                self._storm.over.wait(self._rng.uniform(0, 0.1))
        except BaseException as error:
            self.error = error

    def _act(self, name: str, job: Believed) -> None:
        rng, key = self._rng, key_of(name)
        if job.instances is None:
            instances = rng.randint(1, MOST_INSTANCES)
            if self._do(CreateJob(self._storm.job(name, 0, instances))):
                job.instances = frozenset(range(instances))
            return
        chosen = frozenset(rng.sample(sorted(job.instances), rng.randint(1, len(job.instances))))
        match rng.choice(("kill", "kill-some", "restart", "update", "update", "update", "meddle", "meddle", "look")):
            case "kill":
                if self._do(KillTasks(key)):
                    job.instances = None
            case "kill-some":
                if self._do(KillTasks(key, chosen)):
                    job.instances = (job.instances - chosen) or None
            case "restart":
                self._do(RestartShards(key, chosen))
            case "update":
                self._update(name, job)
            case "meddle" if job.update is not None:
                meddling = rng.choice((PauseJobUpdate, ResumeJobUpdate, AbortJobUpdate, RollbackJobUpdate))
                self._do(meddling(job.update))
            case _:
                self._storm.check(name, job)

    def _update(self, name: str, job: Believed) -> None:
        rng = self._rng
        job.version += 1
        new = self._storm.job(name, job.version, rng.randint(1, MOST_INSTANCES), fails=rng.random() < 0.2)
        settings = JobUpdateSettings(
            update_group_size=rng.randint(1, MOST_INSTANCES),
            min_wait_in_instance_running_ms=rng.choice((0, 200, 500)),
            rollback_on_failure=rng.random() < 0.7,
        )
        answer = self._do(StartJobUpdate(JobUpdateRequest(new.task_config, new.instance_count, settings)))
        if answer and answer.result is not None and answer.result.start_job_update_result is not None:
            job.update = answer.result.start_job_update_result.key
            job.updates.add(job.update.id)

    def _do(self, what: Call) -> Response | None:
        """The answer if it was OK."""
        answer = call(self._storm.cluster, what)
        self.answered += 1
        text = "; ".join(detail.message or "" for detail in answer.details)
        match answer.response_code:
            case ResponseCode.OK:
                return answer
            case ResponseCode.INVALID_REQUEST | ResponseCode.JOB_UPDATING_ERROR:
                return None  # an update is in the way, or out of the way
            case ResponseCode.ERROR_TRANSIENT if "READY" in text:
                raise requests.ConnectionError(text)  # it is stopping: whether this was done nobody knows
        raise Broken(f"{what.method()} was answered {answer.response_code.name}: {text}")

    def _come_back(self, name: str) -> None:
        """No answer: whether it was done is seen when the daemon is there again."""
        while not self._storm.over.wait(0.1):
            with suppress(requests.RequestException):
                self._storm.learn(name, self.jobs[name])
                return
        self.jobs[name].unsure = True


class Believed:
    """What a user knows of a job of his."""

    def __init__(self) -> None:
        self.instances: frozenset[int] | None = None
        """The instances that there must be unless an update changes them; None if there must be no job."""
        self.update: JobUpdateKey | None = None
        self.updates: set[str] = set()
        self.version = 0
        self.unsure = False
        self.ended: dict[str, ScheduleStatus] = {}
        """Tasks that were seen to have ended: they stay so."""


class Storm:
    def __init__(self, cluster: Cluster, seed: int, users: int = 4) -> None:
        self.cluster = cluster
        self.rng = random.Random(seed)
        self.over = threading.Event()
        self.notes = cluster.folder / "notes"
        self.notes.mkdir()
        self.notes.chmod(0o777)  # as root, tasks run as the user of their role
        self.users = [User(self, number, seed) for number in range(users)]

    def job(self, name: str, version: int, instances: int, *, fails: bool = False) -> JobConfiguration:
        who = f"{name}-{{{{mesos.instance}}}}"
        lock, twice = f"{self.notes}/{who}.lock", f"{self.notes}/twice"
        locked = f'exec 9>>"{lock}"; flock -n 9 || echo "{who} {{{{thermos.task_id}}}}" >> {twice}'
        rest = "exit 1" if fails else "setsid sleep 1000 & (sleep 1000 &) ; sleep 1000"
        job = shell_job(name, f"# {version}\n{locked}\n{rest}", cpus=0.01, instances=instances)
        marked = msgspec.structs.replace(job.task_config, contact_email=FAILS if fails else None)
        return msgspec.structs.replace(job, task_config=marked)

    # While it goes on.

    def rage(self, seconds: float, pause_s: tuple[float, float] = (0.5, 2.5)) -> None:
        """Let users act for this long, and do harm now and then."""
        for user in self.users:
            user.start()
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline and not any(user.error for user in self.users):
                time.sleep(self.rng.uniform(*pause_s))
                self._harm()
        finally:
            self.over.set()
            for user in self.users:
                user.join()
        for user in self.users:
            if user.error is not None:
                raise user.error

    def _harm(self) -> None:
        harms: list[tuple[int, Callable[[], None]]] = [
            (6, self._kill_daemon),
            (2, self._restart_daemon),
            (2, self._kill_executor),
            (2, self._kill_coordinator),
            (2, self._kill_launcher),
            (1, self._freeze_executor),
            (1, self._remove_sandbox),
        ]
        if state_of(self.cluster.pid) in ("Z", None):
            raise Broken(
                f"the daemon ended by itself, {self.cluster.stop(signal.SIGKILL)}:\n{self.cluster.log()[-2000:]}"
            )
        weights = [weight for weight, _ in harms]
        self.rng.choices(harms, weights)[0][1]()

    def _kill_daemon(self) -> None:
        self.cluster.stop(signal.SIGKILL)
        time.sleep(self.rng.choice((0.0, 0.0, 0.5)))
        self.cluster.start()

    def _restart_daemon(self) -> None:
        status = self.cluster.stop(self.rng.choice((signal.SIGTERM, signal.SIGINT)))
        if status != 0:
            raise Broken(f"stopped in order, the daemon exited with {status}:\n{self.cluster.log()[-5000:]}")
        self.cluster.start()

    def _kill_executor(self) -> None:
        self._signal(executors(self.cluster.work_dir), signal.SIGKILL)

    def _kill_coordinator(self) -> None:
        self._signal(named("thermos-coord", self.cluster.work_dir), signal.SIGKILL)

    def _kill_launcher(self) -> None:
        self._signal(children_named(self.cluster.pid, "-role=launcher"), signal.SIGKILL)

    def _freeze_executor(self) -> None:
        pid = self._signal(executors(self.cluster.work_dir), signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.1, 1.0))
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _remove_sandbox(self) -> None:
        sandboxes = sorted(self.cluster.work_dir.glob("agent/slaves/*/frameworks/*/executors/*/runs/*/sandbox"))
        if sandboxes:
            shutil.rmtree(self.rng.choice(sandboxes[-10:]), ignore_errors=True)

    def _signal(self, pids: list[int], number: signal.Signals) -> int | None:
        if not pids:
            return None
        pid = self.rng.choice(pids)
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return pid

    # What must hold.

    def tasks(self, name: str) -> tuple[ScheduledTask, ...]:
        answer = call(self.cluster, GetTasksWithoutConfigs(TaskQuery(job_keys=frozenset({key_of(name)}))))
        assert answer.response_code is ResponseCode.OK, answer
        assert answer.result is not None
        assert answer.result.schedule_status_result is not None
        return answer.result.schedule_status_result.tasks

    def updates(self, name: str) -> dict[str, JobUpdateStatus]:
        answer = call(self.cluster, GetJobUpdateSummaries(JobUpdateQuery(job_key=key_of(name))))
        assert answer.response_code is ResponseCode.OK, answer
        assert answer.result is not None
        assert answer.result.get_job_update_summaries_result is not None
        summaries = answer.result.get_job_update_summaries_result.update_summaries
        return {one.key.id: one.state.status for one in summaries if one.state is not None}

    def learn(self, name: str, job: Believed) -> None:
        """Believe what is there, which must agree with all that was known for sure."""
        tasks, updates = self._sound(name, job)
        job.unsure = False
        job.instances = wanted_instances(tasks) or None
        running = [key for key, status in updates.items() if status in ACTIVE_JOB_UPDATE_STATES]
        job.updates |= updates.keys()
        job.update = JobUpdateKey(key_of(name), running[0]) if running else None

    def check(self, name: str, job: Believed) -> None:
        """What is there must be what is believed, but where an update was at work."""
        tasks, updates = self._sound(name, job)
        instances = wanted_instances(tasks)
        if job.update is not None:
            job.instances = instances or None
            if updates[job.update.id] not in ACTIVE_JOB_UPDATE_STATES:
                job.update = None
        elif not job.unsure and instances != (job.instances or frozenset()):
            story = "\n".join(story_of(task) for task in tasks)
            raise Broken(f"{name}: {sorted(job.instances or ())} were promised, there are {sorted(instances)}\n{story}")

    def _sound(self, name: str, job: Believed) -> tuple[tuple[ScheduledTask, ...], dict[str, JobUpdateStatus]]:
        updates, tasks = self.updates(name), self.tasks(name)
        if missing := job.updates - updates.keys():
            raise Broken(f"{name}: updates {missing} were begun and are gone")
        active = [task.assigned_task.instance_id for task in tasks if task.status in ACTIVE_STATES]
        if len(active) != len(set(active)):
            raise Broken(f"{name}: an instance has two active tasks:\n" + "\n".join(map(story_of, tasks)))
        statuses = {task.assigned_task.task_id: task.status for task in tasks}
        for task_id, status in job.ended.items():
            if statuses.get(task_id) is not status:
                raise Broken(f"{task_id} had ended as {status!r}, now it is {statuses.get(task_id)!r}")
        job.ended |= {task_id: status for task_id, status in statuses.items() if status in TERMINAL_STATES}
        return tasks, updates

    def settle(self) -> None:
        """Updates end, every job has what it shall have, and each of its instances runs once."""
        for user in self.users:
            for name, job in user.jobs.items():
                eventually(f"the updates of {name} end", partial(self._updates_ended, name), PATIENCE_S)
                if job.update is None and not job.unsure:
                    self.check(name, job)
                eventually(f"all of {name} runs", partial(self._all_run, name), PATIENCE_S)
                self.learn(name, job)
                running = {task.assigned_task.instance_id for task in self.tasks(name) if task.status in ACTIVE_STATES}
                eventually(f"{name} holds the locks of {running}", partial(self._holds, name, running))
        self._no_double()

    def _updates_ended(self, name: str) -> bool:
        active = {key: s for key, s in self.updates(name).items() if s in ACTIVE_JOB_UPDATE_STATES}
        for key, status in active.items():
            if status in (JobUpdateStatus.ROLL_FORWARD_PAUSED, JobUpdateStatus.ROLL_BACK_PAUSED):
                call(self.cluster, ResumeJobUpdate(JobUpdateKey(key_of(name), key)))
        return not active

    def _all_run(self, name: str) -> bool:
        tasks = [task for task in self.tasks(name) if task.status in ACTIVE_STATES]
        flapping = frozenset(t.assigned_task.instance_id for t in tasks if t.assigned_task.task.contact_email == FAILS)
        if flapping:  # an update was aborted, or had no way back: these would be started for ever
            call(self.cluster, KillTasks(key_of(name), flapping))
            return False
        return all(task.status is ScheduleStatus.RUNNING for task in tasks)

    def _holds(self, name: str, instances: set[int]) -> bool:
        return self._held(name) == instances

    def _held(self, name: str) -> set[int]:
        held = set()
        for file in self.notes.glob(f"{name}-*.lock"):
            with file.open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held.add(int(file.stem.rpartition("-")[2]))
        return held

    def _no_double(self) -> None:
        twice = self.notes / "twice"
        if twice.exists():
            raise Broken(f"ran twice at a time:\n{twice.read_text()}")

    def kill_all(self) -> None:
        """Nothing is left of anything."""
        for user in self.users:
            for name in user.jobs:
                eventually(f"{name} is killed", partial(self._killed, name), PATIENCE_S)
        eventually("nothing of a task is left", self._nothing_left, PATIENCE_S)
        zombies = [pid for pid in children_named(self.cluster.pid, "") if state_of(pid) == "Z"]
        if zombies:
            raise Broken(f"the daemon does not reap {zombies}")
        self._no_double()

    def _nothing_left(self) -> bool:
        return not (executors(self.cluster.work_dir) or self.cluster.task_processes() or self._holders())

    def _killed(self, name: str) -> bool:
        answer = call(self.cluster, KillTasks(key_of(name)))
        assert answer.response_code is ResponseCode.OK, answer
        return all(task.status in TERMINAL_STATES for task in self.tasks(name))

    def _holders(self) -> list[str]:
        names = [name for user in self.users for name in user.jobs]
        return [f"{name}-{instance}" for name in names for instance in self._held(name)]


def key_of(name: str) -> JobKey:
    return JobKey("www-data", "devel", name)


def wanted_instances(tasks: tuple[ScheduledTask, ...]) -> frozenset[int]:
    """Of the active ones those that nobody asked to end."""
    ending = (ScheduleStatus.KILLING,)
    return frozenset(t.assigned_task.instance_id for t in tasks if t.status in ACTIVE_STATES and t.status not in ending)


def story_of(task: ScheduledTask) -> str:
    events = "; ".join(f"{e.timestamp} {e.status.name} {e.message or ''}" for e in task.task_events)
    return f"{task.assigned_task.task_id} (after {task.ancestor_id}): {events}"


def executors(work_dir: Path) -> list[int]:
    """The living executors of a cluster."""
    found = []
    for claim in sorted(work_dir.glob("agent/meta/*/executor*")):
        with suppress(OSError):
            pid = int(os.readlink(claim).split()[0])
            cwd = Path(f"/proc/{pid}/cwd").readlink()
            if cwd.is_relative_to(work_dir) and state_of(pid) not in ("Z", None):
                found.append(pid)
    return found


def named(name: str, work_dir: Path) -> list[int]:
    """Processes of this name that work under `work_dir`."""
    found = []
    for pid in pids():
        with suppress(OSError):
            process = Path(f"/proc/{pid}")
            named_so = (process / "comm").read_text().strip() == name
            if named_so and (process / "cwd").readlink().is_relative_to(work_dir):
                found.append(pid)
    return found


def children_named(parent: int, part: str) -> list[int]:
    """Children of a process whose command line has `part` in it."""
    found = []
    for pid in pids():
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and part in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
    return found


def state_of(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
