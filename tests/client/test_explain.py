"""`aurora job explain`, and dry runs of create and update."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aurorad.api.calls import CreateJob, StartJobUpdate
from tests.client.conftest import KEY, Runner
from tests.client.fake_scheduler import FakeScheduler, Http

TOLD = {
    "job": "bozo/test/hello",
    "instances": {"PENDING": 2, "RUNNING": 1},
    "sentences": ["2 of 3 active instances wait."],
    "waiting": [
        {
            "instances": "1-2",
            "status": "PENDING",
            "sinceMs": 5,
            "sentences": ["None of 3 hosts can take one more instance now.", "h1 comes nearest: it lacks 1 of 2 CPU."],
            "hosts": {"hosts": 3, "fitting": 0, "reasons": [{"reason": "Insufficient: CPU", "hosts": 3}]},
        }
    ],
    "update": ["Update 7 is ROLLING_FORWARD.", "Instances 1-2 must find a host."],
}


def as_json(value: object) -> Http:
    return Http(200, {"Content-Type": "application/json"}, json.dumps(value).encode())


def test_an_explanation_is_printed(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.pages["/explain"] = as_json(TOLD)
    ran = aurora("job", "explain", KEY)
    assert ran.code == 0
    assert ran.out == (
        "2 of 3 active instances wait.\n"
        "\n"
        "Instances 1-2 (PENDING):\n"
        "  None of 3 hosts can take one more instance now.\n"
        "  h1 comes nearest: it lacks 1 of 2 CPU.\n"
        "        3 x Insufficient: CPU\n"
        "\n"
        "Update 7 is ROLLING_FORWARD.\n"
        "Instances 1-2 must find a host.\n"
    )
    assert scheduler.requests[-1][0] == "/explain?job=bozo%2Ftest%2Fhello"


def test_instances_can_be_named(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.pages["/explain"] = as_json(TOLD)
    aurora("job", "explain", f"{KEY}/2,0")
    assert scheduler.requests[-1][0] == "/explain?job=bozo%2Ftest%2Fhello&instance=0&instance=2"


def test_a_job_that_is_not_there_is_told(aurora: Runner, scheduler: FakeScheduler) -> None:
    body = b"There is no job bozo/test/hello.\n"
    scheduler.pages["/explain"] = Http(404, {"Content-Type": "text/plain; charset=utf-8"}, body)
    ran = aurora("job", "explain", KEY)
    assert ran.code == 4
    assert ran.err == "There is no job bozo/test/hello.\n"


def test_an_older_scheduler_is_told_apart(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.pages["/explain"] = Http(404, {"Content-Type": "text/html"}, b"<html>")
    ran = aurora("job", "explain", KEY)
    assert ran.code == 4
    assert ran.err == "This scheduler does not know /explain: it may be an older one.\n"


@pytest.mark.parametrize(("noun", "verb", "call"), [("job", "create", CreateJob), ("update", "start", StartJobUpdate)])
def test_a_dry_run_sends_the_call_to_be_planned(
    noun: str, verb: str, call: type, aurora: Runner, scheduler: FakeScheduler, job_file: Path
) -> None:
    scheduler.pages["/plan"] = as_json({"code": "OK", "sentences": ["It would.", "All 2 fit now, on 2 hosts."]})
    ran = aurora(noun, verb, "--dry-run", KEY, job_file)
    assert ran.code == 0
    assert ran.out == "It would.\nAll 2 fit now, on 2 hosts.\n"
    assert scheduler.requests[-1][0] == "/plan"
    assert len(scheduler.of(call)) == 1


def test_a_dry_run_of_what_would_be_refused_has_the_status_of_the_real_one(
    aurora: Runner, scheduler: FakeScheduler, job_file: Path
) -> None:
    told = {"code": "INVALID_REQUEST", "sentences": ["Job bozo/test/hello already exists"]}
    scheduler.pages["/plan"] = as_json(told)
    ran = aurora("job", "create", "--dry-run", KEY, job_file)
    assert ran.code == 4
    assert ran.err == "Job creation would fail due to error:\n\tJob bozo/test/hello already exists\n"
