from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.engine.base import Offer
from aurorad.engine.mesos import messages, offers
from aurorad.engine.mesos.offers import LARGE_BYTES, is_large, read, read_large

TRICKY = ',{"id":{"value":"x"'


def record(ids: list[str], *, id_first: bool = True, hostname: str = "h" * 1000) -> bytes:
    """As a master writes it, or in another order."""
    first, then = {"id": None, "agent_id": {"value": "a"}}, {"hostname": hostname}
    order = {**first, **then} if id_first else {**then, **first}
    made = [{**order, "id": {"value": id_}} for id_ in ids]
    return json.dumps({"type": "OFFERS", "offers": {"offers": made}}, separators=(",", ":")).encode()


async def read_whole(whole: bytes) -> tuple[Offer, ...]:
    made = msgspec.json.decode(whole, type=messages.Event).offers
    assert made is not None
    return await read(made.offers)


@pytest.mark.parametrize("id_first", [True, False])
@pytest.mark.parametrize("hostname", ["h" * 1000, TRICKY * 60])
async def test_what_is_cut_reads_as_what_is_not(id_first: bool, hostname: str) -> None:
    whole = record([str(number) for number in range(2000)], id_first=id_first, hostname=hostname)
    assert is_large(whole)
    assert await read_large(whole) == await read_whole(whole)


async def test_no_offers_at_all() -> None:
    assert await read_large(record([])) == ()


@given(st.lists(st.sampled_from(["a", TRICKY, '"', "\\", "]}}", "{"]), max_size=5), st.booleans())
def test_no_names_can_mislead_it(ids: list[str], id_first: bool) -> None:
    whole = record(ids, id_first=id_first, hostname=TRICKY)
    pieces = list(offers._cut(whole))
    if id_first:
        assert [msgspec.json.decode(piece, type=messages.Offer).id.value for piece in pieces] == ids


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"OFFERS","offers":{"offers":[{}]}}',
        b'{"type":"OFFERS","offers":{"offers":[' + b"x" * LARGE_BYTES + b"]}}",
    ],
)
async def test_what_are_no_offers_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        await read_large(body)


def test_only_large_offers_are_cut() -> None:
    assert not is_large(record(["a"]))
    assert not is_large(b'{"type":"UPDATE","update":{' + b" " * LARGE_BYTES + b"}}")
