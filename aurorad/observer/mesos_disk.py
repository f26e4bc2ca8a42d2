"""Disk use as a Mesos agent knows it (observer sheet, section 4)."""

from __future__ import annotations

import http.client
import logging
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence

import jmespath
import msgspec
import trio
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from aurorad.observer.walk import Place

log = logging.getLogger(__name__)

UNKNOWN = -1
TIMEOUT_S = 5.0
_LARGEST_ANSWER = 64 << 20  # bytes


class MesosDiskCollector:
    """Asks the agent about all of its containers at once. What cannot be found out is -1, with a warning."""

    def __init__(self, url: str, executor_id_path: str, disk_usage_path: str, timeout_s: float = TIMEOUT_S) -> None:
        """`url` is the agent's list of containers; the JMESPaths lead from one of them to its values."""
        self._url = url
        self._executor_id = jmespath.compile(executor_id_path)
        self._disk_usage = jmespath.compile(disk_usage_path)
        self._timeout_s = timeout_s

    async def __call__(self, sandboxes: Mapping[str, Place]) -> AsyncIterator[tuple[str, int]]:
        """The bytes of disk that each sandbox takes, by task id."""
        containers = await trio.to_thread.run_sync(self._ask, abandon_on_cancel=True) if sandboxes else None
        for task_id, sandbox in sandboxes.items():
            yield task_id, UNKNOWN if containers is None else self.usage(containers, str(sandbox))

    def usage(self, containers: Sequence[object], sandbox: str) -> int:
        """That of the one container whose executor's id is part of the sandbox's path."""
        own = [one for one in containers if (name := _found(self._executor_id, one)) and str(name) in sandbox]
        if len(own) != 1:
            log.warning("MesosDiskCollector: Didn't find container stats for path %s in agent metrics.", sandbox)
            return UNKNOWN
        used = _found(self._disk_usage, own[0])
        if isinstance(used, bool) or not isinstance(used, int | float):
            log.warning("MesosDiskCollector: Didn't find disk usage stats for path %s in agent metrics.", sandbox)
            return UNKNOWN
        return int(used)

    def _ask(self) -> list[object] | None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the agent is on this machine
        try:
            with opener.open(self._url, timeout=self._timeout_s) as answer:
                body: bytes = answer.read(_LARGEST_ANSWER)
            return msgspec.json.decode(body, type=list[object])
        except (OSError, ValueError, http.client.HTTPException, msgspec.DecodeError, RecursionError) as error:
            log.warning("MesosDiskCollector: Unexpected error talking to agent api: %s", error)
            return None


def _found(path: ParsedResult, container: object) -> object:
    """None also where the path asks for what cannot be done with what is there."""
    try:
        return path.search(container)
    except JMESPathError:
        return None
