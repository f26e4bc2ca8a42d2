"""Every flag of the executor, declared once (executor sheet, sections 2 and 14).

They come with ``aurorad -role=executor``: typed by hand, or passed on by the scheduler's ``-thermos_executor_flags``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from aurorad import flag_parsing
from aurorad.flag_parsing import LOG_LEVELS, FlagError, declare, non_negative, positive


@dataclasses.dataclass(frozen=True)
class LogTo:
    """How much goes to a log, and how its lines look; the log's own style if `style` is None."""

    level: str
    style: Literal["google", "plain"] | None = None

    expected: ClassVar[str] = "[google: or plain:] and DEBUG, INFO, WARN, ERROR, FATAL or NONE"

    @classmethod
    def read(cls, text: str) -> Self:
        style, _, level = text.rpartition(":")
        if level.upper() not in LOG_LEVELS or style not in ("google", "plain", ""):
            raise ValueError(text)
        return cls(level.upper(), style or None)  # type: ignore[arg-type]  # it is one of the two

    def __str__(self) -> str:
        return f"{self.style}:{self.level}" if self.style is not None else self.level

    @property
    def number(self) -> int:
        """The level as `logging` counts them."""
        return LOG_LEVELS[self.level]


_ANNOUNCER, _IMAGES, _USERS = "Announcer", "Images", "Users and environment"
_PROCESS_LOGS, _OWN_LOG, _IGNORED = "Process logs", "The executor's own log", "Accepted, and ignored"


@dataclasses.dataclass(frozen=True)
class ExecutorFlags:
    """The values of all flags."""

    announcer_ensemble: str | None = declare(None, _ANNOUNCER, "ZooKeeper's hosts; set, jobs may announce themselves")
    announcer_serverset_path: str = declare("/aurora", _ANNOUNCER, "Below it: /<role>/<environment>/<job>")
    announcer_allow_custom_serverset_path: bool = declare(False, _ANNOUNCER, "Jobs may choose their zk_path")
    announcer_hostname: str | None = declare(None, _ANNOUNCER, "Announced host; unset = the agent's")
    announcer_zookeeper_auth_config: Path | None = declare(None, _ANNOUNCER, "JSON file of credentials and ACLs")

    mesos_containerizer_path: Path = declare(
        Path("/usr/libexec/mesos/mesos-containerizer"), _IMAGES, "Starts processes within a filesystem image"
    )
    no_create_user: bool = declare(False, _IMAGES, "Do not create the role's user and group in the image")
    sandbox_mount_point: Path = declare(Path("/mnt/mesos/sandbox"), _IMAGES, "Where an image has the sandbox")

    execute_as_user: str | None = declare(None, _USERS, "Run processes as this user, not as the role's")
    nosetuid: bool = declare(False, _USERS, "Run processes as the executor's own user")
    nosetuid_health_checks: bool = declare(False, _USERS, "Run shell health checks as the executor's own user")
    preserve_env: bool = declare(False, _USERS, "Processes get the executor's environment, too")
    stop_timeout_in_secs: float = declare(
        120.0, _USERS, "Longest time for asking a task to end, before it is ended by signals", non_negative
    )

    runner_logger_destination: Literal["file", "console", "both", "none"] | None = declare(
        None, _PROCESS_LOGS, "Where the output of processes goes; unset = file"
    )
    runner_logger_mode: Literal["standard", "rotate"] | None = declare(
        None, _PROCESS_LOGS, "Whether files are rotated; unset = standard"
    )
    runner_rotate_log_size_mb: int | None = declare(None, _PROCESS_LOGS, "Size to rotate at, MiB", positive)
    runner_rotate_log_backups: int | None = declare(None, _PROCESS_LOGS, "Rotated files to keep", positive)

    log_to_stderr: LogTo = declare(LogTo("ERROR"), _OWN_LOG, "Level of what goes to standard error, in plain style")
    log_to_stdout: LogTo | None = declare(None, _OWN_LOG, "The old name of log_to_stderr")
    log_to_disk: LogTo = declare(LogTo("INFO"), _OWN_LOG, "Level of what goes to executor.log, in google style")

    announcer_enable: bool = declare(False, _IGNORED, "an ensemble is enough")
    log_dir: Path | None = declare(None, _IGNORED, "the log is in the executor's directory, where people look for it")
    log_simple: bool = declare(False, _IGNORED, "there is one file for all levels")
    log_to_scribe: str | None = declare(None, _IGNORED, "there is no scribe")
    scribe_category: str | None = declare(None, _IGNORED, "there is no scribe")
    scribe_buffer: bool = declare(False, _IGNORED, "there is no scribe")
    scribe_host: str | None = declare(None, _IGNORED, "there is no scribe")
    scribe_port: int | None = declare(None, _IGNORED, "there is no scribe")
    app_debug: bool = declare(False, _IGNORED, "levels are set by log_to_disk")
    app_ignore_rc_file: bool = declare(False, _IGNORED, "no file of defaults is read")


def parse(arguments: Sequence[str]) -> ExecutorFlags:
    """Raises `FlagError` and `HelpRequested`."""
    flags = flag_parsing.parse(arguments, ExecutorFlags)
    if flags.log_to_stdout is None:
        return flags
    if flags.log_to_stderr != ExecutorFlags.log_to_stderr:
        raise FlagError("--log_to_stderr and --log_to_stdout are one flag: one of them was expected")
    return dataclasses.replace(flags, log_to_stderr=flags.log_to_stdout, log_to_stdout=None)


def ignored(flags: ExecutorFlags) -> dict[str, str]:
    """Flags that were given and have no effect, by name, each with the reason."""
    given = flag_parsing.changed(flags, ExecutorFlags())
    declarations = {field.name: field.metadata["flag"] for field in dataclasses.fields(flags)}
    return {name: declarations[name].meaning for name in given if declarations[name].group == _IGNORED}


def usage() -> str:
    """All flags by group, with their defaults."""
    return (
        "aurorad -role=executor: runs one task. An agent starts it.\n\n"
        "usage: aurorad -role=executor [--flag=value ...]\n\n"
        "What follows each flag here is its default.\n"
    ) + flag_parsing.usage(ExecutorFlags(), "--")
