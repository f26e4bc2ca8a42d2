import re

import msgspec
import pytest

from aurorad.api.enums import CronCollisionPolicy, JobUpdateAction, JobUpdateStatus
from aurorad.api.tasks import ExecutorConfig, Identity, JobConfiguration
from aurorad.pages import formats
from aurorad.pages.paging import Here
from aurorad.storage.transaction import Transaction
from aurorad.web.pages import jobs, tasks
from tests.web.pages.cluster import HELLO, NOW_MS, TIES, S, add_update, client, config, page, tables_of, task

JOB = "/scheduler/www-data/devel/hello_world"
A, U = JobUpdateAction, JobUpdateStatus
FAILED = (S.PENDING, S.ASSIGNED, S.RUNNING, S.FAILED)
KILLED = (S.PENDING, S.ASSIGNED, S.RUNNING, S.KILLING, S.KILLED)


async def test_a_failing_job_shows_its_failures_at_a_glance() -> None:
    tables = tables_of(
        task(0, *FAILED, message="Task failed.", task_id="t1"),
        task(0, S.THROTTLED, message="Rescheduled, penalized for 30000 ms for flapping"),
    )
    html = await page(tables, JOB)
    assert "Rescheduled, penalized for 30000 ms for flapping" in html
    assert "FAILED" in html
    assert "Task failed." in html
    assert "ran for 2 s" in html
    assert '<a href="http://localhost:1338/task/t1">localhost</a>' in html
    assert '<a href="http://localhost:1338/output/t1/stderr">stderr</a>' in html


async def test_a_pending_task_says_why() -> None:
    assert "Insufficient: cpu" in await page(tables_of(task(0, S.PENDING)), JOB)


def test_a_killed_task_says_who_killed_it() -> None:
    killed = task(0, *KILLED)
    events = [
        msgspec.structs.replace(e, message="Killed by UNSECURE" if e.status is S.KILLING else None)
        for e in killed.task_events
    ]
    row = tasks.task_row(msgspec.structs.replace(killed, task_events=tuple(events)), TIES)
    assert (row.status, row.message, row.ran_ms) == ("KILLED", "Killed by UNSECURE", 3000)


def test_waiting_is_not_running() -> None:
    assert tasks.task_row(task(0, S.THROTTLED, S.PENDING, S.PENDING, S.ASSIGNED, S.FAILED), TIES).ran_ms == 1000
    assert tasks.task_row(task(0, S.PENDING, S.KILLED), TIES).ran_ms is None
    assert tasks.task_row(task(0), TIES).ran_ms is None


def test_other_executors_have_no_observer_to_link_to() -> None:
    other = config(executor_config=ExecutorConfig("Other", ""))
    assert tasks.task_row(task(task_config=other), TIES).links is None
    assert tasks.task_row(task(0, S.PENDING), TIES).links is None


def test_completed_tasks_come_newest_first_and_active_ones_by_instance() -> None:
    early, late = task(0, *FAILED, at_ms=NOW_MS - 9000), task(0, *FAILED, at_ms=NOW_MS - 5000)
    found = [early, task(3), late, task(1)]
    assert tasks.completed_tasks(found) == [late, early]
    assert [t.assigned_task.instance_id for t in tasks.active_tasks(found)] == [1, 3]


@pytest.mark.parametrize(
    ("query", "instances"),
    [
        ({}, [0, 1, 10, 11]),
        ({"q": "1"}, [1, 10, 11]),
        ({"q": "run"}, [0, 1, 11]),
        ({"q": "B.exam"}, [11]),
        ({"status": "PENDING"}, [10]),
        ({"sort": "instance", "order": "desc"}, [11, 10, 1, 0]),
        ({"sort": "updated"}, [11, 10, 1, 0]),
    ],
)
def test_tasks_are_filtered_searched_and_sorted(query: dict[str, str], instances: list[int]) -> None:
    found = [task(i, host=host, at_ms=NOW_MS + i) for i, host in ((0, "a.example"), (1, "a.example"))]
    found += [task(10, S.PENDING, at_ms=NOW_MS + 3000), task(11, host="b.example", at_ms=NOW_MS + 3001)]
    listed = tasks.task_list(found, Here("/", query), TIES, 25)
    assert [row.instance_id for row in listed.page.rows] == instances


@pytest.mark.parametrize(("count", "sentence"), [(1, "One task is RUNNING"), (3, "All 3 tasks are RUNNING")])
def test_one_state_is_said_in_a_sentence(count: int, sentence: str) -> None:
    assert tasks.task_list([task(i) for i in range(count)], Here("/", {}), TIES, 25).statuses.sentence == sentence


@pytest.mark.parametrize(
    ("query", "tab"),
    [
        ({}, "overview"),
        ({"tab": "completed"}, "completed"),
        ({"tab": "all"}, "all"),
        ({"tab": "nonsense"}, "overview"),
        ({"jobView": "history"}, "completed"),
        ({"taskView": "config"}, "config"),
    ],
)
def test_bookmarks_of_every_version_select_their_tab(query: dict[str, str], tab: str) -> None:
    assert jobs.tab_of(Here(JOB, query)) == tab


async def test_a_large_job_comes_in_pages() -> None:
    tables = tables_of(*(task(i) for i in range(4000)))
    overview, last = await page(tables, JOB), await page(tables, f"{JOB}?tab=active&page=160")
    assert overview.count('data-key="') == 25
    assert "All 4000 active tasks" in overview
    assert f'href="{JOB}/3999"' in last
    assert "3976–4000 of 4000" in last


async def test_a_long_story_is_cut_to_its_latest_events() -> None:
    restless = task(0, *([S.RUNNING, S.PARTITIONED] * 50))
    row = tasks.task_row(restless, TIES)
    assert len(row.events) == tasks.EVENTS_SHOWN
    assert row.events_left_out == 100 - tasks.EVENTS_SHOWN
    assert row.events[-1].timestamp_ms == restless.task_events[-1].timestamp


async def test_hostile_names_and_messages_stay_text() -> None:
    evil = '<script>alert("x")</script>'
    tables = tables_of(
        task(0, *FAILED, message=evil, task_id=evil, host=evil), task(1, task_config=config(contact_email=evil))
    )
    for path in (JOB, f"{JOB}?tab=config", f"{JOB}/0", f"{JOB}?tab=completed&q={evil}"):
        html = await page(tables, path)
        assert "<script>alert" not in html
        assert 'alert("x")' not in html


async def test_every_update_that_is_not_over_has_a_banner() -> None:
    tables = tables_of(task(0), task(1))
    add_update(tables, "u1", [(U.ROLLING_FORWARD, None)], [(0, A.INSTANCE_UPDATING), (0, A.INSTANCE_UPDATED)])
    add_update(tables, "u2", [(U.ROLLING_FORWARD, None), (U.ROLL_FORWARD_PAUSED, "Paused by alice")])
    add_update(tables, "u3", [(U.ROLLING_FORWARD, None), (U.ROLLED_FORWARD, None)])
    html = await page(tables, JOB)
    assert "Update In Progress" in html
    assert "1 / 2 (50%)" in html
    assert "Update Paused" in html
    assert "Paused by alice" in html
    assert html.count('class="banner') == 2
    assert re.search(r'Update History</h2>.*update/u3"', html, re.DOTALL)


async def test_configurations_are_shown_by_group_with_what_differs() -> None:
    tables = tables_of(task(0), task(1), task(2, task_config=config(script="hello_world_v2.py")))
    html = await page(tables, f"{JOB}?tab=config")
    assert "Configuration for instance 0 - 1" in html
    assert "Configuration for instance 2" in html
    assert "1 cpu, 1.00 MiB ram, 8.00 MiB disk" in html
    assert '<span class="added">+ ' in html
    assert "python3 -u hello_world_v2.py" in html


async def test_a_cron_job_shows_its_schedule() -> None:
    tables = tables_of()
    Transaction(tables).save_cron_job(
        JobConfiguration(HELLO, Identity("x"), "*/5 * * * *", CronCollisionPolicy.CANCEL_NEW, config(), 3)
    )
    html = await page(tables, f"{JOB}?tab=config")
    assert all(words in html for words in ("Cron Job Configuration", "*/5 * * * *", "CANCEL_NEW"))
    assert formats.utc_full(NOW_MS + 3 * 60_000) in html
    overview = await page(tables, JOB)
    assert f"next run will be at {formats.utc(NOW_MS + 3 * 60_000)} (" in overview
    assert "in 3 minutes" in overview


async def test_a_cron_job_of_another_version_may_have_no_next_run() -> None:
    tables = tables_of()
    Transaction(tables).save_cron_job(JobConfiguration(HELLO, cron_schedule="whenever", task_config=config()))
    assert "nothing runs now" in await page(tables, JOB)
    assert "Next Cron Run" not in await page(tables, f"{JOB}?tab=config")


async def test_an_instance_shows_what_runs_and_what_ran() -> None:
    tables = tables_of(task(0, task_id="now"), task(0, *FAILED, message="Task failed."), task(1, task_id="beside"))
    html = await page(tables, f"{JOB}/0")
    assert "now" in html
    assert "Instance History" in html
    assert "Running duration" in html
    assert '<a href="http://localhost:1338/browse/now">view sandbox</a>' in html
    assert f'<a href="{JOB}/1">www-data/devel/hello_world/1</a>' in html
    assert "http 31000" in html


async def test_an_instance_without_active_task_says_so() -> None:
    assert "No active task found." in await page(tables_of(task(0, *FAILED)), f"{JOB}/0")


async def test_a_task_has_a_page_of_its_own() -> None:
    html = await page(tables_of(task(0, task_id="t1")), f"{JOB}/task/t1")
    assert "Task: t1" in html
    assert "python3 -u hello_world.py" in html


async def test_pages_allow_no_foreign_scripts_and_have_none_inline() -> None:
    answer = await client(tables_of(task())).get(JOB)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    html = await answer.get_data(as_text=True)
    assert re.findall(r"<script[^>]*>(.*?)</script>", html) == [""]
    assert " style=" not in html
    assert not re.search(r"\son\w+=", html)


async def test_a_trailing_slash_is_no_other_page() -> None:
    assert "hello_world" in await page(tables_of(task()), "/scheduler/www-data/devel/hello_world/")
