import pytest

from aurorad.api.enums import JobUpdateAction, JobUpdateStatus
from aurorad.api.updates import (
    BatchJobUpdateStrategy,
    JobUpdateSettings,
    JobUpdateStrategy,
    QueueJobUpdateStrategy,
    Range,
    VariableBatchJobUpdateStrategy,
)
from aurorad.pages.paging import Here
from aurorad.web.pages import updates
from tests.web.pages.cluster import HELLO, NOW_MS, add_update, config, page, tables_of, task

A, U = JobUpdateAction, JobUpdateStatus
UPDATE = "/scheduler/www-data/devel/hello_world/update/u1"


@pytest.mark.parametrize(
    ("path", "title", "tone"),
    [
        ([U.ROLLING_FORWARD], "Update In Progress", "work"),
        ([U.ROLLING_FORWARD, U.ROLLED_FORWARD], "Update Successful", "good"),
        ([U.ROLLING_FORWARD, U.ROLL_FORWARD_PAUSED], "Update Paused", "wait"),
        ([U.ROLL_FORWARD_AWAITING_PULSE], "Update Paused", "wait"),
        ([U.ROLLING_FORWARD, U.ROLLING_BACK], "Update Rolling Back", "bad"),
        ([U.ROLLING_FORWARD, U.ROLLING_BACK, U.ROLLED_BACK], "Update Failed", "bad"),
        ([U.ROLLING_FORWARD, U.ROLLING_BACK, U.ROLL_BACK_PAUSED], "Update Rollback Paused", "bad"),
        ([U.ROLLING_FORWARD, U.ABORTED], "Update Aborted", "bad"),
        ([U.ROLLING_FORWARD, U.FAILED], "Update Failed", "bad"),
        ([U.ROLLING_FORWARD, U.ERROR], "Update Failed", "bad"),
    ],
)
async def test_the_title_says_how_the_update_stands(path: list[JobUpdateStatus], title: str, tone: str) -> None:
    tables = tables_of(task(0))
    key = add_update(tables, "u1", [(status, None) for status in path])
    row = updates.update_row(tables.updates[key])
    assert (row.title, row.tone, row.status) == (title, tone, path[-1].name)
    html = await page(tables, UPDATE)
    assert f"<h1>{title}</h1>" in html
    assert f"Status: <b>{path[-1].name}</b>" in html
    assert ("data-refresh" in html) == row.active


async def test_a_rolled_back_update_says_why() -> None:
    tables = tables_of(task(0))
    steps = [(U.ROLLING_FORWARD, None), (U.ROLLING_BACK, "Instance 0 failed more than 0 times."), (U.ROLLED_BACK, None)]
    add_update(tables, "u1", steps, [(0, A.INSTANCE_UPDATING), (0, A.INSTANCE_UPDATE_FAILED)])
    html = await page(tables, UPDATE)
    assert "Instance 0 failed more than 0 times." in html
    assert "Instance Update Failed" in html
    assert "Duration: 1 min 40 s" in html


def test_progress_counts_updated_instances_of_all_that_are_touched() -> None:
    tables = tables_of()
    actions = [(0, A.INSTANCE_UPDATING), (0, A.INSTANCE_UPDATED), (1, A.INSTANCE_UPDATING)]
    key = add_update(tables, "u1", [(U.ROLLING_FORWARD, None)], actions, instances=4, before=config())
    progress = updates.progress(tables.updates[key])
    assert (progress.updated, progress.total, progress.percent) == (1, 4, 25)


def test_every_instance_has_a_square_in_the_colour_of_its_last_action() -> None:
    tables = tables_of()
    actions = [(0, A.INSTANCE_UPDATED), (1, A.INSTANCE_UPDATING), (2, A.INSTANCE_UPDATE_FAILED)]
    key = add_update(tables, "u1", [(U.ROLLING_FORWARD, None)], actions, instances=4)
    view = updates.update_page(tables.updates[key], Here(UPDATE, {}))
    assert [(s.word, s.tone) for s in view.squares] == [
        ("Instance Updated", "good"),
        ("Instance Updating", "work"),
        ("Instance Update Failed", "bad"),
        ("Pending", "none"),
    ]


@pytest.mark.parametrize(("instances", "size"), [(100, "big"), (101, "medium"), (1000, "medium"), (1001, "small")])
def test_squares_shrink_as_they_become_many(instances: int, size: str) -> None:
    tables = tables_of()
    key = add_update(tables, "u1", [(U.ROLLING_FORWARD, None)], instances=instances)
    view = updates.update_page(tables.updates[key], Here(UPDATE, {}))
    assert (len(view.squares), view.square_size) == (instances, size)


def test_instance_events_come_newest_first_ten_a_page() -> None:
    tables = tables_of()
    key = add_update(tables, "u1", [(U.ROLLING_FORWARD, None)], [(i, A.INSTANCE_UPDATED) for i in range(25)], 25)
    view = updates.update_page(tables.updates[key], Here(UPDATE, {"page": "2"}))
    assert [row.instance_id for row in view.instances.rows] == list(range(14, 4, -1))


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        (JobUpdateSettings(3), [("Strategy", "Queue"), ("Max Parallel Updates", "3")]),
        (JobUpdateSettings(3, wait_for_batch_completion=True), [("Strategy", "Batch"), ("Batch Size", "3")]),
        (
            JobUpdateSettings(update_strategy=JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(5))),
            [("Strategy", "Queue"), ("Max Parallel Updates", "5")],
        ),
        (
            JobUpdateSettings(update_strategy=JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(5, True))),
            [("Strategy", "Batch"), ("Batch Size", "5"), ("Auto Pause after Batch", "yes")],
        ),
        (
            JobUpdateSettings(
                update_strategy=JobUpdateStrategy(var_batch_strategy=VariableBatchJobUpdateStrategy((1, 2, 4)))
            ),
            [("Strategy", "Variable Batch"), ("Batch Sizes", "1, 2, 4"), ("Auto Pause after Batch", "no")],
        ),
        (
            JobUpdateSettings(
                1, 2, 3, 45_000, True, frozenset({Range(0, 2)}), block_if_no_pulses_after_ms=90_000, sla_aware=True
            ),
            [
                ("Max Failures Per Instance", "2"),
                ("Max Failed Instances", "3"),
                ("Minimum Waiting Time in Running", "45 s"),
                ("Rollback On Failure?", "yes"),
                ("SLA-Aware?", "yes"),
                ("Only Instances", "0 - 2"),
                ("Paused Without Pulses After", "1 min 30 s"),
            ],
        ),
    ],
)
def test_settings_are_told_in_words(settings: JobUpdateSettings, rows: list[tuple[str, str]]) -> None:
    tables = tables_of()
    key = add_update(tables, "u1", [(U.ROLLING_FORWARD, None)], settings=settings)
    assert set(rows) <= set(updates.update_page(tables.updates[key], Here(UPDATE, {})).settings)


async def test_what_an_update_changes_is_shown_as_a_diff() -> None:
    tables = tables_of(task(0))
    add_update(tables, "u1", [(U.ROLLING_FORWARD, None)], before=config())
    html = await page(tables, UPDATE)
    assert "Update Diff" in html
    assert "instances 0 - 1" in html
    assert 'removed">- ' in html


async def test_an_update_of_new_instances_shows_the_configuration() -> None:
    tables = tables_of(task(0))
    add_update(tables, "u1", [(U.ROLLING_FORWARD, None)])
    html = await page(tables, UPDATE)
    assert "Update Config" in html
    assert "Update Diff" not in html


async def test_all_updates_are_listed_in_progress_and_completed() -> None:
    tables = tables_of(task(0))
    add_update(tables, "u1", [(U.ROLLING_FORWARD, None)])
    add_update(tables, "u2", [(U.ROLLING_FORWARD, None), (U.ROLLED_FORWARD, None)])
    html = await page(tables, "/updates")
    before, after = html.split("Recently Completed Updates")
    assert "update/u1" in before
    assert "update/u2" in after
    assert "started by alice" in html


async def test_a_cluster_without_updates_says_so() -> None:
    assert "No update is in progress." in await page(tables_of(), "/updates")


def test_the_newest_updates_come_first() -> None:
    tables = tables_of()
    for n in range(5):
        add_update(tables, f"u{n}", [(U.ROLLING_FORWARD, None)], started_ms=NOW_MS + n)
    found = updates.newest(tables.job_updates(HELLO), 2)
    assert [details.update.summary.key.id for details in found] == ["u4", "u3"]
