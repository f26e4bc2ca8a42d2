import gzip
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from quart import Response as Answer
from quart.typing import TestClientProtocol as Client
from quart_trio import QuartTrio

from aurorad.api import binary, compact, idl, tjson
from aurorad.api.calls import (
    ApplicationException,
    Call,
    CreateJob,
    GetJobs,
    GetPendingReason,
    GetQuota,
    GetTasksStatus,
    Reply,
)
from aurorad.api.enums import ResponseCode
from aurorad.api.results import (
    GetJobsResult,
    GetJobUpdateDetailsResult,
    PopulateJobResult,
    Response,
    ResponseDetail,
    Result,
    ScheduleStatusResult,
)
from aurorad.api.tasks import (
    AssignedTask,
    JobConfiguration,
    Resource,
    ScheduledTask,
    TaskConfig,
    TaskEvent,
    TaskQuery,
)
from aurorad.api.updates import JobInstanceUpdateEvent, JobUpdateDetails
from aurorad.api.wire import BINARY_TYPE, COMPACT_TYPE, JSON_TYPE, MessageHeader, MessageType
from aurorad.rules.permissions import ANYBODY, Caller
from aurorad.web.large import weight
from aurorad.web.thrift import thrift_endpoint

JSON = {"Content-Type": JSON_TYPE, "Accept": JSON_TYPE}
COMPACT = {"Content-Type": COMPACT_TYPE, "Accept": COMPACT_TYPE}
BINARY = {"Content-Type": BINARY_TYPE, "Accept": BINARY_TYPE}


@pytest.fixture
def heard() -> list[tuple[Call, Caller]]:
    return []


@pytest.fixture
def client(heard: list[tuple[Call, Caller]]) -> Client:
    async def handle(call: Call, caller: Caller) -> Response:
        heard.append((call, caller))
        if isinstance(call, GetTasksStatus):
            tasks = tuple(ScheduledTask(AssignedTask(f"task-{i}")) for i in range(2000))
            return Response(result=Result(schedule_status_result=ScheduleStatusResult(tasks)))
        return Response(ResponseCode.OK, details=(ResponseDetail("done"),))

    app = QuartTrio("tests")
    app.register_blueprint(thrift_endpoint(handle, lambda: ANYBODY))
    return app.test_client()


async def raw(answer: Answer) -> bytes:
    body = await answer.get_data(as_text=False)
    assert isinstance(body, bytes)
    return body


def header(call: Call, kind: MessageType = MessageType.CALL) -> MessageHeader:
    return MessageHeader(call.method(), kind, 7)


async def test_a_binary_call_gets_a_binary_reply(client: Client, heard: list[tuple[Call, Caller]]) -> None:
    call = GetJobs(owner_role="www-data")
    answer = await client.post("/api", data=binary.encode_message(header(call), call), headers=BINARY)
    body = await raw(answer)
    reply, position = binary.decode_header(body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, BINARY_TYPE)
    assert reply == MessageHeader("getJobs", MessageType.REPLY, 7)
    assert binary.read_struct(Reply, body, position)[0] == Reply(Response(details=(ResponseDetail("done"),)))
    assert heard == [(call, ANYBODY)]


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/x-thrift", JSON_TYPE, f"{JSON_TYPE}; charset=UTF-8"],
)
async def test_every_json_type_means_tjson(client: Client, content_type: str) -> None:
    answer = await client.post("/api", data=b'[1,"getJobs",1,0,{}]', headers={"Content-Type": content_type})
    message = tjson.decode_message(await raw(answer))
    assert answer.headers["Content-Type"] == JSON_TYPE
    assert message.header == MessageHeader("getJobs", MessageType.REPLY, 0)
    assert message.body(Reply).success == Response(details=(ResponseDetail("done"),))


async def test_request_and_reply_encodings_are_independent(client: Client) -> None:
    answer = await client.post(
        "/api", data=b'[1,"getJobs",1,3,{}]', headers={"Content-Type": JSON_TYPE, "Accept": BINARY_TYPE}
    )
    assert binary.decode_header(await raw(answer))[0].sequence == 3


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, JSON_TYPE),
        (JSON_TYPE, JSON_TYPE),
        (BINARY_TYPE, BINARY_TYPE),
        (COMPACT_TYPE, COMPACT_TYPE),
        ("*/*", JSON_TYPE),
        ("application/json", JSON_TYPE),
        ("text/html", JSON_TYPE),
        (f"{BINARY_TYPE}, {JSON_TYPE}", JSON_TYPE),
        (f"{JSON_TYPE}, {BINARY_TYPE}", JSON_TYPE),
        ("application/*", JSON_TYPE),
        ("nonsense", JSON_TYPE),
        (f"{BINARY_TYPE};q=0.5", JSON_TYPE),
        ("application/x-thrift", JSON_TYPE),
    ],
)
async def test_the_reply_is_binary_only_for_who_accepts_nothing_else(
    client: Client, accept: str | None, answered: str
) -> None:
    headers = {"Content-Type": JSON_TYPE} | ({"Accept": accept} if accept is not None else {})
    answer = await client.post("/api", data=b'[1,"getJobs",1,0,{}]', headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, answered)


@pytest.mark.parametrize(
    "body",
    [
        b'[1,"getJobs",1,0,{"1":{"i32":5}}]',
        b'[1,"getJobs",1,0,{"1":{"str":"x"},"99":{"i32":5}}]',
        b'[1,"getTasksWithoutConfigs",1,0,{"1":{"rec":{"14":{"str":"x"},"5":{"set":["i32",1,99]}}}}]',
        b'[1,"getTasksWithoutConfigs",1,0,{"1":{"rec":{"7":{"lst":["i32",1,0]},"14":{"str":"x"}}}}]',
        b'[1,"getTierConfigs",1,0,{}]xyz',
        b'[1,"getTierConfigs",1,0,{}][1,"getTierConfigs",1,0,{}]',
        b'[1,"getTierConfigs",4,0,{}]',
        b' [ 1 , "getTierConfigs" , 1 , 0 , { } ] ',
    ],
    ids=["a type", "a field", "an enum value", "a list for a set", "text after", "two messages", "one-way", "spaces"],
)
async def test_what_a_call_has_too_much_or_otherwise_is_passed_over(client: Client, body: bytes) -> None:
    answer = await client.post("/api", data=body, headers=JSON)
    assert answer.status_code == 200
    assert tjson.decode_message(await raw(answer)).header.type is MessageType.REPLY


async def test_another_content_type_is_415(client: Client) -> None:
    answer = await client.post("/api", data=b"x", headers={"Content-Type": "text/html"})
    assert (answer.status_code, await raw(answer)) == (415, b"Unsupported Content-Type: text/html")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b""),
        (JSON, b"{"),
        (JSON, b'[1,"getJobs",1,0]'),
        (JSON, b'[2,"getJobs",1,0,{}]'),
        (JSON, b'[1,"getJobs",1,0,{"1":{"str":5}}]'),
        (BINARY, b""),
        (BINARY, b"\x80\x01\x00\x01\x00\x00\x00\xffget"),
        (BINARY, b"\x80\x02\x00\x01\x00\x00\x00\x07getJobs\x00\x00\x00\x00\x00"),
        (BINARY, b"\x80\x01\x00\x01\x00\x00\x00\x07getJobs\x00\x00\x00\x00\x0b\x00\x01\x7f\xff\xff\xffx"),
    ],
)
async def test_malformed_bytes_are_400_with_a_sentence(
    client: Client, heard: list[tuple[Call, Caller]], headers: dict[str, str], body: bytes
) -> None:
    answer = await client.post("/api", data=body, headers=headers)
    text = (await raw(answer)).decode()
    assert answer.status_code == 400
    assert text.startswith("Malformed request body: ")
    assert text.count("\n") == 1
    assert heard == []


async def test_an_unknown_method_is_a_thrift_exception(client: Client) -> None:
    answer = await client.post("/api", data=b'[1,"noSuch",1,0,{}]', headers=JSON)
    message = tjson.decode_message(await raw(answer))
    assert (answer.status_code, message.header.type) == (200, MessageType.EXCEPTION)
    assert message.body(ApplicationException) == ApplicationException("Invalid method name: 'noSuch'", 1)


async def test_a_binary_union_without_a_member_is_a_thrift_exception(client: Client) -> None:
    # createJob(description{taskConfig{resources: set of one Resource with no member}})
    body = b"\x80\x01\x00\x01\x00\x00\x00\x09createJob\x00\x00\x00\x00"
    body += b"\x0c\x00\x01" + b"\x0c\x00\x06" + b"\x0e\x00\x20\x0c\x00\x00\x00\x01\x00" + b"\x00\x00\x00"
    answer = await client.post("/api", data=body, headers=BINARY)
    data = await raw(answer)
    message, position = binary.decode_header(data)
    assert message.type is MessageType.EXCEPTION
    assert binary.read_struct(ApplicationException, data, position)[0] == ApplicationException("Unrecognized type 0", 7)


@pytest.mark.parametrize(("tag", "number"), [(1, 1), (5, 5), (0x63, 99), (0xFF, -1)])
async def test_a_binary_field_of_no_known_type_is_a_thrift_exception(client: Client, tag: int, number: int) -> None:
    body = b"\x80\x01\x00\x01\x00\x00\x00\x07getJobs\x00\x00\x00\x00" + bytes([tag]) + b"\x00\x09\x00"
    data = await raw(await client.post("/api", data=body, headers=BINARY))
    message, position = binary.decode_header(data)
    assert message.type is MessageType.EXCEPTION
    told = binary.read_struct(ApplicationException, data, position)[0]
    assert told == ApplicationException(f"Unrecognized type {number}", 7)


async def test_absent_arguments_are_unset(client: Client, heard: list[tuple[Call, Caller]]) -> None:
    await client.post("/api", data=b'[1,"getQuota",1,0,{}]', headers=JSON)
    assert heard[0][0] == GetQuota()


TASK = ScheduledTask(
    AssignedTask("task-1", task=TaskConfig(resources=frozenset({Resource(num_cpus=1.0), Resource(ram_mb=1)}))),
    task_events=(TaskEvent(1), TaskEvent(2)),
)
UPDATE = JobUpdateDetails(instance_events=tuple(JobInstanceUpdateEvent(n) for n in range(1000)))


@pytest.mark.parametrize(
    ("result", "least", "most"),
    [
        (Result(), 0, 50),
        (Result(schedule_status_result=ScheduleStatusResult((TASK,))), 30, 200),
        (Result(schedule_status_result=ScheduleStatusResult((TASK,) * 1000)), 30_000, 200_000),
        (
            Result(get_jobs_result=GetJobsResult(frozenset(JobConfiguration(instance_count=n) for n in range(1000)))),
            20_000,
            80_000,
        ),
        (Result(get_job_update_details_result=GetJobUpdateDetailsResult(UPDATE)), 4_000, 10_000),
        (Result(get_job_update_details_result=GetJobUpdateDetailsResult(details_list=(UPDATE,) * 10)), 40_000, 100_000),
        (Result(populate_job_result=PopulateJobResult(TaskConfig(contact_email="x" * 10_000_000))), 10_000, 11_000),
    ],
)
def test_the_weight_of_an_answer_grows_with_what_encoding_it_takes(result: Result, least: int, most: int) -> None:
    assert least <= weight(Reply(Response(result=result))) <= most


@pytest.mark.parametrize("body", [GetPendingReason(TaskQuery()), GetQuota("x"), CreateJob(JobConfiguration())])
async def test_no_mutation_of_a_call_gets_more_than_400(client: Client, body: Call) -> None:
    rng = random.Random(7)
    for headers, encode in ((JSON, tjson.encode_message), (BINARY, binary.encode_message)):
        valid = encode(header(body), body)
        for _ in range(300):
            data = bytearray(valid)
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(data) + 1)
                data[at : at + rng.randint(0, 3)] = rng.choice(
                    [b"", rng.randbytes(1), b"[", b'"', b"{", b"-1", b"1e999"]
                )
            answer = await client.post("/api", data=bytes(data), headers=headers)
            assert answer.status_code in (200, 400), bytes(data)


@pytest.mark.parametrize(
    ("headers", "data"),
    [
        (JSON, b"[" * 1_000_000),
        (JSON, b'[1,"getJobs",1,0,' + b'{"9":{"rec":' * 100_000),
        (JSON, b'[1,"getJobs",1,0,{"1":{"str":"\\ud800"}}]'),
        (JSON, b'[1,"getJobs",1,1e400,{}]'),
        (JSON, b'[1,"getJobs",1,' + b"9" * 100_000 + b",{}]"),
        (BINARY, b"\x80\x01\x00\x01\x00\x00\x00\x07getJobs\x00\x00\x00\x00" + b"\x0c\x00\x09" * 100_000),
        (BINARY, b"\x80\x01\x00\x01\x00\x00\x00\x07getJobs\x00\x00\x00\x00\x0f\x00\x09\x0c\x7f\xff\xff\xff"),
        (BINARY, b"\x80\x01\x00\x01\x00\x00\x00\x07getJobs\x00\x00\x00\x00\x0f\x00\x09\x00\x7f\xff\xff\xff"),
        (
            BINARY,
            b"\x80\x01\x00\x01\x00\x00\x00\x07getJobs\x00\x00\x00\x00"
            + b"\x0f\x00\x09"
            + b"\x0f\x00\x00\x00\x01" * 100_000,
        ),
        (BINARY, gzip.compress(b"\0" * 1_000_000)),
    ],
)
async def test_depth_and_counts_that_are_too_large_are_400(
    client: Client, headers: dict[str, str], data: bytes
) -> None:
    with trio.fail_after(10):
        answer = await client.post("/api", data=data, headers=headers)
    assert answer.status_code == 400, await raw(answer)


async def test_a_compact_call_gets_a_compact_reply(client: Client, heard: list[tuple[Call, Caller]]) -> None:
    call = GetJobs(owner_role="www-data")
    answer = await client.post("/api", data=compact.encode_message(header(call), call), headers=COMPACT)
    body = await raw(answer)
    reply, position = compact.decode_header(body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, COMPACT_TYPE)
    assert reply == MessageHeader("getJobs", MessageType.REPLY, 7)
    assert compact.read_struct(Reply, body, position)[0] == Reply(Response(details=(ResponseDetail("done"),)))
    assert heard == [(call, ANYBODY)]


@pytest.mark.parametrize(
    ("encode", "answered"),
    [
        (tjson.encode_message, JSON_TYPE),
        (binary.encode_message, BINARY_TYPE),
        (compact.encode_message, COMPACT_TYPE),
    ],
)
async def test_who_says_only_that_it_is_thrift_gets_the_encoding_of_the_request(
    client: Client, encode: Callable[[MessageHeader, Call], bytes], answered: str
) -> None:
    call, type_ = GetJobs(), {"Content-Type": "application/x-thrift"}
    for headers, expected in ((type_, answered), ({**type_, "Accept": "application/json"}, JSON_TYPE)):
        answer = await client.post("/api", data=encode(header(call), call), headers=headers)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, expected)


async def test_the_interface_is_there_for_those_who_want_to_compile_it(client: Client) -> None:
    answer = await client.get("/api/aurora.thrift")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert await raw(answer) == (Path(idl.__file__).parent / "api.thrift").read_bytes()
