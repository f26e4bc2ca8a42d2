"""Every link of every page leads somewhere, followed as a browser without JavaScript would."""

import urllib.error
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

from tests.e2e.cluster import EXAMPLES, Cluster, eventually
from tests.e2e.test_tutorial import fix, quick_update

KEY = "devcluster/www-data/devel/hello_world"
ADDRESSES = {"a": "href", "link": "href", "script": "src", "img": "src", "form": "action", "iframe": "src"}
MOST_PAGES = 400


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        address = values.get(ADDRESSES.get(tag, ""))
        if address is not None:
            self.found.append(address)


def crawl(*starts: str) -> tuple[list[str], list[str]]:
    """Every address that is reached within the starts' servers, and what was wrong with some."""
    servers = tuple(urljoin(start, "/") for start in starts)
    came_from = dict.fromkeys(starts, "the start")
    ids: dict[str, set[str]] = {}
    fragments: list[tuple[str, str, str]] = []
    waiting, wrong = list(starts), []
    while waiting and len(ids) < MOST_PAGES:
        page = waiting.pop(0)
        try:
            with urllib.request.urlopen(page, timeout=30) as answer:
                html = "html" in answer.headers.get_content_type()
                text = answer.read().decode(errors="replace") if html else ""
        except urllib.error.HTTPError as error:
            wrong.append(f"{error.code} {page}, linked from {came_from[page]}")
            continue
        links = _Links()
        links.feed(text)
        ids[page] = links.ids
        for link in links.found:
            target, fragment = urldefrag(urljoin(page, link))
            if fragment:
                fragments.append((page, target, fragment))
            if target.startswith(servers) and target not in came_from:
                came_from[target] = page
                waiting.append(target)
    wrong += [
        f"#{fragment} is not on {target}, linked from {page}"
        for page, target, fragment in fragments
        if target in ids and fragment not in ids[target]
    ]
    return list(came_from), wrong


def test_every_link_of_every_page_leads_somewhere(devcluster: Cluster, folder: Path) -> None:
    tutorial = folder / "tutorial"
    tutorial.mkdir()
    for file in (EXAMPLES / "tutorial").iterdir():
        (tutorial / file.name).write_bytes(file.read_bytes())
    job = tutorial / "hello_world.aurora"
    job.write_text(quick_update(job.read_text()))
    assert devcluster.aurora("job", "create", KEY, str(job)).returncode == 0
    devcluster.wait_for_status(KEY, "FAILED")
    fix(tutorial / "hello_world.py")
    assert devcluster.aurora("update", "start", "--wait", KEY, str(job)).returncode == 0
    observers = devcluster.observers
    eventually("an observer knows the task", lambda: any(b"ACTIVE" in _read(observer) for observer in observers))

    pages, wrong = crawl(f"{devcluster.scheduler}/scheduler", *(f"{observer}/" for observer in observers))
    assert wrong == []
    for part in ("/update/", "/logs/", "/browse/", "/download/", "/assets/"):
        assert any(part in page for page in pages), "\n".join(pages)


def _read(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:
        text: bytes = answer.read()
        return text
