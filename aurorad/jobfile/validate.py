"""Settings that the client refuses or warns of before anything is sent (config-schema sheet, section 11)."""

from __future__ import annotations

from collections.abc import Iterator

from aurorad.jobfile import ports
from aurorad.jobfile.errors import ConfigError, ConfigRefused
from aurorad.jobfile.jobs import JobConfig
from aurorad.jobfile.values import Job, LateNumber

# The share of a dedicated job's instances that an update must be allowed to lose.
_DEDICATED_FAILURES = 0.02
_LAST_PORT = 65535


def check(config: JobConfig) -> list[str]:
    """Warnings for the author. Raises `ConfigRefused` for settings nobody can want, `ConfigError` for static ports."""
    job = config.job
    _check_failures(job)
    _check_dedicated(job)
    for name, value in _never_negative(job):
        if not isinstance(value, str) and value < 0:
            raise ConfigRefused(f"Invalid value ({value:g}) specified for {name}. Value cannot be less than 0.")
    return [*_announce_warnings(config), *_production_warnings(job), *_container_warnings(job)]


def _check_failures(job: Job) -> None:
    if job.update_config.max_total_failures >= job.instances:
        raise ConfigRefused(
            "max_total_failures in update_config must be lesser than the job size.\n"
            f"Based on your job size ({job.instances}) you should use max_total_failures <= {job.instances - 1}."
        )


def _check_dedicated(job: Job) -> None:
    least = int(_DEDICATED_FAILURES * job.instances)
    if "dedicated" in job.constraints and job.update_config.max_total_failures < least:
        raise ConfigRefused(
            "Since this is a dedicated job, you must set your max_total_failures in\n"
            "your update configuration to no less than 2% of your job size.\n"
            f"Based on your job size ({job.instances}) you should use max_total_failures >= {least}."
        )


def _never_negative(job: Job) -> Iterator[tuple[str, LateNumber]]:
    health = job.health_check_config
    yield "watch_secs", job.update_config.watch_secs
    yield "max_consecutive_failures", health.max_consecutive_failures
    yield "min_consecutive_successes", health.min_consecutive_successes
    yield "initial_interval_secs", health.initial_interval_secs
    yield "interval_secs", health.interval_secs


def _announce_warnings(config: JobConfig) -> Iterator[str]:
    announce = config.job.announce
    if announce is None:
        return
    static = {name: number for name, to in announce.portmap.items() if (number := ports.number(to)) is not None}
    for name, number in static.items():
        if number > _LAST_PORT:
            raise ConfigError(f"Announcer maps {name} to port {number}: at most {_LAST_PORT} was expected")
    if static and "dedicated" not in config.job.constraints:
        raise ConfigError("Job must be dedicated in order to specify static ports!")
    primary = announce.primary_port
    if primary not in config.ports and primary not in announce.portmap:
        yield (
            f"Announcer specified primary port as '{primary}' but no processes have bound that port.\n"
            f"If you would like to utilize this port, you should listen on {{{{thermos.ports[{primary}]}}}}\n"
            "from some Process bound to your task."
        )


def _production_warnings(job: Job) -> Iterator[str]:
    if job.production and job.tier is None:
        yield (
            "Job configuration attribute 'production' is deprecated.\n"
            "Use 'tier' attribute instead: 'preferred' is what production jobs had."
        )


def _container_warnings(job: Job) -> Iterator[str]:
    if job.container is not None and "docker" in job.container:
        yield "Container(docker = Docker(...)) is from an older version: write container = Docker(...)"
