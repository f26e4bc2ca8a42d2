"""A task to launch, as Mesos' v1 API wants it (scheduling sheet, section 10; Mesos' ``v1/mesos.proto``).

What is None or empty is left out. Whatever Mesos has beside and nobody here looks into is `Raw`: taken from an
operator's file, it is handed on as it was written.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

from aurorad.engine.mesos.messages import Id, Resource


class Message(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One of Mesos' messages; read from an operator's file, a word that is not Mesos' is a mistake."""


class Label(Message, frozen=True):
    key: str
    value: str | None = None


class Labels(Message, frozen=True):
    labels: tuple[Label, ...] = ()


class Uri(Message, frozen=True):
    value: str
    executable: bool | None = None
    extract: bool | None = None
    cache: bool | None = None
    output_file: str | None = None


class Command(Message, frozen=True):
    uris: tuple[Uri, ...] = ()
    environment: Raw = Raw()
    shell: bool | None = None
    value: str | None = None
    arguments: tuple[str, ...] = ()
    user: str | None = None


class Parameter(Message, frozen=True):
    key: str
    value: str


class DockerImage(Message, frozen=True):
    name: str
    credential: Raw = Raw()
    config: Raw = Raw()


class AppcImage(Message, frozen=True):
    name: str
    id: str | None = None
    labels: Labels | None = None


class Image(Message, frozen=True):
    type: Literal["DOCKER", "APPC"]
    docker: DockerImage | None = None
    appc: AppcImage | None = None
    cached: bool | None = None


class Volume(Message, frozen=True):
    mode: Literal["RW", "RO"]
    container_path: str
    host_path: str | None = None
    image: Image | None = None
    source: Raw = Raw()


class DockerInfo(Message, frozen=True):
    image: str
    network: str | None = None
    port_mappings: Raw = Raw()
    privileged: bool | None = None
    parameters: tuple[Parameter, ...] = ()
    force_pull_image: bool | None = None
    volume_driver: str | None = None


class Container(Message, frozen=True):
    type: Literal["DOCKER", "MESOS"]
    volumes: tuple[Volume, ...] = ()
    hostname: str | None = None
    docker: DockerInfo | None = None
    mesos: Raw = Raw()
    network_infos: Raw = Raw()
    linux_info: Raw = Raw()
    rlimit_info: Raw = Raw()
    tty_info: Raw = Raw()


class Port(Message, frozen=True):
    number: int
    name: str | None = None
    protocol: str | None = None
    visibility: str | None = None
    labels: Labels | None = None


class Ports(Message, frozen=True):
    ports: tuple[Port, ...] = ()


class Discovery(Message, frozen=True):
    visibility: str
    name: str | None = None
    environment: str | None = None
    location: str | None = None
    version: str | None = None
    ports: Ports | None = None
    labels: Labels | None = None


class Executor(Message, frozen=True):
    """Mesos' ExecutorInfo."""

    executor_id: Id | None = None
    type: str | None = None
    framework_id: Id | None = None
    command: Command | None = None
    container: Container | None = None
    resources: tuple[Resource, ...] = ()
    name: str | None = None
    source: str | None = None
    data: bytes | None = None
    discovery: Discovery | None = None
    shutdown_grace_period: Raw = Raw()
    labels: Labels | None = None


class Task(Message, frozen=True):
    """Mesos' TaskInfo."""

    name: str
    task_id: Id
    agent_id: Id
    resources: tuple[Resource, ...] = ()
    executor: Executor | None = None
    command: Command | None = None
    container: Container | None = None
    data: bytes | None = None
    labels: Labels | None = None
    discovery: Discovery | None = None
