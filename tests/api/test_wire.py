"""Both encodings against Apache's library, and against bytes that nobody should send."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aurorad.api import binary, compact, tjson
from aurorad.api.calls import CreateJob, GetJobs, GetTasksStatus, GetTierConfigs, Reply
from aurorad.api.enums import JobUpdateStatus, MaintenanceMode, ScheduleStatus
from aurorad.api.results import QueryRecoveryResult, Response
from aurorad.api.storage import LogEntry
from aurorad.api.struct import ThriftStruct
from aurorad.api.tasks import (
    AppcImage,
    AssignedTask,
    CoordinatorSlaPolicy,
    DockerContainer,
    DockerImage,
    DockerParameter,
    ExecutorConfig,
    HostAttributes,
    Identity,
    JobConfiguration,
    JobKey,
    Metadata,
    PercentageSlaPolicy,
    Resource,
    ScheduledTask,
    TaskConfig,
    TaskQuery,
    Volume,
)
from aurorad.api.updates import JobUpdateQuery
from aurorad.api.wire import MAX_DEPTH, MessageHeader, MessageType, UnionError, WireError
from tests.api.apache import Apache
from tests.api.values import BODIES, STRUCTS, any_struct

# The values are wide, not tricky: a few of each struct do, and shrinking them takes longer than reading them.
WIDE = settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
FUZZ = settings(max_examples=300, suppress_health_check=list(HealthCheck))

ENCODERS: dict[str, Callable[[ThriftStruct], bytes]] = {
    "binary": binary.encode,
    "accelerated": binary.encode,
    "json": tjson.encode,
    "compact": compact.encode,
}
DECODERS: dict[str, Callable[[Any, bytes], ThriftStruct]] = {
    "binary": binary.decode,
    "accelerated": binary.decode,
    "json": tjson.decode,
    "compact": compact.decode,
}
MESSAGES: dict[str, Callable[[MessageHeader, ThriftStruct], bytes]] = {
    "binary": binary.encode_message,
    "accelerated": binary.encode_message,
    "json": tjson.encode_message,
    "compact": compact.encode_message,
}
OWN = ("binary", "json", "compact")
CALL = MessageHeader("getJobs", MessageType.CALL, 7)


@pytest.mark.parametrize("cls", [*STRUCTS, *BODIES], ids=lambda cls: cls.__name__)
def test_what_one_side_writes_the_other_reads(apache: Apache, cls: type[ThriftStruct]) -> None:
    @WIDE
    @given(any_struct(cls))
    def exchange(value: ThriftStruct) -> None:
        for protocol, encode in ENCODERS.items():
            assert apache.read(protocol, cls, encode(value)) == value
            assert DECODERS[protocol](cls, apache.write(protocol, value)) == value

    exchange()


def decode_message(protocol: str, data: bytes) -> tuple[MessageHeader, ThriftStruct]:
    if protocol == "json":
        message = tjson.decode_message(data)
        return message.header, message.body(GetJobs)
    encoding = compact if protocol == "compact" else binary
    header, start = encoding.decode_header(data)
    return header, encoding.read_struct(GetJobs, data, start)[0]


@pytest.mark.parametrize("protocol", ENCODERS)
@pytest.mark.parametrize("kind", MessageType)
@pytest.mark.parametrize("sequence", [0, 4711, -1, 2**31 - 1, -(2**31)])
def test_messages_are_understood_both_ways(apache: Apache, protocol: str, kind: MessageType, sequence: int) -> None:
    header, body = MessageHeader("getJobs", kind, sequence), GetJobs("www")
    assert apache.read_message(protocol, GetJobs, MESSAGES[protocol](header, body)) == (header, body)
    assert decode_message(protocol, apache.write_message(protocol, header, body)) == (header, body)


def test_the_call_of_the_original_client_has_these_bytes() -> None:
    """The example of the wire sheet, section 1."""
    data = binary.encode_message(MessageHeader("getTierConfigs", MessageType.CALL, 0), GetTierConfigs())
    assert data == b"\x80\x01\x00\x01\x00\x00\x00\x0egetTierConfigs\x00\x00\x00\x00\x00"


def test_a_message_without_the_version_word_is_understood() -> None:
    data = struct.pack(">i", 7) + b"getJobs" + b"\x01" + struct.pack(">i", 7) + binary.encode(GetJobs("www"))
    assert decode_message("binary", data) == (CALL, GetJobs("www"))


def test_text_around_and_after_a_json_message_is_ignored() -> None:
    plain = tjson.encode_message(CALL, GetJobs("www"))
    spaced = json.dumps(json.loads(plain), indent=2).encode()
    for data in (plain + b"xyz", plain + plain, spaced, b" \n" + spaced + b"\n", b" " + plain + b" xyz"):
        assert decode_message("json", data) == (CALL, GetJobs("www"))


def test_control_characters_that_are_not_escaped_are_understood() -> None:
    assert tjson.decode(JobKey, b'{"1":{"str":"a\x01\nb"}}') == JobKey("a\x01\nb")


def test_values_that_share_a_part_are_written_like_values_that_do_not() -> None:
    def pair(*configs: TaskConfig) -> QueryRecoveryResult:
        return QueryRecoveryResult(
            frozenset(ScheduledTask(AssignedTask(str(i), task=c)) for i, c in enumerate(configs))
        )

    one, equal, other = TaskConfig(priority=1), TaskConfig(priority=1), TaskConfig(priority=2)
    for value in (pair(one, one), pair(one, equal), pair(one, other)):
        for protocol in OWN:
            assert DECODERS[protocol](QueryRecoveryResult, ENCODERS[protocol](value)) == value


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("protocol", OWN)
def test_doubles_that_are_no_numbers_come_back(protocol: str, value: float) -> None:
    back = DECODERS[protocol](PercentageSlaPolicy, ENCODERS[protocol](PercentageSlaPolicy(value)))
    assert isinstance(back, PercentageSlaPolicy)
    assert repr(back.percentage) == repr(value)


def test_fields_that_are_unset_are_as_declared_and_collections_and_numbers_never_are() -> None:
    for decode, empty in ((binary.decode, b"\x00"), (tjson.decode, b"{}"), (compact.decode, b"\x00")):
        config = decode(TaskConfig, empty)
        assert config == TaskConfig()
        assert (config.constraints, config.priority, config.tier) == (frozenset(), 0, None)


@pytest.mark.parametrize(
    "unset",
    [
        Identity(),
        Metadata("k"),
        ExecutorConfig(),
        Volume(host_path="/b"),
        DockerImage("python"),
        AppcImage("python"),
        DockerContainer(),
        DockerParameter("net"),
        CoordinatorSlaPolicy("http://c/"),
    ],
    ids=lambda unset: type(unset).__name__,
)
@pytest.mark.parametrize("protocol", ENCODERS)
def test_texts_that_are_unset_stay_so_and_are_not_the_empty_ones(unset: ThriftStruct, protocol: str) -> None:
    back = DECODERS[protocol](type(unset), ENCODERS[protocol](unset))
    assert back == unset
    names = [field for field in msgspec.structs.fields(type(unset)) if getattr(unset, field.name) is None]
    assert names
    assert all(getattr(back, field.name) is None for field in names)


def test_unknown_fields_are_skipped_whatever_they_hold() -> None:
    """Everything that a JobConfiguration holds is unknown to a struct that uses none of its field ids."""
    job = JobConfiguration(JobKey("a", "b", "c"), task_config=TaskConfig(resources=frozenset({Resource(num_cpus=1.0)})))
    for protocol in OWN:
        assert DECODERS[protocol](GetJobs, ENCODERS[protocol](job)) == GetJobs()


def test_a_field_of_another_wire_type_is_skipped() -> None:
    assert binary.decode(GetJobs, b"\x08\x00\x01\x00\x00\x00\x05\x00") == GetJobs()
    assert tjson.decode(GetJobs, b'{"1":{"i32":5}}') == GetJobs()
    assert compact.decode(GetJobs, b"\x15\x0a\x00") == GetJobs()
    query = tjson.decode(TaskQuery, b'{"7":{"lst":["i32",1,0]},"14":{"str":"www"}}')
    assert query == TaskQuery(role="www")


def test_an_unknown_enum_number_is_unset_in_a_field_and_matches_nothing_in_a_set() -> None:
    host = tjson.decode(HostAttributes, b'{"1":{"str":"h"},"3":{"i32":99}}')
    assert host == HostAttributes("h")
    query = tjson.decode(TaskQuery, b'{"5":{"set":["i32",2,99,5]}}')
    assert query.statuses == {99, ScheduleStatus.KILLED}
    for value in (HostAttributes("h", mode=MaintenanceMode.DRAINED), HostAttributes("h")):
        data = binary.encode(value).replace(b"\x00\x00\x00\x04", b"\x00\x00\x00\x63")
        assert binary.decode(HostAttributes, data) == HostAttributes("h")
    raw = binary.encode(JobUpdateQuery(update_statuses=frozenset({JobUpdateStatus.ABORTED})))
    unknown = binary.decode(JobUpdateQuery, raw.replace(b"\x00\x00\x00\x06", b"\x00\x00\x00\x63", 1))
    assert unknown.update_statuses == {99}


@pytest.mark.parametrize(
    ("protocol", "data"),
    [
        ("binary", b"\x00"),
        ("binary", b"\x0a\x00\x02" + bytes(8) + b"\x0a\x00\x03" + bytes(8) + b"\x00"),
        ("compact", b"\x00"),
        ("compact", b"\x26\x02\x16\x02\x00"),
        ("json", b"{}"),
        ("json", b'{"2":{"i64":1},"3":{"i64":1}}'),
    ],
)
def test_a_union_has_exactly_one_member(protocol: str, data: bytes) -> None:
    with pytest.raises(UnionError, match=r"Resource: [02] members set where exactly one was expected"):
        DECODERS[protocol](Resource, data)


BROKEN_JSON = [
    b"",
    b"hello",
    b"{}",
    b"[]",
    b"null",
    b"[1]",
    b"[NaN]",
    b"[1e999999]",
    b'[2,"getJobs",1,0,{}]',
    b'[1,"getJobs",1,0]',
    b'[1,"getJobs",9,0,{}]',
    b"[1,5,1,0,{}]",
    b'[1,"getJobs",1,0,"x"]',
    b'[1,"getJobs",1,0,{"1":{"str":"nos',
    b'[1,"getJobs",1,4294967296,{}]',
    b'[1,"getJobs",1,0,{"1":{"str":5}}]',
    b'[1,"getJobs",1,0,{"1":{}}]',
    b'[1,"getJobs",1,0,{"1":[]}]',
    b'[1,"getJobs",1,0,{"1":{"str":"\\ud800"}}]',
    b'[1,"getJobs",1,0,{"1":{"str":"\xff"}}]',
    b"[" * 100_000,
    b'{"1":' * 100_000,
    b'[1,"getJobs",1,0,' + b'{"1":{"rec":' * 50_000 + b"}}" * 50_000 + b"]",
    b"9" * 10_000,
]


@pytest.mark.parametrize("data", BROKEN_JSON, ids=range(len(BROKEN_JSON)))
def test_a_json_message_that_is_broken_is_told_so_in_few_words(data: bytes) -> None:
    with pytest.raises(WireError) as refused:
        tjson.decode_message(data).body(GetJobs)
    assert 0 < len(str(refused.value)) < 300


BROKEN_STRUCTS = [
    b'{"4":{"set":["str",2,"a"]}}', b'{"4":{"set":["i32",1,5]}}', b'{"4":{"set":5}}', b'{"4":{"set":[]}}',
    b'{"4":{"set":"abc"}}',
    b'{"12":{"i32":2147483648}}', b'{"12":{"i32":1.5}}', b'{"12":{"i32":true}}', b'{"12":{"i32":"x"}}',
    b'{"12":{"i32":' + b"9" * 5000 + b"}}", b'{"12":{"i32":"' + b"9" * 5000 + b'"}}', b'{"11":{"set":["rec",1,5]}}',
    b'{"12":{"i32":1,"i64":2}}', b"[]", b"5",
]  # fmt: skip


@pytest.mark.parametrize("data", BROKEN_STRUCTS, ids=range(len(BROKEN_STRUCTS)))
def test_json_of_another_shape_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        tjson.decode(TaskQuery, data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x0b",
        b"\x0b\x00\x0e",
        b"\x0b\x00\x0e\x00\x00\x00\x05abc",
        b"\x0b\x00\x0e\x7f\xff\xff\xff",
        b"\x0b\x00\x0e\xff\xff\xff\xff",
        b"\x0b\x00\x0e\x00\x00\x00\x01\xff\x00",  # not UTF-8
        b"\x0e\x00\x04\x0b\x7f\xff\xff\xff",  # two thousand million strings, in no bytes
        b"\x0e\x00\x63\x02\x7f\xff\xff\xff",
        b"\x0d\x00\x63\x0b\x0b\x7f\xff\xff\xff",
        b"\x0e\x00\x04\x08\x00\x00\x00\x01\x00\x00\x00\x01\x00",  # a set of integers where strings were expected
        b"\x01\x00\x63\x00",  # no such wire type
        b"\x0c\x00\x63" * 100 + b"\x00" * 101,  # structs in structs
        b"\x0f\x00\x63" + b"\x0f\x00\x00\x00\x01" * 100_000,  # lists in lists
    ],
)
def test_bytes_of_another_shape_are_refused_at_once(data: bytes) -> None:
    with pytest.raises(WireError):
        binary.decode(TaskQuery, data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x18",
        b"\x18\x05abc",  # a role, at 14
        b"\xe8\x05abc",
        b"\xe8\xff\xff\xff\xff\x7f",
        b"\xe8\x01\xff\x00",  # not UTF-8
        b"\x4a\xf8\xff\xff\xff\xff\x07",  # two thousand million strings, in no bytes
        b"\x4a\x15\x02\x00",  # a set of integers where strings were expected
        b"\xc5" + b"\xff" * 11 + b"\x00",  # a number without end
        b"\xc5\xff\xff\xff\xff\x7f\x00",  # 35 bits
        b"\x0d\xc6\x01\x00",  # no such wire type
        b"\x0c\xc6\x01" * 100 + b"\x00" * 101,  # structs in structs
        b"\x09\xc6\x01" + b"\x19" * 100_000,  # lists in lists
        b"\x0b\xc6\x01\xff\xff\xff\xff\x07\x88",
    ],
)
def test_compact_bytes_of_another_shape_are_refused_at_once(data: bytes) -> None:
    with pytest.raises(WireError):
        compact.decode(TaskQuery, data)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x82", b"\x82\x21", b"\x83\x21\x00\x00", b"\x82\x22\x00\x00", b"\x82\xe1\x00\x00",
     b"\x82\x21\xff\xff\xff\xff\x7f\x00", b"\x82\x21\x00\x05abc", b"\x82\x21\x00\x01\xff"],
)  # fmt: skip
def test_a_compact_header_that_is_broken_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        compact.decode_header(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x80\x01\x00",
        b"\x80\x02\x00\x01" + bytes(8),
        b"\x80\x01\x00\x09" + bytes(8),
        b"\x7f\xff\xff\xffx",
        b"\x80\x01\x00\x01\xff\xff\xff\xff",
        b"\x80\x01\x00\x01\x00\x00\x00\x01\xff" + bytes(4),
    ],
)
def test_a_message_header_that_is_broken_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        binary.decode_header(data)


def test_unknown_fields_may_nest_as_deep_as_the_limit() -> None:
    depth = MAX_DEPTH - 1
    assert binary.decode(JobKey, b"\x0c\x00\x63" * depth + b"\x00" * (depth + 1)) == JobKey()
    assert compact.decode(JobKey, b"\x0c\xc6\x01" * depth + b"\x00" * (depth + 1)) == JobKey()


def mutate(data: bytes, numbers: random.Random) -> bytes:
    """Some bytes changed, taken out, doubled or cut off."""
    out = bytearray(data)
    for _ in range(numbers.randint(1, 4)):
        at = numbers.randrange(len(out) + 1)
        match numbers.randrange(4):
            case 0:
                out[at : at + 1] = numbers.randbytes(1)
            case 1:
                del out[at : at + numbers.randint(1, 4)]
            case 2:
                out[at:at] = out[at : at + numbers.randint(1, 8)]
            case 3:
                out[at : at + 4] = numbers.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01"))
    return bytes(out)


@FUZZ
@given(st.one_of(any_struct(CreateJob), any_struct(GetTasksStatus), any_struct(LogEntry)), st.integers(0, 2**32))
def test_whatever_the_bytes_a_wire_error_is_all_that_comes_out(value: ThriftStruct, seed: int) -> None:
    numbers = random.Random(seed)
    for protocol in OWN:
        data = ENCODERS[protocol](value)
        for _ in range(5):
            try:
                back = DECODERS[protocol](type(value), mutate(data, numbers))
            except WireError:
                continue
            ENCODERS[protocol](back)  # what was let in can be written again


@FUZZ
@given(st.binary(max_size=64))
def test_any_bytes_at_all_are_a_message_or_a_wire_error(data: bytes) -> None:
    structs = (lambda d: binary.decode(TaskConfig, d), lambda d: compact.decode(TaskConfig, d))
    for decode in (tjson.decode_message, binary.decode_header, compact.decode_header, *structs):
        try:
            decode(data)
        except WireError:
            continue


@WIDE
@given(st.data())
def test_bytes_of_one_struct_are_another_with_what_fits_or_a_wire_error(data: st.DataObject) -> None:
    for written in data.draw(st.lists(st.sampled_from(STRUCTS), min_size=5, max_size=5)):
        value = data.draw(any_struct(written))
        read = data.draw(st.sampled_from(STRUCTS))
        for protocol in OWN:
            try:
                DECODERS[protocol](read, ENCODERS[protocol](value))
            except WireError:
                continue


def test_the_details_of_an_answer_are_there_even_when_there_are_none() -> None:
    assert tjson.encode(Reply(Response())) == b'{"0":{"rec":{"1":{"i32":1},"6":{"lst":["rec",0]}}}}'
