import os
import re
from pathlib import Path

import pytest
import trio

from aurorad.observer import files
from aurorad.observer.observer import Observer
from executor.checkpoint import RunnerCkpt, RunnerHeader, TaskState, decode_frames, encode_frame
from tests.observer.host import RAN, TaskOnDisk, client, failed_task, get, running_task, served


async def test_the_index_lists_active_and_finished_tasks(tmp_path: Path) -> None:
    failed_task(tmp_path, "t1")
    running_task(tmp_path, "t2")
    html = await get(tmp_path, "/")
    active, finished = html.split("finished tasks")
    assert 'href="/task/t2"' in active
    assert 'href="/task/t1"' in finished
    assert 'href="/browse/t1"' in finished
    assert "thermos(host1)" in html
    assert ":31000" in active
    assert ":31000" not in finished


async def test_an_empty_host_says_so(tmp_path: Path) -> None:
    assert "No active tasks." in await get(tmp_path, "/")


async def test_many_tasks_come_in_pages_of_twenty(tmp_path: Path) -> None:
    for n in range(45):
        os.utime(failed_task(tmp_path, f"t{n:02}").paths.finished, (1000 - n, 1000 - n))
    html = await get(tmp_path, "/main/finished/20")
    assert "20...39 of 45" in html
    assert 'href="/main/finished/40/20"' in html
    assert 'href="/main/finished/0/20"' in html
    assert 'href="/task/t20"' in html
    assert 'href="/task/t40"' not in html


async def test_a_failed_task_shows_its_states_and_processes(tmp_path: Path) -> None:
    failed_task(tmp_path)
    html = await get(tmp_path, "/task/t1")
    states = re.findall(r'<tr><td><span class="status \w+">(\w+)</span></td><td><time', html)
    assert states == ["ACTIVE", "CLEANING", "FINALIZING", "FAILED"]
    assert "www-data" in html
    assert 'href="/logs/t1/hello_world/0/stderr"' in html
    assert 'href="/logs/t1/fetch_package/0/stdout"' in html
    assert html.index("fetch_package") < html.index("hello_world", html.index("Processes"))


async def test_a_running_task_shows_what_runs_and_what_waits(tmp_path: Path) -> None:
    running_task(tmp_path)
    html = await get(tmp_path, "/task/t2")
    assert "RUNNING" in html
    assert "WAITING" in html
    assert "http 31000" in html
    assert 'data-refresh="2"' in html


async def test_the_traceback_is_three_clicks_from_the_job_page(tmp_path: Path) -> None:
    failed_task(tmp_path)
    page = await get(tmp_path, "/task/t1")
    (link,) = re.findall(r'href="(/logs/t1/hello_world/0/stderr)"', page)
    assert "NameError: name &#39;xrang&#39; is not defined" in await get(tmp_path, link)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_output_leads_to_the_log_of_the_process_that_failed(tmp_path: Path, stream: str) -> None:
    failed_task(tmp_path)
    answer = await client(tmp_path).get(f"/output/t1/{stream}")
    assert (answer.status_code, answer.location) == (303, f"/logs/t1/hello_world/0/{stream}")


async def test_output_of_a_task_without_processes_leads_to_the_task(tmp_path: Path) -> None:
    TaskOnDisk(tmp_path, "t3").begin()
    answer = await client(tmp_path).get("/output/t3/stderr")
    assert (answer.status_code, answer.location) == (303, "/task/t3")


async def test_a_process_page_shows_its_runs_newest_first(tmp_path: Path) -> None:
    task = running_task(tmp_path)
    task.process("fetch_package", *RAN)
    html = await get(tmp_path, "/process/t2/fetch_package")
    assert html.index("/fetch_package/1/stdout") < html.index("/fetch_package/0/stdout")
    assert "python3 -u fetch_package.py" in html
    assert "N/A" in html
    assert "It has not begun yet." in await get(tmp_path, "/process/t2/later")


async def test_the_task_as_json(tmp_path: Path) -> None:
    failed_task(tmp_path)
    html = await get(tmp_path, "/rawtask/t1")
    assert "&#34;name&#34;: &#34;hello_world&#34;" in html


async def test_a_log_that_grows_is_followed_and_an_ended_one_is_not(tmp_path: Path) -> None:
    failed_task(tmp_path, "t1")
    running_task(tmp_path, "t2")
    live = await get(tmp_path, "/logs/t2/hello_world/0/stdout")
    assert re.search(r'data-stream="/logstream/t2/hello_world/0/stdout" data-from="\d+-13"', live)
    assert "data-stream" not in await get(tmp_path, "/logs/t1/hello_world/0/stderr")


async def test_chunks_of_a_log_grow_with_it(tmp_path: Path) -> None:
    task, observer = running_task(tmp_path), Observer([tmp_path])
    web = client(tmp_path, observer)

    async def chunk(offset: int) -> object:
        return await (await web.get(f"/logdata/t2/hello_world/0/stdout?offset={offset}&length=100")).get_json()

    assert await chunk(-1) == {"offset": 13, "length": 0}
    task.log("hello_world", "stdout", "a <b> & c\n")
    assert await chunk(13) == {"offset": 13, "length": 10, "data": "a &lt;b&gt; &amp; c\n"}
    assert await chunk(23) == {"offset": 23, "length": 0}


async def test_a_log_that_a_running_process_has_not_begun_is_empty(tmp_path: Path) -> None:
    running_task(tmp_path)
    assert 'data-offset="0"' in await get(tmp_path, "/logs/t2/hello_world/0/stderr")
    assert await get(tmp_path, "/logdata/t2/hello_world/0/stderr?offset=0") == "{}"


async def test_of_a_huge_log_the_end_is_shown_with_a_way_back(tmp_path: Path) -> None:
    task = failed_task(tmp_path)
    task.log("hello_world", "stdout", "".join(f"line {n:07}\n" for n in range(100_000)))
    html = await get(tmp_path, "/logs/t1/hello_world/0/stdout")
    assert len(html) < 150_000
    assert "line 0099999" in html
    assert "line 0000000" not in html
    (earlier,) = re.findall(r'href="\?offset=(\d+)" id="earlier"', html)
    before = await get(tmp_path, f"/logs/t1/hello_world/0/stdout?offset={earlier}")
    assert ">later</a>" in before
    assert "line 0099999" not in before
    assert "line 0000000" in await get(tmp_path, "/logs/t1/hello_world/0/stdout?offset=0")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/task/nope", "Failed to find task nope.  Try again shortly."),
        ("/process/t1/nope", "Invalid task/process combination: t1/nope"),
        ("/logs/t1/hello_world/0/stdin", "No such log type: stdin"),
        ("/logs/t1/hello_world/1/stdout", "Invalid task/process combination: t1/hello_world"),
        ("/logs/t1/hello_world/x/stdout", "Invalid task/process combination: t1/hello_world"),
        ("/logs/t1/..%2F..%2F/0/stdout", "Not Found"),
        ("/logs/nope/hello_world/0/stdout", "Failed to find task nope."),
        ("/file/t1/nope", "No such file"),
        ("/file/t1/..%2F..%2F..%2Fetc%2Fpasswd", "No such file"),
        ("/browse/t1/..", "No such file"),
        ("/download/t1/link", "No such file"),
        ("/file/t1/link", "No such file"),
        ("/nope", "Not Found"),
        ("/task/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "Not Found"),
    ],
)
async def test_what_is_not_there_or_outside_is_404(tmp_path: Path, path: str, words: str) -> None:
    task = failed_task(tmp_path)
    (task.sandbox / "link").symlink_to("/etc/passwd")
    html = await get(tmp_path, path, 404)
    assert words in html
    assert "root:" not in html
    assert "<script>alert" not in html


async def test_a_log_that_was_made_a_link_out_of_the_sandbox_is_not_shown(tmp_path: Path) -> None:
    task = failed_task(tmp_path)
    log = task.log("hello_world", "stdout", "")
    log.unlink()
    log.symlink_to("/etc/passwd")
    assert "root:" not in await get(tmp_path, "/logs/t1/hello_world/0/stdout", 404)
    assert await get(tmp_path, "/logdata/t1/hello_world/0/stdout?offset=0") == "{}"


async def test_the_sandbox_can_be_browsed(tmp_path: Path) -> None:
    failed_task(tmp_path)
    html = await get(tmp_path, "/browse/t1")
    assert 'href="/file/t1/hello_world.py"' in html
    assert 'href="/download/t1/hello_world.py"' in html
    assert 'href="/browse/t1/.logs"' in html
    assert "path browser for t1" in html
    below = await get(tmp_path, "/browse/t1/.logs/hello_world/0")
    assert 'href="/file/t1/.logs/hello_world/0/stderr"' in below
    assert 'href="/browse/t1/.logs/hello_world">..</a>' in below


async def test_a_file_is_shown_as_text_and_never_as_a_page(tmp_path: Path) -> None:
    task = failed_task(tmp_path)
    (task.sandbox / "evil.html").write_text("<script>alert(1)</script>")
    assert "<script>alert" not in await get(tmp_path, "/file/t1/evil.html")
    answer = await client(tmp_path).get("/download/t1/evil.html")
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''evil.html"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert await answer.get_data() == b"<script>alert(1)</script>"


async def test_a_large_file_is_downloaded_whole(tmp_path: Path) -> None:
    task, content = failed_task(tmp_path), os.urandom(1 << 20) + b"end"
    (task.sandbox / "large").write_bytes(content)
    answer = await client(tmp_path).get("/download/t1/large")
    assert answer.content_length == len(content)
    assert await answer.get_data() == content


async def test_odd_file_names_are_shown_and_escaped(tmp_path: Path) -> None:
    task = failed_task(tmp_path)
    (task.sandbox / "<b>a?b&c#d%e.txt").write_text("odd")
    (task.sandbox / os.fsdecode(b"not\xffutf8")).write_text("odder")
    html = await get(tmp_path, "/browse/t1")
    assert "&lt;b&gt;a?b&amp;c#d%e.txt" in html
    assert "not\\xffutf8" in html
    (link,) = re.findall(r'href="(/file/t1/%3Cb[^"]*)"', html)
    assert "odd" in await get(tmp_path, link)


@pytest.mark.parametrize(
    "name", ["a\nb", "q\"uo'te", "100%25", " ", "-rf", "a\\b", "\x1b[31m", "\u202egnp.exe", "x" * 255]
)
async def test_a_file_of_any_name_is_shown_and_downloaded(tmp_path: Path, name: str) -> None:
    task = failed_task(tmp_path)
    (task.sandbox / "folder").mkdir()
    (task.sandbox / "folder" / name).write_text("what is in it")
    html = await get(tmp_path, "/browse/t1/folder")
    links = re.findall(r'href="(/(?:file|download)/t1/folder/[^"]*)"', html)
    assert len(links) == 2
    for link in links:
        assert "what is in it" in await get(tmp_path, link)


async def test_a_folder_of_many_files_comes_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LISTED_AT_ONCE", 3)
    task = failed_task(tmp_path)
    for number in range(7):
        (task.sandbox / f"f{number}").touch()
    last = await get(tmp_path, "/browse/t1?page=3")
    assert re.findall(r'href="/file/t1/(f\d)"', last) == ["f5", "f6"]
    assert 'href="/browse/t1?page=2"' in last


async def test_a_sandbox_that_is_gone_is_told(tmp_path: Path) -> None:
    task = failed_task(tmp_path)
    task.sandbox.rename(tmp_path / "elsewhere")
    assert "Sandbox does not exist." in await get(tmp_path, "/browse/t1", 404)
    assert "FAILED" in await get(tmp_path, "/task/t1")


async def test_hostile_processes_and_users_stay_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)<"
    task = TaskOnDisk(tmp_path, "t4", (evil,)).begin({evil: 1}, user=evil)
    task.process(evil, *RAN).finish(TaskState.SUCCESS)
    for path in ("/", "/task/t4", "/rawtask/t4", f"/process/t4/{evil.replace('<', '%3C').replace('>', '%3E')}"):
        assert "<script>alert" not in await get(tmp_path, path)


@pytest.mark.parametrize(
    "name",
    [
        b"not\xffutf8",
        b"\xc0\xaf..",
        "\ufffd".encode(),
        b"new\nline\r\nSet-Cookie: a=b",
        "\u202egnp.exe".encode(),
        b"<script>alert(1)</script>".replace(b"/", b"\xe2\x88\x95"),
        b"%2e%2e%2f",
        b"a;b?c#d&e=f",
        b"\x1b[2J",
        b" ",
        b"...",
        "\U0001f4a9".encode(),
    ],
)
async def test_a_name_of_any_bytes_leads_from_the_listing_to_the_file(tmp_path: Path, name: bytes) -> None:
    task = failed_task(tmp_path)
    folder = task.sandbox / os.fsdecode(name)
    folder.mkdir()
    (folder / os.fsdecode(name)).write_text("what is in it")
    async with served(tmp_path) as web:
        _, listing = await web.get("/browse/t1", "Accept: text/html")
        (below,) = set(re.findall(rb'href="(/browse/t1/(?!\.logs)[^"]+)"', listing)) - {b"/browse/t1/"}
        _, listing = await web.get(below.decode(), "Accept: text/html")
        addresses = set(re.findall(rb'href="(/(?:file|download)/t1/[^"]+)"', listing))
        assert {address.split(b"/")[1] for address in addresses} == {b"file", b"download"}
        for address in [*addresses, *(a.replace(b"/file/", b"/filedata/") + b"?offset=0" for a in addresses)]:
            head, body = await web.get(address.decode(), "Accept: text/html")
            assert b" 200 " in head.splitlines()[0]
            assert b"what is in it" in body
            assert b"<script>alert" not in body
            assert b"\nset-cookie" not in head.lower()


@pytest.mark.parametrize(
    "path",
    [
        "/file/t1/../../../../../../etc/passwd",
        "/file/t1/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/file/t1/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/file/t1/..%252f..%252fetc%252fpasswd",
        "/file/t1/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
        "/file/t1//etc/passwd",
        "/file/t1/%00/etc/passwd",
        "/file/t1/hello_world.py%00.txt",
        "/file/t1/etc/passwd",
        "/file/t1/out/passwd",
        "/file/t1%2f..%2f..%2fetc%2fpasswd",
        "/browse/t1/out",
        "/browse/t1/..",
        "/download/t1/out/passwd",
        "/filedata/t1/out/passwd?offset=0",
        "/logdata/t1/..%2f..%2f..%2f/0/stdout?offset=0",
        "/logs/t1/hello_world/..%2f0/stdout",
        "/logs/t1/hello_world/0/stdout.1%2f..%2f..",
        "/logs/t1/hello_world/0/stdout.99",
        "/logdownload/t1/hello_world/0/..",
        "/filestream/t1/out/passwd",
    ],
)
async def test_no_spelling_of_a_path_leads_out(tmp_path: Path, path: str) -> None:
    task = failed_task(tmp_path)
    (task.sandbox / "out").symlink_to("/etc")
    async with served(tmp_path) as web:
        with trio.move_on_after(2):
            head, body = await web.get(path)
            assert b" 404 " in head.splitlines()[0] or body == b"{}"
            assert b"root:" not in body


async def test_a_header_that_names_a_folder_of_the_machine_is_not_believed(tmp_path: Path) -> None:
    task = failed_task(tmp_path)
    stream = task.paths.runner.read_bytes()
    for claimed in ("/etc", str(tmp_path), f"{task.sandbox}/../../../../../../../../../../../../../../etc"):
        records, _ = decode_frames(stream)
        header = RunnerHeader("t1", 0, claimed, log_dir="/etc")
        records[1] = RunnerCkpt(runner_header=header)
        task.paths.runner.write_bytes(b"".join(map(encode_frame, records)))
        for path in ("/browse/t1", "/file/t1/passwd", "/download/t1/passwd"):
            assert "Sandbox does not exist." in await get(tmp_path, path, 404)
        assert "No such file" in await get(tmp_path, "/logs/t1/hello_world/0/stderr", 404)
        assert "FAILED" in await get(tmp_path, "/task/t1")


async def test_old_logs_are_linked_from_the_new_one_and_shown(tmp_path: Path) -> None:
    task = running_task(tmp_path)
    task.log("hello_world", "stdout.1", "the one before\n")
    task.log("hello_world", "stdout.2", "the one before that\n")
    html = await get(tmp_path, "/logs/t2/hello_world/0/stdout")
    assert re.findall(r'href="(/logs/t2/hello_world/0/[^"]+)"', html) == [
        "/logs/t2/hello_world/0/stderr",
        "/logs/t2/hello_world/0/stdout.1",
        "/logs/t2/hello_world/0/stdout.2",
    ]
    old = await get(tmp_path, "/logs/t2/hello_world/0/stdout.2")
    assert "the one before that" in old
    assert "data-stream" not in old
    assert 'href="/logs/t2/hello_world/0/stdout"' in old
    beside = await get(tmp_path, "/file/t2/.logs/hello_world/0/stdout")
    assert 'href="/file/t2/.logs/hello_world/0/stdout.1"' in beside


async def test_a_task_whose_executor_is_gone_says_so(tmp_path: Path) -> None:
    running_task(tmp_path).die()
    html = await get(tmp_path, "/task/t2")
    assert "Its executor is gone." in html
    assert "ACTIVE" in html
    assert "LOST" in html
    active, finished = (await get(tmp_path, "/")).split("finished tasks")
    assert "/task/t2" not in active
    assert "LOST" in finished


async def test_diagnostics(tmp_path: Path) -> None:
    failed_task(tmp_path)
    assert await get(tmp_path, "/health") == "OK"
    text = await get(tmp_path, "/vars")
    for name in ("sys.uptime", "sys.version", "sys.platform", "sys.executable", "sys.prefix", "sys.exec_prefix"):
        assert f"{name} " in text
    assert "observer_finished_tasks 1\n" in text
    assert text.splitlines() == sorted(text.splitlines(), key=lambda line: line.split()[0])
    assert await get(tmp_path, "/vars?filtered=1")
    assert await get(tmp_path, "/vars/observer_active_tasks") == "0"
    assert '"observer_finished_tasks":1' in await get(tmp_path, "/vars.json")
    assert await get(tmp_path, "/vars/nope", 404) == "Unknown exported variable"
    assert await get(tmp_path, "/profile") == "Profiling is disabled"
    threads = await get(tmp_path, "/threads")
    assert "Name: MainThread" in threads
    assert "Task: <init>" in threads


async def test_static_files(tmp_path: Path) -> None:
    web = client(tmp_path)
    for name, kind in (("aurora.css", "text/css"), ("log.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        assert (await web.get(f"/assets/{name}")).content_type.startswith(kind)
    assert (await web.get("/favicon.ico")).status_code == 302
    assert "Unknown asset: nope" in await get(tmp_path, "/assets/nope", 404)


async def test_pages_allow_no_foreign_scripts_and_have_none_inline(tmp_path: Path) -> None:
    failed_task(tmp_path)
    answer = await client(tmp_path).get("/task/t1")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    html = await answer.get_data(as_text=True)
    assert re.findall(r"<script[^>]*>(.*?)</script>", html) == [""]
    assert " style=" not in html
