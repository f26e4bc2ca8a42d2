"""Several schedulers that stand in for each other, on this machine: real processes, real ZooKeeper, pretended hosts."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.cluster import Cluster, eventually

MEMBERS = ("a", "b", "c")


class Schedulers:
    """Each of `by_name` may be stopped, killed and started again."""

    def __init__(
        self,
        folder: Path,
        zookeeper: str,
        *flags: str,
        path: str = "/aurora",
        engine: Sequence[str] = ("-engine=simulated",),
    ) -> None:
        quorum = len(MEMBERS) // 2 + 1
        self.by_name: dict[str, Cluster] = {}
        for name in MEMBERS:
            own = folder / name
            own.mkdir()
            self.by_name[name] = Cluster(
                own,
                *engine,
                f"-zk_endpoints={zookeeper}",
                f"-serverset_path={path}/scheduler",
                f"-native_log_zk_group_path={path}/log",
                f"-native_log_file_path={own / 'log'}",
                f"-native_log_quorum_size={quorum}",
                "-native_log_initialize",
                "-zk_session_timeout=4secs",
                *flags,
            )

    def start(self) -> None:
        """All that do not run."""
        down = [member for member in self.by_name.values() if not member.running]
        with ThreadPoolExecutor(len(MEMBERS)) as starters:
            for started in [starters.submit(member.start) for member in down]:
                started.result()

    def stop(self) -> None:
        for member in self.by_name.values():
            if member.running:
                member.stop()

    @property
    def running(self) -> Mapping[str, Cluster]:
        return {name: member for name, member in self.by_name.items() if member.running}

    def leader(self, within_s: float = 60.0) -> str:
        """The name of the one that says it leads, as soon as there is one."""
        return eventually("one of them leads", self._leader, within_s)

    def _leader(self) -> str | None:
        leading = [name for name, member in self.running.items() if status_of(member, "/leaderhealth") == 200]
        return leading[0] if leading else None


def status_of(member: Cluster, path: str) -> int:
    """The status of an answer, without following where it leads; 0 if there is none."""
    try:
        with _opener.open(member.scheduler + path, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def variables(member: Cluster) -> Mapping[str, object]:
    values: Mapping[str, object] = json.loads(member.get("/vars.json"))
    return values


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


_opener = urllib.request.build_opener(_Stay)


@contextmanager
def schedulers(
    folder: Path, zookeeper: str, *flags: str, engine: Sequence[str] = ("-engine=simulated",)
) -> Iterator[Schedulers]:
    """Started ones, that leave nothing running behind."""
    them = Schedulers(folder, zookeeper, *flags, engine=engine)
    try:
        them.start()
        yield them
    finally:
        them.stop()
