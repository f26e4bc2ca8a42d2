"""The pages that need a script, in a browser: graphs of statistics, and forms for calls."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.contract.daemon import Daemon, running
from tests.contract.scenario import Setup
from tests.e2e.cluster import eventually

AGENTS = ("agent-1 host-1 16 65536 500000 31000-32000 rack=r1",)
PATIENCE_S = 30


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(Setup(AGENTS, (), False), tmp_path_factory.mktemp("daemon")) as started:
        yield started


def _series(daemon: Daemon) -> list[str]:
    names: list[str] = json.loads(daemon.ask("GET", "/graphdata").body)
    return names


def complaints(browser: WebDriver) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]  # Selenium


def legend(page: WebDriver) -> list[str]:
    """Its rows, read at once: they are made anew every second."""
    rows: list[str] = page.execute_script(
        "return [...document.querySelectorAll('#legend tr')].map(row => row.innerText.replaceAll('\\t', ' ').trim())"
    )
    return rows


def test_graphs_draw_what_an_expression_says(browser: WebDriver, daemon: Daemon) -> None:
    eventually("samples", lambda: {"outstanding_offers", "http_200_responses_events"} <= set(_series(daemon)))
    browser.get(
        f"http://{daemon.scheduler}/graphview?query=rate(http_200_responses_events)*2,+outstanding_offers/(1%2B1)"
    )
    wait = WebDriverWait(browser, PATIENCE_S)
    wait.until(lambda page: len(page.find_elements(By.CSS_SELECTOR, "#chart path.series")) == 2)
    rows = legend(browser)
    assert rows[0].startswith("rate(http_200_responses_events)*2 ")
    assert rows[1].startswith("outstanding_offers/(1+1) 0.5 ")
    field = browser.find_element(By.NAME, "query")
    field.send_keys(Keys.END, " + nosuch", Keys.ENTER)
    says = browser.find_element(By.ID, "says")
    wait.until(lambda page: "no statistic of that name" in says.text)
    browser.find_element(By.ID, "find").send_keys("task_store_PEND")
    (button,) = browser.find_elements(By.CSS_SELECTOR, "#list button")
    field.clear()
    button.click()
    wait.until(lambda page: [row.split()[0] for row in legend(page)] == [button.text])
    assert complaints(browser) == []


def test_a_call_is_filled_in_and_made(browser: WebDriver, daemon: Daemon) -> None:
    browser.get(f"http://{daemon.scheduler}/apiclient?call=setQuota")
    wait = WebDriverWait(browser, PATIENCE_S)
    wait.until(lambda page: page.find_element(By.ID, "method").text == "setQuota")
    browser.find_element(By.XPATH, "//label[span='ownerRole']//input").send_keys("ops")
    browser.find_element(By.CSS_SELECTOR, "button[title='Set resources']").click()
    for number, (member, amount) in enumerate((("numCpus", "1.5"), ("ramMb", "64"), ("diskMb", "8"))):
        if number:
            browser.find_element(By.CSS_SELECTOR, "button[title='Add one to resources']").click()
        item = browser.find_elements(By.CSS_SELECTOR, "ol.items > li")[number]
        Select(item.find_element(By.CSS_SELECTOR, "select.member")).select_by_value(member)
        item.find_element(By.CSS_SELECTOR, "input").send_keys(amount)
    sent = json.loads(str(browser.find_element(By.ID, "request").get_property("value")))
    assert sent == {"ownerRole": "ops", "quota": {"resources": [{"numCpus": 1.5}, {"ramMb": 64}, {"diskMb": 8}]}}
    browser.find_element(By.ID, "send").click()
    status = browser.find_element(By.ID, "status")
    wait.until(lambda page: status.text == "OK")
    assert json.loads(daemon.ask("GET", "/quotas").body)["ops"] == {"cpu_cores": 1.5, "ram_mb": 64, "disk_mb": 8}
    browser.find_element(By.LINK_TEXT, "getQuota").click()
    browser.find_element(By.ID, "send").click()
    wait.until(lambda page: status.text == "ERROR")
    assert "Argument cannot be blank" in browser.find_element(By.ID, "answer").text
    assert complaints(browser) == []


def test_a_level_is_chosen_on_the_page(browser: WebDriver, daemon: Daemon) -> None:
    browser.get(f"http://{daemon.scheduler}/logconfig")
    select = "select[aria-label='Level of aurorad.storage']"
    Select(browser.find_element(By.CSS_SELECTOR, select)).select_by_visible_text("DEBUG")
    browser.find_element(By.XPATH, "//select[@aria-label='Level of aurorad.storage']/following-sibling::button").click()
    row = "//tr[td[1]='aurorad.storage']/td[2]"
    WebDriverWait(browser, PATIENCE_S).until(lambda page: page.find_element(By.XPATH, row).text == "DEBUG")
    assert Select(browser.find_element(By.CSS_SELECTOR, select)).first_selected_option.text == "DEBUG"
    assert complaints(browser) == []
