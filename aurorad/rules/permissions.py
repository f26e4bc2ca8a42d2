"""What a caller may do: permissions in the wildcard grammar of Apache Shiro (security sheet, section 3).

A permission is a list of parts divided by ``:``, and each part lists alternatives divided by ``,``; the alternative
``*`` stands for all there are. One that is granted covers all that is beneath it: with
``thrift.AuroraSchedulerManager:killTasks`` a caller may call that method on every job.
"""

from __future__ import annotations

import dataclasses

_ALL = "*"

Part = frozenset[str]


class BadPermission(ValueError):
    """A text that is no permission: the message says which, and what was expected."""


@dataclasses.dataclass(frozen=True)
class Permission:
    """What is granted, or what is asked for. Made by `parse` and `single`, in lower case: case does not matter."""

    parts: tuple[Part, ...]

    def __str__(self) -> str:
        return ":".join(",".join(sorted(part)) for part in self.parts)

    def covers(self, asked: Permission) -> bool:
        """Whether who has this may do `asked`."""
        for mine, theirs in zip(self.parts, asked.parts, strict=False):
            if _ALL not in mine and not theirs <= mine:
                return False
        return all(_ALL in surplus for surplus in self.parts[len(asked.parts) :])


def parse(text: str) -> Permission:
    """A permission as it is written in a file of roles. Raises `BadPermission`."""
    parts = tuple(frozenset(part.split(",")) for part in text.strip().lower().split(":"))
    if any("" in part for part in parts):
        raise BadPermission(f"{text!r} is no permission: such as thrift.AuroraSchedulerManager:killTasks was expected")
    return Permission(parts)


def single(*parts: str) -> Permission:
    """The one thing that is asked for; its parts are taken as they are, whatever characters they have."""
    return Permission(tuple(frozenset((part.lower(),)) for part in parts))


EVERYTHING = parse(_ALL)


@dataclasses.dataclass(frozen=True)
class Caller:
    """Who makes a request. `name` is what is recorded of whoever did something."""

    name: str
    permissions: tuple[Permission, ...] = ()
    known: bool = True
    """Whether the caller has said who it is, and proved it; else it has no permissions."""

    def may(self, asked: Permission) -> bool:
        return any(permission.covers(asked) for permission in self.permissions)


ANYBODY = Caller("UNSECURE", (EVERYTHING,))
"""Every caller of a scheduler that does not ask who they are (security sheet, section 1)."""
ANONYMOUS = Caller("anonymous", known=False)
"""Who has not said, where callers can."""
