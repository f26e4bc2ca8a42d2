"""What goes wrong is told in one sentence, by client and page, and loses nothing."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver

from tests.e2e.cluster import Cluster, eventually
from tests.e2e.test_tutorial import reload_until

KEY = "devcluster/www-data/devel/bad"
GOOD = """
task = SequentialTask(
    name = 'bad', processes = [Process(name = 'a', cmdline = 'true'), Process(name = 'b', cmdline = 'true')],
    resources = Resources(cpu = 0.1, ram = 1*MB, disk = 1*MB))
jobs = [Job(cluster = 'devcluster', role = 'www-data', environment = 'devel', name = 'bad', task = task)]
"""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (GOOD.replace("resources =", "resources =" + " ((("), ["bad.aurora:4: SyntaxError"]),
        (GOOD.replace("cmdline = 'true')]", ")]"), ["cmdline"]),
        (
            GOOD.replace("SequentialTask(", "Task(constraints = order('a', 'b') + order('b', 'a'),"),
            ["Cycles detected", "b -> a -> b"],
        ),
        (GOOD.replace("name = 'bad', task", "name = 'good', task"), [KEY, "devcluster/www-data/devel/good"]),
    ],
    ids=["a syntax error", "a missing required field", "a cyclic order", "an unknown job key"],
)
def test_a_bad_job_file_is_refused_in_words(
    shared_cluster: Cluster, tmp_path: Path, source: str, words: list[str]
) -> None:
    file = tmp_path / "bad.aurora"
    file.write_text(source)
    refused = shared_cluster.aurora("job", "create", KEY, str(file))
    assert refused.returncode == 3, refused.stdout
    assert "Traceback" not in refused.stdout
    for word in words:
        assert word in refused.stdout


def test_a_job_bigger_than_the_machine_is_pending_with_the_reason(
    shared_cluster: Cluster, browser: WebDriver, tmp_path: Path
) -> None:
    file = tmp_path / "big.aurora"
    file.write_text(GOOD.replace("cpu = 0.1", "cpu = 10000").replace("Job(", "Service("))
    assert shared_cluster.aurora("job", "create", KEY, str(file)).returncode == 0
    output = shared_cluster.wait_for_status(KEY, "PENDING")
    eventually("the reason", lambda: "Insufficient: CPU" in shared_cluster.aurora("job", "status", KEY).stdout)
    assert "PENDING" in output
    browser.get(f"{shared_cluster.scheduler}/scheduler/www-data/devel/bad")
    reload_until(browser, "PENDING", "Insufficient: CPU")
    assert shared_cluster.aurora("job", "killall", KEY).returncode == 0


@pytest.mark.parametrize("body", [b"", b"\x00\xff" * 40, b'[1,"createJob",1,0,{"1":', b"x" * 100_000])
def test_a_corrupt_request_body_is_a_400_with_a_sentence(shared_cluster: Cluster, body: bytes) -> None:
    for content_type in ("application/vnd.apache.thrift.binary", "application/vnd.apache.thrift.json"):
        request = urllib.request.Request(
            f"{shared_cluster.scheduler}/api", data=body, headers={"Content-Type": content_type}, method="POST"
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == 400
        assert refused.value.read().startswith(b"Malformed request body: ")
        refused.value.close()
    assert shared_cluster.get("/health") == "OK\n"
