"""How a scheduler is told who calls: `auth_mechanism` in clusters.json (client-internals sheet, section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from requests.auth import AuthBase

from client.clusters import Cluster

_UNAUTHENTICATED = "UNAUTHENTICATED"


class Mechanism(NamedTuple):
    """`auth` adds credentials to requests; None leaves them to ``~/.netrc``. `failed` is what to tell of a refusal."""

    auth: AuthBase | None
    failed: str


_BUILT_IN: Mapping[str, Mechanism] = {
    _UNAUTHENTICATED: Mechanism(None, "~/.netrc may hold a password: machine HOST login NAME password PASSWORD")
}


def mechanism(cluster: Cluster, custom: Mapping[str, Mechanism]) -> Mechanism:
    """What the cluster asks for; `custom` are those that this build of the client brings along.

    An unknown one means none.
    """
    known = {**_BUILT_IN, **custom}
    return known.get(cluster.text("auth_mechanism") or _UNAUTHENTICATED, known[_UNAUTHENTICATED])
