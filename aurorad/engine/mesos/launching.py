"""From a task to launch to Mesos' TaskInfo (scheduling sheet, section 10; executor sheet, section 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from aurorad.api.tasks import DockerContainer, MesosContainer, MesosFetcherURI, Volume
from aurorad.api.tasks import Image as AskedImage
from aurorad.engine.base import Resource, TaskInfo
from aurorad.engine.mesos import messages
from aurorad.engine.mesos import tasks as wire
from aurorad.engine.mesos.messages import Id
from aurorad.engine.mesos.translate import wire_resource

TASK_FILE_SYSTEM = "taskfs"
"""Where an executor has its task's image, within its sandbox."""

_SOURCE = "source"


class Unlaunchable(ValueError):
    """A task that no agent could be asked to run: the text says why."""


class Kind(Protocol):
    """What is to be known of a kind of executor."""

    @property
    def info(self) -> wire.Executor: ...

    @property
    def mounts(self) -> tuple[Volume, ...]: ...


class Launching:
    """Knows the executors by name. `location` is where discovery finds tasks, None if they shall not be found."""

    def __init__(self, executors: Mapping[str, Kind], location: str | None = None) -> None:
        self._executors = executors
        self._location = location

    def task(self, info: TaskInfo, framework_id: str) -> wire.Task:
        """Raises `Unlaunchable`."""
        task = wire.Task(
            name=info.name,
            task_id=Id(info.task_id),
            agent_id=Id(info.agent_id),
            resources=_resources(info.resources),
            labels=_labels(info.labels),
            discovery=self._discovery(info),
        )
        if info.executor_name is None:
            if info.container.docker is None:
                raise Unlaunchable("Task had no supported container set.")
            container = _docker(info.container.docker, ())
            return msgspec.structs.replace(task, container=container, command=wire.Command(shell=False))
        return msgspec.structs.replace(task, executor=self._executor(info, framework_id), data=info.data)

    def _executor(self, info: TaskInfo, framework_id: str) -> wire.Executor:
        kind = self._executors.get(info.executor_name or "")
        if kind is None or kind.info.command is None:
            raise Unlaunchable(f"Configuration for executor '{info.executor_name}' doesn't exist.")
        command, own_labels = kind.info.command, kind.info.labels
        uris = (*command.uris, *map(_uri, info.uris)) if info.uris else command.uris
        return msgspec.structs.replace(
            kind.info,
            executor_id=Id(info.executor_id),
            framework_id=Id(framework_id),
            source=info.source,
            labels=wire.Labels((*(own_labels.labels if own_labels is not None else ()), _label(_SOURCE, info.source))),
            command=msgspec.structs.replace(command, uris=uris),
            container=_container(info, kind),
            resources=_resources(info.executor_resources),
        )

    def _discovery(self, info: TaskInfo) -> wire.Discovery | None:
        if self._location is None:
            return None
        role, environment, job = info.name.split("/")
        return wire.Discovery(
            visibility="CLUSTER",
            name=f"{job}.{environment}.{role}",
            environment=environment,
            location=self._location,
            ports=wire.Ports(tuple(wire.Port(number, name, "TCP") for name, number in sorted(info.ports.items()))),
        )


def _container(info: TaskInfo, kind: Kind) -> wire.Container | None:
    """Without an image, the executor's own, which nearly always is none."""
    if info.container.docker is not None:
        return _docker(info.container.docker, kind.mounts)
    mesos = info.container.mesos
    if mesos is None:
        raise Unlaunchable("Task had no supported container set.")
    return _with_image(mesos, mesos.image, kind.mounts) if mesos.image is not None else kind.info.container


def _docker(docker: DockerContainer, mounts: Iterable[Volume]) -> wire.Container:
    parameters = tuple(wire.Parameter(one.name or "", one.value or "") for one in docker.parameters)
    return wire.Container(
        "DOCKER", volumes=tuple(map(_volume, mounts)), docker=wire.DockerInfo(docker.image or "", parameters=parameters)
    )


def _with_image(mesos: MesosContainer, image: AskedImage, mounts: Iterable[Volume]) -> wire.Container:
    volumes = (*map(_volume, mounts), *map(_volume, mesos.volumes))
    return wire.Container(
        "MESOS", volumes=(*volumes, wire.Volume("RO", container_path=TASK_FILE_SYSTEM, image=_image(image)))
    )


def _image(image: AskedImage) -> wire.Image:
    if image.docker is not None:
        name, tag = image.docker.name or "", image.docker.tag
        return wire.Image("DOCKER", docker=wire.DockerImage(f"{name}:{tag}" if tag else name))
    if image.appc is not None:
        return wire.Image("APPC", appc=wire.AppcImage(image.appc.name or "", image.appc.image_id))
    raise Unlaunchable("Task had an image of no supported kind set.")


def _volume(volume: Volume) -> wire.Volume:
    return wire.Volume(
        "RO" if volume.mode.name == "RO" else "RW",
        container_path=volume.container_path or "",
        host_path=volume.host_path,
    )


def _uri(uri: MesosFetcherURI) -> wire.Uri:
    return wire.Uri(
        uri.value or "", executable=False, extract=uri.extract, cache=uri.cache, output_file=uri.output_file
    )


def _labels(labels: Iterable[tuple[str, str]]) -> wire.Labels | None:
    made = tuple(_label(key, value) for key, value in labels)
    return wire.Labels(made) if made else None


def _label(key: str, value: str) -> wire.Label:
    return wire.Label(key, value)


def _resources(resources: Iterable[Resource]) -> tuple[messages.Resource, ...]:
    return tuple(map(wire_resource, resources))
