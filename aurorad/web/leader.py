"""Sending readers and clients to the leader, and telling load balancers which scheduler that is.

What only a leader can answer is redirected (http-endpoints sheet, section 2; storage sheet, B3). The original redirects
its pages, too: ours are shown by followers as well, and say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

from quart import Blueprint, Quart, Response, request
from werkzeug.exceptions import ServiceUnavailable

from aurorad.leader.face import Leader, Leadership
from aurorad.pages.heads import before_request

BYPASS = "Bypass-Leader-Redirect"

_LEADERS = frozenset(
    {
        *("api", "apibeta", "apiclient", "cron", "events", "explain", "maintenance", "mname", "offers", "pendingtasks"),
        *("plan", "quotas", "sandboxes", "state", "tiers", "utilization", "v1"),
    }
)
_LEADING = "This is the leading scheduler."
_FOLLOWING = "Another instance is the leading scheduler."
_UNKNOWN = "There is no leading scheduler or the leader is unknown."
_HELP = f"""\
Current status: %s

This endpoint can indicate to a load balancer which among a group of schedulers is leading.

The response codes are:
200: {_LEADING}
503: {_FOLLOWING}
502: {_UNKNOWN}"""


class NoLeader(ServiceUnavailable):
    """Nobody can be told where the leader is."""

    name = "No Leader Found"


def leader_endpoints(leadership: Leadership) -> Blueprint:
    """``/leaderhealth`` (http-endpoints sheet, section 4), and the redirection of the whole application."""
    blueprint = Blueprint("leader", __name__)

    @blueprint.get("/leaderhealth")
    async def leaderhealth() -> Response:
        if leadership.is_advertised:
            status, words = 200, _LEADING
        elif len(leadership.leaders) == 1:
            status, words = 503, _FOLLOWING
        else:
            status, words = 502, _UNKNOWN
        return Response(_HELP % words, status, content_type="text/plain; charset=utf-8")

    async def redirect() -> Response | None:
        if not is_leaders(request.path) or BYPASS in request.headers or leadership.is_advertised:
            return None
        await request.get_data()  # who is still sending would not read the answer
        leaders = leadership.leaders
        if len(leaders) != 1:
            known = ", ".join(f"{leader.host}:{leader.port}" for leader in leaders)
            raise NoLeader(f"Several schedulers say that they lead: {known}." if known else "No scheduler leads now.")
        place = location(leaders[0], request.scheme, _target())
        return Response("", 307, headers={"Location": place, "Cache-Control": "no-store"})

    def stays(headers: Mapping[str, str]) -> bool:
        return BYPASS in headers or leadership.is_advertised

    blueprint.record_once(lambda state: before_request(cast(Quart, state.app), redirect, stays))
    return blueprint


def is_leaders(path: str) -> bool:
    """Whether a leader alone answers requests for that path, percent-decoded."""
    return path.lstrip("/").partition("/")[0] in _LEADERS


def location(leader: Leader, scheme: str, target: str) -> str:
    """The same path and query at the leader."""
    host = f"[{leader.host}]" if ":" in leader.host else leader.host
    return f"{scheme}://{host}:{leader.port}{target}"


def _target() -> str:
    """Path and query as they came."""
    path = request.scope.get("raw_path") or quote(request.path).encode()
    query = request.query_string
    return (path + b"?" + query if query else path).decode("ascii")
