"""A page of another site, open in a browser on this machine, can neither use the scheduler nor read it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # a browser also opens connections to spare
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver

from aurorad.api import tjson
from aurorad.api.calls import CreateJob
from aurorad.api.tasks import ExecutorConfig, Identity, JobConfiguration, JobKey, Resource, TaskConfig
from aurorad.api.wire import MessageHeader, MessageType
from tests.e2e.cluster import Cluster, eventually

JOB = JobKey("www-data", "devel", "intruder")
AMOUNTS = frozenset({Resource(num_cpus=0.1), Resource(ram_mb=1), Resource(disk_mb=1)})
TASK = TaskConfig(JOB, Identity("x"), resources=AMOUNTS, executor_config=ExecutorConfig("AuroraExecutor", "{}"))
CALL = CreateJob(JobConfiguration(JOB, Identity("x"), task_config=TASK, instance_count=1))
BODY = tjson.encode_message(MessageHeader("createJob", MessageType.CALL, 0), CALL).decode()
SCRIPT = """<script>
addEventListener("load", async () => {
  const said = [];
  const post = async (mode, headers) => {
    try {
      const answer = await fetch(TARGET + "/api", {method: "POST", mode, headers, body: new Blob([BODY])});
      said.push(mode + " " + answer.type);
    } catch { said.push(mode + " failed"); }
  };
  await post("no-cors", {});
  await post("cors", {});
  await post("cors", {"Content-Type": "application/vnd.apache.thrift.json"});
  document.title = said.join(", ");
});
</script>"""


@contextmanager
def hostile_site(target: str) -> Iterator[str]:
    """The address of a page that tries to create a job on `target`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = SCRIPT.replace("TARGET", json.dumps(target)).replace("BODY", json.dumps(BODY)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{site.server_port}/"
        finally:
            site.shutdown()
            thread.join()


def created(cluster: Cluster) -> str:
    (line,) = [line for line in cluster.get("/vars").splitlines() if line.startswith("thrift_workload_createJob ")]
    return line.split()[1]


def test_a_page_of_another_site_changes_nothing(shared_cluster: Cluster, browser: WebDriver) -> None:
    with hostile_site(shared_cluster.scheduler) as address:
        browser.get(address)
        eventually("the page's attempts", lambda: browser.title.count(",") == 2)
        assert browser.title == "no-cors failed, cors failed, cors failed"
    assert created(shared_cluster) == "0"


BESIDE_IT = pytest.mark.local_engine("its observer is where the name of the other site leads to")


@pytest.mark.parametrize("role", ["scheduler", pytest.param("observer", marks=BESIDE_IT)])
def test_a_name_of_another_site_that_leads_here_shows_nothing(
    shared_cluster: Cluster, browser: WebDriver, role: str
) -> None:
    port = urlsplit(getattr(shared_cluster, role)).port
    browser.get(f"http://hostile.example:{port}/")
    assert "Forbidden" in browser.page_source
    assert f"This is not hostile.example:{port}" in browser.page_source
