"""What is done with the output of processes (thermos-runner sheet, section 9; config-schema sheet, section 5)."""

from __future__ import annotations

from typing import Literal, Self, cast, get_args

import msgspec

from executor.task import Process, RotatePolicy

Destination = Literal["file", "console", "both", "none"]
Mode = Literal["standard", "rotate"]

_DEFAULTS = RotatePolicy()


class InvalidLogger(ValueError):
    """The text says which setting cannot be."""


class LoggerSettings(msgspec.Struct, frozen=True):
    """Where output goes, and whether its files are rotated: at `log_size` bytes, with so many old ones kept.

    Raises `InvalidLogger`.
    """

    destination: Destination = "file"
    mode: Mode = "standard"
    log_size: int = _DEFAULTS.log_size
    backups: int = _DEFAULTS.backups

    def __post_init__(self) -> None:
        if self.destination not in get_args(Destination):
            raise InvalidLogger(f"Logger destination {self.destination} is invalid.")
        if self.mode not in get_args(Mode):
            raise InvalidLogger(f"Logger mode {self.mode} is invalid.")
        if self.mode == "rotate" and self.log_size < 1:
            raise InvalidLogger("Log size cannot be less than one byte.")
        if self.mode == "rotate" and self.backups < 1:
            raise InvalidLogger("Log backups cannot be less than one.")

    @classmethod
    def of_flags(cls, destination: str | None, mode: str | None, log_size_mb: int | None, backups: int | None) -> Self:
        """What a runner's flags say; None for one that is not given. Raises `InvalidLogger`."""
        return cls(
            cast(Destination, destination or "file"),  # checked in there
            cast(Mode, mode or "standard"),
            _DEFAULTS.log_size if log_size_mb is None else log_size_mb << 20,
            _DEFAULTS.backups if backups is None else backups,
        )

    def for_process(self, process: Process) -> LoggerSettings:
        """What holds for one process: its own logger decides everything, if it has one. Raises `InvalidLogger`."""
        if process.logger is None:
            return self
        policy = process.logger.rotate or _DEFAULTS
        return LoggerSettings(process.logger.destination, process.logger.mode, policy.log_size, policy.backups)

    @property
    def piped(self) -> bool:
        """Whether the coordinator must pass the output on: a command can write to one file only, and to its end."""
        return self.destination == "both" or (self.destination == "file" and self.mode == "rotate")


DEFAULT_LOGGER = LoggerSettings()
