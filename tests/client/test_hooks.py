"""Hooks around calls, of job files and of a client's build; and hooks around commands."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aurorad.api.calls import (
    AbortJobUpdate,
    AddInstances,
    CreateJob,
    GetJobs,
    GetJobUpdateDiff,
    GetJobUpdateSummaries,
    GetTasksWithoutConfigs,
    KillTasks,
    RestartShards,
    StartCronJob,
    StartJobUpdate,
)
from aurorad.api.enums import ACTIVE_STATES, JobUpdateStatus, ResponseCode, ScheduleStatus
from aurorad.api.results import GetJobUpdateDiffResult, StartJobUpdateResult
from client.build import Build, CommandHook, Context, Plugin
from client.errors import CommandError, Exit
from tests.client.conftest import JOB_FILE, KEY, Ran, Runner
from tests.client.fake_scheduler import FakeScheduler, Http, ok, refused
from tests.client.test_scheduler import JOBS
from tests.client.values import task, tasks, update, updates

RUNNING, KILLED = ScheduleStatus.RUNNING, ScheduleStatus.KILLED

HOOKS = """
class Recording:
    def __init__(self):
        self.verdict = True

    def generic_hook(self, hook_config, event, method_name, result_or_err, args, kw):
        config, job_key = hook_config
        print('HOOK', event, method_name, result_or_err, [str(a) for a in args[:1]], sorted(kw), job_key)
        return self.verdict
"""


@pytest.fixture
def hooked(tmp_path: Path) -> Any:
    def write(hooks: str, listed: str = "[Hook()]", *, enabled: bool = True) -> Path:
        file = tmp_path / "hooked.aurora"
        job = JOB_FILE.replace("instances = 2,", f"instances = 2, enable_hooks = {enabled},")
        file.write_text(f"{hooks}\nhooks = {listed}\n{job}")
        return file

    return write


def created(scheduler: FakeScheduler) -> None:
    scheduler.on(CreateJob, ok())
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, RUNNING)))


def hook_lines(ran: Ran) -> list[str]:
    return [line.removeprefix("HOOK ") for line in ran.out.splitlines() if line.startswith("HOOK")]


GENERIC = HOOKS + "\nHook = Recording\n"


def test_hooks_run_before_and_after(aurora: Runner, scheduler: FakeScheduler, hooked: Any) -> None:
    created(scheduler)
    hook = """
class Hook:
    def pre_create_job(self, config):
        print('HOOK pre', config.job_key(), config.instances(), config.job().instanceCount, config.raw().role())
        return True
    def post_create_job(self, result, config):
        parts = config.name(), config.role(), config.environment(), config.cluster()
        print('HOOK post', result.responseCode == 1, *parts)
"""
    ran = aurora("job", "create", KEY, hooked(hook))
    assert ran.code == 0
    assert hook_lines(ran) == [f"pre {KEY} 2 2 bozo", "post True hello bozo test west"]


def test_hooks_need_the_jobs_consent(aurora: Runner, scheduler: FakeScheduler, hooked: Any) -> None:
    created(scheduler)
    ran = aurora("job", "create", KEY, hooked(GENERIC, enabled=False))
    assert (ran.code, hook_lines(ran)) == (0, [])


@pytest.mark.parametrize("verdict", ["return False", "pass", "raise ValueError('not today')"])
def test_a_hook_that_does_not_agree_stops_the_call_and_all_others_still_run(
    aurora: Runner, scheduler: FakeScheduler, hooked: Any, verdict: str
) -> None:
    created(scheduler)
    hook = f"{HOOKS}\nclass Against:\n    def pre_create_job(self, config):\n        {verdict}\n"
    ran = aurora("job", "create", KEY, hooked(hook, "[Against(), Recording()]"))
    assert ran.code == 1
    assert ran.err.endswith("Pre hooks stopped call to create_job\n")
    assert scheduler.of(CreateJob) == []
    assert [line.split()[0] for line in hook_lines(ran)] == ["pre"]
    if "raise" in verdict:
        assert " WARN] Error in pre_create_job in Against\nTraceback" in ran.err
        assert "ValueError: not today" in ran.err


def test_a_refusal_is_told_to_error_hooks(aurora: Runner, scheduler: FakeScheduler, hooked: Any) -> None:
    scheduler.on(CreateJob, refused("no room"))
    ran = aurora("job", "create", KEY, hooked(GENERIC))
    assert ran.code == 4
    assert "err create_job APIError: INVALID_REQUEST: no room" in hook_lines(ran)[1]


def test_a_failure_is_told_to_error_hooks_and_stays_one(aurora: Runner, scheduler: FakeScheduler, hooked: Any) -> None:
    scheduler.on(CreateJob, Http(404))
    ran = aurora("job", "create", KEY, hooked(GENERIC))
    assert ran.code == 7
    assert [line.split()[0] for line in hook_lines(ran)] == ["pre", "err"]


def test_hooks_afterwards_change_nothing(aurora: Runner, scheduler: FakeScheduler, hooked: Any) -> None:
    created(scheduler)
    ran = aurora("job", "create", KEY, hooked("class Hook:\n    def post_create_job(self, *a):\n        1 / 0\n"))
    assert ran.code == 0
    assert " WARN] Error in post_create_job in Hook\n" in ran.err


def test_every_call_that_hooks_know_is_surrounded(aurora: Runner, scheduler: FakeScheduler, hooked: Any) -> None:
    created(scheduler)
    killed = tasks(task(0, KILLED))
    running = tasks(task(0, RUNNING))
    scheduler.on(GetTasksWithoutConfigs, lambda call: running if call.query.statuses else killed)
    scheduler.on(KillTasks, ok())
    scheduler.on(AddInstances, ok())
    scheduler.on(RestartShards, ok())
    scheduler.on(StartCronJob, ok())
    scheduler.on(AbortJobUpdate, ok())
    scheduler.on(GetJobUpdateSummaries, updates(update(JobUpdateStatus.ROLLING_FORWARD)))
    scheduler.on(GetJobUpdateDiff, ok(get_job_update_diff_result=GetJobUpdateDiffResult()))
    started = StartJobUpdateResult(update(JobUpdateStatus.ROLLING_FORWARD).key)
    scheduler.on(StartJobUpdate, ok(start_job_update_result=started))
    file = hooked(GENERIC)
    options = ("--config", file)
    expected = {
        ("job", "kill", *options, f"{KEY}/0"): f"kill_job {{}} ['{KEY}'] ['config', 'instances', 'message']",
        ("job", "killall", *options, KEY): f"kill_job {{}} ['{KEY}'] ['config', 'instances', 'message']",
        ("job", "add", *options, f"{KEY}/0", "1"): f"add_instances {{}} ['{KEY}'] ['config']",
        ("job", "restart", "--watch-secs=0", KEY, file): f"restart {{}} ['{KEY}'] ['config']",
        ("cron", "start", *options, KEY): f"start_cronjob {{}} ['{KEY}'] ['config']",
        ("update", "abort", *options, KEY): f"cancel_update {{}} ['{KEY}'] ['config']",
    }
    for command, told in expected.items():
        ran = aurora(*command)
        assert ran.code == 0, ran
        pre, post = hook_lines(ran)
        assert pre == "pre " + told.format(None) + f" {KEY}"
        assert post.startswith(f"post {told.partition(' ')[0]} ")
    ran = aurora("update", "start", "-m", "why", f"{KEY}/1", file)
    assert [line.split()[:2] for line in hook_lines(ran)] == [["pre", "start_job_update"], ["post", "start_job_update"]]
    assert "['instances', 'metadata']" in hook_lines(ran)[0]


def test_hooks_of_the_older_client_get_what_they_ask_for(aurora: Runner, scheduler: FakeScheduler, hooked: Any) -> None:
    running, killed = tasks(task(0, RUNNING)), tasks(task(0, KILLED))
    scheduler.on(GetTasksWithoutConfigs, lambda call: running if call.query.statuses == ACTIVE_STATES else killed)
    scheduler.on(KillTasks, ok())
    scheduler.on(GetJobUpdateDiff, ok(get_job_update_diff_result=GetJobUpdateDiffResult()))
    scheduler.on(StartJobUpdate, ok("nothing to do"))
    scheduler.on(RestartShards, ok())
    hook = """
class Hook:
    def pre_kill_job(self, job_key, shards=None):
        print('HOOK', job_key, shards)
        return True
    def pre_update_job(self, config, health_check_interval_seconds=7, shards=None):
        print('HOOK', config.name(), health_check_interval_seconds, shards)
        return True
    def pre_restart(self, job_key, shards, update_config, health_check_interval_seconds):
        print('HOOK', job_key.env, shards, update_config.batch_size, health_check_interval_seconds)
        return True
"""
    file = hooked(hook)
    assert hook_lines(aurora("job", "kill", "--config", file, f"{KEY}/0")) == [f"{KEY} [0]"]
    assert hook_lines(aurora("job", "killall", "--no-batching", "--config", file, KEY)) == [f"{KEY} None"]
    assert hook_lines(aurora("update", "start", f"{KEY}/0,1", file)) == ["hello 3 [0, 1]"]
    scheduler.on(GetTasksWithoutConfigs, running)
    assert hook_lines(aurora("job", "restart", "--watch-secs=0", KEY, file)) == ["test None 1 3"]


class _Global:
    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def pre_kill_job(self, job_key: object, **named: object) -> bool:
        self.seen.append((str(job_key), named["instances"], named["config"]))
        return True


def test_hooks_of_the_build_need_no_file(aurora: Runner, scheduler: FakeScheduler) -> None:
    running, killed = tasks(task(0, RUNNING), task(1, RUNNING)), tasks()
    scheduler.on(GetTasksWithoutConfigs, lambda call: running if call.query.statuses else killed)
    scheduler.on(KillTasks, ok())
    hook = _Global()
    assert aurora("job", "killall", KEY, build=Build(hooks=(hook,))).code == 0
    assert hook.seen == [(KEY, [0], None), (KEY, [1], None)]


class _Gate(CommandHook):
    def __init__(self, name: str, code: int, log: list[object]) -> None:
        self.name = name
        self._code = code
        self._log = log

    def get_nouns(self) -> Sequence[str]:
        return ["job"]

    def get_verbs(self, noun: str) -> Sequence[str]:
        return ["list"]

    def pre_command(self, noun: str, verb: str, context: Context, commandline: Sequence[str]) -> int:
        self._log.append(("pre", self.name, noun, verb, str(context.options.pattern), list(commandline)))
        return self._code

    def post_command(self, noun: str, verb: str, context: Context, commandline: Sequence[str], result: int) -> None:
        self._log.append(("post", self.name, result))


def test_command_hooks_surround_the_commands_they_name(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobs, JOBS)
    log: list[object] = []
    build = Build(command_hooks=(_Gate("a", 0, log), _Gate("b", 0, log)))
    assert aurora("job", "list", "west/*", build=build).code == 0
    assert log == [
        ("pre", "a", "job", "list", "west/*/*/*", ["west/*"]),
        ("pre", "b", "job", "list", "west/*/*/*", ["west/*"]),
        ("post", "a", 0),
        ("post", "b", 0),
    ]
    log.clear()
    aurora("quota", "get", "west/bozo", build=build)
    assert log == []


def test_a_command_hook_may_abort_and_may_be_skipped(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobs, JOBS)
    log: list[object] = []
    build = Build(command_hooks=(_Gate("no", 17, log), _Gate("after", 0, log)))
    ran = aurora("job", "list", "west/*", build=build)
    assert (ran.code, ran.out) == (17, "Command aborted by command hook no with error code 17\n")
    assert scheduler.calls == []
    for skipped in ("no", "other,no", "all"):
        assert aurora("job", "list", "--skip-hooks", skipped, "west/*", build=build).code == 0


def test_all_is_no_name_for_a_command_hook() -> None:
    with pytest.raises(ValueError, match="Invalid hook name 'all'"):
        Build(command_hooks=(_Gate("all", 0, []),))


class _Plugin(Plugin):
    def __init__(self, fails: str = "") -> None:
        self._fails = fails
        self.seen: list[object] = []

    def declare(self, parser: ArgumentParser) -> None:
        parser.add_argument("--ticket")

    def before_dispatch(self, arguments: list[str]) -> list[str]:
        if self._fails == "before_dispatch":
            raise CommandError(Exit.INVALID_PARAMETER, "bad words")
        return [word.replace("WEST", "west") for word in arguments]

    def before_execution(self, context: Context) -> None:
        if self._fails == "before_execution":
            raise CommandError(Exit.AUTH_ERROR, "no ticket")
        self.seen.append(context.options.ticket)

    def after_execution(self, context: Context, result: int) -> None:
        self.seen.append(result)
        raise CommandError(Exit.FATAL, "too late")


def test_a_plugin_has_options_and_three_moments(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobs, JOBS)
    plugin = _Plugin()
    ran = aurora("job", "list", "--ticket=7", "WEST/*", build=Build(plugins=(plugin,)))
    assert (ran.code, ran.out, plugin.seen) == (0, f"{KEY}\n", ["7", 0])
    assert " WARN] Error in configuration plugin after execution: too late\n" in ran.err


@pytest.mark.parametrize(
    ("moment", "code", "told"),
    [
        ("before_dispatch", 6, "Error in configuration plugin before dispatch: bad words\n"),
        ("before_execution", 30, "Error in configuration plugin before execution: no ticket\n"),
    ],
)
def test_a_plugin_may_end_the_command(aurora: Runner, moment: str, code: int, told: str) -> None:
    ran = aurora("job", "list", "west/*", build=Build(plugins=(_Plugin(moment),)))
    assert (ran.code, ran.err) == (code, told)


def test_a_build_may_bring_nouns(aurora: Runner) -> None:
    from client.nouns import Noun, Verb

    build = Build(nouns={"our": Noun("Our own", {"jobs": Verb("List them", "client.verbs.config_list:LIST")})})
    assert "Our own" in aurora(build=build).out
    assert aurora("our", "jobs", "-h", build=build).code == 0


def test_values_given_to_hooks_read_like_the_originals() -> None:
    from client.hook_values import HookJobKey, view

    answer = view(refused("why", ResponseCode.ERROR))
    assert answer.responseCode == ResponseCode.ERROR
    assert answer.details[0].message == "why"
    with pytest.raises(AttributeError, match="Response has no field code"):
        _ = answer.code
    key = HookJobKey("west", "bozo", "test", "hello")
    assert (key.to_path(), key.env, key.environment, key.to_thrift().role) == (KEY, "test", "test", "bozo")
    assert json.dumps(str(key)) == f'"{KEY}"'
