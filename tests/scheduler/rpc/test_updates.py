"""The calls about updates, as their callers see them (thrift-api sheet, 2 and 3; updates sheet, 3, 4 and 9)."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
import pytest
import trio
from trio.testing import MockClock

from aurorad.api import calls
from aurorad.api.calls import Call, ManagerCall
from aurorad.api.enums import JobUpdatePulseStatus, JobUpdateStatus, ResponseCode
from aurorad.api.results import ConfigGroup, GetJobUpdateDiffResult, Response
from aurorad.api.tasks import (
    CountSlaPolicy,
    ExecutorConfig,
    JobConfiguration,
    JobKey,
    Metadata,
    Resource,
    ResourceAggregate,
    SlaPolicy,
    TaskConfig,
)
from aurorad.api.updates import (
    JobUpdateDetails,
    JobUpdateKey,
    JobUpdateQuery,
    JobUpdateRequest,
    JobUpdateSettings,
    JobUpdateStrategy,
    JobUpdateSummary,
    QueueJobUpdateStrategy,
    Range,
)
from aurorad.flags import Flags
from aurorad.rules import tiers
from aurorad.rules.admission import populate_task
from aurorad.scheduler.limits import admission_limits
from aurorad.scheduler.rpc import updates
from aurorad.scheduler.rpc.dispatch import Api
from tests.scheduler.updates_world import JOB, World, settings

S = JobUpdateStatus
INVALID, ERROR = ResponseCode.INVALID_REQUEST, ResponseCode.ERROR
FLAGS = Flags(max_tasks_per_job=20, max_update_instance_failures=30)
LIMITS = admission_limits(FLAGS)
UNKNOWN = JobUpdateKey(JOB, "nosuch")


def config(cpus: float, **changes: object) -> TaskConfig:
    """As a client sends it."""
    resources = frozenset({Resource(num_cpus=cpus), Resource(ram_mb=64), Resource(disk_mb=64)})
    made = TaskConfig(JOB, is_service=True, resources=resources, executor_config=ExecutorConfig("AuroraExecutor", "{}"))
    return msgspec.structs.replace(made, **changes)


def admitted(sent: TaskConfig) -> TaskConfig:
    return populate_task(sent, 1, LIMITS, tiers.BUILT_IN)


OLD, NEW = config(0.5), config(1.0)


class Caller:
    """Makes calls as alice, by way of the dispatcher."""

    def __init__(self, world: World) -> None:
        numbers = itertools.count(1)
        self.world = world
        self._api = Api(
            updates.handlers(
                storage=world.storage,
                updater=world.updater,
                limits=LIMITS,
                tiers=tiers.BUILT_IN,
                flags=FLAGS,
                stats=world.stats,
                new_uuid=lambda: UUID(int=next(numbers)),
            ),
            world.storage,
            FLAGS,
            world.stats,
        )

    async def call(self, call: Call) -> Response:
        return await self._api.handle(call, "alice")

    async def refusal(self, call: Call) -> tuple[ResponseCode, str | None]:
        response = await self.call(call)
        assert response.result is None
        return response.response_code, response.details[0].message

    async def start(self, request: JobUpdateRequest, message: str | None = None) -> JobUpdateSummary:
        response = await self.call(calls.StartJobUpdate(request, message))
        assert response.response_code is ResponseCode.OK, response.details
        assert response.result is not None
        started = response.result.start_job_update_result
        assert started is not None
        assert started.update_summary is not None
        assert started.key == started.update_summary.key
        return started.update_summary

    async def summaries(self, query: JobUpdateQuery) -> list[JobUpdateSummary]:
        response = await self.call(calls.GetJobUpdateSummaries(query))
        assert response.result is not None
        assert response.result.get_job_update_summaries_result is not None
        return list(response.result.get_job_update_summaries_result.update_summaries)

    async def diff(self, request: JobUpdateRequest) -> GetJobUpdateDiffResult:
        response = await self.call(calls.GetJobUpdateDiff(request))
        assert response.result is not None, response.details
        assert response.result.get_job_update_diff_result is not None
        return response.result.get_job_update_diff_result


@asynccontextmanager
async def calling(instances: int = 0) -> AsyncIterator[Caller]:
    """A caller to a scheduler that runs so many instances of OLD."""
    async with World(flags=FLAGS).running() as world:
        await world.create(admitted(OLD), *range(instances))
        yield Caller(world)


def request(task: TaskConfig = NEW, count: int = 2, group: int = 1, **changes: object) -> JobUpdateRequest:
    return JobUpdateRequest(task, count, settings(group, **changes))


async def test_an_update_is_started_as_asked(autojump_clock: MockClock) -> None:
    async with calling(instances=2) as caller:
        metadata = frozenset({Metadata("org.apache.aurora.client.update_id", "7")})
        asked = msgspec.structs.replace(request(count=3), metadata=metadata)
        summary = await caller.start(asked, "hold")
        key = JobUpdateKey(JOB, str(UUID(int=1)))
        assert summary == JobUpdateSummary(key, "alice", None, metadata)
        details = caller.world.details(key)
        instructions = details.update.instructions
        (initial,) = instructions.initial_state
        assert (initial.task, initial.instances) == (admitted(OLD), frozenset({Range(0, 1)}))
        desired = instructions.desired_state
        assert desired is not None
        assert (desired.task, desired.instances) == (admitted(NEW), frozenset({Range(0, 2)}))
        strategy = JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(1))
        assert instructions.settings == msgspec.structs.replace(settings(), update_strategy=strategy)
        assert caller.world.story(key) == [("ROLLING_FORWARD", "alice", "hold")]
        assert caller.world.stats.get("thrift_workload_startJobUpdate") == 3
        await caller.world.until(key, S.ROLLED_FORWARD)
        assert caller.world.configs() == dict.fromkeys(range(3), admitted(NEW))


async def test_only_the_named_instances_are_updated(autojump_clock: MockClock) -> None:
    async with calling(instances=3) as caller:
        only = frozenset({Range(0, 0), Range(2, 2)})
        summary = await caller.start(request(count=3, update_only_these_instances=only))
        await caller.world.until(summary.key, S.ROLLED_FORWARD)
        assert caller.world.configs() == {0: admitted(NEW), 1: admitted(OLD), 2: admitted(NEW)}


async def test_nothing_to_change_is_fine(autojump_clock: MockClock) -> None:
    async with calling(instances=2) as caller:
        for only in (frozenset(), frozenset({Range(1, 1)})):
            asked = request(OLD, update_only_these_instances=only)
            response = await caller.call(calls.StartJobUpdate(asked))
            assert response.response_code is ResponseCode.OK
            assert response.result is None
            assert [d.message for d in response.details] == ["Job is unchanged by proposed update."]
        assert not caller.world.tables.updates


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (request(config(1.0, is_service=False)), "Updates are not supported for non-service tasks."),
        (request(group=0), "Update results in no instance being modified."),
        (request(max_failed_instances=-1), "maxFailedInstances must be non-negative."),
        (
            request(count=4, max_per_instance_failures=8),
            "Your update allows too many failures to occur, consider decreasing the per-instance failures or "
            "maxFailedInstances.",
        ),
        (request(config(0.0)), "num_cpus must be greater than 0.0"),
        (request(count=21), "Instance count must be between 1 and 20 inclusive."),
        (request(count=0), "Instance count must be between 1 and 20 inclusive."),
        (request(count=2**31 - 1), "Instance count must be between 1 and 100000 inclusive."),
        (
            request(count=3, update_only_these_instances=frozenset({Range(1, 4), Range(9, 9)})),
            "The update request attempted to update specific instances, but some are irrelevant to the update and "
            "current job state: [3, 4, 9]",
        ),
        (
            request(update_only_these_instances=frozenset({Range(4, 1)})),
            "Instance range 4-1 ends before it starts.",
        ),
        (
            request(
                config(1.0, tier="preferred", sla_policy=SlaPolicy(count_sla_policy=CountSlaPolicy(1, 1))),
                20,
                sla_aware=True,
            ),
            "Insufficient resource quota: CPU quota exceeded by 20.00 core(s); disk quota exceeded by 1280.00 MB; "
            "RAM quota exceeded by 1280.00 MB",
        ),
    ],
)
async def test_what_an_update_may_not_ask_for(autojump_clock: MockClock, asked: JobUpdateRequest, text: str) -> None:
    async with calling(instances=1) as caller:
        assert await caller.refusal(calls.StartJobUpdate(asked)) == (INVALID, text)
        assert not caller.world.tables.updates


@pytest.mark.parametrize(
    "asked",
    [None, JobUpdateRequest(instance_count=3, settings=settings()), JobUpdateRequest(NEW, 3)],
    ids=["no request", "no task", "no settings"],
)
@pytest.mark.parametrize("kind", [calls.StartJobUpdate, calls.GetJobUpdateDiff])
async def test_a_request_with_parts_missing_is_an_error(
    autojump_clock: MockClock, kind: type[calls.StartJobUpdate | calls.GetJobUpdateDiff], asked: JobUpdateRequest | None
) -> None:
    async with calling() as caller:
        code, _text = await caller.refusal(kind(asked))
        assert code is ERROR


async def test_that_a_job_is_no_service_is_said_before_all_else(autojump_clock: MockClock) -> None:
    adhoc = config(1.0, is_service=False)
    async with calling() as caller:
        for asked in (JobUpdateRequest(adhoc, 3), request(adhoc, group=0), request(adhoc, max_failed_instances=-1)):
            refusal = await caller.refusal(calls.StartJobUpdate(asked))
            assert refusal == (INVALID, "Updates are not supported for non-service tasks.")


async def test_sla_aware_updates_of_tasks_with_a_policy_are_started(autojump_clock: MockClock) -> None:
    policy = SlaPolicy(count_sla_policy=CountSlaPolicy(1, 1))
    async with calling() as caller:
        quota = ResourceAggregate(frozenset({Resource(num_cpus=99.0), Resource(ram_mb=9999), Resource(disk_mb=9999)}))
        await caller.world.storage.write(lambda tx: tx.save_quota(JOB.role, quota))
        asked = request(config(1.0, tier="preferred", sla_policy=policy), 20, sla_aware=True)
        key = (await caller.start(asked)).key
        assert caller.world.details(key).update.instructions.settings.sla_aware


async def test_a_long_message_is_an_error_without_a_text(autojump_clock: MockClock) -> None:
    async with calling() as caller:
        long = "x" * 1025
        for call in (calls.StartJobUpdate(request(), long), calls.AbortJobUpdate(UNKNOWN, long)):
            assert await caller.refusal(call) == (ERROR, None)
        assert not caller.world.tables.updates
        await caller.start(request(), "x" * 1024)


async def test_what_is_wrong_with_an_update_is_said_before_what_is_wrong_with_its_message(
    autojump_clock: MockClock,
) -> None:
    async with calling(instances=2) as caller:
        long = "x" * 1025
        assert (await caller.call(calls.StartJobUpdate(request(OLD), long))).response_code is ResponseCode.OK
        assert (await caller.refusal(calls.StartJobUpdate(request(count=21), long)))[0] is INVALID


async def test_cron_jobs_are_not_updated(autojump_clock: MockClock) -> None:
    async with calling() as caller:
        await caller.world.storage.write(lambda tx: tx.save_cron_job(JobConfiguration(JOB)))
        assert await caller.refusal(calls.StartJobUpdate(request())) == (
            INVALID,
            "Cron jobs may only be created/updated by calling scheduleCronJob.",
        )
        assert await caller.refusal(calls.GetJobUpdateDiff(request())) == (INVALID, "Cron jobs are not supported.")


async def test_a_second_update_is_refused_and_told_of_the_first(autojump_clock: MockClock) -> None:
    async with calling(instances=2) as caller:
        metadata = frozenset({Metadata("a", "b")})
        first = await caller.start(
            msgspec.structs.replace(request(block_if_no_pulses_after_ms=100_000), metadata=metadata)
        )
        response = await caller.call(calls.StartJobUpdate(request(config(2.0))))
        assert response.response_code is INVALID
        assert response.result is not None
        running = response.result.start_job_update_result
        assert running is not None
        assert running.key == first.key
        assert running.update_summary is not None
        assert running.update_summary.metadata == metadata
        assert running.update_summary.state is not None
        assert running.update_summary.state.status is S.ROLL_FORWARD_AWAITING_PULSE


async def test_an_update_is_paused_resumed_and_aborted(autojump_clock: MockClock) -> None:
    async with calling(instances=2) as caller:
        key = (await caller.start(request())).key
        for call in (
            calls.PauseJobUpdate(key, "wait"),
            calls.PauseJobUpdate(key, "again"),
            calls.ResumeJobUpdate(key),
            calls.AbortJobUpdate(key, "enough"),
            calls.AbortJobUpdate(key),
        ):
            response = await caller.call(call)
            assert (response.response_code, response.result, response.details) == (ResponseCode.OK, None, ())
        assert caller.world.story(key) == [
            ("ROLLING_FORWARD", "alice", None),
            ("ROLL_FORWARD_PAUSED", "alice", "wait"),
            ("ROLLING_FORWARD", "alice", None),
            ("ABORTED", "alice", "enough"),
        ]
        assert await caller.refusal(calls.RollbackJobUpdate(key)) == (
            INVALID,
            "Cannot transition update from ABORTED to ROLLING_BACK",
        )
        assert await caller.refusal(calls.PauseJobUpdate(key)) == (
            INVALID,
            "Cannot transition update from ABORTED to null",
        )


async def test_an_update_is_rolled_back(autojump_clock: MockClock) -> None:
    async with calling(instances=2) as caller:
        key = (await caller.start(request())).key
        await caller.call(calls.RollbackJobUpdate(key, "no"))
        await caller.world.until(key, S.ROLLED_BACK)
        assert caller.world.configs() == {0: admitted(OLD), 1: admitted(OLD)}


CONTROLS = [calls.PauseJobUpdate, calls.ResumeJobUpdate, calls.AbortJobUpdate, calls.RollbackJobUpdate]


@pytest.mark.parametrize("kind", CONTROLS)
@pytest.mark.parametrize("update_id", ["nosuch", ""])
async def test_an_unknown_update_is_told_by_its_key(
    autojump_clock: MockClock, kind: type[ManagerCall], update_id: str
) -> None:
    colon = ":" if kind is calls.ResumeJobUpdate else ""
    async with calling() as caller:
        assert await caller.refusal(kind(JobUpdateKey(JOB, update_id))) == (
            INVALID,
            f"Update does not exist{colon} "
            f"IJobUpdateKey{{job=IJobKey{{role=www, environment=prod, name=web}}, id={update_id}}}",
        )


@pytest.mark.parametrize("kind", [*CONTROLS, calls.PulseJobUpdate])
async def test_a_key_that_is_none_is_an_error_without_a_text(
    autojump_clock: MockClock, kind: type[ManagerCall]
) -> None:
    async with calling() as caller:
        assert await caller.refusal(kind(JobUpdateKey(JobKey("www", "prod", "a b"), "nosuch"))) == (ERROR, None)
        assert await caller.refusal(kind(None)) == (ERROR, "An update's key was expected.")


async def test_pulses(autojump_clock: MockClock) -> None:
    async def pulse(key: JobUpdateKey) -> JobUpdatePulseStatus:
        response = await caller.call(calls.PulseJobUpdate(key))
        assert response.result is not None
        assert response.result.pulse_job_update_result is not None
        return response.result.pulse_job_update_result.status

    async with calling(instances=1) as caller:
        assert await pulse(UNKNOWN) is JobUpdatePulseStatus.FINISHED
        assert await caller.refusal(calls.PulseJobUpdate(JobUpdateKey(JOB, ""))) == (ERROR, "Argument cannot be blank")
        key = (await caller.start(request(count=1, block_if_no_pulses_after_ms=60_000))).key
        assert await pulse(key) is JobUpdatePulseStatus.OK
        await caller.world.until(key, S.ROLLED_FORWARD)
        assert await pulse(key) is JobUpdatePulseStatus.FINISHED


async def test_a_diff_changes_nothing_and_shows_all(autojump_clock: MockClock) -> None:
    async with calling(instances=3) as caller:
        found = await caller.diff(request(NEW, 5))
        assert found.add == {ConfigGroup(admitted(NEW), frozenset({Range(3, 4)}))}
        assert found.update == {ConfigGroup(admitted(OLD), frozenset({Range(0, 2)}))}
        assert (found.remove, found.unchanged) == (frozenset(), frozenset())
        assert not caller.world.tables.updates


async def test_a_diff_does_not_mind_what_only_an_update_would(autojump_clock: MockClock) -> None:
    async with calling(instances=3) as caller:
        zero = await caller.diff(request(OLD, 0))
        assert zero.remove == {ConfigGroup(admitted(OLD), frozenset({Range(0, 2)}))}
        many = await caller.diff(request(OLD, 5000))
        assert many.add == {ConfigGroup(admitted(OLD), frozenset({Range(3, 4999)}))}
        only = await caller.diff(request(NEW, 3, update_only_these_instances=frozenset({Range(7, 7)})))
        assert only.unchanged == {ConfigGroup(admitted(OLD), frozenset({Range(0, 2)}))}
        unset = await caller.diff(JobUpdateRequest(OLD, 3, JobUpdateSettings()))
        assert unset.unchanged == {ConfigGroup(admitted(OLD), frozenset({Range(0, 2)}))}
        adhoc = await caller.diff(request(config(0.5, is_service=False), 3))
        assert adhoc.update == {ConfigGroup(admitted(OLD), frozenset({Range(0, 2)}))}


async def test_a_diff_refuses_what_is_not_admitted(autojump_clock: MockClock) -> None:
    async with calling(instances=3) as caller:
        for asked in (request(config(0.0)), JobUpdateRequest(config(0.0), 3)):  # whatever its settings
            refusal = await caller.refusal(calls.GetJobUpdateDiff(asked))
            assert refusal == (INVALID, "num_cpus must be greater than 0.0")


async def three_updates(caller: Caller) -> list[JobUpdateKey]:
    """The first aborted, the second and third awaiting pulses, the last modified last."""
    other = JobKey("www", "prod", "other")
    first = await caller.start(request(block_if_no_pulses_after_ms=9))
    await trio.sleep(1)
    second = await caller.start(request(config(1.0, job=other), block_if_no_pulses_after_ms=9))
    await trio.sleep(1)
    await caller.call(calls.AbortJobUpdate(first.key))
    await trio.sleep(1)
    third = await caller.start(request(block_if_no_pulses_after_ms=9))
    return [first.key, second.key, third.key]


async def test_updates_are_found_by_every_field_newest_first(autojump_clock: MockClock) -> None:
    async with calling(instances=1) as caller:
        first, second, third = await three_updates(caller)
        waiting = frozenset({S.ROLL_FORWARD_AWAITING_PULSE})
        for query, expected in [
            (JobUpdateQuery(), [third, first, second]),
            (JobUpdateQuery(role="www"), [third, first, second]),
            (JobUpdateQuery(role="nosuch"), []),
            (JobUpdateQuery(job_key=JOB), [third, first]),
            (JobUpdateQuery(key=first), [first]),
            (JobUpdateQuery(key=first, role="nosuch"), []),
            (JobUpdateQuery(key=UNKNOWN), []),
            (JobUpdateQuery(user="alice"), [third, first, second]),
            (JobUpdateQuery(user="nobody"), []),
            (JobUpdateQuery(update_statuses=waiting), [third, second]),
            (JobUpdateQuery(update_statuses=waiting | {S.ABORTED}), [third, first, second]),
            (JobUpdateQuery(limit=1), [third]),
            (JobUpdateQuery(offset=1), [first, second]),
            (JobUpdateQuery(offset=1, limit=1), [first]),
            (JobUpdateQuery(offset=9), []),
            (JobUpdateQuery(limit=-1), [third, first, second]),
        ]:
            found = await caller.summaries(query)
            assert [summary.key for summary in found] == expected, query
        assert await caller.refusal(calls.GetJobUpdateSummaries(JobUpdateQuery(offset=-1))) == (ERROR, "-1")
        assert await caller.refusal(calls.GetJobUpdateSummaries()) == (ERROR, "A query for updates was expected.")


async def test_details_are_found_by_query(autojump_clock: MockClock) -> None:
    async with calling(instances=1) as caller:
        keys = await three_updates(caller)
        response = await caller.call(calls.GetJobUpdateDetails(UNKNOWN, JobUpdateQuery(job_key=JOB)))
        assert response.result is not None
        found = response.result.get_job_update_details_result
        assert found is not None
        assert found.details is None
        assert found.details_list == tuple(caller.world.details(key) for key in (keys[2], keys[0]))


async def test_details_are_found_by_the_old_argument(autojump_clock: MockClock) -> None:
    async with calling(instances=1) as caller:
        key = (await caller.start(request())).key
        response = await caller.call(calls.GetJobUpdateDetails(key))
        assert response.result is not None
        found = response.result.get_job_update_details_result
        assert found is not None
        assert isinstance(found.details, JobUpdateDetails)
        assert found.details_list is None
        assert found.details.update.summary.key == key
        assert [d.message for d in response.details] == [
            "The key argument is deprecated, use the query argument instead"
        ]
        assert await caller.refusal(calls.GetJobUpdateDetails(UNKNOWN)) == (
            INVALID,
            "Invalid update: IJobUpdateKey{job=IJobKey{role=www, environment=prod, name=web}, id=nosuch}",
        )
        assert await caller.refusal(calls.GetJobUpdateDetails()) == (ERROR, "Either key or query must be set.")
