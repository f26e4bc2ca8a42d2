"""One task run by real executors while its processes are killed, and what must hold of it whatever was killed.

A run is drawn from its seed: a task of a few processes, and when which of the processes around it gets SIGKILL. Each of
the task's processes locks a file of its own name as long as anything of it lives, notes its begin and its end with its
pid, and says so in a file if another one holds its lock. What the task must come to is known from how it was drawn.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import trio

from aurorad.cgroups import Hierarchy
from aurorad.engine.base import Event, StatusUpdate, TaskState
from aurorad.engine.local.engine import LAUNCHER
from aurorad.engine.local.home import WorkDirInUse
from aurorad.engine.local.live import TERMINAL, Patience
from aurorad.engine.local.oversight import Restarts
from executor import checkpoint
from executor.checkpoint import ProcessState, ProcessStatus
from executor.paths import CHECKPOINTS, SANDBOX, TaskPaths
from tests.engine.rig import Rig, latest_executor, running
from tests.waiting import until

PATIENCE = Patience(to_start=60.0)  # of a machine that has better to do
RESTARTS = Restarts(most=1000, pause_s=0.0)
LIMIT_S = 120.0  # only a run that hangs takes so long
DEATH_LIMIT_S = 10.0  # who was ended may still be on its way out
TASK = "t-1"
VICTIMS = {
    "executor": 5,
    "coordinator": 3,
    "process": 3,
    "anyone": 3,
    "launcher": 2,
    "engine": 1,
    "executor+coordinator": 2,
    "forker": 3,
    "executor+forker": 1,
}
NAMES = {"coordinator": "thermos-coord", "forker": "thermos-forker"}
RUNNING_STATES = ("STARTING", "RUNNING")


class Broken(AssertionError):
    """Something that must hold does not."""


class Harm(NamedTuple):
    after_s: float
    victim: str


class Shape(NamedTuple):
    """What a run does, and what its task must come to."""

    thermos: dict[str, Any]
    job: dict[str, Any]
    order: tuple[str, ...]
    must_run: frozenset[str]
    """Processes that have to succeed."""
    end: TaskState
    kill_after_s: float | None
    harms: tuple[Harm, ...]


def draw(seed: int, notes: Path) -> Shape:
    rng = random.Random(f"violence-{seed}")  # a string: the same in every process
    names = [f"p{number}" for number in range(rng.randint(1, 5))]
    order = tuple(name for name in names if rng.random() < 0.5)
    fate = rng.choices(("finishes", "fails", "killed"), (6, 2, 2))[0]
    marked = rng.choice(names)
    processes = []
    for name in names:
        failures = rng.choice((0, 0, 1, 2))
        rest = _finite(rng, notes, name, failures)
        if name == marked and fate == "fails":
            rest = f'sleep {rng.uniform(0, 0.3):.3f}; echo "end {name} $$ 1" >> {notes}/log; exit 1'
        if name == marked and fate == "killed":
            rest = rng.choice(
                ("while :; do sleep 1000; done", "while :; do sleep 1000 & wait; done", "exec sleep 1000")
            )
        processes.append(_process(notes, name, rest, max_failures=failures + rng.choice((1, 2))))
    must_run = frozenset(names) if fate == "finishes" else frozenset()
    if rng.random() < 0.3:
        processes.append(_process(notes, "final", _finite(rng, notes, "final", 0), max_failures=1, final=True))
    if rng.random() < 0.2:
        processes.append(_process(notes, "ephemeral", "sleep 1000", max_failures=1, ephemeral=True))
    thermos = {
        "name": "task",
        "processes": processes,
        "constraints": [{"order": order}],
        "max_concurrency": rng.choice((0, 0, 1, 2)) if fate != "killed" and "ephemeral" not in str(processes) else 0,
    }
    check = {"health_checker": {"shell": {"shell_command": "true"}}, "interval_secs": 0.2, "timeout_secs": 60}
    check["max_consecutive_failures"] = 1000  # whoever checks may be killed as well
    job = {"health_check_config": check} if rng.random() < 0.2 else {}
    ends = {"finishes": TaskState.TASK_FINISHED, "fails": TaskState.TASK_FAILED, "killed": TaskState.TASK_KILLED}
    kill_after_s = rng.uniform(0, 1.5) if fate == "killed" else None
    victims = rng.choices(list(VICTIMS), list(VICTIMS.values()), k=rng.randint(1, 6))
    harms = tuple(Harm(rng.choice((0.0, rng.uniform(0, 0.05), rng.uniform(0, 0.3))), victim) for victim in victims)
    return Shape(thermos, job, order, must_run, ends[fate], kill_after_s, harms)


def _process(notes: Path, name: str, rest: str, **fields: Any) -> dict[str, Any]:
    lines = (
        f"exec 9>>{notes}/{name}.lock",
        f'flock -nE 66 9; test $? = 66 && echo "{name} $$" >> {notes}/twice',  # it may be killed, too
        f'echo "begin {name} $$" >> {notes}/log',
        rest,
    )
    return {"name": name, "cmdline": "\n".join(lines), "min_duration": 0, **fields}


def _finite(rng: random.Random, notes: Path, name: str, failures: int) -> str:
    """Fails so often, then succeeds; may leave children behind, of which some leave the session."""
    left = rng.choice(("", "", "sleep 1000 &", "setsid sleep 1000 9>&- &", "(sleep 1000 9>&- &)"))
    work = f"sleep {rng.uniform(0, 0.4):.3f}"
    fails = f"{notes}/{name}.fails"
    fail = f'if test "$(cat {fails} 2>/dev/null | wc -l)" -lt {failures}; then echo x >> {fails}'
    ends = [f'echo "end {name} $$ {code}" >> {notes}/log' for code in (0, 1)]
    return "\n".join((left, work, f"{fail}; {ends[1]}; exit 1; fi", ends[0], "exit 0"))


class Violence:
    """`run` raises `Broken`, with all that is known. With an odd seed the run has control groups, if there are any."""

    def __init__(self, seed: int, folder: Path, hierarchy: Hierarchy | None) -> None:
        self._hierarchy = hierarchy if seed % 2 else None
        self.work_dir, self.notes = folder / "work", folder / "notes"
        self.notes.mkdir(parents=True)
        self.shape = draw(seed, self.notes)
        self._rng = random.Random(f"victims-{seed}")
        self._told: list[str] = []
        self._updates: dict[bytes, StatusUpdate] = {}
        self._over = trio.Event()
        self._kill_asked = False
        self.counts: Counter[str] = Counter()
        """What happened: who was killed, and what became of the runs of the task's processes."""

    async def run(self) -> None:
        harms = list(self.shape.harms)
        try:
            with trio.fail_after(LIMIT_S):
                while not await self._survive(harms):
                    self._hear(self._rig.events)  # also of what it told in its last moment
                    self._tell("the engine is gone")
            self._check()
            self.counts["took over"] = len(list(self.work_dir.glob("agent/meta/*/executor.*")))
        except (AssertionError, trio.TooSlowError, ExceptionGroup, checkpoint.CheckpointError) as error:
            raise Broken(f"{error!r}\n{self._story()}") from error

    async def _survive(self, harms: list[Harm]) -> bool:
        """As `_with_an_engine`. The lock of the one before may for a moment be held by a fork for another run here."""
        try:
            return await self._with_an_engine(harms)
        except ExceptionGroup as group:
            if group.subgroup(WorkDirInUse) is None:
                raise
            await trio.sleep(0.05)
            return False

    async def _with_an_engine(self, harms: list[Harm]) -> bool:
        """False if the engine was stopped on the way, as a crash would stop it."""
        async with running(
            self.work_dir, launcher=LAUNCHER, restarts=RESTARTS, patience=PATIENCE, hierarchy=self._hierarchy
        ) as rig:
            await rig.after(0)
            self._rig = rig
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, rig)
                if not self._told:
                    self._tell("launched")
                    await rig.launch_job(TASK, self.shape.thermos, **self.shape.job)
                    await until(lambda: any(self.work_dir.glob("agent/meta/*/run.json")), LIMIT_S)
                if self.shape.kill_after_s is not None and not self._over.is_set():
                    nursery.start_soon(self._kill_task, rig)
                while harms and not self._over.is_set():
                    harm = harms.pop(0)
                    await self._until_there(harm.victim, rig)
                    with trio.move_on_after(harm.after_s):
                        await self._over.wait()
                    if harm.victim == "engine":
                        self.counts["engine killed"] += 1
                        nursery.cancel_scope.cancel()
                        return False
                    self._harm(harm.victim, rig)
                await self._over.wait()
                nursery.cancel_scope.cancel()
            with trio.fail_after(LIMIT_S):
                await until(lambda: not rig.engine.overseen, LIMIT_S)
            with trio.move_on_after(DEATH_LIMIT_S):
                await until(lambda: not self._inhabitants(), LIMIT_S)
            if left := sorted(self._inhabitants()):
                raise Broken(f"left behind: {[(pid, _command(pid)) for pid in left]}")
        return True

    async def _listen(self, rig: Rig) -> None:
        seen = 0
        while True:
            events = await rig.after(seen)
            seen += len(events)
            self._hear(events)

    def _hear(self, events: list[Event]) -> None:
        for event in events:
            if not isinstance(event, StatusUpdate) or event.uuid in self._updates:
                continue
            self._tell(f"{event.state} {event.message or ''}{'' if event.uuid else ' (without uuid)'}")
            if event.uuid is not None:
                self._updates[event.uuid] = event
                if event.state in TERMINAL:
                    self._over.set()
                    if late := [(pid, _command(pid)) for pid in self._in_sandbox() if not _is_dying(pid)]:
                        raise Broken(f"alive when the end was told: {late}")

    async def _kill_task(self, rig: Rig) -> None:
        """As the scheduler does: again and again, until it is over."""
        assert self.shape.kill_after_s is not None
        if not self._kill_asked:
            await trio.sleep(self.shape.kill_after_s)
        while not self._over.is_set():
            self._kill_asked = True
            self._tell("kill")
            await rig.engine.kill(TASK)
            await trio.sleep(1.0)

    # Whom to kill

    async def _until_there(self, victim: str, rig: Rig) -> None:
        """Until there is somebody to kill, or the task is over."""
        kind = victim.partition("+")[0]
        while kind != "engine" and not self._over.is_set() and not self._candidates(kind, rig):  # noqa: ASYNC110
            await trio.sleep(self._rng.uniform(0.005, 0.02))

    def _harm(self, victim: str, rig: Rig) -> None:
        for kind in victim.split("+"):
            pids = sorted(self._candidates(kind, rig))
            if pids:
                pid = self._rng.choice(pids)
                self._tell(f"kill -9 {kind} {pid} ({_command(pid)})")
                self.counts[f"{kind} killed"] += 1
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            else:
                self._tell(f"no {kind} to kill")

    def _candidates(self, kind: str, rig: Rig) -> set[int]:
        if kind == "launcher":
            return {pid for pid in (rig.engine.launcher_pid,) if pid is not None and _command(pid)}
        inhabitants = self._inhabitants()
        if kind == "executor":
            claims = [latest_executor(meta) for meta in self.work_dir.glob("agent/meta/*")]
            return inhabitants & {claim.pid for claim in claims if claim is not None}
        if kind in NAMES:
            return {pid for pid in inhabitants if _name(pid) == NAMES[kind]}
        return self._in_sandbox() if kind == "process" else inhabitants

    def _in_sandbox(self) -> set[int]:
        return {pid for pid in self._inhabitants() if f"/{SANDBOX}" in _cwd(pid)}

    def _inhabitants(self) -> set[int]:
        """Whoever works in the run's directory or below: executor, coordinators, the task's processes."""
        place = str(self.work_dir / "agent/slaves")
        return {pid for pid in _pids() if _cwd(pid).startswith(place)}

    # What must hold

    def _check(self) -> None:
        if (twice := self.notes / "twice").exists():
            raise Broken(f"ran twice at a time: {twice.read_text().split()}")
        states = [update.state.removeprefix("TASK_") for update in self._updates.values()]
        end = self.shape.end.removeprefix("TASK_")
        if states[-1] != end or states[:-1] != [state for state in RUNNING_STATES if state in states]:
            raise Broken(f"the updates were {states}, the end should be {end}")
        (meta,) = self.work_dir.glob("agent/slaves/*/frameworks/*/executors/*/runs/latest")
        paths = TaskPaths(meta / CHECKPOINTS, TASK)
        if paths.runner.exists():  # else it was killed before its start
            self._check_checkpoints(paths, end)
        elif end != "KILLED":
            raise Broken("there are no checkpoints")

    def _check_checkpoints(self, paths: TaskPaths, end: str) -> None:
        state = checkpoint.replay(checkpoint.read_stream(paths.runner), recovering=False)
        last = state.statuses[-1].state.name
        if last != {"FINISHED": "SUCCESS"}.get(end, end):
            raise Broken(f"the checkpoints end with {last}, not with {end}")
        if paths.active.exists() or not paths.finished.exists():
            raise Broken("the task is not filed under the finished ones")
        for name, runs in state.processes.items():
            self._check_runs(name, runs)
        for name in self.shape.must_run:
            states = [run.state for run in state.processes.get(name, ())]
            if not states or states[-1] != ProcessState.SUCCESS:
                raise Broken(f"{name} had to succeed: {states}")
        self._check_order()

    def _check_runs(self, name: str, runs: tuple[ProcessStatus, ...]) -> None:
        """Every process that began is on record, and none succeeded twice."""
        self.counts.update(f"run {run.state.name}" for run in runs)
        if any(not run.state.terminal for run in runs[:-1]) or runs[-1].state in (
            ProcessState.FORKED,
            ProcessState.RUNNING,
        ):
            raise Broken(f"{name} has a run without an end: {[run.state.name for run in runs]}")
        if [run.state for run in runs].count(ProcessState.SUCCESS) > 1:
            raise Broken(f"{name} succeeded more than once: {[run.state.name for run in runs]}")
        begun = [pid for event, process, pid, *_ in self._log() if (event, process) == ("begin", name)]
        recorded = {str(run.pid) for run in runs if run.pid is not None}
        unknown = [pid for pid in begun if pid not in recorded]
        # A coordinator that was killed before it could say what it had started: its run is LOST, or KILLED with it.
        nameless = [run for run in runs if run.pid is None and run.coordinator_pid is not None]
        if len(set(begun)) != len(begun) or len(unknown) > len(nameless):
            raise Broken(f"{name} began as {begun}, on record are {sorted(recorded)} and {len(nameless)} more")

    def _check_order(self) -> None:
        succeeded: set[str] = set()
        before = dict(zip(self.shape.order[1:], self.shape.order, strict=False))
        for event, name, _, *code in self._log():
            if event == "begin" and name in before and before[name] not in succeeded:
                raise Broken(f"{name} began before {before[name]} had succeeded")
            if event == "end" and code == ["0"]:
                succeeded.add(name)

    # What is told of a run that is broken

    def _log(self) -> list[list[str]]:
        log = self.notes / "log"
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    def _tell(self, text: str) -> None:
        self._told.append(f"{trio.current_time() % 1000:8.3f} {text}")

    def _story(self) -> str:
        logs = [
            log.read_text() for log in self.work_dir.glob("agent/slaves/*/frameworks/*/executors/*/runs/latest/*.log")
        ]
        commands = [f"{process['name']}: {process}" for process in self.shape.thermos["processes"]]
        parts = [str(self.shape.order), *commands, *self._told, *(" ".join(line) for line in self._log()), *logs]
        return "\n".join(parts)


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _cwd(pid: int) -> str:
    """Empty for one that has ended."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def _is_dying(pid: int) -> bool:
    """Whether it got SIGKILL already, or has ended but for the formalities."""
    try:
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return True
    pending = int(status["ShdPnd"], 16) | int(status["SigPnd"], 16)
    return "VmSize" not in status or bool(pending >> (signal.SIGKILL - 1) & 1)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()[-60:] or _name(pid)
    except OSError:
        return ""
