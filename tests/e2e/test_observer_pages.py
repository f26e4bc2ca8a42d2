"""The observer's pages in a real browser: logs that follow, and names that want to be more than text."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from aurorad.api.calls import CreateJob
from aurorad.api.enums import ResponseCode
from executor.checkpoint import TaskState
from tests.e2e.cluster import REPOSITORY, Cluster, eventually
from tests.e2e.jobs import call, shell_job
from tests.observer.host import OPEN, RAN, RUNNING, TaskOnDisk, running_task

LOG = "/logs/t2/hello_world/0/stdout"
EVIL = "<img src=x onerror=document.title='evil'>"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agent")


@pytest.fixture(scope="module")
def observer(agent: Path) -> Iterator[str]:
    """The address of an observer alone, as a worker machine has it."""
    command = [sys.executable, "-m", "aurorad.main", "-role=observer", f"--mesos-root={agent}", "--port=0"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    (address,) = re.findall(r"observer: (http://[^/\s]+)", next(lines))
    assert next(lines) == "aurorad: ready\n"
    yield address
    process.terminate()
    assert process.wait(20) == 0
    process.stdout.close()


@pytest.fixture
def task(agent: Path) -> Iterator[TaskOnDisk]:
    it = running_task(agent)
    yield it
    it.die()
    it.run.parent.parent.rename(agent / f"removed-{len(os.listdir(agent))}")
    assert OPEN == []


def shown(browser: WebDriver) -> str:
    text: str = browser.execute_script("return document.getElementById('text').textContent")
    return text


def state(browser: WebDriver) -> str:
    return browser.find_element(By.ID, "live").text


def open_log(browser: WebDriver, observer: str) -> None:
    browser.get(observer + LOG)
    eventually("the log is followed", lambda: state(browser) == "Live")


def test_a_log_is_followed_over_pauses_and_rotations_to_its_end(
    browser: WebDriver, observer: str, task: TaskOnDisk
) -> None:
    open_log(browser, observer)
    assert shown(browser) == "Hello world!\n"
    log = task.log("hello_world", "stdout", "one\n")
    eventually("a new line is there", lambda: shown(browser) == "Hello world!\none\n")

    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("p")
    assert state(browser) == "Paused"
    task.log("hello_world", "stdout", "two & <b>\n")
    body.send_keys("p")
    eventually("what was missed is there once", lambda: shown(browser) == "Hello world!\none\ntwo & <b>\n")

    log.rename(log.with_name("stdout.1"))
    task.log("hello_world", "stdout", "three\n")
    eventually("the new file is read", lambda: shown(browser).endswith("a new file begins —three\n"))
    task.log("hello_world", "stdout", "last\n")
    task.finish()
    eventually("the end is told", lambda: state(browser) == "Ended")
    assert shown(browser).endswith("three\nlast\n")


def test_thousands_of_lines_a_second_leave_the_page_small_and_at_the_end(
    browser: WebDriver, observer: str, task: TaskOnDisk
) -> None:
    open_log(browser, observer)
    for second in range(10):
        task.log("hello_world", "stdout", "".join(f"line {second}.{n}\n" for n in range(5000)))
        browser.execute_script("return new Promise(requestAnimationFrame)")  # it still draws
    eventually("the last line is there", lambda: shown(browser).endswith("line 9.4999\n"))
    assert shown(browser).count("\n") <= 12_000
    away = browser.execute_script(
        "const p = document.getElementById('text'); return p.scrollHeight - p.scrollTop - p.clientHeight"
    )
    assert away < 24


def test_who_reads_further_up_is_left_there_and_goes_on_from_the_end(
    browser: WebDriver, observer: str, task: TaskOnDisk
) -> None:
    task.log("hello_world", "stdout", "".join(f"line {n:06}\n" for n in range(30_000)))
    open_log(browser, observer)
    pre = browser.find_element(By.ID, "text")
    pre.send_keys(Keys.HOME)
    eventually("what was before is there", lambda: "line 018000\n" in shown(browser))
    lines = re.findall(r"line \d{6}", shown(browser))
    assert lines == [f"line {n:06}" for n in range(30_000 - len(lines), 30_000)]
    at = browser.execute_script("return document.getElementById('text').scrollTop")
    task.log("hello_world", "stdout", "new\n")
    eventually("it is added below", lambda: shown(browser).endswith("new\n"))
    assert browser.execute_script("return document.getElementById('text').scrollTop") == at
    pre.send_keys(Keys.END)
    task.log("hello_world", "stdout", "newer\n" * 50)
    eventually(
        "the end is in sight",
        lambda: browser.execute_script(
            "const p = document.getElementById('text');"
            "return p.textContent.includes('newer') && p.scrollHeight - p.scrollTop - p.clientHeight < 24"
        ),
    )


def test_without_scripts_the_tail_and_the_way_back_are_there(observer: str, task: TaskOnDisk) -> None:
    task.log("hello_world", "stdout", "".join(f"line {n:06}\n" for n in range(30_000)))
    with urllib.request.urlopen(observer + LOG, timeout=20) as answer:
        html = answer.read().decode()
    assert "line 029999\n" in html
    (earlier,) = re.findall(r'href="(\?offset=\d+)" id="earlier"', html)
    with urllib.request.urlopen(observer + LOG + earlier, timeout=20) as answer:
        assert "line 018000\n" in answer.read().decode()


def test_hostile_names_and_contents_stay_text(browser: WebDriver, observer: str, agent: Path) -> None:
    task = TaskOnDisk(agent, "t4", (EVIL, "</pre><script>document.title='evil'</script>".replace("/", "|")))
    task.begin({EVIL: 1}, user=EVIL).process(EVIL, *RAN).process(EVIL, *RUNNING)
    task.log(EVIL, "stdout", f"</div></pre>{EVIL}\n", run=1)
    folder = task.sandbox / EVIL
    folder.mkdir()
    for name in (EVIL, "a\nb", "\u202egnp", "'\">", os.fsdecode(b"\xff")):
        (folder / name).write_text(f"</div></pre>{EVIL}<script>document.title='evil'</script>")
    (folder / "link").symlink_to(EVIL)
    browser.get(f"{observer}/browse/t4")
    seen, waiting = set(), [f"{observer}/", f"{observer}/task/t4", f"{observer}/rawtask/t4", f"{observer}/browse/t4"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        browser.get(page)
        assert browser.title != "evil"
        assert browser.execute_script("return document.querySelectorAll('[onerror], script:not([src])').length") == 0
        links = [link.get_dom_attribute("href") or "" for link in browser.find_elements(By.TAG_NAME, "a")]
        pages = {observer + link for link in links if re.match(r"/(task|process|logs|file|browse)/t4", link)}
        waiting += sorted(pages - seen - set(waiting))
    assert len([page for page in seen if "/file/" in page]) >= 5
    task.finish(TaskState.SUCCESS)


@pytest.mark.local_engine("a Mesos agent starts no second executor for a task")
def test_an_executor_that_takes_over_is_not_disturbed_by_those_who_look(devcluster: Cluster, folder: Path) -> None:
    assert call(devcluster, CreateJob(shell_job("orphan", "sleep 600"))).response_code is ResponseCode.OK
    first = eventually("a task is active", lambda: tasks(devcluster, "active"))[0]
    page = f"{devcluster.observer}/j/task/{first['task_id']}"
    (pid,) = executors_of(first["task_id"])
    os.kill(pid, signal.SIGKILL)

    def taken_over() -> bool:
        with urllib.request.urlopen(page, timeout=20) as answer:
            (task,) = json.load(answer).values()
        assert task["state"] == "ACTIVE"
        return executors_of(first["task_id"]) not in ([], [pid])

    eventually("another executor is there", taken_over)
    for _ in range(50):
        taken_over()
    assert [task["task_id"] for task in tasks(devcluster, "active")] == [first["task_id"]]


def tasks(cluster: Cluster, which: str) -> list[dict[str, str]]:
    with urllib.request.urlopen(f"{cluster.observer}/j/task_ids/{which}", timeout=20) as answer:
        found: list[dict[str, str]] = json.load(answer)["tasks"]
        return found


def executors_of(task_id: str) -> list[int]:
    processes = [process for process in Path("/proc").iterdir() if process.name.isdigit()]
    return [int(process.name) for process in processes if is_executor_of(process, task_id)]


def is_executor_of(process: Path, task_id: str) -> bool:
    with suppress(OSError):
        return (process / "comm").read_text() == "aurora-executor\n" and task_id in os.readlink(process / "cwd")
    return False
