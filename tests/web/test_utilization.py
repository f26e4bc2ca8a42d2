"""What tasks were promised, by pool, role and job (http-endpoints sheet, section 6)."""

import re
from typing import Any

import pytest
from quart_trio import QuartTrio

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import (
    AssignedTask,
    Constraint,
    JobKey,
    Resource,
    ScheduledTask,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
)
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.web.pages.blueprint import scheduler_look
from aurorad.web.utilization import utilization_endpoints

DEDICATED = frozenset({Constraint("dedicated", TaskConstraint(value=ValueConstraint(False, frozenset({"a/b"}))))})


def config(role: str, name: str, cpus: float, **more: Any) -> TaskConfig:
    resources = frozenset({Resource(num_cpus=cpus), Resource(ram_mb=100), Resource(disk_mb=10)})
    return TaskConfig(JobKey(role, "prod", name), resources=resources, **more)


CONFIGS = [
    config("ops", "web", 1.0, production=True),
    config("ops", "web", 1.0, production=True),
    config("ops", "test", 0.5),
    config("stores", "db", 4.0, constraints=DEDICATED),
]


async def page(path: str) -> tuple[int, str]:
    tables = Tables()
    tasks = [ScheduledTask(AssignedTask(f"t{n}", task=c), ScheduleStatus.RUNNING) for n, c in enumerate(CONFIGS)]
    Transaction(tables).save_tasks(*tasks, ScheduledTask(AssignedTask("x", task=CONFIGS[0]), ScheduleStatus.KILLED))
    app = QuartTrio(__name__, static_folder=None)
    look = scheduler_look("here", lambda: 0)
    app.register_blueprint(utilization_endpoints(tables, look))
    answer = await app.test_client().get(path)
    text = re.sub(r"<[^>]*>", " ", (await answer.get_data(as_text=True)).partition("<main")[2])
    return answer.status_code, " ".join(text.split())


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("/utilization", ["Total consumption 6.50 400 40", "Dedicated consumption 4.00 100 10"]),
        ("/utilization", ["Quota consumption 2.00 200 20", "Free pool consumption 0.50 100 10"]),
        ("/utilization/total_consumed", ["ops 2.50 300 30", "stores 4.00 100 10"]),
        ("/utilization/QUOTA_consumed", ["ops 2.00 200 20"]),
        ("/utilization/total_consumed/ops", ["test 0.50 100 10", "web 2.00 200 20"]),
        ("/utilization/dedicated_consumed/ops", ["Nothing is consumed here."]),
    ],
)
async def test_what_is_promised_is_summed(path: str, rows: list[str]) -> None:
    status, text = await page(path)
    assert status == 200
    for row in rows:
        assert row in text


@pytest.mark.parametrize("path", ["/utilization/nosuch", "/utilization/nosuch/ops"])
async def test_an_unknown_metric_is_refused(path: str) -> None:
    tables = Tables()
    app = QuartTrio(__name__, static_folder=None)
    app.register_blueprint(utilization_endpoints(tables, scheduler_look("here", lambda: 0)))
    answer = await app.test_client().get(path)
    expected = "total_consumed, dedicated_consumed, quota_consumed, free_pool_consumed"
    words = f"Invalid metric type.\nOne of {expected} was expected.\n"
    assert (answer.status_code, await answer.get_data(as_text=True)) == (400, words)
