import pytest

from aurorad.api.enums import CronCollisionPolicy
from aurorad.api.tasks import Identity, JobConfiguration, JobKey
from aurorad.pages.paging import Here
from aurorad.storage.transaction import Transaction
from aurorad.web.pages import roles
from tests.web.pages.cluster import HELLO, S, config, page, quota, tables_of, task

ADS = JobKey("ads", "prod", "server")
CRON = JobKey("mail", "prod", "nightly")


def test_a_role_counts_when_it_owns_a_task_or_a_cron_job() -> None:
    rows = {row.role: row for row in roles.role_rows([HELLO, ADS, JobKey("ads", "test", "x")], [CRON])}
    assert (rows["ads"].jobs, rows["ads"].crons) == (2, 0)
    assert (rows["mail"].jobs, rows["mail"].crons) == (0, 1)
    assert rows["www-data"].url == "/scheduler/www-data"


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ({}, ["ads", "mail", "www-data"]),
        ({"order": "desc"}, ["www-data", "mail", "ads"]),
        ({"sort": "jobs", "order": "desc"}, ["www-data", "mail", "ads"]),
        ({"q": "A"}, ["ads", "mail", "www-data"]),
        ({"q": "dat"}, ["www-data"]),
        ({"sort": "; drop"}, ["ads", "mail", "www-data"]),
    ],
)
def test_roles_are_searched_and_sorted(query: dict[str, str], order: list[str]) -> None:
    keys = [ADS, HELLO, JobKey("www-data", "devel", "b"), CRON]
    assert [row.role for row in roles.roles_page(roles.role_rows(keys, []), Here("/", query)).rows] == order


def test_tasks_count_where_they_stand() -> None:
    tables = tables_of(
        task(0, S.PENDING),
        task(1, S.THROTTLED),
        task(2),
        task(3, S.PENDING, S.ASSIGNED, S.KILLING),
        task(4, S.PENDING, S.KILLED),
        task(5, S.PENDING, S.FAILED),
        task(6, S.PENDING, S.LOST),
    )
    assert roles.stats(tables, HELLO) == roles.Stats(pending=2, active=2, finished=1, failed=2, throttled=1)


def test_a_job_is_a_service_a_cron_job_or_adhoc() -> None:
    adhoc = config(ADS, is_service=False, production=True, tier="preferred")
    tables = tables_of(task(), task(task_config=adhoc))
    nightly = JobConfiguration(
        CRON, Identity("mail"), "0 3 * * *", CronCollisionPolicy.KILL_EXISTING, config(CRON, is_service=False), 1
    )
    Transaction(tables).save_cron_job(nightly)
    assert [roles.job_row(tables, key).type for key in (HELLO, ADS, CRON)] == ["service", "adhoc", "cron"]
    assert (roles.job_row(tables, ADS).production, roles.job_row(tables, ADS).tier) == (True, "preferred")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("serv", ["hello_world", "server"]),
        ("erv", ["server"]),
        ("prod", ["server"]),
        ("pre", ["hello_world", "server"]),
        ("rod", []),
    ],
)
def test_jobs_are_found_by_part_of_a_name_or_the_beginning_of_the_rest(words: str, found: list[str]) -> None:
    tables = tables_of(task(), task(task_config=config(ADS, is_service=False)))
    rows = [roles.job_row(tables, key) for key in (HELLO, ADS)]
    assert [row.key.name for row in roles.jobs_page(rows, Here("/", {"q": words})).rows] == found


def test_only_resources_that_are_not_zero_are_shown() -> None:
    (row,) = roles.resource_rows(quota("www-data"))
    assert (row.title, row.cpus, row.ram, row.disk) == ("Non-Production", "1", "1.00 MiB", "8.00 MiB")


async def test_the_home_page_lists_roles_with_their_jobs() -> None:
    html = await page(tables_of(task()), "/scheduler")
    assert '<a class="name" href="/scheduler/www-data">www-data</a>' in html
    assert "devcluster" in html


async def test_an_empty_cluster_says_how_to_begin() -> None:
    assert "aurora job create" in await page(tables_of(), "/scheduler")


async def test_many_roles_come_in_pages() -> None:
    tables = tables_of(*(task(task_config=config(JobKey(f"role{n:03}", "devel", "x"))) for n in range(60)))
    first, last = await page(tables, "/scheduler"), await page(tables, "/scheduler?page=3")
    assert "role024" in first
    assert "role025" not in first
    assert "51–60 of 60" in last


async def test_a_role_page_shows_jobs_and_what_they_use() -> None:
    html = await page(tables_of(task(), task(1, S.THROTTLED), task(2, S.PENDING, S.FAILED)), "/scheduler/www-data")
    assert 'href="/scheduler/www-data/devel/hello_world"' in html
    assert "Non-Production" in html
    assert "1.00 MiB" in html
    assert "service" in html
    assert "flapping" in html


async def test_an_environment_page_shows_that_environment_alone() -> None:
    tables = tables_of(task(), task(task_config=config(JobKey("www-data", "prod", "other"))))
    html = await page(tables, "/scheduler/www-data/devel")
    assert "hello_world" in html
    assert "other" not in html


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/scheduler/nobody", "No such role"),
        ("/scheduler/www-data/prod", "No such environment"),
        ("/scheduler/www-data/devel/nope", "Looked for: www-data/devel/nope"),
        ("/scheduler/www-data/devel/hello_world/9", "No such instance"),
        ("/scheduler/www-data/devel/hello_world/nine", "a number such as 0 was expected"),
        ("/scheduler/www-data/devel/hello_world/update/u1", "No such update"),
        ("/scheduler/www-data/devel/hello_world/task/t1", "Task not found, it may have been automatically pruned."),
        ("/scheduler/a%20b", "cannot be the name of role"),
        ("/scheduler/%3Cscript%3E/x/y", "&lt;script&gt;"),
        ("/scheduler/a/b/c/d/e/f", "Looked for: /scheduler/a/b/c/d/e/f"),
    ],
)
async def test_what_is_not_there_is_told_kindly(path: str, words: str) -> None:
    html = await page(tables_of(task()), path, 404)
    assert words in html
    assert "<script>" not in html


async def test_the_index_leads_to_the_pages_that_there_are() -> None:
    html = await page(tables_of(), "/")
    assert all(f'href="{path}"' in html for path in ("/scheduler", "/updates", "/vars", "/vars.json", "/health"))
