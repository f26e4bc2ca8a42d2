from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.log import hello
from aurorad.log.hello import Frames, Hello, Malformed, Stranger
from aurorad.log.messages import Peer

MINE = Hello(hello.PROTOCOL, "west", "10.0.0.1:8083", "10.0.0.2:8083", Peer(1, 2))
THEIRS = msgspec.structs.replace(MINE, sender=MINE.receiver, receiver=MINE.sender)


@given(st.lists(st.binary(max_size=50)), st.lists(st.integers(1, 20)))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream, frames, found = b"".join(map(hello.frame, payloads)), Frames(50), list[bytes]()
    sizes = iter(cuts)
    while stream:
        size = next(sizes, len(stream))
        found += map(bytes, frames.feed(stream[:size]))
        stream = stream[size:]
    assert found == [payload for payload in payloads if payload]


@given(st.binary(max_size=200))
def test_whatever_comes_is_frames_or_malformed(data: bytes) -> None:
    frames = Frames(60)
    try:
        found = frames.feed(data)
    except Malformed:
        return
    assert all(0 < len(payload) <= 60 for payload in found)


def test_a_frame_that_is_too_large_is_malformed_before_it_has_come() -> None:
    with pytest.raises(Malformed, match="a frame of 101 bytes, at most 100 were expected"):
        Frames(100).feed(hello.frame(bytes(101))[:8])


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_frame_with_a_wrong_bit_is_malformed_or_still_awaited(payload: bytes, data: st.DataObject) -> None:
    stream = bytearray(hello.frame(payload))
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(Malformed):
        assert Frames(1 << 20).feed(stream) == []


def test_a_member_of_this_log_is_welcome() -> None:
    hello.check(THEIRS, MINE)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"protocol": 9}, "it speaks version 9 of the protocol, version 1 was expected"),
        ({"cluster_id": "east"}, "it belongs to the log of cluster 'east', 'west' was expected"),
        ({"sender": MINE.sender}, "it says that it is this very member"),
    ],
)
def test_anybody_else_is_a_stranger(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(Stranger, match=why):
        hello.check(msgspec.structs.replace(THEIRS, **wrong), MINE)
