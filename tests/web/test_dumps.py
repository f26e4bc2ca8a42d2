"""What the tables hold, for programs and for people (http-endpoints sheet, section 6)."""

import json
from typing import Any

import pytest
from quart_trio import QuartTrio

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, JobConfiguration, JobKey, Resource, ScheduledTask, TaskConfig
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.web.dumps import dump_endpoints, state_json
from aurorad.web.pages.blueprint import scheduler_look

JOB = JobKey("ops", "prod", "web")
CONFIG = TaskConfig(JOB, resources=frozenset({Resource(num_cpus=0.5)}))
OTHER = TaskConfig(JOB, priority=3)


def tables() -> Tables:
    made = Tables()
    transaction = Transaction(made)
    transaction.save_tasks(
        ScheduledTask(AssignedTask("t0", "a1", "h1", CONFIG), ScheduleStatus.RUNNING),
        ScheduledTask(AssignedTask("t1", "a1", "h1", CONFIG, instance_id=1), ScheduleStatus.RUNNING),
        ScheduledTask(AssignedTask("t2", "a2", "h2", OTHER, instance_id=2), ScheduleStatus.STARTING),
        ScheduledTask(AssignedTask("t3", "a2", "h2", OTHER, instance_id=2), ScheduleStatus.FAILED),
        ScheduledTask(AssignedTask("t4", task=OTHER, instance_id=3), ScheduleStatus.PENDING),
    )
    transaction.save_cron_job(JobConfiguration(JobKey("ops", "prod", "nightly"), cron_schedule="0 3 * * *"))
    return made


async def test_the_state_names_each_configuration_once_and_who_runs_it() -> None:
    state: Any = await state_json(tables())
    configs, agents = state["taskConfigs"], state["agents"]
    assert len(configs) == 2
    assert all(name.startswith("ops/prod/web-") and -(1 << 31) <= int(name[13:]) < 1 << 31 for name in configs)
    (first,) = [name for name, config in configs.items() if config["priority"] == 0]
    (second,) = configs.keys() - {first}
    assert agents == {"a1": [first, first], "a2": [second]}
    assert configs[first]["resources"] == [{"setField": "NUM_CPUS", "value": 0.5}]
    assert state == await state_json(tables()), "names stay the same"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/structdump", 400, "Usage: /structdump/task/{task_id} or /structdump/cron/{role}/{env}/{job}"),
        ("/structdump/task/t0", 200, "&#34;taskId&#34;: &#34;t0&#34;"),
        ("/structdump/task/nosuch", 404, "Entity not found"),
        ("/structdump/task/%3Cscript%3E", 404, "Task &lt;script&gt;"),
        ("/structdump/cron/ops/prod/nightly", 200, "0 3 * * *"),
        ("/structdump/cron/ops/prod/web", 404, "Entity not found"),
        ("/state", 200, '"a2"'),
    ],
)
async def test_entities_are_shown_as_they_are_stored(path: str, status: int, words: str) -> None:
    app = QuartTrio(__name__, static_folder=None)
    app.register_blueprint(dump_endpoints(tables(), look := scheduler_look("here", lambda: 0)))
    app.register_blueprint(look.assets())
    answer = await app.test_client().get(path)
    assert (answer.status_code, words in await answer.get_data(as_text=True)) == (status, True)


async def test_an_empty_cluster_has_an_empty_state() -> None:
    assert json.loads(json.dumps(await state_json(Tables()))) == {"taskConfigs": {}, "agents": {}}
