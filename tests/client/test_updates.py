from __future__ import annotations

import json
from pathlib import Path

import pytest

from aurorad.api.calls import (
    AbortJobUpdate,
    Call,
    GetJobUpdateDetails,
    GetJobUpdateDiff,
    GetJobUpdateSummaries,
    GetTierConfigs,
    PauseJobUpdate,
    ResumeJobUpdate,
    RollbackJobUpdate,
    StartJobUpdate,
)
from aurorad.api.enums import ACTIVE_JOB_UPDATE_STATES, JobUpdateAction, JobUpdateStatus
from aurorad.api.results import (
    ConfigGroup,
    GetJobUpdateDetailsResult,
    GetJobUpdateDiffResult,
    StartJobUpdateResult,
)
from aurorad.api.tasks import Metadata
from aurorad.api.updates import (
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateDetails,
    JobUpdateEvent,
    JobUpdateKey,
    JobUpdateQuery,
    JobUpdateSummary,
    Range,
)
from tests.client.conftest import KEY, Runner, World
from tests.client.fake_scheduler import FakeScheduler, ok, refused
from tests.client.values import CONFIG, HELLO, update, updates

FORWARD, DONE, BACK = JobUpdateStatus.ROLLING_FORWARD, JobUpdateStatus.ROLLED_FORWARD, JobUpdateStatus.ROLLED_BACK
OWN = Metadata("org.apache.aurora.client.update_id", "our-own-id")
STARTED = StartJobUpdateResult(JobUpdateKey(HELLO, "u1"))


def group(*ranges: tuple[int, int]) -> frozenset[ConfigGroup]:
    return frozenset({ConfigGroup(CONFIG, frozenset(Range(*pair) for pair in ranges))})


DIFF = GetJobUpdateDiffResult(add=group((12, 14), (10, 10)), update=group((11, 11)), unchanged=group((0, 9)))


@pytest.fixture(autouse=True)
def _diff(scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobUpdateDiff, ok(get_job_update_diff_result=DIFF))


def test_start_says_what_changes_and_where_to_look(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    scheduler.on(StartJobUpdate, ok(start_job_update_result=STARTED))
    ran = aurora("update", "start", "-m", "why", KEY, job_file)
    assert ran.code == 0
    assert ran.out == (
        "This job update will:\n"
        "add instances: [10], [12-14]\n"
        "update instances: [11]\n"
        "not change instances: [0-9]\n"
        "Job update has started. View your update progress at "
        f"{scheduler.url}/scheduler/bozo/test/hello/update/u1\n"
    )
    assert ran.err == " INFO] Starting update for: hello\n"
    assert [type(call) for call in scheduler.calls] == [GetTierConfigs, GetJobUpdateDiff, StartJobUpdate]
    (call,) = scheduler.of(StartJobUpdate)
    assert (call.message, call.request.instance_count, call.request.metadata) == ("why", 2, frozenset({OWN}))
    assert call.request.settings.min_wait_in_instance_running_ms == 45_000
    assert call.request.settings.update_only_these_instances == frozenset()


def test_start_of_some_instances_sends_ranges(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    scheduler.on(StartJobUpdate, ok(start_job_update_result=STARTED))
    aurora("update", "start", f"{KEY}/0-1", job_file)
    (call,) = scheduler.of(StartJobUpdate)
    assert call.request.settings.update_only_these_instances == frozenset({Range(0, 1)})


def test_nothing_to_change_is_no_error(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    scheduler.on(StartJobUpdate, ok("Job is unchanged by proposed update."))
    ran = aurora("update", "start", "--wait", KEY, job_file)
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "Job is unchanged by proposed update.")


def test_a_refused_start_is_status_10(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    scheduler.on(StartJobUpdate, refused("Updates are not supported for non-service tasks."))
    ran = aurora("update", "start", KEY, job_file)
    assert ran.code == 10
    assert ran.err.endswith(
        "Failed to start update due to error:\n\tUpdates are not supported for non-service tasks.\n"
    )


@pytest.mark.parametrize(("metadata", "code"), [(OWN, 0), (Metadata(OWN.key, "another"), 10)])
def test_its_own_repeated_request_is_recognised(
    aurora: Runner, scheduler: FakeScheduler, job_file: Path, metadata: Metadata, code: int
) -> None:
    summary = JobUpdateSummary(JobUpdateKey(HELLO, "u1"), metadata=frozenset({metadata}))
    result = StartJobUpdateResult(JobUpdateKey(HELLO, "u1"), summary)
    scheduler.on(StartJobUpdate, refused("An active update already exists", start_job_update_result=result))
    assert aurora("update", "start", KEY, job_file).code == code


def test_bad_settings_are_status_3(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    job_file.write_text(job_file.read_text() + "\njobs = [jobs[0](update_config = UpdateConfig(batch_size = 0))]")
    ran = aurora("update", "start", KEY, job_file)
    assert (ran.code, ran.err) == (3, "Batch size should be greater than 0\n")


@pytest.mark.parametrize(
    ("words", "end", "code"),
    [
        (["wait", KEY, "u1"], DONE, 0),
        (["wait", KEY, "u1"], BACK, 4),
        (["wait", KEY, "u1"], JobUpdateStatus.ABORTED, 20),
        (["rollback", "--wait", KEY], BACK, 0),
        (["rollback", "--wait", KEY], DONE, 4),
        (["rollback", "--wait", KEY], JobUpdateStatus.FAILED, 20),
    ],
)
def test_waiting_ends_with_the_status_of_the_update(
    aurora: Runner, scheduler: FakeScheduler, world: World, words: list[str], end: JobUpdateStatus, code: int
) -> None:
    rolling = updates(update(FORWARD))
    scheduler.on(RollbackJobUpdate, ok())
    scheduler.on(GetJobUpdateSummaries, rolling, rolling, rolling, updates(update(end)))
    ran = aurora("update", *words)
    assert ran.code == code
    assert ran.out.endswith(f"Current state ROLLING_FORWARD\nCurrent state {end.name}\n")
    assert set(world.slept) == {5}


def test_wait_without_id_follows_the_active_update(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobUpdateSummaries, updates(update(FORWARD, id="u7")), updates(update(DONE, id="u7")))
    assert aurora("update", "wait", KEY).code == 0
    assert scheduler.of(GetJobUpdateSummaries)[1].job_update_query.key == JobUpdateKey(HELLO, "u7")


def test_an_unknown_update_is_status_6(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobUpdateSummaries, updates())
    for words in (["wait", KEY], ["wait", KEY, "u1"]):
        ran = aurora("update", *words)
        assert (ran.code, ran.err) == (6, "Job update not found.\n")


CONTROLS = [
    ("pause", PauseJobUpdate, "Update has been paused."),
    ("resume", ResumeJobUpdate, "Update has been resumed."),
    ("abort", AbortJobUpdate, "Update has been aborted."),
    ("rollback", RollbackJobUpdate, "Update rollback has started."),
]


@pytest.mark.parametrize(("verb", "call", "text"), CONTROLS)
def test_the_active_update_is_controlled(
    aurora: Runner, scheduler: FakeScheduler, verb: str, call: type[Call], text: str
) -> None:
    scheduler.on(GetJobUpdateSummaries, updates(update(FORWARD)))
    scheduler.on(call, ok())
    ran = aurora("update", verb, KEY, "--message", "because")
    assert (ran.code, ran.out) == (0, f"{text}\n")
    assert scheduler.of(call) == [call(JobUpdateKey(HELLO, "u1"), "because")]
    assert scheduler.of(GetJobUpdateSummaries)[0].job_update_query == JobUpdateQuery(
        job_key=HELLO, update_statuses=ACTIVE_JOB_UPDATE_STATES
    )


def test_a_note_that_schedulers_would_not_keep_is_refused_at_once(aurora: Runner) -> None:
    ran = aurora("update", "abort", KEY, "--message", "x" * 1025)
    assert ran.code != 0
    assert "the note has 1025 characters: 1024 at most were expected" in ran.err


@pytest.mark.parametrize(("verb", "call", "text"), CONTROLS)
def test_what_cannot_be_controlled_says_why(
    aurora: Runner, scheduler: FakeScheduler, verb: str, call: type[Call], text: str
) -> None:
    scheduler.on(GetJobUpdateSummaries, updates(), updates(update(FORWARD), update(FORWARD)), updates(update(FORWARD)))
    scheduler.on(call, refused("Cannot transition update"))
    ran = aurora("update", verb, KEY)
    assert (ran.code, ran.err) == (6, "No active update found for this job.\n")
    ran = aurora("update", verb, KEY)
    assert (ran.code, ran.err) == (10, "The scheduler returned multiple active updates for this job.\n")
    ran = aurora("update", verb, KEY)
    assert (ran.code, ran.err) == (10, f"Failed to {verb} update due to error:\n\tCannot transition update\n")


def test_list_is_a_table_of_fixed_columns(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobUpdateSummaries, updates(update(DONE, id="6bd7d8f2-ab52-4a05-92a4-1ea18b3a6e5b")))
    assert aurora("update", "list", "west").out == (
        f"{'JOB':<47} {'UPDATE ID':<36} {'STATUS':<15} {'CREATED BY':<11} {'STARTED':<19} LAST MODIFIED\n"
        f"{KEY:<47} 6bd7d8f2-ab52-4a05-92a4-1ea18b3a6e5b ROLLED_FORWARD  me          "
        "1970-01-17T08:03:24 1970-06-13T08:34:16\n"
    )


def test_list_filters_by_key_role_environment_status_and_user(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobUpdateSummaries, updates(update(DONE)))
    assert aurora("update", "list", "--status=failed", "--status", "ROLLED_FORWARD", "--user", "me", KEY).out
    assert aurora("update", "list", "west/bozo/prod").out == ""
    first, second = (call.job_update_query for call in scheduler.of(GetJobUpdateSummaries))
    assert first == JobUpdateQuery(
        job_key=HELLO,
        user="me",
        update_statuses=frozenset({JobUpdateStatus.ERROR, JobUpdateStatus.FAILED, BACK, DONE}),
    )
    assert second == JobUpdateQuery(role="bozo")


def test_list_as_json(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobUpdateSummaries, updates(update(DONE)))
    assert json.loads(aurora("update", "list", "--write-json", KEY).out) == [
        {
            "job": KEY,
            "id": "u1",
            "user": "me",
            "started": "1970-01-17T08:03:24",
            "last_modified": "1970-06-13T08:34:16",
            "status": "ROLLED_FORWARD",
        }
    ]


DETAILS = JobUpdateDetails(
    JobUpdate(update(FORWARD, country="America")),
    (
        JobUpdateEvent(FORWARD, 3000),
        JobUpdateEvent(JobUpdateStatus.ROLL_FORWARD_PAUSED, 4000, "me", "Investigating issues"),
    ),
    (JobInstanceUpdateEvent(1, 6000, JobUpdateAction.INSTANCE_UPDATING),),
)


def test_info_shows_events_and_metadata(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobUpdateSummaries, updates(update(FORWARD)))
    scheduler.on(
        GetJobUpdateDetails, ok(get_job_update_details_result=GetJobUpdateDetailsResult(details_list=(DETAILS,)))
    )
    assert aurora("update", "info", KEY).out == (
        f"Job: {KEY}, UpdateID: u1\n"
        "Started 1970-01-17T08:03:24, last activity: 1970-06-13T08:34:16\n"
        "Current status: ROLLING_FORWARD\n"
        "Update events:\n"
        "  Status: ROLLING_FORWARD at 1970-01-01T00:00:03\n"
        "  Status: ROLL_FORWARD_PAUSED at 1970-01-01T00:00:04\n"
        "      message: Investigating issues\n"
        "Instance events:\n"
        "  Instance 1 at 1970-01-01T00:00:06: INSTANCE_UPDATING\n"
        "Metadata:\n"
        "  country: America\n"
    )
    shown = json.loads(aurora("update", "info", "--write-json", KEY, "u1").out)
    assert shown["update_events"][1]["message"] == "Investigating issues"
    assert shown["instance_update_events"] == [{"instance": 1, "timestamp": 6000, "action": "INSTANCE_UPDATING"}]
    assert (shown["started"], shown["metadata"]) == (1_411_404_000, [{"country": "America"}])


def test_info_about_nothing_is_status_6(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobUpdateSummaries, updates())
    scheduler.on(GetJobUpdateDetails, ok(get_job_update_details_result=GetJobUpdateDetailsResult()))
    ran = aurora("update", "info", KEY)
    assert (ran.code, ran.err) == (6, "There is no active update for this job.\n")
    ran = aurora("update", "info", KEY, "u9")
    assert (ran.code, ran.err) == (6, f"There is no update for key: {KEY} u9\n")
