"""Keeps other web sites out: what a page from elsewhere makes its reader's browser send to us is refused.

A browser says with every change where the page that asks for it came from (``Origin``, ``Sec-Fetch-Site``). A hostile
site may besides have its own name lead to this machine, and so pass for ours ("DNS rebinding"): while only this machine
can reach us, no name is right but those of this machine. The `Host` of what no browser sent does not matter; the
original's client keeps that of another scheduler when it is redirected (wire sheet, section 0).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from quart import Quart, Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import Forbidden

from aurorad.pages.heads import before_request

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_OUR_OWN = frozenset({"same-origin", "none"})  # none: the reader typed the address


_API = "/api"
_CORS_METHODS = "DELETE,GET,HEAD,OPTIONS,POST,PUT"
_CORS_HEADERS = "Accept,Content-Type,Origin,X-Requested-With"


def keep_others_out(app: Quart, address: str, hostname: str, welcome: str | None = None) -> None:
    """Guard all of `app`, which listens on `address` and calls itself `hostname`.

    Pages of the site `welcome`, or of all if that is ``*``, may use the API (http-endpoints sheet, 3.2): without the
    credentials that a browser keeps for us. It sends them along if such a page wants that, and no page may set them.
    """
    loopback = ipaddress.ip_address(address).is_loopback
    names = frozenset({"localhost", hostname.lower(), socket.gethostname().lower()}) if loopback else None

    async def check() -> None:
        invited = request.path == _API and welcome in ("*", request.headers.get("Origin", ""))
        guest = invited and "Authorization" not in request.headers
        reason = refusal("GET" if guest else request.method, request.headers, names)
        if reason is not None:
            raise Forbidden(reason)

    before_request(app, check, lambda headers: refusal("POST", headers, names) is None)
    if welcome is None:
        return

    @app.after_request
    async def invite(response: Response) -> Response:
        if request.path == _API:
            response.headers["Access-Control-Allow-Origin"] = welcome
            response.headers["Access-Control-Allow-Methods"] = _CORS_METHODS
            response.headers["Access-Control-Allow-Headers"] = _CORS_HEADERS
        return response


def refusal(method: str, headers: Mapping[str, str] | Headers, names: frozenset[str] | None) -> str | None:
    """Why a request is none of ours; None if it may pass. `names` are our host's, None if there may be others."""
    host, origin, site = headers.get("Host") or None, headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if method not in _READS:
        if site is not None and site not in _OUR_OWN:
            return "Another web site's page may not ask for this."
        if origin is not None and (host is None or origin.partition("://")[2].lower() != host.lower()):
            return f"A page from {origin} may not ask for this."
        if origin is None and site is None:
            return None  # not sent by a browser
    if host is not None and names is not None and not _is_ours(host, names):
        return f"This is not {host}: a name of this machine was expected, such as localhost."
    return None


def _is_ours(host: str, names: frozenset[str]) -> bool:
    """Whether the host is one of our names, or an address: nobody can let that lead elsewhere."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    name = (name or "").rstrip(".")
    if name in names or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
