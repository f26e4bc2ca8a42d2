"""Does the steps of a scenario against a daemon, and says what differs from the recording."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.contract import wire
from tests.contract.compare import Difference, Ids, Unbound
from tests.contract.daemon import Answer, Scheduler
from tests.contract.scenario import Json, Scenario
from tests.contract.wire import Garbled, Unordered

_POLL_S = 0.1
_SETTLE_POLL_S = 0.2


class Finding(NamedTuple):
    """A step that did not go as recorded, or could not be done at all."""

    step: Json
    differences: tuple[Difference | str, ...]

    @property
    def number(self) -> int:
        number: int = self.step["n"]
        return number

    def __str__(self) -> str:
        note = f" ({self.step['note']})" if "note" in self.step else ""
        return "\n".join([f"  step {self.number}, {_title(self.step)}{note}", *(f"    {d}" for d in self.differences)])


class _NoFurther(Exception):
    """A step failed without which the rest makes no sense."""


def replay(scenario: Scenario, daemon: Scheduler) -> list[Finding]:
    """What differs, by step; nothing if all is as recorded."""
    return _Replay(scenario, daemon).run()


class _Replay:
    def __init__(self, scenario: Scenario, daemon: Scheduler) -> None:
        self._scenario = scenario
        self._daemon = daemon
        self._ids = Ids()

    def run(self) -> list[Finding]:
        findings: list[Finding] = []
        for step in self._scenario.steps:
            if not self._scenario.does(step):
                continue
            try:
                differences = self._do(step)
            except (_NoFurther, Unbound, Garbled, OSError) as error:
                return [*findings, Finding(step, (str(error) or type(error).__name__,))]
            if differences:
                findings.append(Finding(step, tuple(differences)))
        return findings

    def _do(self, step: Json) -> list[Difference]:
        if "rpc" in step:
            args = self._ids.fill_in(step["args"])
            return self._settle(step, lambda: self._call(step["rpc"], args))
        if "http" in step:
            asked = self._ids.fill_in(step["http"])
            return self._settle(step, lambda: self._http(step, asked))
        if "sleep" in step:
            time.sleep(step["sleep"])
        elif "master" in step:
            self._tell_cluster(step["master"], self._ids.fill_in(step["params"]))
        else:
            self._wait(self._ids.fill_in(step["wait"]))
        return []

    def _settle(self, step: Json, ask: Callable[[], Json]) -> list[Difference]:
        """What differs in the end; a read may be repeated for as long as the step says."""
        until = time.monotonic() + step.get("settle", 0)
        while True:
            before = dict(self._ids.bound)
            differences = self._ids.differences(step["answer"], ask())
            if not differences or time.monotonic() > until:
                return differences
            self._ids.bound = before
            time.sleep(_SETTLE_POLL_S)

    def _call(self, method: str, args: Json) -> Json:
        """The Response, or what came in its place."""
        protocol = self._scenario.protocol
        type_ = wire.TYPES[protocol]
        body = wire.request(protocol, method, args)
        answer = self._daemon.ask("POST", "/api", body, {"Content-Type": type_, "Accept": type_})
        if answer.status != 200:
            return {"http": answer.status}
        decoded = wire.answer(protocol, answer.body)
        response: Json = decoded.get("success", decoded)
        return response

    def _http(self, step: Json, asked: Json) -> Json:
        body = asked.get("body", "").encode()
        if "bodyBase64" in asked:
            body = base64.b64decode(asked["bodyBase64"])
        if asked.get("gzipBody"):
            body = gzip.compress(body)
        method = asked.get("method", "GET")
        answer = self._daemon.ask(method, asked["path"], None if method == "GET" else body, asked.get("headers", {}))
        return _as_recorded(answer, step)

    def _tell_cluster(self, what: str, parameters: dict[str, str]) -> None:
        answer = self._daemon.tell_cluster(what, parameters)
        if answer.status != 200:
            raise _NoFurther(f"the simulated cluster refused it: {answer.body.decode().strip()}")

    def _wait(self, wait: Json) -> None:
        until = time.monotonic() + wait.get("timeout", 30)
        last: object = None
        while time.monotonic() < until:
            is_so, last = self._look(wait)
            if is_so:
                return
            time.sleep(_POLL_S)
        raise _NoFurther(f"in vain; at last it was {last}")

    def _look(self, wait: Json) -> tuple[bool, object]:
        if "tasks" in wait:
            result = self._result("getTasksWithoutConfigs", {"query": wait["tasks"]}, "scheduleStatusResult")
            statuses = dict(Counter(task["status"] for task in result["tasks"]))
            return statuses == wait["have"], statuses
        if "update" in wait:
            query = {"jobUpdateQuery": {"key": wait["update"]}}
            result = self._result("getJobUpdateSummaries", query, "getJobUpdateSummariesResult")
            found = [summary["state"]["status"] for summary in result["updateSummaries"]]
            return bool(found) and found[0] in wait["status"], found
        if "hosts" in wait:
            hosts = {"hosts": {"hostNames": sorted(wait["hosts"])}}
            result = self._result("maintenanceStatus", hosts, "maintenanceStatusResult")
            modes = {status["host"]: status["mode"] for status in result["statuses"]}
            return modes == wait["hosts"], modes
        assert "down" in wait, f"an unknown kind of wait: {wait}"
        try:
            self._daemon.ask("GET", "/health")
        except OSError:
            return True, "down"
        return False, "up"

    def _result(self, method: str, args: Json, member: str) -> Json:
        answer = self._call(method, args)
        try:
            result: Json = answer["result"][member]
        except KeyError:
            raise _NoFurther(f"{method} answers {answer}") from None
        return result


def _as_recorded(answer: Answer, step: Json) -> Json:
    """A plain answer in the form of a recorded one, with those members that were recorded."""
    expected: Json = step["answer"]
    if answer.status == 500:
        return {"status": 500}
    got: Json = {"status": answer.status}
    for member, header in (("contentType", "content-type"), ("location", "location"), ("allow", "allow")):
        if member in expected:
            got[member] = answer.headers.get(header, "")
    if "contentType" in got and _plain(got["contentType"]) == _plain(expected["contentType"]):
        got["contentType"] = expected["contentType"]
    if "allow" in got and set(got["allow"].split(", ")) == set(expected["allow"].split(", ")):
        got["allow"] = expected["allow"]
    got |= {name: answer.headers.get(name.lower(), "") for name in expected if name not in (*got, *_BODIES)}
    take = step.get("take", "body")
    if take == "thrift":
        got["body"] = wire.answer("binary" if answer.body[:1] in (b"\x80", b"\x00") else "json", answer.body)
    elif take in ("varNames", "keys"):
        got["names"] = _names(take, answer.body.decode(), expected["names"])
    elif "text" in expected:
        got["text"] = _visible(answer.body.decode())
    elif "body" in expected:
        got["body"] = _body(answer, expected["body"])
    return got


_BODIES = frozenset({"body", "text", "names"})


def _plain(content_type: str) -> str:
    return content_type.lower().replace(" ", "")


def _names(take: str, text: str, expected: list[str]) -> Unordered:
    """Those of the recorded names that are there; more may be."""
    there = set(json.loads(text)) if take == "keys" else {line.split(" ")[0] for line in text.splitlines()}
    return Unordered(name for name in expected if name in there)


def _visible(page: str) -> str:
    page = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def _body(answer: Answer, expected: Any) -> Any:
    text = answer.body.decode(errors="replace")
    if isinstance(expected, str):
        return text
    try:
        return _unordered(json.loads(text))
    except ValueError:
        return text


def _unordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unordered(member) for name, member in value.items()}
    return Unordered(_unordered(member) for member in value) if isinstance(value, list) else value


def _title(step: Json) -> str:
    if "http" in step:
        return f"{step['http'].get('method', 'GET')} {step['http']['path']}"
    if "wait" in step:
        return f"wait for {_waited(step['wait'])}"
    return str(step.get("rpc") or step.get("master") or step)


def _waited(wait: Json) -> str:
    return ", ".join(f"{name} {value}" for name, value in wait.items() if name != "timeout")
