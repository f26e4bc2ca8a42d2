from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.log import sectors
from aurorad.log.sectors import SECTOR, Kind

BODIES = {
    "nothing": b"",
    "a word": b"word",
    "just one sector": b"x" * (SECTOR - 26),
    "one byte too much for one sector": b"x" * (SECTOR - 25),
    "zeros": bytes(5 * SECTOR),
    "text": b"some text " * 300,
}
BLANK = bytes(4 * SECTOR)


def batch_of(body: bytes, number: int = 1) -> bytes:
    return sectors.encode(Kind.APPEND, number, 7, body)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_was_encoded_is_decoded_wherever_it_lies(body: bytes) -> None:
    data = batch_of(body)
    assert len(data) == sectors.length(len(body))
    assert len(data) % SECTOR == 0
    for offset in (0, SECTOR):
        batch = sectors.decode(bytes(offset) + data + BLANK, offset)
        assert batch is not None
        assert (batch.header.kind, batch.header.number, batch.header.previous) == (Kind.APPEND, 1, 7)
        assert (batch.body, batch.end_offset) == (body, offset + len(data))


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_flipped_bit_is_found_and_is_no_crash(body: bytes) -> None:
    data = batch_of(body)
    for at in {*range(40), *range(len(data) - 3, len(data)), *range(0, len(data), 97), SECTOR, SECTOR - 1} & {
        *range(len(data))
    }:
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            content = bytes(flipped) + BLANK
            assert sectors.decode(content, 0) is None, at
            assert sectors.not_torn(content, 0) is not None, at


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_write_that_arrived_only_from_its_beginning_to_anywhere_is_a_crash(body: bytes) -> None:
    data = batch_of(body)
    for length in range(1, len(data)):
        content = data[:length].ljust(len(data), b"\0") + BLANK
        assert sectors.decode(content, 0) is None
        assert sectors.not_torn(content, 0) is None, length


@given(st.binary(max_size=6 * SECTOR), st.randoms(use_true_random=False), st.booleans())
def test_a_write_of_which_any_sectors_arrived_is_a_crash(body: bytes, rng: random.Random, zeros: bool) -> None:
    data = batch_of(bytes(len(body)) if zeros else body)
    content = bytearray(data + BLANK)
    for start in range(0, len(data), SECTOR):
        if rng.random() < 0.5:
            content[start : start + SECTOR] = bytes(SECTOR)
    if content[: len(data)] == data:
        return
    assert sectors.decode(bytes(content), 0) is None
    assert sectors.not_torn(bytes(content), 0) is None


@given(st.binary(max_size=4 * SECTOR), st.randoms(use_true_random=False))
def test_whatever_was_written_over_it_is_never_taken_for_a_batch(body: bytes, rng: random.Random) -> None:
    data = bytearray(batch_of(body))
    start = rng.randrange(len(data))
    garbage = rng.randbytes(rng.randint(1, len(data) - start))
    if data[start : start + len(garbage)] != garbage:
        data[start : start + len(garbage)] = garbage
        assert sectors.decode(bytes(data), 0) is None


def test_anything_behind_a_damaged_batch_shows_that_no_crash_tore_it() -> None:
    first, second = batch_of(b"a" * 2000), batch_of(b"b", 2)
    without_a_sector = first[:SECTOR] + bytes(SECTOR) + first[2 * SECTOR :]
    without_its_first = bytes(SECTOR) + first[SECTOR:]
    for torn in (without_a_sector, without_its_first):
        assert sectors.not_torn(torn + BLANK, 0) is None
        assert sectors.not_torn(torn + second + BLANK, 0) is not None


def test_a_batch_that_goes_on_behind_the_end_of_the_file_is_no_crash() -> None:
    data = batch_of(b"a" * 2000)
    assert sectors.not_torn(data[:-SECTOR], 0) == "the file ends before the batch does"


def test_blank_is_what_was_never_written() -> None:
    assert sectors.is_blank(batch_of(b"a") + BLANK, SECTOR)
    assert not sectors.is_blank(batch_of(b"a") + BLANK + b"\1", SECTOR)
