"""How a page is made: templates over the shared base, static files, and the headers that keep a page harmless."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib import resources
from itertools import islice
from typing import NamedTuple

import jinja2
import trio
from quart import Blueprint, Response, redirect, request
from werkzeug import Response as AnyResponse
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from aurorad.pace import gently
from aurorad.pages import formats, tones

CONTENT_SECURITY_POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
PROTECTION: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer that does not say otherwise."""
_STATIC_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_PIECES = 200  # of a template, rendered in one go: a millisecond at most
_STATIC_MAX_AGE_S = 3600  # as the original's /assets


class Notice(NamedTuple):
    """What every page says before all else: words, and where (address and words) to go on."""

    words: str
    link: tuple[str, str] | None = None


def nothing_to_notice() -> Notice | None:
    return None


class Look:
    """Renders the templates of one package, which may extend those of this one."""

    def __init__(
        self,
        package: str,
        now_ms: Callable[[], int],
        notice: Callable[[], Notice | None] = nothing_to_notice,
        **everywhere: object,
    ) -> None:
        """`notice` is asked for each page; `everywhere` are names that all templates see."""
        self._now_ms = now_ms
        self._static = _static_files()
        self._compiled = False
        loaders = [jinja2.PackageLoader(package), jinja2.PackageLoader("aurorad.pages")]
        self._environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader(loaders),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(f=formats, tone=tones, notice=notice, asset=self._asset_url, **everywhere)

    async def page(self, template: str, status: int = 200, **values: object) -> Response:
        """The page as an answer. `now` in templates is the time of rendering, in ms.

        Rendered in pieces with turns for others between them, so `values` must be values: nothing that changes.
        """
        if not self._compiled:
            await trio.to_thread.run_sync(self._compile)
        pieces = self._environment.get_template(template).generate(now=self._now_ms(), **values)
        html = await gently("".join, iter(lambda: list(islice(pieces, _PIECES)), []))
        return Response(
            "".join(html), status, content_type="text/html; charset=utf-8", headers={"Cache-Control": "no-store"}
        )

    async def message(self, status: int, title: str, *lines: str, link: tuple[str, str] | None = None) -> Response:
        """A page that says one thing: what was looked for, and where (`link`: address and words) to go on.

        Whoever asks for no page, as a script does, gets the words alone.
        """
        if "text/html" not in request.headers.get("Accept", ""):
            words = "".join(f"{line}\n" for line in (title, *lines))
            return Response(
                words, status, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"}
            )
        return await self.page("message.html", status, title=title, lines=lines, link=link)

    async def http_error(self, error: HTTPException) -> Response:
        """What the web framework refuses: a missing page, a wrong method, a body that is too large, our own defects."""
        response = await self.message(error.code or 500, error.name, error.description or "")
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response

    def assets(self) -> Blueprint:
        """``/assets/<file>`` and ``/favicon.ico``."""
        blueprint = Blueprint("assets", __name__)

        @blueprint.get("/assets/<name>")
        async def asset(name: str) -> Response:
            if name not in self._static:
                return Response(f"Unknown asset: {name}", 404, content_type="text/plain; charset=utf-8")
            return Response(
                self._static[name],
                content_type=f"{_STATIC_TYPES[name.rpartition('.')[2]]}; charset=utf-8",
                headers={"Cache-Control": f"max-age={_STATIC_MAX_AGE_S}"},
            )

        @blueprint.get("/favicon.ico")
        async def favicon() -> AnyResponse:
            return redirect("/assets/icon.svg", 302)

        return blueprint

    def _compile(self) -> None:
        """All templates, once: too long for the loop."""
        for name in self._environment.list_templates():
            self._environment.get_template(name)
        self._compiled = True

    def _asset_url(self, name: str) -> str:
        """The address changes with the content, so that a cached file is never stale."""
        return f"/assets/{name}?{hashlib.sha256(self._static[name]).hexdigest()[:12]}"


async def protect(response: Response) -> Response:
    """Scripts and styles only from our own files, no guessing of types, no frames around us, no use by other sites.

    ``/health`` is for probes, and short: some read 256 bytes and no more.
    """
    if request.path != "/health":
        for name, value in PROTECTION.items():
            response.headers.setdefault(name, value)
    return response


def _static_files() -> Mapping[str, bytes]:
    folder = resources.files("aurorad.pages") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _STATIC_TYPES}
