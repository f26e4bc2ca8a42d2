"""The tutorial of Aurora 0.5, whose job runs once, with the words of that time (tutorial-walkthrough sheet)."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.cluster import Cluster, eventually

ROLE = "www-data"

KEY = f"example/{ROLE}/devel/hello_once"
JOB = """
say = Process(name = 'say', cmdline = '''%s''')
task = Task(processes = [say], resources = Resources(cpu = 0.1, ram = 16 * MB, disk = 16 * MB))
jobs = [Job(cluster = 'example', role = '%s', environment = 'devel', name = 'hello_once', task = task)]
"""


def test_a_job_is_created_seen_updated_and_killed_with_the_words_of_0_5(shared_cluster: Cluster) -> None:
    file = Path(shared_cluster.folder) / "hello_once.aurora"
    file.write_text(JOB % ("echo one; exit 1", ROLE))
    created = shared_cluster.aurora("create", KEY, str(file))
    assert created.returncode == 0, created.stdout
    assert (
        f"INFO] Response from scheduler: OK (message: 1 new tasks pending for job {KEY.partition('/')[2]})"
        in created.stdout
    )
    assert f"INFO] Job url: {shared_cluster.scheduler}/scheduler/{KEY.partition('/')[2]}" in created.stdout
    again = shared_cluster.aurora("create", KEY, str(file))
    assert (again.returncode, "already exists" in again.stdout) in ((1, True), (0, False))  # it may have ended by then

    def shows(*words: str) -> bool:
        told = shared_cluster.aurora("status", KEY).stdout
        return all(word in told for word in words)

    eventually("its failure", lambda: shows("Inactive Tasks", "status: FAILED"))
    file.write_text(JOB % ("sleep 1000", ROLE))
    updated = shared_cluster.aurora("update", KEY, str(file))
    assert (updated.returncode, "INFO] Update successful" in updated.stdout) == (0, True), updated.stdout
    eventually("the new one", lambda: shows("Active Tasks (1)", "status: RUNNING"))
    unchanged = shared_cluster.aurora("update", KEY, str(file))
    assert "INFO] Skipping unchanged instances: [0]" in unchanged.stdout
    assert KEY in shared_cluster.aurora("list_jobs", f"example/{ROLE}").stdout
    killed = shared_cluster.aurora("kill", KEY)
    assert (killed.returncode, "(message: Tasks killed.)" in killed.stdout) == (0, True), killed.stdout
    assert shows("Active Tasks (0)", "status: KILLED")
