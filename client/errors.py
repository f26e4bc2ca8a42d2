"""Exit statuses and the error that carries one (client-commands sheet, section 2); how a call can go wrong."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    FATAL = 1  # the configuration is refused, a hook stops the call
    USAGE = 2
    INVALID_CONFIGURATION = 3
    COMMAND_FAILURE = 4
    INVALID_COMMAND = 5  # of the original, which never ends with it either
    INVALID_PARAMETER = 6
    NETWORK_ERROR = 7
    TIMEOUT = 9
    API_ERROR = 10
    UNKNOWN_ERROR = 20
    AUTH_ERROR = 30
    INTERRUPTED = 130


class CommandError(Exception):
    """Ends the command: the text goes to stderr, `code` is the exit status."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code


class FatalError(CommandError):
    """Ends the command with status 1; the text goes to stderr as a log line of level FATAL."""

    def __init__(self, message: str) -> None:
        super().__init__(Exit.FATAL, message)


class TransportError(Exception):
    """The call may or may not have arrived."""


class UnsentError(TransportError):
    """The call did not arrive: nothing is lost by sending it again."""


class HopelessError(TransportError):
    """The next attempt would end the same way."""


class AuthenticationError(Exception):
    """The scheduler wants other credentials."""


class ProtocolError(Exception):
    """The scheduler answered, but not with a Response."""


class DeclinedError(Exception):
    """The scheduler understood, and says in a sentence why it does not answer."""
