from pathlib import Path

import pytest
import trio

from aurorad import flags
from aurorad.flags import FlagError
from aurorad.observer.service import MESOS_WORK_DIR, has_what_to_observe, mesos_roots, observer_for
from tests.observer.host import failed_task, running_task
from tests.observer.test_mesos_disk import agent


@pytest.mark.parametrize(
    ("arguments", "observed"),
    [
        ([], True),
        (["-engine=simulated"], False),
        (["-mesos_master_address=m:5050", "-thermos_executor_path=/e"], False),
        (["-mesos_master_address=m:5050", "-thermos_executor_path=/e", "-mesos_root=/m"], True),
    ],
)
def test_a_scheduler_observes_what_runs_on_its_own_machine(arguments: list[str], observed: bool) -> None:
    assert has_what_to_observe(flags.parse(arguments)) is observed


def test_the_names_of_the_originals_flags() -> None:
    """As an installation's service file has them."""
    given = flags.parse(
        [
            "-role=observer",
            "--port=1339",
            "--mesos-root=/data/mesos",
            "--ip=127.0.0.1",
            "--polling_interval_secs=3",
            "--task_process_collection_interval_secs",
            "10",
            "--task-disk-collection-interval-secs=30",
            "--enable_mesos_disk_collector",
            "--agent_api_url=http://localhost:5051/containers",
            "--executor_id_json_path=executor_id",
            "--disk_usage_json_path=statistics.disk_used_bytes",
            "--disable_task_resource_collection",
            "--log_to_disk=NONE",
            "--log_to_stderr=google:INFO",
            "--root=/var/run/thermos",
        ]
    )
    assert (given.observer_port, given.mesos_root, given.root) == (1339, Path("/data/mesos"), ("/var/run/thermos",))
    assert (given.polling_interval_secs, given.task_process_collection_interval_secs) == (3.0, 10.0)
    assert given.task_disk_collection_interval_secs == 30.0
    assert given.disable_task_resource_collection
    assert given.enable_mesos_disk_collector
    observer_for(given)


def test_what_they_are_without_being_given() -> None:
    given = flags.parse(["-role=observer"])
    assert (given.observer_port, given.polling_interval_secs) == (1338, 5.0)
    assert (given.task_process_collection_interval_secs, given.task_disk_collection_interval_secs) == (20.0, 60.0)
    assert given.agent_api_url == "http://localhost:5051/containers"
    assert (given.executor_id_json_path, given.disk_usage_json_path) == ("executor_id", "statistics.disk_used_bytes")


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("-port=x", "a whole number"),
        ("-port=99999", "a port"),
        ("-polling_interval_secs=0", "a value above 0"),
        ("-agent_api_url=localhost", "a URL"),
        ("-disk_usage_json_path=a..b", "a JMESPath expression"),
        ("-log_to_disk=INFO", "NONE"),
        ("-log_to_stderr=loud", "one of DEBUG, INFO"),
        ("-log_to_stderr=json:INFO", "one of DEBUG, INFO"),
    ],
)
def test_what_flags_cannot_be(argument: str, expected: str) -> None:
    with pytest.raises(FlagError, match=expected):
        flags.parse([argument])


@pytest.mark.parametrize(
    ("arguments", "roots"),
    [
        (["-mesos_root=/m"], [Path("/m")]),
        (["-work_dir=/w"], [Path("/w/agent")]),
        (["-work_dir=/w", "-role=observer"], [Path("/w/agent"), MESOS_WORK_DIR]),
        (["-mesos_root=/m", "-role=observer"], [Path("/m")]),
    ],
)
def test_where_tasks_are_looked_for(arguments: list[str], roots: list[Path]) -> None:
    assert mesos_roots(flags.parse(arguments)) == roots


async def test_disk_use_comes_from_the_agent_if_it_shall(tmp_path: Path) -> None:
    running_task(tmp_path, "t2")
    failed_task(tmp_path, "t1")
    body = b'[{"executor_id": "thermos-t2", "statistics": {"disk_used_bytes": 12345}}]'
    with agent(body) as url:
        given = flags.parse([f"-mesos_root={tmp_path}", "-enable_mesos_disk_collector", f"-agent_api_url={url}"])
        observer = observer_for(given)

        async def disk() -> int | None:
            view = await observer.task("t2")
            return view.usage.disk if view is not None else None

        async with trio.open_nursery() as nursery:
            nursery.start_soon(observer.run)
            with trio.fail_after(20):
                while await disk() != 12345:  # noqa: ASYNC110  # it is measured when it is measured
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()


async def test_without_collection_everything_reads_0(tmp_path: Path) -> None:
    running_task(tmp_path, "t2")
    observer = observer_for(flags.parse([f"-mesos_root={tmp_path}", "-disable_task_resource_collection"]))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(observer.run)
        with trio.fail_after(10):
            view = await observer.task("t2")
        nursery.cancel_scope.cancel()
    assert view is not None
    assert (view.usage.total.ram, view.usage.disk) == (0, 0)
