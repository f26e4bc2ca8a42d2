"""Who asked for what: a line in the log for every call that changes something (thrift-api sheet, section 1, layers)."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from aurorad.api import named_json
from aurorad.api.calls import Call, MaintenanceStatus, ReadOnlyCall
from aurorad.api.enums import ResponseCode
from aurorad.api.tasks import ExecutorConfig

_log = logging.getLogger("aurorad.calls")

_READS = (ReadOnlyCall, MaintenanceStatus)
_BLANKED = ExecutorConfig("BLANKED", "BLANKED")
_LONGEST = 2_000


def note(call: Call, user: str, code: ResponseCode) -> None:
    """Log a call that was answered; reads only for those who debug."""
    level = logging.DEBUG if isinstance(call, _READS) else logging.INFO
    if _log.isEnabledFor(level):
        _log.log(level, "%s: %s %s: %s", user, call.method(), text(call), code.name)


def text(call: Call) -> str:
    """The arguments in one line of JSON, without what executors are told: that may hold secrets, and is long."""
    blanked: Any = call
    for argument in ("description", "config", "request"):
        value: Any = getattr(call, argument, None)
        if value is not None and value.task_config.executor_config is not None:
            task = msgspec.structs.replace(value.task_config, executor_config=_BLANKED)
            blanked = msgspec.structs.replace(call, **{argument: msgspec.structs.replace(value, task_config=task)})
    told = named_json.encode(blanked).decode()
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}..."
