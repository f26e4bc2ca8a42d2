import os
from pathlib import Path

import pytest
from werkzeug.http import parse_range_header

from aurorad.observer.downloads import Part, part_of
from tests.observer.host import TaskOnDisk, client, failed_task, served


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (None, Part(0, 10, True)),
        ("bytes=0-4", Part(0, 5, False)),
        ("bytes=5-", Part(5, 10, False)),
        ("bytes=5-99", Part(5, 10, False)),
        ("bytes=9-9", Part(9, 10, False)),
        ("bytes=-3", Part(7, 10, False)),
        ("bytes=-99", Part(0, 10, False)),
        ("bytes=10-", None),
        ("bytes=99-100", None),
        ("bytes=0-1,3-4", Part(0, 10, True)),
        ("lines=1-2", Part(0, 10, True)),
        ("bytes=x", Part(0, 10, True)),
    ],
)
def test_parts_of_a_file_of_ten_bytes(asked: str | None, part: Part | None) -> None:
    assert part_of(parse_range_header(asked), 10) == part


def test_an_empty_file_has_no_parts_but_is_a_whole() -> None:
    assert part_of(None, 0) == Part(0, 0, True)
    assert part_of(parse_range_header("bytes=0-"), 0) is None


@pytest.fixture
def task(tmp_path: Path) -> TaskOnDisk:
    it = failed_task(tmp_path)
    (it.sandbox / "file").write_bytes(bytes(range(256)) * 4096)
    return it


async def test_a_download_that_broke_off_is_taken_up_again(tmp_path: Path, task: TaskOnDisk) -> None:
    web, whole = client(tmp_path), bytes(range(256)) * 4096
    first = await web.get("/download/t1/file", headers={"Range": "bytes=0-99999"})
    assert first.status_code == 206
    assert first.headers["Content-Range"] == f"bytes 0-99999/{len(whole)}"
    rest = await web.get("/download/t1/file", headers={"Range": "bytes=100000-", "If-Range": first.headers["ETag"]})
    assert rest.content_length == len(whole) - 100000
    assert await first.get_data(as_text=False) + await rest.get_data(as_text=False) == whole


async def test_what_has_changed_meanwhile_is_sent_whole(tmp_path: Path, task: TaskOnDisk) -> None:
    web = client(tmp_path)
    tag = (await web.get("/download/t1/file", headers={"Range": "bytes=0-9"})).headers["ETag"]
    (task.sandbox / "file").write_text("another one")
    answer = await web.get("/download/t1/file", headers={"Range": "bytes=5-", "If-Range": tag})
    assert (answer.status_code, await answer.get_data()) == (200, b"another one")


async def test_a_part_that_there_is_not_is_416(tmp_path: Path, task: TaskOnDisk) -> None:
    answer = await client(tmp_path).get("/download/t1/file", headers={"Range": "bytes=2000000-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */1048576")


async def test_what_a_task_wrote_can_never_act_as_our_page(tmp_path: Path, task: TaskOnDisk) -> None:
    (task.sandbox / "x.html").write_text("<script>")
    answer = await client(tmp_path).get("/download/t1/x.html")
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox;")


async def test_logs_can_be_downloaded_wherever_they_are(tmp_path: Path) -> None:
    task = failed_task(tmp_path)
    answer = await client(tmp_path).get("/logdownload/t1/hello_world/0/stderr")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''hello_world-0-stderr.log"
    assert b"NameError" in await answer.get_data()
    task.log("hello_world", "stderr.1", "older\n")
    assert await (await client(tmp_path).get("/logdownload/t1/hello_world/0/stderr.1")).get_data() == b"older\n"


async def test_head_tells_the_size_and_reads_nothing(tmp_path: Path, task: TaskOnDisk) -> None:
    os.truncate(task.sandbox / "file", 1 << 40)
    async with served(tmp_path) as web:
        head, body = await web.ask("HEAD", "/download/t1/file")
        assert b"Content-Length: %d" % (1 << 40) in head.title()
        assert b"Accept-Ranges: Bytes" in head.title()
        assert body == b""
        head, body = await web.ask("HEAD", "/filestream/t1/file")
        assert (b"200 OK" in head, body) == (True, b"")


async def test_a_file_that_shrinks_while_it_is_sent_breaks_the_download_off(
    tmp_path: Path, task: TaskOnDisk, caplog: pytest.LogCaptureFixture
) -> None:
    os.truncate(task.sandbox / "file", 1 << 30)
    async with served(tmp_path) as web:
        stream = await web.connect("/download/t1/file")
        async with stream:
            received = len(await stream.receive_some())
            os.truncate(task.sandbox / "file", 1000)
            async for data in stream:
                received += len(data)
    assert received < 1 << 30
    assert caplog.records == []
