"""Every flag of aurorad, declared once: its name, type, default, group, meaning and check (flags sheet)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from aurorad import flag_parsing
from aurorad.flag_parsing import Data, Duration, FlagError, HelpRequested
from aurorad.flags.checks import ROLES, log_level, time_zone
from aurorad.flags.cluster import ClusterFlags, default_work_dir
from aurorad.flags.ensemble import EnsembleFlags
from aurorad.flags.executor import ExecutorFlags
from aurorad.flags.jobs import JobFlags
from aurorad.flags.mesos import MesosFlags
from aurorad.flags.observer import ObserverFlags
from aurorad.flags.scheduling import SchedulingFlags
from aurorad.flags.security import INI, KERBEROS, SecurityFlags
from aurorad.flags.simulated import SimulatedFlags
from aurorad.flags.storage import StorageFlags
from aurorad.flags.tasks import TaskFlags

__all__ = [
    "ROLES",
    "Data",
    "Duration",
    "FlagError",
    "Flags",
    "HelpRequested",
    "changed",
    "log_level",
    "parse",
    "time_zone",
    "usage",
]

_ALIASES = {"port": "observer_port"}  # what the original's observer calls it
_LOG_TLS = ("native_log_tls_key", "native_log_tls_certificate", "native_log_tls_ca")
_ENSEMBLE = ("zk_endpoints", "serverset_path", "native_log_zk_group_path", "native_log_file_path")


@dataclasses.dataclass(frozen=True)
class Flags(
    SimulatedFlags,
    MesosFlags,
    SecurityFlags,
    ObserverFlags,
    ExecutorFlags,
    StorageFlags,
    EnsembleFlags,
    TaskFlags,
    SchedulingFlags,
    JobFlags,
    ClusterFlags,
):
    """The values of all flags. `usage` shows the groups of the last base first."""

    @property
    def replicated(self) -> bool:
        """Whether there are other schedulers, who share a log and elect who leads."""
        return bool(self.zk_endpoints) and not self.zk_in_proc


def parse(arguments: Sequence[str]) -> Flags:
    """The daemon's flags. Raises as `flag_parsing.parse`, and `FlagError` for flags that do not go together."""
    flags = flag_parsing.parse(arguments, Flags, _ALIASES)
    _check_ensemble(flags)
    flags = _with_mesos(flags)
    if flags.engine == "local" and flags.custom_executor_config is not None:
        file = flags.custom_executor_config
        raise FlagError(
            f"-custom_executor_config={file}: there is one executor with -engine=local; another engine was expected"
        )
    _check_security(flags)
    if flags.http_tls_key is not None and flags.serverset_endpoint_name == Flags().serverset_endpoint_name:
        flags = dataclasses.replace(flags, serverset_endpoint_name=flags.http_scheme)
    if flags.stat_retention_period <= flags.stat_sampling_interval:
        given = flag_parsing.changed(flags, Flags()).get("stat_retention_period", "1hrs")
        raise FlagError(f"-stat_retention_period={given}: more than -stat_sampling_interval was expected")
    if flags.engine != "simulated":
        _refuse_simulation(flags)
        return flags
    _check_simulation(flags)
    if flags.work_dir == default_work_dir():  # pretended tasks are kept apart from real ones
        return dataclasses.replace(flags, work_dir=flags.work_dir.with_name("aurorad-simulated"))
    return flags


def _with_mesos(flags: Flags) -> Flags:
    """Who names a master has Mesos as the engine, as the original has always."""
    given = flag_parsing.changed(flags, Flags())
    if flags.engine == "mesos" and flags.mesos_master_address is None:
        raise FlagError("-engine=mesos: -mesos_master_address was expected with it")
    if flags.mesos_master_address is None:
        return flags
    if "engine" in given and flags.engine != "mesos":
        raise FlagError(
            f"-mesos_master_address={given['mesos_master_address']}: not expected with -engine={flags.engine}"
        )
    if "scheduler" not in flags.role:
        raise FlagError("-mesos_master_address: the role scheduler was expected with it, no other has an engine")
    if flags.stop_tasks_on_exit:
        raise FlagError("-stop_tasks_on_exit=true: not expected with -mesos_master_address, whose agents keep tasks")
    if flags.thermos_executor_path is None:
        raise FlagError(f"-mesos_master_address={given['mesos_master_address']}: -thermos_executor_path was expected")
    return dataclasses.replace(flags, engine="mesos")


def _check_ensemble(flags: Flags) -> None:
    """Half of what several schedulers need would leave each of them alone, and a leader."""
    given = flag_parsing.changed(flags, Flags())
    if flags.zk_in_proc:
        if flags.native_log_quorum_size > 1:
            quorum = flags.native_log_quorum_size
            raise FlagError(f"-native_log_quorum_size={quorum}: not expected with -zk_in_proc, which is to be alone")
        return
    missing = [f"-{name}" for name in _ENSEMBLE if name not in given]
    for name in (*_ENSEMBLE, "zk_chroot_path", "zk_digest_credentials", "native_log_quorum_size"):
        if name in given and missing:
            raise FlagError(f"-{name}={given[name]}: {', '.join(missing)} was expected with it, for several schedulers")
    for name in _LOG_TLS:
        without = [f"-{other}" for other in _LOG_TLS if other not in given]
        if name in given and without:
            raise FlagError(f"-{name}={given[name]}: together with it {', '.join(without)} was expected")
    if flags.serverset_path is not None and flags.serverset_path == flags.native_log_zk_group_path:
        path = flags.serverset_path
        raise FlagError(f"-native_log_zk_group_path={path}: another path than that of -serverset_path was expected")


def _check_security(flags: Flags) -> None:
    """What callers are asked for must be known to some realm (security sheet, section 1)."""
    given = flag_parsing.changed(flags, Flags())
    for name, other in (("http_tls_key", "http_tls_certificate"), ("http_tls_certificate", "http_tls_key")):
        if name in given and other not in given:
            raise FlagError(f"-{name}={given[name]}: together with it -{other} was expected")
    if "http_tls_client_ca" in given and "http_tls_key" not in given:
        raise FlagError(
            f"-http_tls_client_ca={given['http_tls_client_ca']}: together with it -http_tls_key was expected"
        )
    mechanism = f"-http_authentication_mechanism={','.join(flags.http_authentication_mechanism)}"
    if not flags.secured:
        for name in ("shiro_after_auth_filter", "http_anonymous_reads"):
            if name in given:
                raise FlagError(f"-{name}={given[name]}: not expected with {mechanism}, which asks nobody who they are")
        return
    for asked, realm in (("BASIC", INI), ("NEGOTIATE", KERBEROS)):
        if asked in flags.http_authentication_mechanism and realm not in flags.shiro_realm_modules:
            raise FlagError(f"{mechanism}: together with it {realm} was expected in -shiro_realm_modules")
    if INI in flags.shiro_realm_modules and flags.shiro_ini_path is None:
        raise FlagError(f"{mechanism}: shiro.ini is required. -shiro_ini_path was expected, for {INI}")
    if KERBEROS in flags.shiro_realm_modules:
        for name in ("kerberos_server_keytab", "kerberos_server_principal"):
            if name not in given:
                raise FlagError(f"-shiro_realm_modules={given['shiro_realm_modules']}: -{name} was expected with it")


def _refuse_simulation(flags: Flags) -> None:
    for name, value in flag_parsing.changed(flags, Flags()).items():
        if name.startswith("simulated_"):
            raise FlagError(f"-{name}={value}: -engine=simulated was expected with it")


def _check_simulation(flags: Flags) -> None:
    if "scheduler" not in flags.role:
        raise FlagError("-engine=simulated: the role scheduler was expected with it, no other has an engine")
    if flags.stop_tasks_on_exit:
        raise FlagError("-stop_tasks_on_exit=true: not expected with -engine=simulated, where nothing runs")
    if flags.simulated_agents is not None:
        for name, value in flag_parsing.changed(flags, Flags()).items():
            if name in _AGENT_FLAGS:
                raise FlagError(f"-{name}={value}: not expected with -simulated_agents, whose file says that")
    shares = flags.simulated_finish + flags.simulated_fail + flags.simulated_lose
    if shares > 1:
        raise FlagError(
            f"-simulated_finish, -simulated_fail and -simulated_lose add up to {shares:g}: at most 1 was expected"
        )


_AGENT_FLAGS = frozenset(f"simulated_{name}" for name in ("hosts", "cpus", "ram", "disk", "ports", "racks"))


def usage() -> str:
    """All flags by group, one line each, with their defaults."""
    lines = [
        "aurorad: one daemon that schedules jobs, runs tasks and shows them.",
        "",
        "usage: aurorad [-flag=value ...]",
        "",
        "-flagfile=FILE, or @FILE, stands for the flags in that file: one a line, and # before what is for people.",
        "Durations look like 500ms, 10secs, 5mins, 2hrs, 1days; amounts of data like 64MB, 1GB; lists like a,b.",
        "What follows each flag here is its default.",
    ]
    return "\n".join(lines) + "\n" + flag_parsing.usage(Flags())


def changed(flags: Flags) -> list[str]:
    """The flags that are not at their defaults, as they would be written."""
    return [f"-{name}={value}" for name, value in flag_parsing.changed(flags, Flags()).items()]
