"""What job files written for Python 2 expect: given where that is safe, else named with what to write today."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import islice
from typing import Any

# Nobody makes as many jobs or processes; an endless iterator ends here and not the machine's memory.
_MOST = 1_000_000


class _Both(list[Any]):
    """What Python 2's `map`, `filter` and `zip` gave and what Python 3's give: a list, and an iterator over it."""

    def __init__(self, values: Iterable[Any]) -> None:
        super().__init__(islice(values, _MOST))
        self._left: Iterator[Any] | None = None

    def __next__(self) -> Any:
        if self._left is None:
            self._left = iter(self)
        return next(self._left)


def names() -> dict[str, object]:
    """Names of Python 2, and those whose meaning changed."""
    return {
        "basestring": str,
        "filter": lambda function, values: _Both(filter(function, values)),
        "long": int,
        "map": lambda function, *values: _Both(map(function or _itself, *values)),
        "raw_input": input,
        "reduce": reduce,
        "unichr": chr,
        "unicode": str,
        "xrange": range,
        "zip": lambda *values, strict=False: _Both(zip(*values, strict=strict)),
    }


def _itself(*values: Any) -> Any:
    return values[0] if len(values) == 1 else values


_RUNNING = (
    (r"name 'execfile'", "include('file') runs another file"),
    (r"name 'file'", "open(...)"),
    (r"name 'cmp'", "(a > b) - (a < b)"),
    (r"no attribute 'has_key'", "key in the_dict"),
    (r"no attribute 'iter(items|keys|values)'", r".\1()"),
    (r"'(float)' object cannot be interpreted as an integer", "// divides whole numbers, / gives a float"),
    (r"unsupported operand type\(s\) for \+: '(range|dict_\w+)'", r"list(...) around the \1"),
    (r"'(dict_\w+|range)' object (is not subscriptable|has no attribute|does not support)", r"list(...) around the \1"),
    (r"(must be strings|str.*bytes|bytes.*str|Got <class 'bytes'>)", ".decode() makes text of bytes"),
    (r"Strings must be encoded before hashing", "'text'.encode()"),
    (r"No module named '(__builtin__)'", "builtins"),
    (r"No module named 'ConfigParser'", "configparser"),
    (r"No module named 'urllib2'", "urllib.request"),
    (r"No module named 'urlparse'", "urllib.parse"),
    (r"No module named 'c?StringIO'", "io.StringIO"),
    (r"No module named 'cPickle'", "pickle"),
    (r"No module named 'commands'", "subprocess.getoutput"),
    (r"No module named 'Queue'", "queue"),
    (r"No module named 'twitter'", "twitter.common is not there; for a log, Python's logging"),
)
_READING = (
    (r"^\s*print\b(?!\s*\()", "print(...)"),
    (r"^\s*exec\b(?!\s*\()", "exec(...)"),
    (r"^\s*raise\s+[\w.]+\s*,", "raise Error('text')"),
    (r"^\s*except\s+[^:]+,\s*\w+\s*:", "except Error as name:"),
    (r"<>", "!="),
    (r"`", "repr(...)"),
    (r"\b0\d+\b", "0o700 for octal 0700"),
    (r"\b\d+[lL]\b", "numbers without L"),
    (r"\bur['\"]", "r'...'"),
    (r"\blambda\s*\(|^\s*def\s.*\(\s*\(|,\s*\([\w, ]+\)\s*[,)]\s*:", "arguments without parentheses"),
)


def syntax_hint(line: str) -> str:
    """`` (in Python 3: ...)`` for a line that Python 3 cannot read, or nothing."""
    return _hint(_READING, line)


def runtime_hint(text: str) -> str:
    """The same for the text of an exception."""
    return _hint(_RUNNING, text)


def _hint(table: Iterable[tuple[str, str]], text: str) -> str:
    for pattern, today in table:
        found = re.search(pattern, text)
        if found is not None:
            return f" (in Python 3: {found.expand(today)})"
    return ""
