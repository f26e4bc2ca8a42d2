"""Offers of thousands of agents come in one record: they are read one by one, letting others run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from aurorad.engine import base
from aurorad.engine.mesos import messages, translate
from aurorad.pace import Pace

LARGE_BYTES = 1 << 20
"""Only to find where the offers of such a record begin takes 3 ms."""

_BEGIN, _END = b'{"type":"OFFERS","offers":{"offers":[', b"]}}"
_BETWEEN = b',{"id":{'

_decode = msgspec.json.Decoder(messages.Offer).decode


def is_large(record: bytes) -> bool:
    """Whether these are offers to be cut before they are read."""
    return len(record) >= LARGE_BYTES and record.startswith(_BEGIN) and record.endswith(_END)


async def read_large(record: bytes) -> tuple[base.Offer, ...]:
    """Raises `ValueError` for what are no offers."""
    try:
        return await read(_cut(record))
    except ValueError:
        made = msgspec.json.decode(record, type=messages.Event).offers
        return await read(made.offers if made is not None else ())


def _cut(record: bytes) -> Iterator[bytes]:
    """What is between one offer's begin and the next, if each begins with its id, as a master writes them.

    If all pieces are offers, it was cut where it should be.
    """
    begin, last = len(_BEGIN), len(record) - len(_END)
    while begin < last:
        end = record.find(_BETWEEN, begin, last)
        end = end if end >= 0 else last
        yield record[begin:end]
        begin = end + 1


async def read(raws: Iterable[bytes | msgspec.Raw]) -> tuple[base.Offer, ...]:
    """Raises `ValueError` for what is no offer."""
    pace = Pace()
    offers: list[base.Offer] = []
    for raw in raws:
        offers.append(translate.offer(_decode(raw)))
        await pace.breathe()
    return tuple(offers)
