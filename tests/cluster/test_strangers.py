"""Processes that have no business in a log: they are turned away and counted, and all goes on."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

from aurorad.log.certificates import Certificates
from tests.cluster.conftest import initialize
from tests.cluster.ledger import Ledger
from tests.cluster.schedulers import LOG_PORT, Scheduler, Site, site
from tests.e2e.cluster import eventually
from tests.log.certificates import Authority


def counted(one: Scheduler, what: str) -> int:
    return int(str(one.variables().get(f"scheduler_log_native_{what}", 0)))


def says(one: Scheduler, why: str) -> bool:
    return why in one.written()


def turned_away(ledger: Ledger, stray: Scheduler, others: list[Scheduler], why: str) -> None:
    """It is counted on both sides and told, and is no help to a member that is left alone."""
    for one in [stray, *others]:
        eventually(f"{one.name} counts a stranger", partial(counted, one, "strangers"), 60)
    for one in others:
        eventually(f"{one.name} says why", partial(says, one, why))
    assert stray.variables()["log/recovered"] == 0
    ledger.add()
    others[1].stop()
    assert ledger.try_one(others[0]) != ""
    others[1].start()
    ledger.check(ledger.site.leader())


def test_a_member_of_another_cluster_is_turned_away(ledger: Ledger) -> None:
    ledger.add()
    leader, (other, gone) = ledger.site.leader(), ledger.site.followers()
    gone.stop()
    stray = ledger.site.add()
    stray.set("native_log_cluster_id", "another")
    stray.start()
    ledger.site.schedulers.remove(stray)
    try:
        why = "it belongs to the log of cluster 'another', 'devcluster' was expected"
        turned_away(ledger, stray, [leader, other], why)
    finally:
        stray.stop()


def test_noise_on_the_port_of_the_log_is_counted(ledger: Ledger) -> None:
    leader = ledger.site.leader()
    before = counted(leader, "malformed")
    for noise in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xff" * 100):
        with socket.create_connection((leader.machine.address, LOG_PORT), timeout=20) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
    eventually("it counts", lambda: counted(leader, "malformed") > before)
    ledger.add()


def use(one: Scheduler, certificates: Certificates) -> None:
    one.set("native_log_tls_key", certificates.key)
    one.set("native_log_tls_certificate", certificates.certificate)
    one.set("native_log_tls_ca", certificates.authority)


def test_without_a_certificate_nobody_is_a_member(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    with site(tmp_path, zookeepers=1) as them:
        for one in them.schedulers:
            initialize(one.log_folder)
            use(one, ours.member(one.name))
        them.start()
        them.settle()
        ledger = Ledger(them)
        ledger.add()
        _stray_in_place_of_a_follower(them, ledger, None)
        _stray_in_place_of_a_follower(them, ledger, theirs.member("c"))
        ledger.check(them.leader())


def _stray_in_place_of_a_follower(them: Site, ledger: Ledger, certificates: Certificates | None) -> None:
    leader, gone = them.leader(), them.followers()[0]
    before = counted(leader, "strangers")
    gone.stop()
    flags = gone.flags
    gone.set("native_log_file_path", gone.folder / "stray" / "log")
    gone.set("work_dir", gone.folder / "stray")
    for what in ("key", "certificate", "ca"):
        gone.set(f"native_log_tls_{what}", None)
    if certificates is not None:
        use(gone, certificates)
    gone.start()
    eventually("it is counted", lambda: counted(leader, "strangers") > before, 60)
    assert gone.variables().get("log/recovered", 0) == 0
    ledger.add()
    gone.stop()
    gone.flags = flags
    gone.start()
    them.settle()
