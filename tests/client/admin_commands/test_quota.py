"""`aurora_admin` about quotas (admin-commands sheet, section 4)."""

from __future__ import annotations

import pytest

from aurorad.api.calls import GetQuota, SetQuota
from aurorad.api.enums import ResponseCode
from aurorad.api.results import GetQuotaResult
from aurorad.api.tasks import Resource, ResourceAggregate
from tests.client.conftest import Runner
from tests.client.fake_scheduler import FakeScheduler, ok, refused


def quota(cpus: float, ram_mb: int, disk_mb: int, *others: Resource) -> ResourceAggregate:
    amounts = (Resource(num_cpus=cpus), Resource(ram_mb=ram_mb), Resource(disk_mb=disk_mb))
    return ResourceAggregate(frozenset((*amounts, *others)))


@pytest.mark.parametrize(
    ("ram", "ram_mb"),
    [("10g", 10240), ("10GB", 10240), ("1t", 1 << 20), ("512mb", 512), ("2048k", 2), ("3145728", 3), ("0m", 0)],
)
def test_amounts_are_read_in_any_unit_and_sent_in_megabytes(
    aurora_admin: Runner, scheduler: FakeScheduler, ram: str, ram_mb: int
) -> None:
    scheduler.on(SetQuota, ok())
    ran = aurora_admin("set_quota", "west", "www", "2.5", ram, "40g")
    assert (ran.code, ran.out) == (0, "")
    assert scheduler.calls == [SetQuota("www", quota(2.5, ram_mb, 40960))]
    assert ran.err == (
        f" INFO] Setting quota for user:www cpu:2.500000 ram:{ram_mb} disk: 40960\n"
        " INFO] Response from scheduler: OK (message: )\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("2", "10x", "1g"), "Amount did not have a valid base: 10x.  Valid bases: g, gb, k, kb, m, mb, t, tb\n"),
        (("2", "much", "1g"), "'much': an amount such as 10g, 512m or 1tb was expected\n"),
        (("two", "1g", "1g"), "'two': a number of CPUs such as 1.5 was expected\n"),
        (("nan", "1g", "1g"), "'nan': a number of CPUs such as 1.5 was expected\n"),
    ],
)
def test_an_amount_that_is_none_is_told_before_anything_is_asked(
    aurora_admin: Runner, scheduler: FakeScheduler, arguments: tuple[str, ...], words: str
) -> None:
    ran = aurora_admin("set_quota", "west", "www", *arguments)
    assert (ran.code, ran.err, scheduler.calls) == (1, words, [])


def test_an_increase_adds_to_what_there_is_and_keeps_gpus(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    gpus = Resource(num_gpus=4)
    scheduler.on(GetQuota, ok(get_quota_result=GetQuotaResult(quota(5.0, 2048, 4096, gpus))))
    scheduler.on(SetQuota, ok())
    ran = aurora_admin("increase_quota", "west", "www", "-1", "1g", "0")
    assert ran.code == 0
    assert scheduler.of(SetQuota) == [SetQuota("www", quota(4.0, 3072, 4096, gpus))]
    assert " INFO] Current quota for www:\n  CPU\t5 core(s)\n  RAM\t2048 MB\n  Disk\t4096 MB\n" in ran.err
    assert " INFO] Attempting to update quota for www to\n  CPU\t4 core(s)\n  RAM\t3072 MB\n" in ran.err


def test_a_refusal_is_status_1(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(SetQuota, refused("Negative values in: ...", ResponseCode.INVALID_REQUEST))
    ran = aurora_admin("set_quota", "west", "www", "1", "1g", "1g")
    assert ran.code == 1
    assert ran.err.endswith(" INFO] Response from scheduler: INVALID_REQUEST (message: Negative values in: ...)\n")


def test_all_five_are_needed(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    ran = aurora_admin("set_quota", "west", "www", "1", "1g")
    assert ran.code == 1
    assert ran.err.startswith("Incorrect parameters for set_quota\n\nset_quota cluster role cpu ram disk see the help")
