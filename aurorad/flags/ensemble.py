"""Several schedulers: their election and their log."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from aurorad.flag_parsing import Duration, declare, positive
from aurorad.flags import checks as check

_ZOOKEEPER = "Several schedulers, by ZooKeeper"
_REPLICATED = "Several schedulers, their log"


@dataclasses.dataclass(frozen=True)
class EnsembleFlags:
    zk_endpoints: tuple[str, ...] = declare(
        (), _ZOOKEEPER, "ZooKeeper's servers; unset = this scheduler is alone", check.addresses
    )
    zk_chroot_path: str | None = declare(None, _ZOOKEEPER, "What all our paths there are below", check.node_path)
    zk_session_timeout: Duration = declare(
        15.0, _ZOOKEEPER, "A leader that ZooKeeper has not heard of for so long leads no more", positive
    )
    zk_connection_timeout: Duration = declare(
        10.0,
        _ZOOKEEPER,
        "So long a server may take to be reached, and all of them before the log says so",
        positive,
    )
    zk_digest_credentials: str | None = declare(
        None,
        _ZOOKEEPER,
        "user:password there, or @file with it; what we make can then be changed by these alone, and read by all",
        check.credentials,
        secret=True,
    )
    zk_in_proc: bool = declare(
        False, _ZOOKEEPER, "For tests: be alone, and ask no ZooKeeper, whatever the other flags here say"
    )
    serverset_path: str | None = declare(
        None, _ZOOKEEPER, "Where schedulers elect their leader, and clients find it", check.node_path
    )
    serverset_endpoint_name: str = declare(
        "http",
        _ZOOKEEPER,
        "Name of the leader's address there; https behind a proxy that ends TLS",
        check.endpoint_name,
    )

    native_log_zk_group_path: str | None = declare(
        None, _REPLICATED, "Where the members of the replicated log find each other", check.node_path
    )
    native_log_file_path: Path | None = declare(None, _REPLICATED, "Folder of this member's replicated log")
    native_log_quorum_size: int = declare(
        1, _REPLICATED, "How many members must have what is written: more than half of them, the same on all", positive
    )
    native_log_port: int | None = declare(
        None, _REPLICATED, "Where its other members reach this one; unset = LIBPROCESS_PORT, or any free", check.port
    )
    native_log_cluster_id: str | None = declare(
        None, _REPLICATED, "Whose log it is: members of another one are turned away; unset = -cluster_name"
    )
    native_log_election_timeout: Duration = declare(15.0, _REPLICATED, "How long an attempt to lead it takes", positive)
    native_log_election_retries: int = declare(20, _REPLICATED, "Attempts, before the process ends", positive)
    native_log_read_timeout: Duration = declare(
        5.0, _REPLICATED, "Taken and of no effect: reading is from this member's own disk", positive
    )
    native_log_write_timeout: Duration = declare(
        3.0, _REPLICATED, "A leader whose write no quorum takes for so long ends", positive
    )
    native_log_initialize: bool = declare(
        False, _REPLICATED, "Members that are all empty, and complete, begin the log by themselves"
    )
    native_log_tls_key: Path | None = declare(None, _REPLICATED, "PEM file: this member's key; the others see TLS then")
    native_log_tls_certificate: Path | None = declare(None, _REPLICATED, "PEM file: its certificate")
    native_log_tls_ca: Path | None = declare(None, _REPLICATED, "PEM file: the authority that certifies members alone")
