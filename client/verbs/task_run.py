"""`aurora task run` (client-commands sheet, section 6.1)."""

from __future__ import annotations

import subprocess
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed

from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response
from client import arguments, entering, options, sandboxes
from client.arguments import JobInstances
from client.command import Command
from client.errors import CommandError, Exit
from client.scheduler import messages
from client.session import Session

_SSH_FLAGS = ("-n", "-q")


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("-t", "--threads", type=options.positive, default=1, metavar="N", help="tasks at a time (1)")
    options.ssh(parser)
    options.executor_sandbox(parser)
    options.job_instances(parser)
    parser.add_argument(
        "command", type=arguments.word, nargs="+", metavar="unix_command_line", help="what to run in each sandbox"
    )


def _run(given: Namespace, session: Session) -> int:
    target: JobInstances = given.job
    scheduler = session.scheduler(target.path.cluster)
    there = sandboxes.live_tasks(scheduler, target.path.key, target.instances, _check)
    if not there:
        session.terminal.warn(f"No running tasks of {target.path} were found")
        return Exit.OK
    agents = sandboxes.Agents.of(scheduler)
    ssh = entering.Ssh(given.ssh_user, given.ssh_options)
    text = " ".join(given.command)
    flags = (*_SSH_FLAGS, *ssh.options)
    commands = {
        task: entering.command(agents, task, ssh, text, flags, of_executor=given.executor_sandbox) for task in there
    }
    with ThreadPoolExecutor(given.threads) as threads:
        running = {threads.submit(_output, command): task.slave_host for task, command in commands.items()}
        for done in as_completed(running):
            for line in done.result():
                session.terminal.out(f"{running[done]}:  {line}")
    return Exit.OK


def _output(command: entering.Command) -> Iterable[str]:
    with command.start(subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT) as process:
        return process.communicate()[0].decode(errors="replace").splitlines()


def _check(response: Response) -> None:
    if response.response_code is not ResponseCode.OK:
        text = f"Could not retrieve task information: {messages(response)}"
        raise CommandError(Exit.FATAL, text)


RUN = Command(_declare, _run)
