"""What a simulated scheduler says in its log."""

from __future__ import annotations

import logging

from tests.log.fake_disk import Down
from tests.simulation import determinism
from tests.simulation.trace import Trace

NO_ROOM = "This log member can do nothing until there is room on its disk"


class Complaints(logging.Handler):
    """What the scheduler logs as an error is one."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(logging.WARNING)
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is not None and isinstance(record.exc_info[1], Down):
            return  # the machine is gone, and with it whoever complains
        if record.levelno < logging.ERROR or record.getMessage().startswith(NO_ROOM):
            self._trace(determinism.present(), f"{record.levelname}: {record.getMessage()}")
            return
        self._trace.violated("nothing breaks", record.getMessage())
        if record.exc_info is not None and record.exc_info[1] is not None:
            self._trace.violated("nothing breaks", repr(record.exc_info[1]))


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf for one in group.exceptions for leaf in (leaves(one) if isinstance(one, BaseExceptionGroup) else [one])
    ]
