import pytest

from aurorad.leader import serverset
from aurorad.leader.face import Leader


def test_a_member_is_written_as_clients_know_it() -> None:
    assert serverset.encode(Leader("h", 8081, {"http": ("h", 8081)})) == (
        b'{"serviceEndpoint":{"host":"h","port":8081},'
        b'"additionalEndpoints":{"http":{"host":"h","port":8081}},"status":"ALIVE"}'
    )


@pytest.mark.parametrize(
    ("data", "member"),
    [
        (
            b'{"serviceEndpoint":{"host":"h","port":8081},"additionalEndpoints":{"https":{"host":"p","port":443}}}',
            Leader("h", 8081, {"https": ("p", 443)}),
        ),
        (b'{"serviceEndpoint":{"host":"h","port":1,"x":2},"status":"?","shard":3}', Leader("h", 1, {})),
        (b'{"serviceEndpoint":{"host":"h","port":"1"}}', Leader("h", 1, {})),
        (b'{"serviceEndpoint":{"host":"h"}}', Leader("h", 0, {})),
        (b'{"serviceEndpoint":{"port":1}}', None),
        (b'{"serviceEndpoint":{"host":"h"},"additionalEndpoints":{"http":{"port":1}}}', None),
        (b'{"additionalEndpoints":{}}', None),
        (b"[]", None),
        (b"", None),
        (b"{", None),
        (b"\xff", None),
    ],
)
def test_others_members_are_read_as_far_as_they_can_be(data: bytes, member: Leader | None) -> None:
    assert serverset.decode(data) == member


def test_what_is_written_is_read() -> None:
    member = Leader("h", 8081, {"https": ("h", 8081)})
    assert serverset.decode(serverset.encode(member)) == member
