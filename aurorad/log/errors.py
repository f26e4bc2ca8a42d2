"""What can go wrong with a log."""

from __future__ import annotations


class LogFull(Exception):
    """The log has no room: nothing was written, and the same write may succeed later."""


class LogLost(Exception):
    """This process writes to the log no more, and must start anew. The text says why.

    What became of entries without a receipt is known to whoever writes next.
    """


class LogFailed(Exception):
    """The disk failed below the log. What it holds is known when it is opened anew. The text says how it failed."""


class NotElected(Exception):
    """No quorum of the log's members let this one write to it. The text says what they said."""


class Refused(Exception):
    """This member must not lead the log as it is set up. The text says what to mend."""


class LogInUse(Exception):
    """Another process holds the log. The text says which folder."""


class LogDamaged(Exception):
    """The log does not hold what was written to it, which no crash explains. The text says where."""

    def __init__(self, file: str, offset: int, what: str) -> None:
        super().__init__(f"{file} is damaged at byte {offset}: {what}")
        self.file = file
        self.offset = offset


class LogUnknown(Exception):
    """What is there is no log of this kind, or one that only a newer version understands. The text says which."""


class LogNotEmpty(Exception):
    """Only an empty log can be initialized."""
