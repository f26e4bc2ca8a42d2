from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.engine import executor_api as api

EVENTS = [api.Event("SUBSCRIBED"), api.Event("KILL", kill=api.Kill(api.Id("täsk"))), api.Event("SHUTDOWN")]


@given(st.lists(st.integers(1, 40), max_size=20))
def test_a_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    stream = b"".join(map(api.record, EVENTS))
    records = api.records()
    events: list[api.Event] = []
    for cut in cuts:
        events += records.feed(stream[:cut])
        stream = stream[cut:]
    events += records.feed(stream)
    assert events == EVENTS


@pytest.mark.parametrize("stream", [b"x\n{}", b"0\n", b"-1\n", b"99999999999\n", b"1" * 30, b"2\n{]"])
def test_what_is_not_recordio_is_refused(stream: bytes) -> None:
    with pytest.raises(ValueError):
        list(api.records().feed(stream))


def test_what_a_real_agent_sends_besides_is_skipped() -> None:
    body = b'{"type":"SUBSCRIBED","subscribed":{"executor_info":{"executor_id":{"value":"e"}}}}'
    assert list(api.records().feed(b"%d\n%b" % (len(body), body))) == [api.Event("SUBSCRIBED")]


async def test_a_socket_serves_beyond_the_longest_path_a_kernel_takes(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 30) / "agent.sock"
    path.parent.mkdir()
    listener = api.listen(path)
    async with listener, await api.connect(f"unix:{path}") as stream, await listener.accept() as other:
        assert path.stat().st_mode & 0o777 == 0o600
        await stream.send_all(b"x")
        assert await other.receive_some(1) == b"x"
