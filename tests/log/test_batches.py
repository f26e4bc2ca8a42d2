from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aurorad.log import batches


@given(
    st.integers(0, 2**63), st.lists(st.binary(max_size=30), max_size=5), st.binary(max_size=20), st.binary(max_size=9)
)
def test_a_batch_is_read_back(position: int, entries: list[bytes], before: bytes, after: bytes) -> None:
    data = before + batches.encode(position, entries) + after
    batch = batches.decode(data, len(before))
    assert batch == batches.Batch(position, tuple(entries), len(data) - len(after))


@given(st.lists(st.binary(max_size=10), max_size=3), st.data())
def test_any_changed_bit_is_noticed(entries: list[bytes], data: st.DataObject) -> None:
    content = bytearray(batches.encode(5, entries))
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    assert batches.decode(bytes(content), 0) is None


def test_the_layout_is_as_described() -> None:
    layout = "a5414c31 1850a7f6 0000000a 00000002 0000000000000003 00000002 6162 00000000"
    assert batches.encode(3, [b"ab", b""]) == bytes.fromhex(layout)


def test_batches_are_found_anywhere_after_an_offset() -> None:
    one = batches.encode(0, [b"x"])
    assert batches.any_after(b"?" * 9 + one, 0)
    assert not batches.any_after(one, 0)
    assert not batches.any_after(one[:-1] + batches.MAGIC + b"rest", 0)
