"""`aurora task ssh` (client-commands sheet, section 6.2)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path

from aurorad.api.tasks import AssignedTask
from client import entering, options, sandboxes, tunnels
from client.arguments import JobInstances
from client.command import Command
from client.errors import CommandError, Exit
from client.session import Session


def _declare(parser: ArgumentParser) -> None:
    options.ssh(parser)
    options.executor_sandbox(parser)
    parser.add_argument(
        "-L",
        "--tunnels",
        action="append",
        default=[],
        metavar="PORT:NAME",
        help="a port of this machine that leads to a named port of the task; may be repeated",
    )
    parser.add_argument("-c", "--command", metavar="CMD", help="run this instead of a shell")
    parser.add_argument("-p", "--pid-file", type=Path, metavar="FILE", help="where to write the id of the process")
    options.job_instances(parser)
    parser.add_argument("instance", nargs="?", type=int, help="the same as after the key")


def _run(given: Namespace, session: Session) -> int:
    target: JobInstances = given.job
    instances = target.instances if given.instance is None else frozenset({given.instance})
    if given.command and instances is None:
        text = "INSTANCE must be specified when --command option is given"
        raise CommandError(Exit.INVALID_PARAMETER, text)
    scheduler = session.scheduler(target.path.cluster)
    failure = "Unable to get information about instance:"
    there = sandboxes.live_tasks(
        scheduler, target.path.key, instances, lambda answer: scheduler.require_ok(answer, failure)
    )
    if not there:
        raise CommandError(Exit.INVALID_PARAMETER, f"Job {target.path} not found")
    task = there[0]
    led = [_tunnel(text, task) for text in given.tunnels]
    agents = sandboxes.Agents.of(scheduler)
    ssh = entering.Ssh(given.ssh_user, given.ssh_options)
    with ExitStack() as open_tunnels:
        forwarding = []
        for port, assigned in led:
            if agents.are_here(task):
                open_tunnels.enter_context(tunnels.tunnel(port, ("localhost", assigned)))
            else:
                forwarding += ["-L", f"{port}:{task.slave_host}:{assigned}"]
        flags = ("-t", *ssh.options, *forwarding)
        text = given.command or "bash"
        command = entering.command(agents, task, ssh, text, flags, of_executor=given.executor_sandbox)
        return command.run(lambda pid: _write_pid(given.pid_file, pid))


def _tunnel(text: str, task: AssignedTask) -> tuple[int, int]:
    """The port here, and the one of the task."""
    port, colon, name = text.partition(":")
    if not (colon and name and port.isascii() and port.isdecimal()):
        raise CommandError(Exit.INVALID_PARAMETER, f"Could not parse tunnel: {text}.  Must be of form PORT:NAME")
    if name not in task.assigned_ports:
        raise CommandError(Exit.INVALID_PARAMETER, f"Task {task.task_id} has no port named {name}")
    return int(port), task.assigned_ports[name]


def _write_pid(file: Path | None, pid: int) -> None:
    if file is None:
        return
    try:
        file.write_text(str(pid))
    except OSError as error:
        raise CommandError(Exit.COMMAND_FAILURE, f"{file} cannot be written: {error.strerror}") from None


SSH = Command(_declare, _run)
