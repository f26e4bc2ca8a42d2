"""The tutorial's story, on real parts: a job with a bug, seen failing, its traceback read, fixed, updated, killed."""

import hashlib
import shutil
from pathlib import Path

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from tests.e2e.cluster import EXAMPLES, Cluster, eventually

TUTORIAL = EXAMPLES / "tutorial"


@pytest.fixture
def files(folder: Path) -> Path:
    """The tutorial's two files in a folder of the user's."""
    return Path(shutil.copytree(TUTORIAL, folder / "tutorial"))


def shows(browser: WebDriver, *words: str) -> bool:
    text = browser.find_element(By.TAG_NAME, "body").text
    return all(word in text for word in words)


def reload_until(browser: WebDriver, *words: str, within_s: float = 30.0) -> None:
    def probe() -> bool:
        browser.refresh()
        return shows(browser, *words)

    eventually(f"{browser.current_url} shows {words}", probe, within_s)


def click_host(browser: WebDriver, section: str) -> None:
    """The host of the first task in a section of the job page."""
    browser.find_element(By.XPATH, f"//section[h2='{section}']//tbody/tr[1]//a[starts-with(@href, 'http')][1]").click()


def click_output(browser: WebDriver, process: str, stream: str) -> None:
    """The output of a process on the observer's page of a task."""
    browser.find_element(By.XPATH, f"//tr[@data-key='{process}']//a[.='{stream}']").click()


def fix(script: Path) -> None:
    script.write_text(script.read_text().replace("xrang(", "range("))


def see_it_fail(cluster: Cluster, browser: WebDriver, key: str, files: Path) -> None:
    """Steps 3 and 4: FAILED on the command line and in the browser; the traceback three clicks from the job page."""
    role = key.split("/")[1]
    cluster.wait_for_status(key, "FAILED", within_s=12)
    browser.get(f"{cluster.scheduler}/scheduler")
    browser.find_element(By.LINK_TEXT, role).click()
    browser.find_element(By.LINK_TEXT, "hello_world").click()
    eventually("the failure", lambda: shows(browser, "FAILED", "Task failed."))
    click_host(browser, "Completed Tasks")  # one
    states = ("FAILED", "ACTIVE", "CLEANING", "FINALIZING", "fetch_package", "SUCCESS")
    eventually("the task's story", lambda: shows(browser, *states))
    click_output(browser, "hello_world", "stderr")  # two
    eventually("the traceback", lambda: shows(browser, "Traceback", "hello_world.py", "NameError", "xrang"))
    browser.back()
    click_output(browser, "fetch_package", "stdout")
    md5 = hashlib.md5((files / "hello_world.py").read_bytes()).hexdigest()
    eventually("the checksum", lambda: shows(browser, md5))
    browser.back()
    browser.find_element(By.LINK_TEXT, "browse").click()
    eventually("the sandbox", lambda: shows(browser, "hello_world.py"))


def see_it_run(cluster: Cluster, browser: WebDriver, key: str) -> None:
    """Steps 6 and 7: RUNNING, and output that grows while one looks."""
    cluster.wait_for_status(key, "RUNNING")
    browser.get(f"{cluster.scheduler}/scheduler/{key.partition('/')[2]}")
    reload_until(browser, "RUNNING")
    click_host(browser, "Active Tasks")
    eventually("the task's page", lambda: shows(browser, "ACTIVE", "fetch_package", "SUCCESS", "RUNNING"))
    click_output(browser, "hello_world", "stdout")
    eventually("a first line", lambda: shows(browser, "Hello world! The time is now:"))

    def lines() -> int:
        return browser.find_element(By.TAG_NAME, "body").text.count("Hello world!")

    before = lines()
    eventually("a new line without reload", lambda: lines() > before, within_s=15)


def kill_it(cluster: Cluster, browser: WebDriver, key: str) -> None:
    """Step 8: killed, nothing of it left, seen as completed."""
    killed = cluster.aurora("job", "killall", key)
    assert killed.returncode == 0, killed.stdout
    for line in (f" INFO] Killing tasks for job: {key}", "Successfully killed instances [0]", "Job killall succeeded"):
        assert line in killed.stdout
    assert cluster.task_processes() == []
    browser.get(f"{cluster.scheduler}/scheduler/{key.partition('/')[2]}")
    assert shows(browser, "KILLED")
    assert shows(browser, "No active tasks.")
    assert "status: KILLED" in cluster.aurora("job", "status", key).stdout
    assert key not in cluster.aurora("job", "list", f"{key.split('/')[0]}/{key.split('/')[1]}").stdout
    again = cluster.aurora("job", "killall", key)
    assert f"No tasks to kill found for job {key}" in again.stdout


def test_the_newer_tutorial_fixing_the_script_in_place(devcluster: Cluster, browser: WebDriver, files: Path) -> None:
    key, job = "devcluster/www-data/devel/hello_world", files / "hello_world.aurora"
    found = devcluster.aurora_admin("get_scheduler", "devcluster")
    assert found.returncode == 0
    assert devcluster.scheduler in found.stdout
    created = devcluster.aurora("job", "create", key, str(job))
    url = f"{devcluster.scheduler}/scheduler/www-data/devel/hello_world"
    assert created.returncode == 0, created.stdout
    for line in (" INFO] Creating job hello_world", f" INFO] Checking status of {key}", f"job url={url}"):
        assert line in created.stdout
    again = devcluster.aurora("job", "create", key, str(job))
    assert again.returncode == 4
    assert "Job creation failed due to error:\n\tJob www-data/devel/hello_world already exists" in again.stdout

    see_it_fail(devcluster, browser, key, files)

    fix(files / "hello_world.py")
    updated = devcluster.aurora("update", "start", "--wait", key, str(job))
    assert updated.returncode == 0, updated.stdout
    for line in (" INFO] Starting update for: hello_world", "This job update will:\n", "update instances: [0]"):
        assert line in updated.stdout
    update_id = updated.stdout.partition(f"{url}/update/")[2].split()[0]
    browser.get(f"{url}/update/{update_id}")
    assert shows(browser, "Update Successful", "ROLLED_FORWARD", "Instance Updated", "1 / 1 (100%)")
    assert "ROLLED_FORWARD" in devcluster.aurora("update", "info", key, update_id).stdout
    browser.get(url)
    assert shows(browser, update_id)

    unchanged = devcluster.aurora("update", "start", key, str(job))
    assert unchanged.returncode == 0
    assert "Job is unchanged by proposed update." in unchanged.stdout

    see_it_run(devcluster, browser, key)
    kill_it(devcluster, browser, key)


def test_the_newer_tutorial_saving_a_second_version(devcluster: Cluster, browser: WebDriver, files: Path) -> None:
    key, job = "devcluster/www-data/devel/hello_world", files / "hello_world.aurora"
    job.write_text(quick_update(job.read_text()))
    assert devcluster.aurora("job", "create", key, str(job)).returncode == 0
    see_it_fail(devcluster, browser, key, files)

    second = files / "hello_world_v2.py"
    shutil.copy(files / "hello_world.py", second)
    fix(second)
    job.write_text(job.read_text().replace("hello_world.py", "hello_world_v2.py"))
    started = devcluster.aurora("update", "start", key, str(job))
    assert started.returncode == 0, started.stdout
    assert devcluster.aurora("update", "wait", key).returncode == 0

    see_it_run(devcluster, browser, key)
    kill_it(devcluster, browser, key)


def test_an_update_that_still_has_the_bug_is_rolled_back_and_the_page_says_why(
    devcluster: Cluster, browser: WebDriver, files: Path
) -> None:
    key, job = "devcluster/www-data/devel/hello_world", files / "hello_world.aurora"
    job.write_text(quick_update(job.read_text()))
    shutil.copy(files / "hello_world.py", files / "hello_world_v2.py")
    fix(files / "hello_world.py")
    assert devcluster.aurora("job", "create", "--wait-until", "RUNNING", key, str(job)).returncode == 0
    job.write_text(job.read_text().replace("hello_world.py", "hello_world_v2.py"))
    updated = devcluster.aurora("update", "start", "--wait", key, str(job))
    assert updated.returncode == 4, updated.stdout
    update_id = updated.stdout.partition("/update/")[2].split()[0]
    browser.get(f"{devcluster.scheduler}/scheduler/www-data/devel/hello_world/update/{update_id}")
    assert shows(browser, "ROLLED_BACK", "Latest failure: instance 0 exited.")


def quick_update(job: str) -> str:
    """The job with an update that watches for 2 s instead of 45."""
    return job.replace("Service(", "Service(\n    update_config = UpdateConfig(watch_secs = 2),", 1)
