"""The jobs in `examples/`, each run as a user would."""

import urllib.request

from tests.e2e.cluster import EXAMPLES, Cluster, eventually


def create(cluster: Cluster, key: str, file: str, *options: str) -> None:
    created = cluster.aurora("job", "create", *options, key, str(EXAMPLES / file))
    assert created.returncode == 0, created.stdout


def test_hello_world_runs(shared_cluster: Cluster) -> None:
    key = "devcluster/www-data/devel/hello_world"
    create(shared_cluster, key, "hello_world.aurora")
    shared_cluster.wait_for_status(key, "RUNNING")
    assert shared_cluster.aurora("job", "killall", key).returncode == 0


def test_the_sine_table_of_180_mappers_and_one_reducer_finishes(shared_cluster: Cluster) -> None:
    key = "devcluster/www-data/devel/sine_table"
    create(shared_cluster, key, "sine_table.aurora")
    shared_cluster.wait_for_status(key, "FINISHED", within_s=90)
    (table,) = (table for place in shared_cluster.sandboxes for table in place.rglob("runs/*-*/sandbox/sine_table.txt"))
    assert len(table.read_text().splitlines()) == 180


def test_a_service_with_a_health_port_is_running_once_healthy(shared_cluster: Cluster) -> None:
    key = "devcluster/www-data/devel/health_service"
    create(shared_cluster, key, "health_service.aurora")
    output = shared_cluster.wait_for_status(key, "RUNNING")
    assert "Task is healthy." in output
    port = eventually("the port in the status", lambda: port_in(output))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        assert answer.read().strip().lower() == b"ok"
    assert shared_cluster.aurora("job", "killall", key).returncode == 0


def port_in(output: str) -> int | None:
    """The health port that `job status` shows."""
    _, found, rest = output.partition("'health': ")
    return int(rest.split("}")[0].split(",")[0]) if found else None


def test_an_environment_tailored_file_gives_each_environment_its_own_job(shared_cluster: Cluster) -> None:
    for environment in ("devel", "prod"):
        key = f"devcluster/www-data/{environment}/greeter"
        inspected = shared_cluster.aurora("job", "inspect", key, str(EXAMPLES / "tailored.aurora"))
        assert inspected.returncode == 0, inspected.stdout
    key = "devcluster/www-data/devel/greeter"
    create(shared_cluster, key, "tailored.aurora")
    shared_cluster.wait_for_status(key, "RUNNING")
    assert shared_cluster.aurora("job", "killall", key).returncode == 0
