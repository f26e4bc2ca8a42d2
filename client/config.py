"""From a job file to a checked job (client-internals sheet, section 7)."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from frozendict import frozendict

from aurorad.api.calls import GetTierConfigs
from aurorad.api.results import GetTierConfigResult, TierConfig
from aurorad.api.tasks import JobConfiguration
from aurorad.api.updates import JobUpdateSettings
from aurorad.jobfile import convert, jobs, loader, settings, tiers, validate
from aurorad.jobfile.errors import ConfigError, ConfigRefused
from aurorad.jobfile.jobs import JobConfig, Selector
from aurorad.jobfile.loader import JobFile
from client import clusters
from client.arguments import JobPath
from client.errors import CommandError, Exit, FatalError
from client.scheduler import Scheduler
from client.session import Session


def _tier(name: str, preemptible: bool, revocable: bool) -> TierConfig:
    return TierConfig(name, frozendict(preemptible=str(preemptible).lower(), revocable=str(revocable).lower()))


# What a cluster without a tier file has (config-validation sheet, section 6); for commands that ask no scheduler.
DEFAULT_TIERS = GetTierConfigResult(
    "preemptible",
    frozenset({_tier("preferred", False, False), _tier("preemptible", True, False), _tier("revocable", True, True)}),
)


def read(path: Path, *, as_json: bool) -> JobFile:
    """Raises `ConfigError`."""
    return loader.load_json(path) if as_json else loader.load(path)


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A job of a file, checked."""

    path: JobPath
    config: JobConfig
    sent: JobConfiguration
    """What the scheduler gets."""
    hooks: tuple[object, ...]
    """Those of the file; none if the job does not enable them."""


def load(options: Namespace, path: JobPath, session: Session) -> Loaded:
    """The job that `options.config_file` defines under this key; its tier is as the file has it.

    Raises `CommandError`; nothing is asked of the scheduler, but of a Docker registry when the job names an image so.
    """
    file: Path = options.config_file
    with _errors():
        found = read(file, as_json=options.read_json)
        for warning in found.warnings:
            session.terminal.warn(warning)
        job = jobs.pick(jobs.bound(found.jobs, options.bind), Selector(path.cluster, *_parts(path)))
        config = jobs.evaluate(job, lambda name, tag: _image(session, path.cluster, name, tag))
        for warning in validate.check(config):
            session.terminal.warn(warning)
        sent = convert.convert(config, session.user())
    session.terminal.debug(f"{file} defines {config.job}")
    return Loaded(path, config, sent, found.hooks if config.job.enable_hooks else ())


def load_for(options: Namespace, path: JobPath, session: Session, scheduler: Scheduler) -> Loaded:
    """As `load`, with the tier the cluster gives it."""
    loaded = load(options, path, session)
    result = scheduler.ask(
        GetTierConfigs(), "Error loading configuration: Error getting tier configurations.", Exit.INVALID_CONFIGURATION
    )
    return with_tier(loaded, result.get_tier_config_result or DEFAULT_TIERS, session)


def with_tier(loaded: Loaded, known: GetTierConfigResult, session: Session) -> Loaded:
    """Raises `CommandError`."""
    with _errors():
        config = tiers.fill(loaded.config, known)
        return dataclasses.replace(loaded, config=config, sent=convert.convert(config, session.user()))


def update_settings(loaded: Loaded, instances: Iterable[int]) -> JobUpdateSettings:
    """The settings of an update of these instances, of all when none are given. Raises `CommandError`."""
    try:
        return settings.convert(loaded.config.job.update_config, instances)
    except ConfigError as error:
        raise CommandError(Exit.INVALID_CONFIGURATION, str(error)) from error


def _image(session: Session, cluster: str, name: str, tag: str) -> str:
    from client import docker  # the HTTP library takes its time to load, and few jobs need it

    registry = clusters.find(session.clusters(), cluster).settings.get("docker_registry", docker.DEFAULT_REGISTRY)
    with docker.Registry(str(registry)) as asked:
        image = asked.resolve(name, tag)
    session.terminal.info(f"Resolved {name}:{tag} => {image}")
    return image


def _parts(path: JobPath) -> tuple[str, str, str]:
    return path.key.role, path.key.environment, path.key.name


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ConfigRefused as error:
        raise FatalError(str(error)) from error
    except ConfigError as error:
        raise CommandError(Exit.INVALID_CONFIGURATION, f"Error loading configuration: {error}") from error
