"""What the original answers, from its recordings and the http-endpoints sheet, section 6."""

import json

import pytest
from quart_trio import QuartTrio

from aurorad.api.enums import MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import (
    AssignedTask,
    Attribute,
    HostAttributes,
    JobConfiguration,
    JobKey,
    Resource,
    ResourceAggregate,
    ScheduledTask,
)
from aurorad.engine.base import Offer
from aurorad.engine.base import Resource as Offered
from aurorad.rules.tiers import BUILT_IN
from aurorad.scheduler.groups import PendingGroup
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.web.cluster import cluster_endpoints

OFFER = Offer(
    "offer-0",
    "agent-1",
    "host-1",
    (
        Offered("cpus", 8.0),
        Offered("cpus", 2.0, revocable=True),
        Offered("ports", ranges=((31000, 31010),)),
    ),
    frozenset({Attribute("zone", frozenset({"z2", "z1"})), Attribute("host", frozenset({"host-1"}))}),
    unavailability_start_ms=1_700_000_000_000,
)


def tables() -> Tables:
    made = Tables()
    transaction = Transaction(made)
    transaction.save_framework_id("local")
    amounts = frozenset({Resource(num_cpus=4.0), Resource(ram_mb=4096), Resource(disk_mb=8192)})
    transaction.save_quota("ops", ResourceAggregate(amounts))
    transaction.save_cron_job(JobConfiguration(JobKey("ops", "prod", "nightly"), cron_schedule="*/30 3 * * SUN-TUE"))
    transaction.save_cron_job(JobConfiguration(JobKey("ops", "prod", "old"), cron_schedule="whenever"))
    for number, mode in enumerate(("NONE", "SCHEDULED", "DRAINING", "DRAINED", "DRAINING"), 1):
        transaction.save_host_attributes(
            HostAttributes(f"h{number}", frozenset(), MaintenanceMode[mode], f"agent-{number}")
        )
    transaction.save_tasks(
        ScheduledTask(AssignedTask("running", slave_host="h3"), ScheduleStatus.DRAINING),
        ScheduledTask(AssignedTask("ended", slave_host="h5"), ScheduleStatus.KILLED),
    )
    return made


GROUP = PendingGroup("ops/prod/web", ("t1", "t2"), 1000, ("Insufficient: CPU", "Insufficient: RAM"))
EVERYTHING = {
    "/offers": [
        {
            "id": {"value": "offer-0"},
            "framework_id": {"value": "local"},
            "agent_id": {"value": "agent-1"},
            "hostname": "host-1",
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": 8.0}, "role": "*", "reservations": []},
                {
                    "name": "cpus",
                    "type": "SCALAR",
                    "scalar": {"value": 2.0},
                    "role": "*",
                    "reservations": [],
                    "revocable": {},
                },
                {
                    "name": "ports",
                    "type": "RANGES",
                    "ranges": {"range": [{"begin": 31000, "end": 31010}]},
                    "role": "*",
                    "reservations": [],
                },
            ],
            "attributes": [
                {"name": "host", "type": "TEXT", "text": {"value": "host-1"}},
                {"name": "zone", "type": "TEXT", "text": {"value": "z1"}},
                {"name": "zone", "type": "TEXT", "text": {"value": "z2"}},
            ],
            "executor_ids": [],
            "unavailability": {"start": {"nanoseconds": 1_700_000_000_000_000_000}},
        }
    ],
    "/pendingtasks": [
        {
            "name": "ops/prod/web",
            "taskIds": ["t1", "t2"],
            "penaltyMs": 1000,
            "reason": "[Insufficient: CPU, Insufficient: RAM]",
        }
    ],
    "/quotas": {"ops": {"cpu_cores": 4.0, "ram_mb": 4096, "disk_mb": 8192}},
    "/quotas?role=ops": {"ops": {"cpu_cores": 4.0, "ram_mb": 4096, "disk_mb": 8192}},
    "/quotas?role=nosuch": {},
    "/tiers": {
        "default": "preemptible",
        "tiers": {
            "preferred": {"preemptible": False, "revocable": False},
            "preemptible": {"preemptible": True, "revocable": False},
            "revocable": {"preemptible": True, "revocable": True},
        },
    },
    "/maintenance": {"DRAINED": ["h4"], "SCHEDULED": ["h2"], "DRAINING": {"h3": ["running"]}},
    "/cron": {"scheduled": {"ops/prod/nightly": "0,30 3 * * 0-2", "ops/prod/old": "whenever"}},
}
NOTHING = {
    "/offers": [],
    "/pendingtasks": [],
    "/quotas": {},
    "/maintenance": {"DRAINED": [], "SCHEDULED": [], "DRAINING": {}},
    "/cron": {"scheduled": {}},
}


@pytest.mark.parametrize(
    ("empty", "path", "expected"),
    [(False, *pair) for pair in EVERYTHING.items()] + [(True, *pair) for pair in NOTHING.items()],
)
async def test_it_is_shown_as_scripts_know_it(empty: bool, path: str, expected: object) -> None:
    app = QuartTrio(__name__, static_folder=None)
    blueprint = (
        cluster_endpoints(Tables(), list, list, BUILT_IN)
        if empty
        else cluster_endpoints(tables(), lambda: [OFFER], lambda: [GROUP], BUILT_IN)
    )
    app.register_blueprint(blueprint)
    answer = await app.test_client().get(path)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert json.loads(await answer.get_data()) == expected
