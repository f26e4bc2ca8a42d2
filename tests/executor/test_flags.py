"""The executor's command line (executor sheet, sections 2 and 14)."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from aurorad.flag_parsing import FlagError, HelpRequested
from executor.flags import ExecutorFlags, LogTo, ignored, parse, usage


def test_defaults_are_those_of_the_sheet() -> None:
    assert parse([]) == ExecutorFlags()
    flags = parse([])
    assert flags.announcer_serverset_path == "/aurora"
    assert flags.mesos_containerizer_path == Path("/usr/libexec/mesos/mesos-containerizer")
    assert flags.sandbox_mount_point == Path("/mnt/mesos/sandbox")
    assert flags.stop_timeout_in_secs == 120
    assert flags.log_to_stderr == LogTo("ERROR")


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--announcer-ensemble=a:2181,b:2181"], "announcer_ensemble", "a:2181,b:2181"),
        (["--announcer-ensemble", "a:2181"], "announcer_ensemble", "a:2181"),
        (["-announcer-serverset-path=/x"], "announcer_serverset_path", "/x"),
        (["--announcer-allow-custom-serverset-path"], "announcer_allow_custom_serverset_path", True),
        (["--announcer-hostname=h"], "announcer_hostname", "h"),
        (["--announcer-zookeeper-auth-config=/a.json"], "announcer_zookeeper_auth_config", Path("/a.json")),
        (["--mesos-containerizer-path=/m"], "mesos_containerizer_path", Path("/m")),
        (["--no-create-user"], "no_create_user", True),
        (["--sandbox-mount-point=/s"], "sandbox_mount_point", Path("/s")),
        (["--execute-as-user=u"], "execute_as_user", "u"),
        (["--nosetuid"], "nosetuid", True),
        (["--nosetuid-health-checks"], "nosetuid_health_checks", True),
        (["--runner-logger-destination=both"], "runner_logger_destination", "both"),
        (["--runner-logger-mode=rotate"], "runner_logger_mode", "rotate"),
        (["--runner-rotate-log-size-mb=100"], "runner_rotate_log_size_mb", 100),
        (["--runner-rotate-log-backups", "10"], "runner_rotate_log_backups", 10),
        (["--preserve_env"], "preserve_env", True),
        (["--preserve-env"], "preserve_env", True),
        (["--stop_timeout_in_secs=7"], "stop_timeout_in_secs", 7.0),
        (["--log_to_disk=plain:DEBUG"], "log_to_disk", LogTo("DEBUG", "plain")),
        (["--log_to_stderr=google:warn"], "log_to_stderr", LogTo("WARN", "google")),
        (["--log_to_stdout=NONE"], "log_to_stderr", LogTo("NONE")),
    ],
)
def test_every_flag_of_the_sheet_is_understood(arguments: list[str], name: str, value: object) -> None:
    assert getattr(parse(arguments), name) == value


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--no-such-flag"], "unknown flag --no-such-flag: -help lists those there are"),
        (["--app_daemonize"], "unknown flag --app_daemonize: -help lists those there are"),
        (
            ["--runner-logger-destination=printer"],
            "--runner-logger-destination=printer: one of file, console, both, none was expected",
        ),
        (["--runner-rotate-log-backups=0"], "--runner-rotate-log-backups=0: a value above 0 was expected"),
        (["--stop_timeout_in_secs"], "--stop_timeout_in_secs has no value: a number was expected"),
        (
            ["--log_to_disk=LOUD"],
            "--log_to_disk=LOUD: [google: or plain:] and DEBUG, INFO, WARN, ERROR, FATAL or NONE was expected",
        ),
        (
            ["--log_to_stderr=INFO", "--log_to_stdout=INFO"],
            "--log_to_stderr and --log_to_stdout are one flag: one of them was expected",
        ),
    ],
)
def test_what_cannot_be_accepted_is_named(arguments: list[str], text: str) -> None:
    with pytest.raises(FlagError) as refused:
        parse(arguments)
    assert str(refused.value) == text


def test_harmless_flags_of_old_are_accepted_and_listed() -> None:
    old = ["--announcer-enable", "--log_dir=/var/log", "--log_simple", "--log_to_scribe", "NONE", "--scribe_port=1463"]
    flags = parse([*old, "--nosetuid"])
    assert flags.nosetuid
    assert list(ignored(flags)) == ["announcer_enable", "log_dir", "log_simple", "log_to_scribe", "scribe_port"]
    assert ignored(flags)["announcer_enable"] == "an ensemble is enough"
    assert ignored(parse(["--nosetuid"])) == {}


@pytest.mark.parametrize("argument", ["-h", "--help", "--short-help", "--long-help"])
def test_help_lists_the_flags(argument: str) -> None:
    with pytest.raises(HelpRequested):
        parse([argument])
    assert "  --log_to_stderr=ERROR\n" in usage()
    assert "  --stop_timeout_in_secs=120.0\n" in usage()


def test_levels_are_pythons() -> None:
    assert LogTo.read("WARN").number == logging.WARNING
    assert LogTo.read("NONE").number > logging.CRITICAL
