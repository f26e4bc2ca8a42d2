"""What `packaging/` gives those who watch over a cluster: a real Prometheus scrapes real schedulers by it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from aurorad.api.calls import CreateJob, ForceTaskState, SetQuota, Snapshot
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.tasks import Resource, ResourceAggregate
from tests.e2e.cluster import Cluster, cluster, eventually
from tests.e2e.jobs import call, shell_job, tasks_of
from tests.e2e.schedulers import schedulers, variables
from tests.zookeeper import ZooKeeper, free_ports, zookeeper, zookeeper_server  # noqa: F401  fixtures

PACKAGING = Path(__file__).parents[2] / "packaging"
PROMETHEUS = PACKAGING / "prometheus"
RULES = PROMETHEUS / "aurora.rules.yml"
DASHBOARD = PACKAGING / "grafana" / "aurora.json"
MONITORING = PACKAGING.parent / "docs" / "operations" / "monitoring.md"

FLAGS = (
    "-simulated_hosts=5",
    "-sla_stat_refresh_interval=1secs",
    "-async_slot_stat_update_interval=1secs",
    "-host_maintenance_polling_interval=1secs",
    "-initial_flapping_task_delay=1secs",
)

RARE = {
    "aurora_tasks_lost_total": "an agent or an engine must say so",
    "aurora_maintenance_countdown_ms": "a task that hinders a drain",
}
"""Metrics that come with what is not had happen here, and what that is: `tests/web` looks how they are named."""


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)", RULES.read_text())


def test_the_rules_and_the_example_are_what_prometheus_takes() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", str(RULES))
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_every_alert_fires_when_it_should() -> None:
    tests = PROMETHEUS / "aurora.rules.test.yml"
    assert "SUCCESS" in promtool("test", "rules", str(tests))
    firing = set(re.findall(r'alertname="(\w+)"\}\', value: 1|alertname: (\w+)\n +exp_alerts', tests.read_text()))
    assert set(alerts()) == {name for names in firing for name in names if name}


def test_the_manual_tells_of_every_alert_what_to_do() -> None:
    rows = re.findall(r"(?m)^\| `(Aurora\w+)` \|", MONITORING.read_text())
    assert rows == alerts()


def dashboard_expressions() -> dict[str, str]:
    """Query by where it is."""
    dashboard = json.loads(DASHBOARD.read_text())
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    }
    found |= {note["name"]: note["expr"] for note in dashboard["annotations"]["list"] if "expr" in note}
    values = {"$__rate_interval": "5m", "$job": "aurora.*", "$instance": ".*"}
    for name, value in values.items():
        found = {where: expression.replace(name, value) for where, expression in found.items()}
    return found


def lost(given: object, kept: object, where: str = "") -> Iterator[str]:
    """Where what is given was not kept."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            yield from lost(value, kept.get(name), f"{where}.{name}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from lost(one, other, f"{where}[{number}]")
    elif given != kept:
        yield f"{where}: {given} became {kept}"


def test_the_dashboard_is_one_to_grafanas_own_types() -> None:
    register_default_plugins()
    given = json.loads(DASHBOARD.read_text())
    kept = json.loads(JSONEncoder().encode(Dashboard.from_json(given)))
    assert list(lost(given, kept)) == []


def test_the_panels_of_the_dashboard_lie_side_by_side_and_take_the_chosen_source() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        area = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not area & taken, panel["title"]
        assert max(x for x, _ in area) < 24
        taken |= area
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource", "job", "instance"}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text()))
    assert used - variables == {"__rate_interval"}
    sources = {target["datasource"]["uid"] for panel in panels for target in panel.get("targets", ())}
    assert sources == {"${datasource}"}


class Server:
    """A Prometheus that scrapes every second."""

    def __init__(self, address: str) -> None:
        self._address = address

    def query(self, expression: str) -> list[Mapping[str, object]]:
        result: list[Mapping[str, object]] = self._get("/api/v1/query", query=expression)["result"]
        return result

    def rules(self) -> list[Mapping[str, str]]:
        groups = self._get("/api/v1/rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _get(self, path: str, **query: str) -> Mapping[str, Any]:
        with urllib.request.urlopen(f"{self._address}{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        data: Mapping[str, Any] = told["data"]
        return data


@contextmanager
def server(folder: Path, targets: Mapping[str, list[str]]) -> Iterator[Server]:
    shutil.copy(RULES, folder)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [RULES.name],
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": some}]} for job, some in targets.items()],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # which is YAML
    port = free_ports(1)[0]
    arguments = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(["prometheus", *arguments], cwd=folder, stdout=log, stderr=log)
    try:
        it = Server(f"http://127.0.0.1:{port}")

        def ready() -> bool:
            try:
                return bool(it.query("vector(1)"))
            except OSError:
                assert process.poll() is None, (folder / "prometheus.log").read_text()
                return False

        eventually("prometheus answers", ready)
        yield it
    finally:
        process.terminate()
        process.wait(30)


def busy(leader: Cluster) -> None:
    """Has happen what there are metrics of."""
    running, large = shell_job("seen", "sleep 1000"), shell_job("large", "sleep 1000", cpus=1000)
    config = msgspec.structs.replace(running.task_config, production=True, tier="preferred")
    running = msgspec.structs.replace(running, task_config=config)
    plenty = ResourceAggregate(frozenset({Resource(num_cpus=9), Resource(ram_mb=999), Resource(disk_mb=999)}))
    assert call(leader, SetQuota(running.key.role, plenty)).response_code is ResponseCode.OK
    for job in (running, large):
        assert call(leader, CreateJob(job)).response_code is ResponseCode.OK
    assert call(leader, CreateJob(large)).response_code is ResponseCode.INVALID_REQUEST
    for status in (ScheduleStatus.FAILED, ScheduleStatus.LOST):
        task = eventually("it runs", lambda: tasks_of(leader, "seen", statuses={ScheduleStatus.RUNNING}))[0]
        assert call(leader, ForceTaskState(task.assigned_task.task_id, status)).response_code is ResponseCode.OK
    assert call(leader, Snapshot()).response_code is ResponseCode.OK


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


def host_port(member: Cluster) -> str:
    return urllib.parse.urlsplit(member.scheduler).netloc


def test_every_metric_of_rules_and_dashboard_is_there_and_every_query_is_understood(
    folder: Path,
    zookeeper: ZooKeeper,  # noqa: F811  the fixture
) -> None:
    hook = folder / "hook.json"
    hook.write_text(json.dumps({"headers": {}, "targetURL": f"http://127.0.0.1:{free_ports(1)[0]}/", "timeoutMsec": 9}))
    users = folder / "users.ini"
    users.write_text("[users]\nann = secret, admin\n[roles]\nadmin = *\n")
    users.chmod(0o600)
    single_folder = folder / "single"
    single_folder.mkdir()
    single_flags = ("-http_authentication_mechanism=BASIC", f"-shiro_ini_path={users}")
    with (
        schedulers(folder, zookeeper.address, *FLAGS, f"-webhook_config={hook}") as three,
        cluster(single_folder, *single_flags) as single,
    ):
        leader = three.by_name[three.leader()]
        busy(leader)
        targets = {
            "aurora": [host_port(member) for member in three.by_name.values()],
            "aurora-single": [host_port(single)],
        }
        with server(folder, targets) as prometheus:
            eventually("all are scraped", lambda: len(prometheus.query("up == 1")) == 4)
            drawn = dashboard_expressions()
            expressions = drawn | {rule["name"]: rule["query"] for rule in prometheus.rules()}
            wanted = {
                selector: where
                for where, expression in expressions.items()
                for selector in re.findall(r"\baurora_\w+(?:\{[^}]*\})?", expression)
            }
            # What is drawn only when there is any of it is asked for without that.
            wanted |= {re.sub(r" > 0\b| == 1\b", "", expression): where for where, expression in drawn.items()}

            def missing() -> dict[str, str]:
                return {
                    expression: where
                    for expression, where in wanted.items()
                    if not any(name in expression for name in RARE) and not prometheus.query(expression)
                }

            deadline = time.monotonic() + 20
            while missing() and time.monotonic() < deadline:
                time.sleep(0.5)
            assert missing() == {}
            told = {name for member in (*three.by_name.values(), single) for name in variables(member)}
            table = MONITORING.read_text().partition("## Statistics that matter")[2].partition("### ")[0]
            named = re.findall(r"`([\w/]+)`", "".join(re.findall(r"(?m)^\| (.*?) \|", table)))
            assert len(named) > 30
            assert sorted(set(named) - told) == []
            eventually("all rules were evaluated", lambda: all(rule["health"] == "ok" for rule in prometheus.rules()))
