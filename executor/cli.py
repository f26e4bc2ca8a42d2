"""The `thermos` command: tasks of this machine as their checkpoints tell of them (thermos-runner sheet, section 13)."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import click

import aurorad
from aurorad.flags import Flags
from executor.checkpoint import CheckpointError, ProcessStatus, RunnerState, StreamReader, read_stream, replay
from executor.execution import wall_clock_ms
from executor.offline import Refused, kill_task
from executor.paths import TaskPaths, active_tasks, checkpoint_roots, finished_tasks, log_directory

_ROOT, _MESOS_ROOT = Path("/var/run/thermos"), Path("/var/lib/mesos")
_CORRUPT = "checkpoint stream CORRUPT or outdated format"
_POLL_S = 1.0
_LAST_LINES = 10


class Found(NamedTuple):
    """A task on disk."""

    paths: TaskPaths
    active: bool

    @property
    def description(self) -> Path:
        return self.paths.active if self.active else self.paths.finished


class Roots(NamedTuple):
    """Where to look for tasks."""

    checkpoints: tuple[Path, ...]
    mesos: tuple[Path, ...]

    def tasks(self, patterns: tuple[str, ...] = (), only: str | None = None) -> Iterator[Found]:
        """Tasks whose id one of the regular expressions matches from its start; the active ones of a root first."""
        roots = [*self.checkpoints, *(root for mesos in self.mesos for root in checkpoint_roots(mesos))]
        for root in roots:
            for active, ids in ((True, active_tasks(root)), (False, finished_tasks(root))):
                for task_id in ids:
                    wanted = not patterns or any(re.match(pattern, task_id) for pattern in patterns)
                    if wanted and only in (None, "active" if active else "finished"):
                        yield Found(TaskPaths(root, task_id), active)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--root", "roots", multiple=True, type=Path, metavar="PATH", help="Another checkpoint root to search.")
@click.option("--mesos-root", "mesos", multiple=True, type=Path, metavar="PATH", help="Another agent's work directory.")
@click.pass_context
def thermos(context: click.Context, roots: tuple[Path, ...], mesos: tuple[Path, ...]) -> None:
    """Look at, follow and kill the tasks of this machine."""
    if context.invoked_subcommand is None:
        names = ", ".join(sorted(thermos.commands))
        _fail(f"Must supply one of the following commands: {names}")
    context.obj = Roots((*roots, _ROOT), (*mesos, _MESOS_ROOT, Flags().work_dir / "agent"))


@thermos.command("help")
@click.argument("command", required=False)
@click.pass_context
def help_(context: click.Context, command: str | None) -> None:
    """Say what a command does."""
    assert context.parent is not None
    if command is None:
        click.echo(context.parent.get_help())
    elif (found := thermos.commands.get(command)) is None:
        _fail(f"unknown command: {command}")
    else:
        click.echo(f"command {command}:")
        with click.Context(found, info_name=command, parent=context.parent) as inner:
            click.echo(found.get_help(inner))


@thermos.command()
def version() -> None:
    """Say which version this is."""
    click.echo(aurorad.__version__)


@thermos.command()
@click.option("--verbosity", type=int, default=0, metavar="N", help="From 0 to 3: how much to say of each task.")
@click.option("--only", type=click.Choice(["active", "finished"]), help="Leave out the others.")
@click.argument("patterns", nargs=-1, metavar="[TASK_ID_REGEXP]...")
@click.pass_obj
def status(roots: Roots, verbosity: int, only: str | None, patterns: tuple[str, ...]) -> None:
    """Show tasks."""
    found = list(roots.tasks(patterns, only))
    sections = []
    for title, active in (("Active tasks:", True), ("Finished tasks:", False)):
        lines = [line for task in found if task.active == active for line in _describe(task, verbosity)]
        if lines:
            sections.append("\n".join([title, *lines]))
    if not sections:
        _fail("No tasks found.")
    click.echo("\n\n".join(sections))


def _describe(task: Found, verbosity: int) -> Iterator[str]:
    paths = task.paths
    try:
        owner = task.description.owner()
        state = replay(read_stream(paths.runner))
    except FileNotFoundError:
        return  # it went while we looked
    except CheckpointError:
        yield f"  {paths.task_id:<20} - {_CORRUPT}"
        return
    line = f"  {paths.task_id:<20} [owner: {owner:>8}]"
    if verbosity >= 1 and state.statuses:
        began = time.asctime(time.localtime(state.statuses[0].timestamp_ms / 1000))
        line += f"  state: {state.statuses[-1].state.name:>8} start: {began:>25}"
    yield line
    if verbosity >= 2 and state.header is not None:
        ports = " ".join(f"{name} -> {port}" for name, port in sorted(state.header.ports.items()))
        yield f"    user: {state.header.user} ports: {ports or 'None'}"
        yield f"    sandbox: {state.header.sandbox}"
    if verbosity >= 3:
        yield "    process table:"
        for name, runs in sorted(state.processes.items()):
            yield f"      - {name} runs: {len(runs)} last: {_run(runs[-1])}"


def _run(run: ProcessStatus) -> str:
    code = "" if run.return_code is None else run.return_code
    ended = None if run.stop_time is None else time.asctime(time.localtime(run.stop_time))
    return f"pid={run.pid}, rc={code}, finish:{ended}, state:{run.state.name}"


@thermos.command()
@click.option("--simple", is_flag=True, help="Record by record.")
@click.argument("files", nargs=-1, metavar="CHECKPOINT_FILE")
def read(simple: bool, files: tuple[str, ...]) -> None:
    """Show what a runner's checkpoint file says."""
    if len(files) != 1:
        _fail(f"Expected one checkpoint file, got {len(files)}")
    path = Path(files[0])
    if not path.is_file():
        _fail(f"Could not find {path}")
    try:
        records = read_stream(path)
        if simple:
            for record in records:
                click.echo(f"CKPT: {record}")
            return
        state = replay(records)
    except CheckpointError as error:
        _fail(f"Failed to recover from {path}: {error}")
    if state.header is None and not state.statuses:
        _fail(f"{_CORRUPT[0].upper()}{_CORRUPT[1:]}")
    click.echo("\n".join(_recovered(state)))


def _recovered(state: RunnerState) -> Iterator[str]:
    header = state.header
    if header is not None:
        yield "Recovered Task Header:"
        yield f"  id:      {header.task_id}"
        yield f"  user:    {header.user}"
        yield f"  host:    {header.hostname}"
        yield f"  sandbox: {header.sandbox}"
        if header.ports:
            yield "  ports:   " + " ".join(f"{name}->{port}" for name, port in sorted(header.ports.items()))
    yield "Recovered Task States:"
    for entry in state.statuses:
        when = time.asctime(time.localtime(entry.timestamp_ms / 1000))
        yield f"  {when} [pid: {entry.runner_pid}] => {entry.state.name}"
    yield "Recovered Processes:"
    for name, runs in sorted(state.processes.items()):
        yield f"  {name}   runs: {len(runs)}"
        for number in reversed(range(len(runs))):
            yield f"    {number:2}: {_run(runs[number])}"


@thermos.command()
@click.argument("patterns", nargs=-1, metavar="TASK_ID_REGEXP...")
@click.pass_obj
def kill(roots: Roots, patterns: tuple[str, ...]) -> None:
    """Kill active tasks at once, without their finalizing processes."""
    if not patterns:
        _fail("Must specify tasks!")
    found = list(roots.tasks(patterns, "active"))
    if not found:
        click.echo("No active tasks matched.")
    for task in found:
        click.echo(f"Killing {task.paths.task_id}...", nl=False)
        try:
            kill_task(task.paths, wall_clock_ms)
        except (Refused, OSError) as error:
            _fail(f"\n{error}")
        click.echo("done.")


@thermos.command()
@click.option("--stderr", "stream", flag_value="stderr", help="Instead of standard output.")
@click.option("--stdout", "stream", flag_value="stdout", default=True, hidden=True)
@click.argument("words", nargs=-1, metavar="TASK_ID [PROCESS]")
@click.pass_obj
def tail(roots: Roots, stream: str, words: tuple[str, ...]) -> None:
    """Show the end of a process's output; of a running one, go on with what comes."""
    if not words:
        _fail("Expected a task to tail, got nothing!")
    if len(words) > 2:
        _fail(f"Expected at most two arguments (task and optional process), got {len(words)}")
    found = next((task for task in roots.tasks() if task.paths.task_id == words[0]), None)
    if found is None:
        _fail("ERROR: Could not find task.")
    state = replay(read_stream(found.paths.runner))
    names = [name for name in state.processes if len(words) == 1 or re.match(words[1], name)]
    if not names:
        _fail("ERROR: No processes found.")
    if len(names) > 1:
        _fail("ERROR: More than one process matches query.")
    _tail(found.paths, state, names[0], stream)


def _tail(paths: TaskPaths, state: RunnerState, name: str, stream: str) -> None:
    assert state.header is not None
    run = len(state.processes[name]) - 1
    log_base = Path(state.header.log_dir or paths.root / "logs" / paths.task_id)
    log = log_directory(log_base, name, run) / stream
    over = state.processes[name][-1].state.terminal
    click.echo(f"Tail of {'terminal' if over else 'active'} log {log}")
    with log.open("rb") as file:
        sys.stdout.write("".join(line.decode(errors="replace") for line in file.readlines()[-_LAST_LINES:]))
        stream_of = StreamReader(paths.coordinator(name))
        while not over:
            sys.stdout.flush()
            time.sleep(_POLL_S)
            records = [record.process_status for record in stream_of.read() if record.process_status is not None]
            over = any(status.seq > state.processes[name][-1].seq and status.state.terminal for status in records)
            sys.stdout.write(file.read().decode(errors="replace"))


def _not_yet(name: str, does: str) -> None:
    def command(words: tuple[str, ...]) -> None:
        _fail(f"thermos {name}: not yet")

    command.__doc__ = f"{does} (Not yet.)"
    argument = click.argument("words", nargs=-1, type=click.UNPROCESSED)
    thermos.command(name, context_settings={"ignore_unknown_options": True})(argument(command))


_not_yet("run", "Run the task of a configuration file.")
_not_yet("simplerun", "Run a command line as a task.")
_not_yet("inspect", "Show the task of a configuration file.")


def _fail(text: str) -> NoReturn:
    click.echo(text, err=True)
    raise SystemExit(1)


def entry() -> None:
    """The `thermos` command."""
    thermos(prog_name="thermos")


if __name__ == "__main__":
    entry()
