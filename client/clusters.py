"""Which clusters there are and where their schedulers listen (client-internals sheet, section 1)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from client.errors import CommandError, Exit

LOCAL_SCHEDULER = "http://localhost:8081"
# What a machine without any clusters.json has: the names of the tutorials, for the daemon on this machine.
_BUILT_IN = ("devcluster", "example")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """One entry of clusters.json; keys that mean nothing here are kept in `settings`."""

    name: str
    settings: Mapping[str, object]

    @property
    def scheduler_url(self) -> str:
        """Where the scheduler listens, ending in a slash. Raises `CommandError`."""
        uri = self.settings.get("scheduler_uri")
        if isinstance(uri, str) and uri:
            return _url(uri)
        if self.settings.get("zk"):
            raise CommandError(
                Exit.INVALID_COMMAND,
                f"Cluster {self.name} is to be found through ZooKeeper, which is not available yet: "
                "give it a scheduler_uri in clusters.json",
            )
        raise CommandError(Exit.INVALID_CONFIGURATION, f'"{self.name}" does not specify zk or scheduler_uri')

    @property
    def page_url(self) -> str:
        """Where people look at the cluster, ending in a slash."""
        proxy = self.settings.get("proxy_url")
        return _url(proxy) if isinstance(proxy, str) and proxy else self.scheduler_url


def _url(uri: str) -> str:
    with_scheme = uri if "://" in uri else f"http://{uri}"
    return with_scheme.rstrip("/") + "/"


def load(environ: Mapping[str, str]) -> dict[str, Cluster]:
    """The clusters of the system's file and of the user's, which wins. Raises `CommandError` for a broken file."""
    system = Path(environ.get("AURORA_CONFIG_ROOT") or "/etc/aurora") / "clusters.json"
    own = Path(environ.get("HOME") or "~").expanduser() / ".aurora" / "clusters.json"
    files = [file for file in (system, own) if file.exists()]
    if not files:
        return {name: Cluster(name, {"name": name, "scheduler_uri": LOCAL_SCHEDULER}) for name in _BUILT_IN}
    return {cluster.name: cluster for file in files for cluster in _read(file)}


def find(clusters: Mapping[str, Cluster], name: str) -> Cluster:
    """Raises `CommandError` that lists the clusters there are."""
    if name not in clusters:
        known = ", ".join(sorted(clusters)) or "none: clusters.json is empty"
        raise CommandError(Exit.INVALID_CONFIGURATION, f"Unknown cluster: {name} (known: {known})")
    return clusters[name]


def _read(file: Path) -> Iterator[Cluster]:
    try:
        data = json.loads(file.read_bytes())
    except OSError as error:
        raise _broken(f"Unable to read {file}: {error.strerror}") from None
    except ValueError as error:
        raise _broken(f"Unable to parse {file}: {error}") from None
    if isinstance(data, dict):
        entries = [(name, entry) for name, entry in data.items()]
    elif isinstance(data, list):
        entries = [(None, entry) for entry in data]
    else:
        raise _broken(f"Unknown layout in {file}: a list of clusters was expected")
    for key, entry in entries:
        if not isinstance(entry, dict):
            raise _broken(f"{file}: Clusters must be maps of key/value pairs, got {type(entry).__name__}")
        name = entry.get("name", key)
        if isinstance(name, str):
            yield Cluster(name, entry)


def _broken(text: str) -> CommandError:
    return CommandError(Exit.INVALID_CONFIGURATION, text)
