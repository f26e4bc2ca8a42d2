"""AuroraAdmin (thrift-api sheet, section 4). Nothing here disturbs a cluster, nor commits a recovery."""

from __future__ import annotations

from tests.contract.compare import ANY
from tests.contract.rows.values import (
    BLANK,
    JAVA,
    Json,
    Row,
    Rows,
    created,
    error,
    has,
    invalid,
    job,
    key,
    killed,
    ok,
    task,
)


def quota(role: str) -> Rows:
    def ask(says: str, resources: list[Json], answer: Json) -> Row:
        return Row(says, "setQuota", {"ownerRole": role, "quota": {"resources": resources}}, answer)

    cpu, ram, disk = {"numCpus": 4.0}, {"ramMb": 512}, {"diskMb": 512}
    yield Row("no role", "setQuota", {"quota": {"resources": [cpu, ram, disk]}}, BLANK)
    yield Row("no quota", "setQuota", {"ownerRole": role}, JAVA)
    exactly = error("Quota resources must be exactly: [CPUS, RAM_MB, DISK_MB]")
    yield ask("nothing of it", [], exactly)
    yield ask("something else", [cpu, ram, {"numGpus": 1}], exactly)
    yield ask("too much", [cpu, ram, disk, {"numGpus": 1}], error("Too many resource values in quota."))
    yield ask("less than none", [cpu, {"ramMb": -1}, disk], invalid("Negative values in: <any>"))
    yield ask("given", [cpu, ram, disk], ok())
    paid = task(role, tier="preferred", production=True)
    yield Row("used", "createJob", {"description": job(role, config=paid)}, ok())
    lower = invalid("Quota: <any> is less then current prod reservation: <any>")
    yield ask("lower than what is used", [{"numCpus": 0.5}, ram, disk], lower)
    yield ask("exactly what is used", [{"numCpus": 1.0}, {"ramMb": 128}, {"diskMb": 128}], ok())
    yield killed(role)


def force(role: str) -> Rows:
    yield Row("no task", "forceTaskState", {"status": "FAILED"}, BLANK)
    yield Row("no state", "forceTaskState", {"taskId": "nosuch"}, JAVA)
    yield Row("an unknown task is OK", "forceTaskState", {"taskId": "nosuch", "status": "FAILED"}, ok())
    yield created(role, instances=1)
    waits = {"assignedTask": {"taskId": "<task:1>", "task": ANY, "assignedPorts": {}, "instanceId": 0}}
    one = {"status": "PENDING", "failureCount": 0, "taskEvents": ANY, "timesPartitioned": 0, **waits}
    query = {"query": {"role": role}}
    yield Row("a task", "getTasksStatus", query, ok({"scheduleStatusResult": {"tasks": [one]}}))
    refused = {"taskId": "<task:1>", "status": "RESTARTING"}
    yield Row("a transition that is refused is OK", "forceTaskState", refused, ok())
    yield Row("killed", "forceTaskState", {"taskId": "<task:1>", "status": "KILLING"}, ok())
    nothing = ok({"scheduleStatusResult": {"tasks": []}})
    yield Row("a waiting task that is killed is gone", "getTasksStatus", query, nothing)


def recovery(role: str) -> Rows:
    yield Row("staged", "unloadRecovery", {}, ok())
    yield Row("not there", "stageRecovery", {"backupId": "nosuch"}, error("Backup <any> does not exist."))
    none = error("No backup loaded.")
    yield Row("nothing staged", "queryRecovery", {"query": {}}, none)
    yield Row("nothing staged", "deleteRecoveryTasks", {"query": {}}, none)
    yield Row("nothing staged", "commitRecovery", {}, error(ANY))
    yield created(role, instances=1)
    yield Row("a backup", "performBackup", {}, ok())
    yield Row("listed", "listBackups", {}, ok({"listBackupsResult": {"backups": has("<backup:1>")}}))
    yield Row("nothing staged: OK", "unloadRecovery", {}, ok())
    yield killed(role)


def maintenance(role: str) -> Rows:
    """Of hosts that nobody knows."""
    strangers = {"hosts": {"hostNames": [f"{role}.example"]}}
    nobody: Json = {"hosts": {"hostNames": []}}
    for method, result in (
        ("startMaintenance", "startMaintenanceResult"),
        ("drainHosts", "drainHostsResult"),
        ("slaDrainHosts", "drainHostsResult"),
        ("maintenanceStatus", "maintenanceStatusResult"),
        ("endMaintenance", "endMaintenanceResult"),
    ):
        none = ok({result: {"statuses": []}})
        yield Row("no hosts", method, {}, JAVA)
        yield Row("an empty set of hosts", method, nobody, none)
        yield Row("unknown hosts are left out", method, strangers, none)


def upkeep(role: str) -> Rows:
    yield Row("a snapshot", "snapshot", {}, ok())
    yield Row("implicitly", "triggerImplicitTaskReconciliation", {}, ok())
    explicit = "triggerExplicitTaskReconciliation"
    yield Row("no settings", explicit, {}, JAVA)
    size = invalid("Batch size must be greater than zero.")
    yield Row("batches of none", explicit, {"settings": {"batchSize": 0}}, size)
    yield Row("batches of fewer", explicit, {"settings": {"batchSize": -1}}, size)
    yield Row("batches as usual", explicit, {"settings": {}}, ok())
    yield Row("batches of some", explicit, {"settings": {"batchSize": 10}}, ok())


def prune(role: str) -> Rows:
    active = error("Tasks in non-terminal state cannot be pruned.")
    yield Row("no query", "pruneTasks", {}, JAVA)
    yield Row("active ones", "pruneTasks", {"query": {"role": role, "statuses": ["LOST", "RUNNING"]}}, active)
    yield Row("none", "pruneTasks", {"query": {"role": role}}, ok())
    yield created(role, instances=1)
    yield Row("waiting ones stay", "pruneTasks", {"query": {"role": role}}, ok())
    groups = [{"config": ANY, "instances": [{"first": 0, "last": 0}]}]
    summary = {"configSummaryResult": {"summary": {"key": key(role), "groups": groups}}}
    yield Row("waiting ones stay", "getConfigSummary", {"job": key(role)}, ok(summary))
    yield killed(role)


SCENARIOS = (quota, force, recovery, maintenance, upkeep, prune)
