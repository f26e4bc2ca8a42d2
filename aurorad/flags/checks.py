"""What values of aurorad's flags may be: each check gives what was expected instead, None if a value is fine."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from aurorad.api.node_paths import is_node_path
from aurorad.flag_parsing import LOG_LEVELS

ROLES = ("scheduler", "observer", "executor", "launcher")
OFFER_ORDERS = ("CPU", "MEMORY", "DISK", "REVOCABLE_CPU", "RANDOM")
_MOUNT = re.compile(r"[^:]+:[^:]+:(ro|rw)", re.IGNORECASE)
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s,:/@\[\]]+):\d{1,5}", re.ASCII)


def port(value: int) -> str | None:
    return None if 0 <= value <= 65535 else "a port from 0 to 65535"


def part(value: float) -> str | None:
    return None if 0 <= value < 1 else "a part of 1, such as 0.1"


def roles(value: tuple[str, ...]) -> str | None:
    alone = {"executor", "launcher"} & set(value)
    fits = value and set(value) <= set(ROLES) and (not alone or len(value) == 1)
    return None if fits else "scheduler, observer or both; or executor or launcher alone"


def uri_of_file(value: str) -> str | None:
    return None if value and not value.endswith("/") else "a URI that does not end in /"


def uris(value: tuple[str, ...]) -> str | None:
    return next(filter(None, map(uri_of_file, value)), None)


def mounts(value: tuple[str, ...]) -> str | None:
    return None if all(map(_MOUNT.fullmatch, value)) else "host:container:mode, of mode ro or rw"


def regex(value: str) -> str | None:
    try:
        re.compile(value)
    except re.error as error:
        return f"a regular expression ({error})"
    return None


def zone_name(value: str) -> str | None:
    return None if time_zone(value) is not None else "a time zone known here, such as UTC or Europe/Berlin"


def time_zone(name: str) -> tzinfo | None:
    """The zone of that name, as in ``Europe/Berlin``; None if this machine does not know it."""
    if name in ("GMT", "UTC"):  # for these no database of zones need be there
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not there, not a name at all, or a folder of zones
        return None


def container_types(value: tuple[str, ...]) -> str | None:
    return None if set(value) <= {"MESOS", "DOCKER"} else "MESOS, DOCKER or both"


def sla_metrics(value: tuple[str, ...]) -> str | None:
    known = ("JOB_UPTIMES", "PLATFORM_UPTIME", "MEDIANS")
    return None if set(value) <= set(known) else f"any of {', '.join(known)}, with commas between"


def docker_parameters(value: tuple[str, ...]) -> str | None:
    return None if all(all(parameter.partition("=")) for parameter in value) else "name=value, with commas between"


def port_range(value: str) -> str | None:
    first, _, last = value.partition("-")
    fits = first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) <= 65535
    return None if fits else "a range of ports such as 31000-32000"


def share(value: float) -> str | None:
    return None if 0 <= value <= 1 else "a part of 1, such as 0.1"


def http_url(value: str) -> str | None:
    return None if re.match(r"https?://[^/]", value) else "a URL such as http://localhost:5051/containers"


def jmespath(value: str) -> str | None:
    import jmespath.exceptions  # not above: hardly anybody needs it, executors never do

    try:
        jmespath.compile(value)
    except jmespath.exceptions.JMESPathError as error:
        return f"a JMESPath expression ({str(error).splitlines()[0]})"
    return None


def node_path(value: str) -> str | None:
    return None if is_node_path(value) else "a path in ZooKeeper such as /aurora/scheduler"


def addresses(value: tuple[str, ...]) -> str | None:
    fits = all(_ADDRESS.fullmatch(address) and 0 < int(address.rpartition(":")[2]) <= 65535 for address in value)
    return None if fits and value else "host:port of each server, with commas between"


def mesos_masters(value: str) -> str | None:
    where, path = value, "/"
    if value.startswith("zk://"):
        servers, slash, path = value.removeprefix("zk://").rpartition("@")[2].partition("/")
        login = value.removeprefix("zk://").rpartition("@")[0]
        where, path = servers, slash + path
        if "@" in value and credentials(login) is not None:
            path = ""
    fits = addresses(tuple(where.split(","))) is None and (path == "/" or is_node_path(path))
    return (
        None if fits else "host:port, perhaps several with commas between, or zk://[user:password@]host:port,.../path"
    )


def mesos_role(value: str) -> str | None:
    fits = re.fullmatch(r"(?!\.{1,2}$)(?!-)[^\s/\\\x7f\x08]+", value)
    return None if fits else "a role such as aurora, without spaces, slashes and a leading dash"


def credentials(value: str) -> str | None:
    user, colon, password = value.partition(":")
    return None if user and colon and password else "user:password"


def endpoint_name(value: str) -> str | None:
    return None if re.fullmatch(r"[A-Za-z0-9_-]+", value) else "a name such as http or https"


def level(value: str) -> str | None:
    return None if log_level(value) is not None else f"one of {', '.join(LOG_LEVELS)}, perhaps after google: or plain:"


def log_level(value: str) -> int | None:
    """The level of ``[scheme:]LEVEL``, as `logging` counts; the scheme is for the original's styles of lines."""
    scheme, _, name = value.rpartition(":")
    return LOG_LEVELS.get(name.upper()) if scheme in ("", "google", "plain") else None


def offer_order(value: tuple[str, ...]) -> str | None:
    fits = set(value) <= set(OFFER_ORDERS) and len(set(value)) == len(value)
    return None if fits else f"some of {', '.join(OFFER_ORDERS)}, each once"


def no_log(value: str) -> str | None:
    return None if log_level(value) == LOG_LEVELS["NONE"] else "NONE"


def mechanisms(value: tuple[str, ...]) -> str | None:
    fits = value == ("NONE",) or (set(value) <= {"BASIC", "NEGOTIATE"} and len(set(value)) == len(value) > 0)
    return None if fits else "NONE, BASIC, NEGOTIATE or BASIC,NEGOTIATE"


def realms(value: tuple[str, ...]) -> str | None:
    fits = set(value) <= {"INI_AUTHNZ", "KERBEROS5_AUTHN"} and len(set(value)) == len(value) > 0
    return None if fits else "INI_AUTHNZ, KERBEROS5_AUTHN or both (others cannot be plugged in)"


def ini_path(value: str) -> str | None:
    kind, colon, path = value.rpartition(":")
    return None if path and (not colon or kind == "file") else "a file's path, perhaps after file:"


def origin(value: str) -> str | None:
    return None if re.fullmatch(r"\*|https?://[^/\s,]+", value) else "one site such as https://host, or *"
