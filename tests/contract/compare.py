"""Whether an answer is the recorded one, whose placeholders stand for what differs from run to run.

``<task:1>`` and its like stand for one and the same id wherever they are: the first comparison binds them.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from tests.contract.wire import Unordered

ANY = "<any>"
HAS = "<has>"
"""``{"<has>": [...]}`` stands for a collection in which these are, among others."""
_ID = r"[\w.\-:]+"
_PLACEHOLDER = re.compile(r"<(?:(?P<id>(?:task|update|backup):\d+)|any|scheduler|backup-dir|agent|scheduler-host)>")
_NUMBERS = frozenset({"<ms>", "<port>"})


class Difference(NamedTuple):
    """`path` is where, as ``result.getJobsResult.configs[0].key``."""

    path: str
    expected: object
    actual: object

    def __str__(self) -> str:
        return f"{self.path or 'answer'}:\n      recorded {_shown(self.expected)}\n      answered {_shown(self.actual)}"


MISSING = object()


class Unbound(Exception):
    """A placeholder that no answer has bound yet."""


def _shown(value: object) -> str:
    text = "nothing" if value is MISSING else repr(value)
    return text if len(text) <= 600 else f"{text[:600]} ... ({len(text)} characters)"


def _order(member: Any) -> tuple[Any, ...]:
    """As the recordings are sorted: tasks by job, instance and first event, anything else by its text."""
    if isinstance(member, dict) and "taskEvents" in member:
        assigned = member["assignedTask"]
        job = assigned["task"]["job"]
        first = member["taskEvents"][0]["timestamp"] if member["taskEvents"] else 0
        return (job["role"], job["environment"], job["name"], assigned["instanceId"], first)
    return (json.dumps(member, sort_keys=True),)


class Ids:
    """What the placeholders of one scenario stand for."""

    def __init__(self) -> None:
        self.bound: dict[str, str] = {}

    def fill_in(self, value: Any) -> Any:
        """A request with the ids of this run in place of the placeholders. Raises `Unbound`."""
        if isinstance(value, str):
            return re.sub(r"<((?:task|update|backup):\d+)>", lambda match: self._id(match[1]), value)
        if isinstance(value, dict):
            return {self.fill_in(name): self.fill_in(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self.fill_in(member) for member in value]
        return value

    def _id(self, placeholder: str) -> str:
        if placeholder not in self.bound:
            raise Unbound(f"{placeholder} is not known: an earlier step should have told it")
        return self.bound[placeholder]

    def differences(self, expected: Any, actual: Any, path: str = "") -> list[Difference]:
        """Where they differ. Placeholders seen for the first time are bound on the way."""
        if expected == ANY:
            return []
        if isinstance(expected, dict) and HAS in expected and isinstance(actual, list):
            return self._of_some(expected[HAS], actual, path)
        if isinstance(expected, dict) and isinstance(actual, dict):
            return self._of_dicts(expected, actual, path)
        if isinstance(expected, list) and isinstance(actual, Unordered):
            return self._of_sets(expected, actual, path)
        if isinstance(expected, list) and isinstance(actual, list):
            return self._of_lists(expected, actual, path)
        if isinstance(expected, str) and self._fits(expected, actual):
            return []
        if (
            not isinstance(expected, str)
            and expected == actual
            and isinstance(expected, bool) == isinstance(actual, bool)
        ):
            return []
        return [Difference(path, expected, actual)]

    def _of_dicts(self, expected: dict[str, Any], actual: dict[str, Any], path: str) -> list[Difference]:
        found: list[Difference] = []
        for name in [*expected, *(name for name in actual if name not in expected)]:
            place = f"{path}.{name}" if path else name
            if name not in expected:
                found.append(Difference(place, MISSING, actual[name]))
            elif name in actual:
                found += self.differences(expected[name], actual[name], place)
            elif expected[name] != ANY:
                found.append(Difference(place, expected[name], MISSING))
        return found

    def _of_lists(self, expected: list[Any], actual: list[Any], path: str) -> list[Difference]:
        found: list[Difference] = []
        for index in range(max(len(expected), len(actual))):
            one = expected[index] if index < len(expected) else MISSING
            other = actual[index] if index < len(actual) else MISSING
            if one is MISSING or other is MISSING:
                found.append(Difference(f"{path}[{index}]", one, other))
            else:
                found += self.differences(one, other, f"{path}[{index}]")
        return found

    def _of_some(self, expected: list[Any], actual: list[Any], path: str) -> list[Difference]:
        missed, _ = self._paired(expected, actual)
        return [Difference(f"{path}[]", one, MISSING) for one in missed]

    def _of_sets(self, expected: list[Any], actual: list[Any], path: str) -> list[Difference]:
        """Each is paired with the first equal one; what is left over is compared in order."""
        missed, rest = self._paired(expected, actual)
        return self._of_lists(missed, rest, path) if missed or rest else []

    def _paired(self, expected: list[Any], actual: list[Any]) -> tuple[list[Any], list[Any]]:
        """Which are left on either side when each is paired with the first equal one."""
        rest, missed = sorted(actual, key=_order), []
        for one in expected:
            for index, other in enumerate(rest):
                before = dict(self.bound)
                if not self.differences(one, other):
                    del rest[index]
                    break
                self.bound = before
            else:
                missed.append(one)
        return missed, rest

    def _fits(self, expected: str, actual: Any) -> bool:
        if expected in _NUMBERS:
            return isinstance(actual, int) and not isinstance(actual, bool) and actual != 0
        if not isinstance(actual, str):
            return False
        if "<" not in expected:
            return expected == actual
        return self._matches(expected, actual)

    def _matches(self, expected: str, actual: str) -> bool:
        pattern, at, names = "", 0, []
        for match in _PLACEHOLDER.finditer(expected):
            pattern += re.escape(expected[at : match.start()])
            at = match.end()
            if match["id"] is None:
                pattern += "(?:.|\n)*" if match[0] == ANY else r"[^\s/]+" if match[0] != "<backup-dir>" else r"\S*"
            elif match["id"] in self.bound:
                pattern += re.escape(self.bound[match["id"]])
            else:
                pattern += f"({_ID})"
                names.append(match["id"])
        found = re.fullmatch(pattern + re.escape(expected[at:]), actual)
        if found is None or any(value in self.bound.values() for value in found.groups()):
            return False
        self.bound.update(zip(names, found.groups(), strict=True))
        return True
