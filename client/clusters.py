"""Which clusters there are, as clusters.json has them (client-internals sheet, section 1)."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from client.errors import CommandError, Exit

LOCAL_SCHEDULER = "http://localhost:8081"
# What a machine without any clusters.json has: the names of the tutorials, for the daemon on this machine.
_BUILT_IN = ("devcluster", "example")
_TEXTS = (
    *("zk", "scheduler_zk_path", "scheduler_uri", "proxy_url", "auth_mechanism"),
    *("slave_root", "slave_run_directory", "docker_registry"),
    *("credentials_file", "tls_ca", "tls_certificate", "tls_key"),
)
_ADDRESSES = ("scheduler_uri", "proxy_url")
_PORT = "zk_port"
_DEFAULT_ZK_PORT = 2181
_ZK_HOST = re.compile(r"([^\s:/]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?")
# A string, which stays, or a comma before the end of an object or a list, which the manuals have and JSON has not.
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')


@dataclasses.dataclass(frozen=True)
class Cluster:
    """One entry of clusters.json; keys that mean nothing here are kept in `settings`."""

    name: str
    settings: Mapping[str, object]
    file: Path | None = None

    def text(self, key: str) -> str | None:
        """A setting; None if it is missing or empty."""
        value = self.settings.get(key)
        return str(value) if value else None

    @property
    def zk_hosts(self) -> str | None:
        """``host:port,host:port`` of the ZooKeeper that knows the leader; None if the scheduler has an address."""
        zk = self.text("zk")
        if zk is None:
            return None
        hosts = [host.strip() for host in zk.split(",") if host.strip()]
        port = int(str(self.settings.get(_PORT) or _DEFAULT_ZK_PORT))
        return ",".join(host if re.search(r":\d+$", host) else f"{host}:{port}" for host in hosts)

    @property
    def zk_path(self) -> str:
        """Raises `CommandError`."""
        path = self.text("scheduler_zk_path")
        if path is None:
            raise self.lacks(
                "Cluster has no defined scheduler path, must specify scheduler_zk_path in your cluster config!"
            )
        return path

    @property
    def scheduler_url(self) -> str:
        """Where the scheduler listens, ending in a slash, if no ZooKeeper has to be asked. Raises `CommandError`."""
        uri = self.text("scheduler_uri")
        if uri is None:
            raise self.lacks(f'"{self.name}" does not specify zk or scheduler_uri')
        return url(uri)

    @property
    def proxy_url(self) -> str | None:
        """Where people look at the cluster, ending in a slash, if that is not the scheduler itself."""
        proxy = self.text("proxy_url")
        return url(proxy) if proxy is not None else None

    def lacks(self, text: str) -> CommandError:
        """An error about this entry, with its place."""
        place = f" ({self.name} in {self.file})" if self.file is not None else ""
        return CommandError(Exit.INVALID_CONFIGURATION, text + place)

    def check(self) -> None:
        """Raises `CommandError` that names file and key."""
        for key in _TEXTS:
            value = self.settings.get(key)
            if value is not None and not isinstance(value, str):
                raise self.lacks(f"{key} must be a text, and it is {json.dumps(value)}")
        for key in _ADDRESSES:
            address = self.text(key)
            if address is not None and not _is_address(address):
                raise self.lacks(f"{key} must be an address such as {LOCAL_SCHEDULER}, and it is {json.dumps(address)}")
        zk = self.text("zk")
        if zk is not None and not all(_is_zk_host(host.strip()) for host in zk.split(",") if host.strip()):
            raise self.lacks(f"zk must be HOST or HOST:PORT, several with commas, and it is {json.dumps(zk)}")
        port = self.settings.get(_PORT)
        if port is not None and (isinstance(port, bool) or not re.fullmatch(r"[0-9]{1,5}", str(port))):
            raise self.lacks(f"{_PORT} must be a port number, and it is {json.dumps(port)}")


def url(address: str) -> str:
    """With a scheme, and ending in a slash."""
    with_scheme = address if "://" in address else f"http://{address}"
    return with_scheme.rstrip("/") + "/"


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(url(text))
        return parts.port != 0 and _is_name(parts.hostname or "")
    except ValueError:  # brackets that do not match, a port that is none
        return False


def _is_zk_host(text: str) -> bool:
    found = _ZK_HOST.fullmatch(text)
    return found is not None and _is_name(found[1])


def _is_name(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:  # a part of it is empty, or of more than 63 characters
        return False


def load(environ: Mapping[str, str]) -> dict[str, Cluster]:
    """The clusters of the system's file and of the user's, which wins. Raises `CommandError` for a broken file."""
    home = Path(environ.get("HOME") or "~").expanduser()
    places = (
        Path(environ.get("AURORA_CONFIG_ROOT") or "/etc/aurora") / "clusters.json",
        home / ".clusters.json",  # where the manual of 0.5 has it
        home / ".aurora" / "clusters.json",
    )
    files = [file for file in places if file.exists()]
    if not files:
        return {name: Cluster(name, {"name": name, "scheduler_uri": LOCAL_SCHEDULER}) for name in _BUILT_IN}
    return {cluster.name: cluster for file in files for cluster in _read(file)}


def find(clusters: Mapping[str, Cluster], name: str) -> Cluster:
    """Raises `CommandError` that lists the clusters there are, or names what is wrong with this one."""
    if name not in clusters:
        known = ", ".join(sorted(clusters)) or "none: clusters.json is empty"
        raise CommandError(Exit.INVALID_CONFIGURATION, f"Unknown cluster: {name} (known: {known})")
    clusters[name].check()
    return clusters[name]


def _read(file: Path) -> Iterator[Cluster]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        data = json.loads(_TRAILING_COMMA.sub(lambda match: match[1] or "", text))
    except OSError as error:
        raise _broken(f"Unable to read {file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
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
        if name is not None and not isinstance(name, str):
            raise _broken(f"{file}: name must be a text, and it is {json.dumps(name)}")
        if name:
            yield Cluster(name, entry, file)


def _broken(text: str) -> CommandError:
    return CommandError(Exit.INVALID_CONFIGURATION, text)
