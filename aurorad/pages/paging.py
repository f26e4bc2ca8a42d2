"""One page of many rows, and the address of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

Row = TypeVar("Row")

PAGE_SIZE = 25
_NEIGHBOURS = 4
_LARGEST_PAGE = 1_000_000


class Page(msgspec.Struct, Generic[Row], frozen=True):
    """Some rows out of `total`; page numbers start at 1."""

    rows: tuple[Row, ...]
    number: int
    size: int
    total: int

    @property
    def last(self) -> int:
        return max(1, -(-self.total // self.size))

    @property
    def first_row(self) -> int:
        return (self.number - 1) * self.size + 1 if self.total else 0

    @property
    def last_row(self) -> int:
        return min(self.number * self.size, self.total)

    @property
    def near(self) -> range:
        """The numbers to offer: four either side."""
        return range(max(1, self.number - _NEIGHBOURS), min(self.last, self.number + _NEIGHBOURS) + 1)


def paginate(rows: Sequence[Row], number: int, size: int = PAGE_SIZE) -> Page[Row]:
    """The page of that number, or the nearest there is."""
    last = max(1, -(-len(rows) // size))
    number = min(max(1, number), last)
    return Page(tuple(rows[(number - 1) * size : number * size]), number, size, len(rows))


class Here(msgspec.Struct, frozen=True):
    """Where the reader is: a path and the query with which it was asked for."""

    path: str
    query: Mapping[str, str]

    def get(self, name: str, default: str = "") -> str:
        return self.query.get(name, default)

    def number(self, name: str, default: int) -> int:
        """A whole number of the query; anything else counts as not given."""
        text = self.query.get(name, "")
        return min(int(text), _LARGEST_PAGE) if text.isascii() and text.isdecimal() and len(text) < 8 else default

    def url(self, **changes: str | int | None) -> str:
        """The same page with another query; None takes a parameter out. Any change but of a page starts at page 1."""
        query: dict[str, str] = {name: value for name, value in self.query.items() if value}
        if not any(name.endswith("page") for name in changes):
            query = {name: value for name, value in query.items() if not name.endswith("page")}
        for name, value in changes.items():
            query.pop(name, None)
            if value is not None and value != "":
                query[name] = str(value)
        return f"{quote(self.path)}?{urlencode(query)}" if query else quote(self.path)
