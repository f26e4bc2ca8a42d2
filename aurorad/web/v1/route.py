"""A route of the JSON API, declared: what it takes, which call it makes, and how the answer becomes JSON."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import heapq
import operator
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from aurorad.api import named_json
from aurorad.api.calls import Call
from aurorad.api.enums import JobUpdateStatus, ScheduleStatus
from aurorad.api.results import Response, Result
from aurorad.api.struct import ThriftStruct
from aurorad.api.tasks import JobKey
from aurorad.pace import Pace, gently
from aurorad.scheduler.explaining import JobExplanation
from aurorad.scheduler.rpc.plans import Plan
from aurorad.storage.tables import Tables
from aurorad.web.v1.problems import Problem, sentences
from aurorad.web.v1.reading import Asked, Body, Json, Parameter, identifier, job_key, one_of, some_text, whole

T = TypeVar("T")

DEFAULT_LIMIT = 100
MOST_ITEMS = 1000
"""On one page."""
_MOST = (1 << 31) - 1


class World(NamedTuple):
    """What routes may look at besides the answers of their calls."""

    tables: Tables
    now_ms: Callable[[], int]
    explain: Callable[[JobKey, frozenset[int]], Awaitable[JobExplanation]]
    plan: Callable[[Call, str], Awaitable[Plan]]


class Shown(NamedTuple):
    """What goes out: a value for msgspec's JSON encoder."""

    value: object
    status: int = 200
    location: str | None = None


@dataclasses.dataclass(frozen=True)
class One:
    """An answer that is a struct, declared for thrift or for msgspec."""

    cls: type[msgspec.Struct]


@dataclasses.dataclass(frozen=True)
class PageOf:
    """An answer that is a page of structs: ``items``, and ``next``, the cursor of the next page, if there is one."""

    cls: type[msgspec.Struct]


class Done(msgspec.Struct, frozen=True):
    """It was done, or there was nothing to do; `details` has what the scheduler says of it."""

    details: list[str]


Answer = One | PageOf
Show = Callable[[Asked, Response, World], Awaitable[Shown]]


def nothing_missing(asked: Asked, tables: Tables) -> str | None:
    return None


@dataclasses.dataclass(frozen=True)
class Route:
    """`missing` says in a sentence what there must be and is not, before the call; `taken` what must not be and is.

    `call` makes one of the calls in `makes`, by which it is judged who may do this.
    """

    method: str
    path: str
    summary: str
    call: Callable[[Asked, Tables], Call]
    show: Show
    answers: Mapping[int, Answer]
    """By status."""
    makes: tuple[type[Call], ...] = dataclasses.field(kw_only=True)
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    missing: Callable[[Asked, Tables], str | None] = nothing_missing
    taken: Callable[[Asked, Tables], str | None] = nothing_missing


async def done(asked: Asked, answer: Response, world: World) -> Shown:
    """Shows a call that has no result."""
    return Shown(Done(sentences(answer)))


DONE: Mapping[int, Answer] = {200: One(Done)}


def result_of(answer: Response) -> Result:
    """An answer that is OK to a call that has a result."""
    assert answer.result is not None
    return answer.result


def struct(get: Callable[[Result], ThriftStruct | None]) -> Show:
    """Shows one member of the result."""

    async def show(asked: Asked, answer: Response, world: World) -> Shown:
        found = get(result_of(answer))
        assert found is not None
        return Shown(named_json.to_json(found))

    return show


async def page(items: Iterable[T], key: Callable[[T], str], asked: Asked, to_json: Callable[[T], object]) -> Shown:
    """A page of items that all are there, in the order of their keys; a cursor says behind which key it begins.

    There may be as many items as there are tasks, so they are not sorted: only those of the page are.
    """
    after, limit = _after(asked), _limit(asked)
    first: list[tuple[str, T]] = []  # the least ones so far, and some that may be among them
    pace = Pace()
    for item in items:
        name = key(item)
        if after is None or name > after:
            first.append((name, item))
            if len(first) > 4 * MOST_ITEMS:
                first = heapq.nsmallest(limit + 1, first, key=operator.itemgetter(0))
        await pace.breathe()
    first.sort(key=operator.itemgetter(0))
    shown = await gently(to_json, [item for _, item in first[:limit]])
    return _page(shown, first[limit - 1][0] if len(first) > limit else None)


def slice_of(asked: Asked) -> tuple[int, int]:
    """Offset and limit for a call that takes them: one item more than a page has says whether there is another."""
    after = _after(asked)
    if after is None:
        return 0, _limit(asked) + 1
    try:
        return whole(0, _MOST)(after), _limit(asked) + 1
    except ValueError:
        raise _not_a_cursor() from None


async def sliced(items: Sequence[T], asked: Asked, to_json: Callable[[T], object]) -> Shown:
    """The page of what such a call gave."""
    offset, limit = slice_of(asked)
    more = len(items) >= limit
    return _page(await gently(to_json, items[: limit - 1]), str(offset + limit - 1) if more else None)


def _page(items: list[object], next_: str | None) -> Shown:
    value: Json = {"items": items}
    if next_ is not None:
        value["next"] = base64.urlsafe_b64encode(next_.encode()).decode().rstrip("=")
    return Shown(value)


def _limit(asked: Asked) -> int:
    return asked.get("limit", int) or DEFAULT_LIMIT


def _after(asked: Asked) -> str | None:
    cursor = asked.get("cursor", str)
    if cursor is None:
        return None
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise _not_a_cursor() from None


def _not_a_cursor() -> Problem:
    return Problem(422, "The cursor is none: the text of `next` of the page before was expected.")


def _path(name: str, description: str, read: Callable[[str], object], schema: Json) -> Parameter:
    return Parameter(name, description, read, schema, in_path=True, required=True)


IDENTIFIER: Json = {"type": "string", "pattern": r"^[A-Za-z0-9_\-][A-Za-z0-9_.\-]*$", "maxLength": 255}
"""A name that begins with a dot may be one, but not all clients leave it alone in a path."""
KEY: Json = {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]{1,60}/[A-Za-z0-9_.\-]{1,60}/[A-Za-z0-9_.\-]{1,60}$"}
INSTANCE_ID: Json = {"type": "integer", "minimum": 0, "maximum": _MOST}
TEXT: Json = {"type": "string", "minLength": 1}

ROLE = _path("role", "The role that owns the job.", identifier, IDENTIFIER)
JOB = (
    ROLE,
    _path("environment", "Such as prod, staging or devel.", identifier, IDENTIFIER),
    _path("name", "The job's name.", identifier, IDENTIFIER),
)
UPDATE = (*JOB, _path("update", "The update's id.", some_text, TEXT))
INSTANCE = _path("instance", "A number from 0.", whole(0, _MOST), INSTANCE_ID)
TASK = _path("task", "The task's id.", some_text, TEXT)
PAGE = (
    Parameter(
        "limit",
        f"At most so many items; {DEFAULT_LIMIT} if not given.",
        whole(1, MOST_ITEMS),
        {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS},
    ),
    Parameter("cursor", "Where the page begins: `next` of the page before.", some_text, TEXT),
)
ROLE_WANTED = Parameter("role", "Of this role only.", identifier, IDENTIFIER)
ENVIRONMENT_WANTED = Parameter("environment", "In this environment only.", identifier, IDENTIFIER)
JOB_WANTED = Parameter("job", "Of this job only: role/environment/name.", job_key, KEY)
INSTANCES_WANTED = Parameter("instance", "Of these instances only.", whole(0, _MOST), INSTANCE_ID, many=True)
HOSTS_WANTED = Parameter("host", "On these hosts only.", some_text, TEXT, many=True)
STATUSES_WANTED = Parameter(
    "status",
    "In these statuses only.",
    one_of(dict(ScheduleStatus.__members__)),
    {"type": "string", "enum": list(ScheduleStatus.__members__)},
    many=True,
)
UPDATE_STATUSES_WANTED = Parameter(
    "status",
    "In these statuses only.",
    one_of(dict(JobUpdateStatus.__members__)),
    {"type": "string", "enum": list(JobUpdateStatus.__members__)},
    many=True,
)
MESSAGE = Parameter("message", "Why: kept in the events of tasks.", some_text, TEXT)
