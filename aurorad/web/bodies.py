"""What clients are sending us at this moment is kept in memory: it is bounded for all of them together.

Each may send as much as a large job takes (`thrift.MAX_BODY_BYTES`), and whoever reaches us may open a thousand
connections.
"""

from __future__ import annotations

from weakref import WeakSet

from quart import request
from quart.wrappers.request import Body as AnyBody
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioRequest
from quart_trio.wrappers.request import TrioBody
from werkzeug.exceptions import ServiceUnavailable

MOST_BYTES = 128 << 20
_SMALL_BYTES = 128 << 10
"""A thousand of these do not matter, and are not counted."""
_WORDS = "Too much is being sent to this scheduler just now: try again in a moment."


def bound_bodies(app: QuartTrio, most_bytes: int = MOST_BYTES) -> None:
    """Who sends what is too much beside what others send, is told to come again (503)."""
    large: WeakSet[AnyBody] = WeakSet()

    class Body(TrioBody):
        def append(self, data: bytes) -> None:
            super().append(data)
            if len(self._data) <= _SMALL_BYTES:
                return
            large.add(self)
            if sum(len(body._data) for body in large) > most_bytes:
                large.discard(self)
                self._data.clear()
                self._must_raise = self._must_raise or ServiceUnavailable(_WORDS, retry_after=1)
                self.set_complete()

    class Request(TrioRequest):
        body_class = Body

    app.request_class = Request

    @app.teardown_request
    async def over(error: BaseException | None) -> None:
        large.discard(request.body)
