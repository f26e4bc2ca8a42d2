"""Settings of process logs (thermos-runner sheet, section 9)."""

from __future__ import annotations

import pytest

from executor.logger import InvalidLogger, LoggerSettings
from executor.task import Logger, Process, RotatePolicy

MIB = 1 << 20
FLAGS = LoggerSettings("both", "rotate", 7 * MIB, 2)


@pytest.mark.parametrize(
    ("logger", "of_runner", "effective"),
    [
        (None, LoggerSettings(), LoggerSettings("file", "standard", 100 * MIB, 5)),
        (None, FLAGS, FLAGS),
        (Logger(), FLAGS, LoggerSettings()),
        (Logger("none"), FLAGS, LoggerSettings("none")),
        (Logger(mode="rotate"), FLAGS, LoggerSettings("file", "rotate", 100 * MIB, 5)),
        (Logger(mode="rotate", rotate=RotatePolicy(log_size=1)), FLAGS, LoggerSettings("file", "rotate", 1, 5)),
        (Logger("both", "rotate", RotatePolicy(10, 1)), FLAGS, LoggerSettings("both", "rotate", 10, 1)),
    ],
)
def test_a_processs_own_logger_decides_everything_if_there_is_one(
    logger: Logger | None, of_runner: LoggerSettings, effective: LoggerSettings
) -> None:
    assert of_runner.for_process(Process("p", "true", logger=logger)) == effective


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        ((None, None, None, None), LoggerSettings()),
        (("console", None, None, None), LoggerSettings("console")),
        (("both", "rotate", 100, 10), LoggerSettings("both", "rotate", 100 * MIB, 10)),
        ((None, "rotate", None, None), LoggerSettings("file", "rotate", 100 * MIB, 5)),
    ],
)
def test_flags_that_are_not_given_have_defaults(
    flags: tuple[str | None, str | None, int | None, int | None], settings: LoggerSettings
) -> None:
    assert LoggerSettings.of_flags(*flags) == settings


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("files", None, None, None), "Logger destination files is invalid."),
        ((None, "rotating", None, None), "Logger mode rotating is invalid."),
        ((None, "rotate", 0, None), "Log size cannot be less than one byte."),
        ((None, "rotate", -1, None), "Log size cannot be less than one byte."),
        ((None, "rotate", 1, 0), "Log backups cannot be less than one."),
    ],
)
def test_settings_that_cannot_be_are_refused(
    flags: tuple[str | None, str | None, int | None, int | None], says: str
) -> None:
    with pytest.raises(InvalidLogger) as refused:
        LoggerSettings.of_flags(*flags)
    assert str(refused.value) == says


def test_what_is_not_rotated_may_have_any_rotation() -> None:
    LoggerSettings("file", "standard", 0, 0)
