"""The door before the API: whoever may not make a call is turned away here, and the API hears nothing of it.

Everything that answers the outside is given this door, not the API (`dispatch.py`) itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aurorad.api.calls import Call
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response
from aurorad.rules import authorization
from aurorad.rules.authorization import BadJob, NotPermitted
from aurorad.rules.permissions import Caller
from aurorad.scheduler.rpc.answers import Refused, refused
from aurorad.vars import Vars

_FAILURES, _BAD_REQUESTS = "shiro_authorization_failures", "shiro_bad_requests"


class Authorized:
    """Answers calls of callers. One per scheduler."""

    def __init__(
        self,
        handle: Callable[[Call, str], Awaitable[Response]],
        stats: Vars,
        *,
        secured: bool,
        anonymous_reads: bool,
    ) -> None:
        """`handle` answers what may be done, for the user of that name. Not `secured`, it answers everybody."""
        self._handle = handle
        self._stats = stats
        self._secured = secured
        self._anonymous_reads = anonymous_reads
        stats.declare(_FAILURES, _BAD_REQUESTS)

    async def handle(self, call: Call, caller: Caller) -> Response:
        """The answer to `call` made by `caller`. Raises `NotAuthenticated`."""
        refusal = self.refusal(call, caller)
        return refused(refusal) if refusal is not None else await self._handle(call, caller.name)

    def refusal(self, call: Call, caller: Caller) -> Refused | None:
        """Why `caller` may not make the call, None if it may. Raises `NotAuthenticated`.

        These answers are not counted as the API's, and do not say whose they are (security sheet, section 4).
        """
        if not self._secured:
            return None
        try:
            authorization.check(call, caller, anonymous_reads=self._anonymous_reads)
        except BadJob as error:
            self._stats.count(_BAD_REQUESTS)
            return Refused(str(error), ResponseCode.INVALID_REQUEST)
        except NotPermitted as error:
            self._stats.count(_FAILURES)
            return Refused(str(error), ResponseCode.AUTH_FAILED)
        return None
