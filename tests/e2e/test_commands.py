"""Every command of `aurora`, row by row, on a live scheduler: stdout, stderr, status (client-commands sheet).

Its hosts are pretended; what needs real tasks is in test_task_commands.py.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurorad.api.calls import SetQuota
from aurorad.api.enums import ResponseCode
from aurorad.api.tasks import Resource, ResourceAggregate
from tests.e2e.cluster import Cluster
from tests.e2e.commands import Client, log_lines
from tests.e2e.jobs import call

ROLE = "devcluster/www-data/devel"
JOBS = """
sleeper = Task(
    name = 'sleeper',
    processes = [Process(name = 'sleep', cmdline = 'sleep {{seconds}}')],
    resources = Resources(cpu = '{{cpus}}', ram = 16 * MB, disk = 16 * MB))
job = Job(cluster = 'devcluster', role = 'www-data', environment = 'devel', task = sleeper)
job = job.bind(seconds = '1000', cpus = '0.1')
service = job(service = True, instances = 3)
quick = UpdateConfig(watch_secs = 0, batch_size = 2)
jobs = (
    [service(name = name, update_config = quick)
     for name in ('created', 'killed', 'added', 'restarted', 'shown', 'updated', 'counted', 'paused', 'back',
                  'renamed')]
    + [job(name = 'adhoc', instances = 1)]
    + [job(name = 'nightly', cron_schedule = '0 3 * * *', cron_collision_policy = 'KILL_EXISTING')]
    + [service(name = 'large', task = sleeper(resources = Resources(cpu = 9999, ram = 16 * MB, disk = 16 * MB)))]
    + [service(name = 'aborted', update_config = quick(pulse_interval_secs = 60))]
    + [service(name = 'promised', instances = 20, tier = 'preferred',
               sla_policy = CountSlaPolicy(count = 1, duration_secs = 10))]
)
"""
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="aurorad-") as name:
        it = Cluster(
            Path(name),
            "-engine=simulated",
            "-simulated_hosts=5",
            "-simulated_start_delay=10ms",
            "-simulated_kill_delay=10ms",
        )
        it.start()
        yield it
        assert it.stop() == 0, it.log()


@pytest.fixture
def file(cluster: Cluster) -> Path:
    path = cluster.folder / "jobs.aurora"
    path.write_text(JOBS)
    return path


@pytest.fixture
def aurora(cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("HOME", str(cluster.folder))
    return Client(cluster, cluster.folder, capsys)


def page(cluster: Cluster, name: str) -> str:
    return f"{cluster.scheduler}/scheduler/www-data/devel/{name}"


def running(aurora: Client, name: str, file: Path) -> str:
    key = f"{ROLE}/{name}"
    aurora.done("job", "create", "--wait-until=RUNNING", key, file)
    return key


def quota(cluster: Cluster, role: str) -> None:
    resources = frozenset({Resource(num_cpus=5.0), Resource(ram_mb=20480), Resource(disk_mb=40960)})
    answer = call(cluster, SetQuota(role, ResourceAggregate(resources=resources)))
    assert answer.response_code is ResponseCode.OK


# -- job


def test_job_create(aurora: Client, cluster: Cluster, file: Path) -> None:
    key = f"{ROLE}/created"
    ran = aurora.done("job", "create", "--open-browser", "--wait-until", "RUNNING", key, file)
    assert ran.out == f"Job create succeeded: job url={page(cluster, 'created')}\n"
    lines = log_lines(ran)
    assert (lines[0], lines[-1]) == ("Creating job created", f"Checking status of {key}")
    assert aurora.opened == [page(cluster, "created")]
    again = aurora("job", "create", key, file)
    assert (again.code, again.out) == (4, "")
    assert "Job creation failed due to error:\n\tJob www-data/devel/created already exists" in again.err


def test_job_create_of_a_cron_job(aurora: Client, file: Path) -> None:
    ran = aurora("job", "create", f"{ROLE}/nightly", file)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == 'Cron jobs may only be scheduled with "aurora cron schedule" command\n'


def test_job_create_without_the_job(aurora: Client, file: Path) -> None:
    ran = aurora("job", "create", f"{ROLE}/nothing", file)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith(
        f"Error loading configuration: Could not find job {ROLE}/nothing\nCandidates are:\n  {ROLE}/created\n"
    )


def test_job_create_in_an_unknown_cluster(aurora: Client, file: Path) -> None:
    ran = aurora("job", "create", "elsewhere/www-data/devel/created", file)
    assert (ran.code, ran.err) == (3, "Unknown cluster: elsewhere (known: devcluster, example)\n")


def test_job_create_as_a_plan(aurora: Client, file: Path) -> None:
    ran = aurora.done("job", "create", "--dry-run", f"{ROLE}/large", file)
    assert ran.out.startswith("www-data/devel/large would be created with 3 instances.\n")


def test_job_diff(aurora: Client, file: Path) -> None:
    key = running(aurora, "shown", file)
    same = aurora.done("job", "diff", key, file)
    assert same.out == "This job update will:\nnot change instances: [0-2]\n"
    ran = aurora.done("job", "diff", "--bind=seconds=7", f"{key}/1", file)
    assert ran.out.startswith("This job update will:\nupdate instances: [1]\nwith diff:\n\n")
    assert "<             sleep 1000\n" in ran.out or "sleep 1000" in ran.out
    assert "sleep 7" in ran.out
    renamed = aurora.done("job", "diff", "--from", key, f"{ROLE}/renamed", file)
    assert "shown" in renamed.out
    assert "renamed" in renamed.out


def test_job_diff_whose_program_fails(aurora: Client, file: Path) -> None:
    aurora._environ["DIFF_VIEWER"] = "false --"
    key = f"{ROLE}/shown"
    ok = aurora("job", "diff", "--bind=seconds=7", key, file)
    assert ok.code == 0  # 1 means that there are differences
    aurora._environ["DIFF_VIEWER"] = "ls --no-such-option"
    ran = aurora("job", "diff", "--bind=seconds=7", key, file)
    assert ran.code == 4
    assert ran.err.startswith("Error running diff: ls: unrecognized option")


def test_job_inspect(aurora: Client, file: Path) -> None:
    ran = aurora.done("job", "inspect", f"{ROLE}/nightly", file)
    assert ran.out.splitlines() == [
        "Job level information",
        "  name:       'nightly'",
        "  role:       'www-data'",
        "  cluster:    'devcluster'",
        "  instances:  '1'",
        "  cron:",
        "    schedule: '0 3 * * *'",
        "    policy:   'KILL_EXISTING'",
        "  service:    False",
        "  production: False",
        "",
        "Task level information",
        "  name: 'sleeper'",
        "",
        "Process 'sleep':",
        "  cmdline:",
        "    sleep 1000",
        "",
    ]


def test_job_inspect_as_json_which_create_reads(aurora: Client, cluster: Cluster, file: Path) -> None:
    ran = aurora.done("job", "inspect", "--write-json", f"{ROLE}/adhoc", file)
    shown = json.loads(ran.out)
    assert (shown["name"], shown["instances"], shown["task"]["resources"]["ram"]) == ("adhoc", 1, 16 << 20)
    copy = cluster.folder / "adhoc.json"
    copy.write_text(ran.out)
    created = aurora.done("job", "create", "--read-json", f"{ROLE}/adhoc", copy)
    assert created.out == f"Job create succeeded: job url={page(cluster, 'adhoc')}\n"


def test_job_inspect_raw(aurora: Client, file: Path) -> None:
    ran = aurora.done("job", "inspect", "--raw", f"{ROLE}/adhoc", file)
    assert ran.out.startswith("IJobConfiguration{key=")
    assert "AuroraExecutor" in ran.out


def test_job_kill(aurora: Client, cluster: Cluster, file: Path) -> None:
    key = running(aurora, "killed", file)
    ran = aurora.done("job", "kill", "--open-browser", "--message", "enough", f"{key}/0,2")
    assert ran.out == "Successfully killed instances [0]\nSuccessfully killed instances [2]\nJob kill succeeded\n"
    lines = log_lines(ran)
    assert lines[:2] == [f"Killing tasks for job: {key}", "Instances to be killed: [0, 2]"]
    assert aurora.opened == [page(cluster, "killed")]
    assert "enough" in aurora("job", "status", key).out
    strict = aurora("job", "kill", "--strict", f"{key}/0-1")
    assert (strict.code, strict.out, strict.err) == (6, "", "Invalid instance parameter: [0]\n")
    omitted = aurora("job", "kill", key)
    assert (omitted.code, omitted.out) == (6, "")
    assert omitted.err == (
        "The instances list cannot be omitted in a kill command!; use killall to kill all instances\n"
    )
    at_once = aurora.done("job", "kill", "--no-batching", f"{key}/1")
    assert at_once.out == "Job kill succeeded\n"


def test_job_kill_of_what_promises_something(aurora: Client, cluster: Cluster, file: Path) -> None:
    quota(cluster, "www-data")
    key = running(aurora, "promised", file)
    ran = aurora.done("job", "kill", "--batch-size=2", f"{key}/0,1")
    assert ran.out == (
        "WARNING: Killing instances without updating SlaPolicy.\nSuccessfully killed instances [0, 1]\n"
        "Job kill succeeded\n"
    )
    added = aurora.done("job", "add", f"{key}/2", "1")
    assert added.out == "WARNING: Adding instances without updating SlaPolicy.\n"


def test_job_killall(aurora: Client, file: Path) -> None:
    key = f"{ROLE}/killed"
    nothing = aurora.done("job", "killall", key)
    assert nothing.out == "Job killall succeeded\n"
    assert nothing.err == f" INFO] Killing tasks for job: {key}\nNo tasks to kill found for job {key}\n"
    running(aurora, "killed", file)
    ran = aurora.done("job", "killall", "--batch-size", "2", "--config", file, key)
    assert ran.out == "Successfully killed instances [0, 1]\nSuccessfully killed instances [2]\nJob killall succeeded\n"
    running(aurora, "killed", file)
    assert aurora.done("job", "killall", "--no-batching", key).out == "Job killall succeeded\n"


def test_job_add(aurora: Client, cluster: Cluster, file: Path) -> None:
    key = running(aurora, "added", file)
    ran = aurora.done("job", "add", "--open-browser", "--wait-until=RUNNING", f"{key}/1", "2")
    assert ran.out == ""
    assert log_lines(ran)[0] == f"Adding 2 instances to {key} using the task config of instance 1"
    assert aurora.opened == [page(cluster, "added")]
    assert aurora("job", "status", key).out.startswith("Active tasks (5):\n")
    missing = aurora("job", "add", f"{key}/9", "1")
    assert (missing.code, missing.out, missing.err) == (6, "", "Invalid instance parameter: [9]\n")


def test_job_list(aurora: Client, file: Path) -> None:
    key = running(aurora, "back", file)
    assert aurora.done("job", "list", "devcluster/nobody/x/y").out == "devcluster/nobody/x/y\n"
    assert aurora.done("job", "list", "devcluster/nobody").out == ""
    ran = aurora.done("job", "list", "devcluster/www-data/*/ba*")
    assert (ran.out, ran.err) == (f"{key}\n", " INFO] Retrieving jobs for role www-data\n")
    assert f"{key}\n" in aurora.done("job", "list", "devcluster").out
    assert f"{key}\nexample/www-data/devel/back\n" in aurora.done("job", "list", "*/*/devel/back").out
    unknown = aurora("job", "list", "de*/www-data")
    assert (unknown.code, unknown.out) == (3, "")
    assert unknown.err.startswith("Unknown cluster: de*")
    malformed = aurora("job", "list", "a/b/c/d/e")
    assert malformed.code == 2
    assert "aurora job list: error: " in malformed.err


def test_job_open(aurora: Client, cluster: Cluster) -> None:
    for given, path in (("", ""), ("/www-data", "/www-data"), ("/www-data/devel/x", "/www-data/devel/x")):
        ran = aurora.done("job", "open", f"devcluster{given}")
        assert (ran.out, ran.err) == (f"{cluster.scheduler}/scheduler{path}\n", "")
        assert aurora.opened[-1] == f"{cluster.scheduler}/scheduler{path}"


def test_job_restart(aurora: Client, cluster: Cluster, file: Path) -> None:
    key = running(aurora, "restarted", file)
    options = ("--watch-secs=0", "--batch-size=2", "--max-per-instance-failures=1", "--healthcheck-interval-seconds=1")
    ran = aurora.done("job", "restart", *options, "--force", "--open-browser", key)
    assert ran.out == f"Job {key} restarted successfully\n"
    lines = log_lines(ran)
    assert lines[0] == f"Performing rolling restart of job {key} (instances: [0, 1, 2])"
    for line in ("Restarting instances: [0, 1]", "Watching instances: [0, 1]", "Detected RUNNING instance 0"):
        assert line in lines
    assert "Instance 0 has been up and healthy for at least 0 seconds" in lines
    assert "All instances were restarted successfully" in lines
    assert aurora.opened == [page(cluster, "restarted")]
    assert aurora.done("job", "restart", "--watch-secs=0", f"{key}/1", file).out == ran.out
    strict = aurora("job", "restart", "--strict", f"{key}/7")
    assert (strict.code, strict.err) == (6, "Invalid instance parameter: [7]\n")
    negative = aurora("job", "restart", "--max-total-failures=-1", key)
    assert (negative.code, negative.err) == (6, "max_total_failures option must be >0, but you specified -1\n")
    nothing = aurora.done("job", "restart", f"{ROLE}/nothing")
    assert log_lines(nothing) == [
        f"No instances specified, and no active instances found in job {ROLE}/nothing",
        "Nothing to do.",
    ]
    refused = aurora("job", "restart", f"{ROLE}/nothing/0")
    assert refused.code == 10
    assert f"Error restarting job {ROLE}/nothing:\n\t" in refused.err


def test_job_status(aurora: Client, file: Path) -> None:
    aurora("job", "create", f"{ROLE}/large", file)
    key = f"{ROLE}/large"
    ran = aurora.done("job", "status", key)
    lines = ran.out.splitlines()
    assert lines[0] == "Active tasks (3):"
    assert re.fullmatch(
        r"\tTask role: www-data, env: devel, name: large, instance: 0, status: PENDING( \(.*\))?", lines[1]
    )
    assert lines[2] == "\t  CPU: 9999 core(s), RAM: 16 MB, Disk: 16 MB"
    assert lines[3] == "\t  events:"
    assert re.fullmatch(r"\t   [0-9-]{10} [0-9:]{8} PENDING:.*", lines[4])
    assert lines[-1] == "Inactive tasks (0):"
    assert log_lines(ran) == [f"Checking status of {key}"]
    wild = aurora.done("job", "status", f"{ROLE}/lar*")
    assert wild.out == ran.out


def test_job_status_as_json(aurora: Client, file: Path) -> None:
    key = running(aurora, "counted", file)
    (shown,) = json.loads(aurora.done("job", "status", "--write-json", key).out)
    assert (shown["job"], len(shown["active"]), shown["inactive"]) == (key, 3, [])
    task = shown["active"][0]
    assert task["status"] == "RUNNING"
    assert task["assignedTask"]["instanceId"] == 0
    assert task["assignedTask"]["task"]["job"] == {"role": "www-data", "environment": "devel", "name": "counted"}
    assert task["assignedTask"]["task"]["isService"] is True
    assert "data" not in task["assignedTask"]["task"]["executorConfig"]
    assert task["taskEvents"][0]["status"] == "PENDING"


def test_job_status_of_nothing(aurora: Client) -> None:
    ran = aurora("job", "status", f"{ROLE}/nothing")
    assert (ran.code, ran.out) == (6, "")
    assert ran.err.endswith(
        f" INFO] No tasks were found for jobkey {ROLE}/nothing\nFound no jobs matching {ROLE}/nothing\n"
    )
    as_json = aurora.done("job", "status", "--write-json", "devcluster/nobody")
    assert as_json.out == '{"jobspec":"devcluster/nobody/*/*","error":"No matching jobs found"}\n'


def test_job_explain(aurora: Client, file: Path) -> None:
    aurora("job", "create", f"{ROLE}/large", file)
    ran = aurora.done("job", "explain", f"{ROLE}/large/0")
    assert "Instance 0 (PENDING):" in ran.out


# -- update


def test_update_start_and_wait(aurora: Client, cluster: Cluster, file: Path) -> None:
    key = running(aurora, "updated", file)
    same = aurora.done("update", "start", key, file)
    assert same.out.endswith("not change instances: [0-2]\nJob is unchanged by proposed update.\n")
    options = ("--bind=seconds=7", "-m", "why", "--wait", "--open-browser", "--strict")
    ran = aurora.done("update", "start", *options, f"{key}/0-1", file)
    lines = ran.out.splitlines()
    assert lines[:3] == ["This job update will:", "update instances: [0-1]", "not change instances: [2]"]
    found = re.fullmatch(
        rf"Job update has started. View your update progress at {re.escape(page(cluster, 'updated'))}/update/({UUID})",
        lines[3],
    )
    assert found is not None
    assert aurora.opened == [f"{page(cluster, 'updated')}/update/{found[1]}"]
    assert lines[-1] == "Current state ROLLED_FORWARD"
    assert log_lines(ran)[0] == "Starting update for: updated"
    waited = aurora.done("update", "wait", key, found[1])
    assert waited.out == "Current state ROLLED_FORWARD\n"


def test_update_info(aurora: Client, file: Path) -> None:
    key = f"{ROLE}/updated"
    listed = aurora.done("update", "list", "--write-json", key).out
    (update,) = json.loads(listed)
    ran = aurora.done("update", "info", key, update["id"])
    lines = ran.out.splitlines()
    assert lines[0] == f"Job: {key}, UpdateID: {update['id']}"
    assert re.fullmatch(f"Started {TIME}, last activity: {TIME}", lines[1])
    assert lines[2:4] == ["Current status: ROLLED_FORWARD", "Update events:"]
    assert re.fullmatch(f"  Status: ROLLING_FORWARD at {TIME}", lines[4])
    assert lines[5] == "      message: why"
    assert "Instance events:" in lines
    assert re.search(f"\n  Instance 0 at {TIME}: INSTANCE_UPDATED\n", ran.out)
    assert re.search(f"\nMetadata:\n  org.apache.aurora.client.update_id: {UUID}\n", ran.out)
    shown = json.loads(aurora.done("update", "info", "--write-json", key, update["id"]).out)
    assert (shown["updateId"], shown["job"], shown["status"]) == (update["id"], key, "ROLLED_FORWARD")
    assert isinstance(shown["started"], int)
    assert re.fullmatch(TIME, shown["last_modified"])
    assert shown["update_events"][0]["message"] == "why"
    assert {event["action"] for event in shown["instance_update_events"]} == {"INSTANCE_UPDATING", "INSTANCE_UPDATED"}
    none = aurora("update", "info", key)
    assert (none.code, none.out, none.err) == (6, "", "There is no active update for this job.\n")
    unknown = aurora("update", "info", key, "no-such-id")
    assert unknown.code == 6
    assert unknown.err.startswith("There is no update for key: ")


def test_update_list(aurora: Client) -> None:
    key = f"{ROLE}/updated"
    ran = aurora.done("update", "list", "--status=succeeded", "--status=active", "devcluster/www-data/devel")
    title, row, *_ = ran.out.splitlines()
    assert title == (
        "JOB                                             UPDATE ID                            STATUS          "
        "CREATED BY  STARTED             LAST MODIFIED"
    )
    assert row.split()[0] == key
    assert row.split()[2] == "ROLLED_FORWARD"
    (shown,) = json.loads(aurora.done("update", "list", "--write-json", key).out)
    assert set(shown) == {"job", "id", "user", "started", "last_modified", "status"}
    assert row.split()[1] == shown["id"]
    assert aurora.done("update", "list", "--user", "nobody-at-all", "devcluster").out == ""
    assert aurora.done("update", "list", "--status", "failed", key).out == ""
    assert aurora.done("update", "list", "devcluster/www-data/prod").out == ""
    for given, told in (("a/b/c/d/e", "path of the form CLUSTER/ROLE/ENV/JOB."), ("", "must be non-empty")):
        malformed = aurora("update", "list", given)
        assert malformed.code == 2
        assert told in malformed.err


def test_update_pause_resume_and_rollback(aurora: Client, file: Path) -> None:
    """Of an update that no host has room for."""
    key = running(aurora, "paused", file)
    none = aurora("update", "pause", key)
    assert (none.code, none.out, none.err) == (6, "", "No active update found for this job.\n")
    started = aurora.done("update", "start", "--bind=cpus=9999", key, file)
    assert "Job update has started." in started.out
    paused = aurora.done("update", "pause", "--message", "looking", key)
    assert paused.out == "Update has been paused.\n"
    assert "      message: looking\n" in aurora.done("update", "info", key).out
    again = aurora("update", "start", "--bind=seconds=8", key, file)
    assert again.code == 10
    assert "Failed to start update due to error:\n\t" in again.err
    assert aurora.done("update", "resume", key).out == "Update has been resumed.\n"
    ran = aurora.done("update", "rollback", "--wait", "-m", "no", key)
    assert ran.out.startswith("Update rollback has started.\nCurrent state ")
    assert ran.out.endswith("Current state ROLLED_BACK\n")


def test_update_abort(aurora: Client, file: Path) -> None:
    key = running(aurora, "aborted", file)
    aurora.done("update", "start", "--bind=seconds=9", key, file)
    (update,) = json.loads(aurora.done("update", "list", "--status=blocked", "--write-json", key).out)
    assert update["status"] == "ROLL_FORWARD_AWAITING_PULSE"
    killed = aurora("job", "kill", f"{key}/0")
    assert killed.code == 10
    assert killed.err.endswith(
        "\tError: job is locked by an active update.\n"
        "      Run 'aurora update abort' or wait for the active update to finish.\n"
    )
    ran = aurora.done("update", "abort", "-m", "stop", key)
    assert ran.out == "Update has been aborted.\n"
    waited = aurora("update", "wait", key, update["id"])
    assert (waited.code, waited.out) == (20, "Current state ABORTED\n")


def test_update_wait_for_nothing(aurora: Client) -> None:
    for words in ((f"{ROLE}/created",), (f"{ROLE}/created", "no-such-id")):
        ran = aurora("update", "wait", *words)
        assert (ran.code, ran.out, ran.err) == (6, "", "Job update not found.\n")


def test_update_start_of_what_cannot_be_updated(aurora: Client, file: Path) -> None:
    cron = aurora("update", "start", f"{ROLE}/nightly", file)
    assert (cron.code, cron.out) == (4, "")
    assert cron.err == 'Cron jobs may only be updated with "aurora cron schedule" command\n'


@pytest.mark.parametrize("old", ["beta-update", "update"])
def test_older_names_of_updates_still_do(aurora: Client, old: str) -> None:
    ran = aurora.done(old, "list", "devcluster/nobody")
    assert ran.out == ""
    assert ran.err == (
        " WARN] 'aurora beta-update list' is called 'aurora update list' now\n" if old != "update" else ""
    )


# -- cron


def test_cron(aurora: Client, cluster: Cluster, file: Path) -> None:
    key = f"{ROLE}/nightly"
    missing = aurora("cron", "show", key)
    assert (missing.code, missing.err) == (6, f"No cron entry found for job {key}\n")
    scheduled = aurora.done("cron", "schedule", key, file)
    assert scheduled.out == f"Cron job scheduled, status can be viewed at {page(cluster, 'nightly')}\n"
    assert log_lines(scheduled) == ["Registering job nightly with cron"]
    assert aurora.done("cron", "show", key).out == f"{key}\t 0 3 * * *\n"
    started = aurora.done("cron", "start", "--open-browser", key)
    assert (started.out, started.err) == ("", f" INFO] Starting cron job: {key}\n")
    assert aurora.opened == [page(cluster, "nightly")]
    removed = aurora.done("cron", "deschedule", key)
    assert (removed.out, removed.err) == (
        "Cron descheduling succeeded.\n",
        f" INFO] Removing cron schedule for job {key}\n",
    )
    again = aurora.done("cron", "deschedule", key)
    assert log_lines(again)[-1] == "Job www-data/devel/nightly is not scheduled with cron"
    unknown = aurora("cron", "start", key)
    assert unknown.code == 10
    assert f"Error starting cron job {key}:\n\tFailed to start cron job - " in unknown.err
    service = aurora("cron", "schedule", f"{ROLE}/created", file)
    assert (service.code, service.err) == (4, 'Non-cron jobs may only be created with "aurora job create" command\n')


# -- quota, config, sla


def test_quota_get(aurora: Client, cluster: Cluster) -> None:
    quota(cluster, "nobody")
    ran = aurora.done("quota", "get", "devcluster/nobody")
    assert ran.out.startswith("Allocated:\n  CPU: 5.0 core(s)\n  RAM: 20480 MB\n  Disk: 40960 MB\n")
    for title in ("Production shared", "Production dedicated", "Non-production shared", "Non-production dedicated"):
        assert f"\n{title} pool resources consumed:\n  CPU: 0.0 core(s)\n  RAM: 0 MB\n  Disk: 0 MB\n" in ran.out
    assert ran.err == " INFO] Getting quota for: nobody\n"
    shown = aurora.done("quota", "get", "--write-json", "devcluster/nobody").out
    assert shown.count("\n") == 1
    assert {"numCpus": 5.0} in json.loads(shown)["quota"]["resources"]
    assert set(json.loads(shown)) == {
        "quota",
        "prodSharedConsumption",
        "prodDedicatedConsumption",
        "nonProdSharedConsumption",
        "nonProdDedicatedConsumption",
    }
    malformed = aurora("quota", "get", "devcluster")
    assert malformed.code == 2
    assert "Role argument must be a CLUSTER/NAME pair" in malformed.err


def test_config_list(aurora: Client, cluster: Cluster, file: Path) -> None:
    assert aurora.done("config", "list", file).out.startswith(f"jobs=[{ROLE}/created, {ROLE}/killed, ")
    empty = cluster.folder / "empty.aurora"
    empty.write_text("jobs = []")
    assert aurora.done("config", "list", empty).out == "jobs=[]\n"
    missing = aurora("config", "list", cluster.folder / "missing.aurora")
    assert (missing.code, missing.out) == (4, "")
    assert missing.err.startswith("Error loading configuration file: ")


def test_sla(aurora: Client, file: Path) -> None:
    key = running(aurora, "renamed", file)
    ran = aurora.done("sla", "get-task-up-count", "--durations=1h,0s", key)
    assert ran.out == "0 secs\t- 100.00 %\n1 hrs\t- 0.00 %\n"
    assert ran.err == " INFO] Response from scheduler: OK (message: )\n"
    assert re.fullmatch(
        r"50.0 percentile\t- [0-9]+.0 seconds\n", aurora.done("sla", "get-job-uptime", "--percentiles=50", key).out
    )
    assert len(aurora.done("sla", "get-job-uptime", key).out.splitlines()) == 9


# -- hooks


def test_a_hook_of_the_file_has_a_say(aurora: Client, cluster: Cluster) -> None:
    hook = """
class Freeze(object):
    def pre_create_job(self, config):
        print('asked for %s' % config.job_key())
        return config.instances() < 2
    def post_create_job(self, result, config):
        print('created: %s' % result.responseCode)
hooks = [Freeze()]
job = job(enable_hooks = True)
jobs = [job(name = 'frozen', instances = 2), job(name = 'free')]
"""
    hooked = cluster.folder / "hooked.aurora"
    hooked.write_text(JOBS + hook)
    ran = aurora("job", "create", f"{ROLE}/frozen", hooked)
    assert (ran.code, ran.out) == (1, f"asked for {ROLE}/frozen\n")
    assert ran.err == " INFO] Creating job frozen\nPre hooks stopped call to create_job\n"
    assert aurora("job", "status", f"{ROLE}/frozen").code == 6
    free = aurora.done("job", "create", f"{ROLE}/free", hooked)
    assert free.out.startswith(f"asked for {ROLE}/free\ncreated: 1\nJob create succeeded: ")


# -- the command itself


def test_help_and_version(aurora: Client) -> None:
    assert aurora.done().out == aurora.done("-h").out
    for noun in ("job", "update", "cron", "task", "quota", "config", "sla"):
        assert "subcommands:" in aurora.done(noun, "-h").out
    assert re.fullmatch(r"[0-9.]+\n", aurora.done("--version").out)
    for words in (("job",), ("jab", "list"), ("job", "lust"), ("job", "list"), ("job", "list", "--no-such", "x")):
        wrong = aurora(*words)
        assert wrong.code == 2
        assert "error: " in wrong.err


def test_a_scheduler_that_is_gone_is_tried_for_ten_minutes(aurora: Client, cluster: Cluster) -> None:
    (cluster.folder / ".aurora").mkdir(exist_ok=True)
    own = cluster.folder / ".aurora" / "clusters.json"
    own.write_text('[{"name": "gone", "scheduler_uri": "http://127.0.0.1:1"}]')
    try:
        ran = aurora("cron", "deschedule", "gone/a/b/c")
    finally:
        own.unlink()
    assert ran.code == 7
    assert "during non-idempotent operation" in ran.err
