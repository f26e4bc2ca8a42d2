"""Every flag of aurorad, declared once: its name, type, default, group, meaning and check (flags sheet)."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from aurorad import flag_checks as check
from aurorad import flag_parsing
from aurorad.flag_checks import ROLES, log_level, time_zone
from aurorad.flag_parsing import Data, Declaration, Duration, FlagError, HelpRequested
from aurorad.flag_parsing import declare as _flag
from aurorad.flag_parsing import non_negative as _non_negative
from aurorad.flag_parsing import positive as _positive

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

_SHORT = re.compile(r"--?port(?==|$)")  # what the original's observer calls it


def _default_work_dir() -> Path:
    if os.geteuid() == 0:  # tasks run as other users, who could not pass through root's home
        return Path("/var/lib/aurorad")
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "aurorad"


_HTTP, _CLUSTER, _LOG = "Identity, HTTP, API", "Cluster and engine", "Storage and log"
_JOBS, _SCHEDULING, _STATE = "Job validation", "Offers and scheduling", "Task state"
_UPDATES, _EXECUTOR, _OBSERVER, _OUTPUT = "Updates", "Executor", "Observer", "Own log"
_SIMULATED = "Simulated cluster"
_SLA = "Maintenance and SLA"
_ZOOKEEPER = "Several schedulers, by ZooKeeper"
_REPLICATED = "Several schedulers, their log"


_LOG_TLS = ("native_log_tls_key", "native_log_tls_certificate", "native_log_tls_ca")
_ENSEMBLE = ("zk_endpoints", "serverset_path", "native_log_zk_group_path", "native_log_file_path")


@dataclasses.dataclass(frozen=True)
class Flags:
    """The values of all flags."""

    role: tuple[str, ...] = _flag(
        ("scheduler", "observer"),
        _CLUSTER,
        "What this process is: scheduler, observer or both (executor, launcher: for engines)",
        check.roles,
    )
    engine: Literal["local", "simulated"] = _flag(
        "local", _CLUSTER, "Where tasks run: this machine, or hosts that are only pretended"
    )
    work_dir: Path = dataclasses.field(
        default_factory=_default_work_dir,
        metadata={"flag": Declaration("Folder that holds everything this daemon keeps", _CLUSTER, None)},
    )
    cluster_name: str = _flag("devcluster", _CLUSTER, "Cluster name shown in answers and pages")
    gc_delay: Duration = _flag(172800.0, _CLUSTER, "Sandboxes of ended tasks are kept this long", _non_negative)
    gc_disk_headroom: float = _flag(
        0.1,
        _CLUSTER,
        "Part of the disk to keep free, by removing sandboxes of ended tasks before their time",
        check.part,
    )
    gc_max_size: Data | None = _flag(
        None, _CLUSTER, "Most that sandboxes of ended tasks may take; unset = no limit", _non_negative
    )
    stop_tasks_on_exit: bool = _flag(False, _CLUSTER, "Kill the local engine's tasks when the daemon stops")

    http_port: int = _flag(8081, _HTTP, "Scheduler's HTTP port; 0 = any free one", check.port)
    ip: str | None = _flag(None, _HTTP, "Address to listen on (0.0.0.0 = all); unset = that of -hostname, or loopback")
    hostname: str | None = _flag(None, _HTTP, "Host name advertised to others")
    viz_job_url_prefix: str = _flag("", _HTTP, "Statistics URL prefix handed to clients")
    shutdown_grace: Duration = _flag(5.0, _HTTP, "How long open requests may go on while stopping", _non_negative)

    max_tasks_per_job: int = _flag(4000, _JOBS, "Most instances of one job", _positive)
    max_update_instance_failures: int = _flag(20000, _JOBS, "Most instance failures one update may allow", _positive)
    allowed_job_environments: str = _flag(
        r"^(prod|devel|test|staging\d*)$", _JOBS, "Environment names (regex, whole match)", check.regex
    )
    tier_config: Path | None = _flag(None, _JOBS, "JSON file of tiers; unset = the built-in ones")
    allowed_container_types: tuple[str, ...] = _flag(("MESOS",), _JOBS, "Kinds of container", check.container_types)
    allow_docker_parameters: bool = _flag(False, _JOBS, "Jobs may give docker parameters")
    default_docker_parameters: tuple[str, ...] = _flag(
        (), _JOBS, "Docker parameters of jobs that give none, name=value each", check.docker_parameters
    )
    require_docker_use_executor: bool = _flag(True, _JOBS, "Docker tasks need an executor")
    enable_mesos_fetcher: bool = _flag(False, _JOBS, "Jobs may have URIs fetched")
    allow_container_volumes: bool = _flag(False, _JOBS, "Jobs may mount volumes into Mesos containers")
    allow_gpu_resource: bool = _flag(False, _JOBS, "Jobs may ask for GPUs")
    min_required_instances_for_sla_check: int = _flag(20, _JOBS, "Fewest instances with an SLA policy", _positive)
    max_sla_duration_secs: Duration = _flag(7200.0, _JOBS, "Longest duration of an SLA policy", _positive)
    sla_aware_kill_non_prod: bool = _flag(False, _JOBS, "SLA policies for non-production tiers too")

    min_offer_hold_time: Duration = _flag(300.0, _SCHEDULING, "Least time an offer is held", _non_negative)
    hold_offers_forever: bool = _flag(False, _SCHEDULING, "Never return an offer that nobody needs")
    offer_hold_jitter_window: Duration = _flag(60.0, _SCHEDULING, "Most random extra hold", _non_negative)
    offer_filter_duration: Duration = _flag(5.0, _SCHEDULING, "How long a declined offer stays away", _non_negative)
    offer_order: tuple[str, ...] = _flag(
        ("RANDOM",), _SCHEDULING, "Which offers are used first: the least of each in turn", check.offer_order
    )
    unavailability_threshold: Duration = _flag(
        360.0, _SCHEDULING, "So long before a host's announced unavailability nothing is placed on it", _non_negative
    )
    first_schedule_delay: Duration = _flag(0.001, _SCHEDULING, "Delay before the first attempt", _positive)
    initial_schedule_penalty: Duration = _flag(1.0, _SCHEDULING, "First wait after nothing fitted", _positive)
    max_schedule_penalty: Duration = _flag(60.0, _SCHEDULING, "Longest wait after nothing fitted", _positive)
    max_schedule_attempts_per_sec: float | None = _flag(
        None, _SCHEDULING, "Most attempts a second; unset = as many as the machine can", _positive
    )
    max_tasks_per_schedule_attempt: int = _flag(5, _SCHEDULING, "Tasks of a group per attempt", _positive)
    scheduling_max_batch_size: int | None = _flag(
        None, _SCHEDULING, "Most attempts in one write; unset = as many as take 15 ms", _positive
    )
    flapping_task_threshold: Duration = _flag(300.0, _SCHEDULING, "Shorter runs are flapping", _non_negative)
    initial_flapping_task_delay: Duration = _flag(30.0, _SCHEDULING, "First penalty for flapping", _positive)
    max_flapping_task_delay: Duration = _flag(300.0, _SCHEDULING, "Longest penalty for flapping", _positive)

    enable_preemptor: bool = _flag(True, _SCHEDULING, "End tasks that matter less for those that wait too long")
    preemption_delay: Duration = _flag(180.0, _SCHEDULING, "So long a task waits before others end for it", _positive)
    preemption_slot_search_initial_delay: Duration = _flag(180.0, _SCHEDULING, "First search for victims", _positive)
    preemption_slot_search_interval: Duration = _flag(60.0, _SCHEDULING, "Search for victims every", _positive)
    preemption_reservation_max_batch_size: int = _flag(5, _SCHEDULING, "Slots found for a group in turn", _positive)
    preemption_slot_hold_time: Duration = _flag(
        300.0, _SCHEDULING, "So long an agent is kept for who waits while the victims there are ending", _positive
    )
    offer_reservation_duration: Duration = _flag(
        180.0, _SCHEDULING, "So long it is kept for who waits after the victims have ended", _positive
    )
    enable_update_affinity: bool = _flag(False, _SCHEDULING, "Updates keep instances on their agents where that fits")
    update_affinity_reservation_hold_time: Duration = _flag(
        180.0, _SCHEDULING, "So long an agent is kept for the instance that an update ended there", _positive
    )

    host_maintenance_polling_interval: Duration = _flag(
        60.0, _SLA, "Hosts being drained are looked at every", _positive
    )
    sla_coordinator_timeout: Duration = _flag(60.0, _SLA, "How long an SLA coordinator may take to answer", _positive)
    max_parallel_coordinated_maintenance: int = _flag(10, _SLA, "SLA coordinators asked at the same time", _positive)
    sla_stat_refresh_interval: Duration = _flag(60.0, _SLA, "SLA statistics are computed every", _positive)
    sla_prod_metrics: tuple[str, ...] = _flag(
        ("JOB_UPTIMES", "PLATFORM_UPTIME", "MEDIANS"), _SLA, "SLA statistics of production services", check.sla_metrics
    )
    sla_non_prod_metrics: tuple[str, ...] = _flag((), _SLA, "SLA statistics of other services", check.sla_metrics)

    async_task_stat_update_interval: Duration = _flag(3600.0, _STATE, "Statistics of consumption every", _positive)
    async_slot_stat_update_interval: Duration = _flag(60.0, _STATE, "Statistics of room in offers every", _positive)
    webhook_config: Path | None = _flag(None, _STATE, "JSON file: which server to tell of which new states of tasks")
    transient_task_state_timeout: Duration = _flag(300.0, _STATE, "Stuck in a transient state: LOST", _positive)
    initial_task_kill_retry_interval: Duration = _flag(15.0, _STATE, "First wait before a kill is repeated", _positive)
    max_status_update_batch_size: int = _flag(1000, _STATE, "Status updates applied in one write", _positive)
    history_prune_threshold: Duration = _flag(172800.0, _STATE, "Age at which ended tasks are forgotten", _positive)
    history_min_retention_threshold: Duration = _flag(3600.0, _STATE, "Ended tasks are kept this long", _non_negative)
    history_max_per_job_threshold: int = _flag(100, _STATE, "Ended tasks kept per job", _non_negative)
    reconciliation_initial_delay: Duration = _flag(60.0, _STATE, "First reconciliation after", _non_negative)
    reconciliation_explicit_interval: Duration = _flag(3600.0, _STATE, "Reconciliation every", _positive)

    reconciliation_explicit_batch_size: int = _flag(1000, _STATE, "Tasks asked about at once", _positive)
    reconciliation_explicit_batch_interval: Duration = _flag(5.0, _STATE, "Wait between batches", _non_negative)
    reconciliation_implicit_interval: Duration = _flag(
        3600.0, _STATE, "Ask for all the engine's tasks every", _positive
    )
    reconciliation_schedule_spread: Duration = _flag(
        1800.0, _STATE, "First asked for all its tasks so much later than for ours", _non_negative
    )

    cron_timezone: str = _flag("GMT", _STATE, "Time zone of cron schedules, such as Europe/Berlin", check.zone_name)
    cron_scheduling_max_batch_size: int = _flag(10, _STATE, "Most cron jobs started in one write", _positive)
    cron_scheduler_num_threads: int = _flag(10, _STATE, "Taken and of no effect: there are no threads", _positive)
    cron_start_initial_backoff: Duration = _flag(
        5.0, _STATE, "Taken and of no effect: a run starts as soon as the one killed for it is gone", _positive
    )
    cron_start_max_backoff: Duration = _flag(60.0, _STATE, "Taken and of no effect, likewise", _positive)

    sla_aware_action_max_batch_size: int = _flag(300, _UPDATES, "SLA-aware kills tried at the same time", _positive)
    sla_aware_kill_retry_min_delay: Duration = _flag(60.0, _UPDATES, "First wait before one is retried", _positive)
    sla_aware_kill_retry_max_delay: Duration = _flag(300.0, _UPDATES, "Longest wait before one is retried", _positive)
    job_update_history_per_job_threshold: int = _flag(10, _UPDATES, "Ended updates kept per job", _non_negative)
    job_update_history_pruning_interval: Duration = _flag(900.0, _UPDATES, "Ended updates are pruned every", _positive)
    job_update_history_pruning_threshold: Duration = _flag(2592000.0, _UPDATES, "Ended updates kept at most", _positive)

    zk_endpoints: tuple[str, ...] = _flag(
        (), _ZOOKEEPER, "ZooKeeper's servers; unset = this scheduler is alone", check.addresses
    )
    zk_chroot_path: str | None = _flag(None, _ZOOKEEPER, "What all our paths there are below", check.node_path)
    zk_session_timeout: Duration = _flag(
        15.0, _ZOOKEEPER, "A leader that ZooKeeper has not heard of for so long leads no more", _positive
    )
    zk_connection_timeout: Duration = _flag(
        10.0,
        _ZOOKEEPER,
        "So long a server may take to be reached, and all of them before the log says so",
        _positive,
    )
    zk_digest_credentials: str | None = _flag(
        None,
        _ZOOKEEPER,
        "user:password there; what we make can then be changed by these alone, and read by all",
        check.credentials,
        secret=True,
    )
    zk_in_proc: bool = _flag(
        False, _ZOOKEEPER, "For tests: be alone, and ask no ZooKeeper, whatever the other flags here say"
    )
    serverset_path: str | None = _flag(
        None, _ZOOKEEPER, "Where schedulers elect their leader, and clients find it", check.node_path
    )
    serverset_endpoint_name: str = _flag(
        "http",
        _ZOOKEEPER,
        "Name of the leader's address there; https behind a proxy that ends TLS",
        check.endpoint_name,
    )
    native_log_zk_group_path: str | None = _flag(
        None, _REPLICATED, "Where the members of the replicated log find each other", check.node_path
    )
    native_log_file_path: Path | None = _flag(None, _REPLICATED, "Folder of this member's replicated log")
    native_log_quorum_size: int = _flag(
        1, _REPLICATED, "How many members must have what is written: more than half of them, the same on all", _positive
    )

    native_log_port: int | None = _flag(
        None, _REPLICATED, "Where its other members reach this one; unset = LIBPROCESS_PORT, or any free", check.port
    )
    native_log_cluster_id: str | None = _flag(
        None, _REPLICATED, "Whose log it is: members of another one are turned away; unset = -cluster_name"
    )
    native_log_election_timeout: Duration = _flag(15.0, _REPLICATED, "How long an attempt to lead it takes", _positive)
    native_log_election_retries: int = _flag(20, _REPLICATED, "Attempts, before the process ends", _positive)
    native_log_read_timeout: Duration = _flag(
        5.0, _REPLICATED, "Taken and of no effect: reading is from this member's own disk", _positive
    )
    native_log_write_timeout: Duration = _flag(
        3.0, _REPLICATED, "A leader whose write no quorum takes for so long ends", _positive
    )
    native_log_initialize: bool = _flag(
        False, _REPLICATED, "Members that are all empty, and complete, begin the log by themselves"
    )
    native_log_tls_key: Path | None = _flag(None, _REPLICATED, "PEM file: this member's key; the others see TLS then")
    native_log_tls_certificate: Path | None = _flag(None, _REPLICATED, "PEM file: its certificate")
    native_log_tls_ca: Path | None = _flag(None, _REPLICATED, "PEM file: the authority that certifies members alone")

    max_registration_delay: Duration = _flag(
        60.0, _LOG, "A leader that the engine does not know after so long ends, to be started again", _positive
    )
    max_leading_duration: Duration = _flag(
        86400.0, _LOG, "After so long a leader ends for another one to lead, unless it is alone", _positive
    )
    dlog_max_entry_size: Data = _flag(512 << 10, _LOG, "Largest entry written in one piece", _positive)
    dlog_snapshot_interval: Duration = _flag(3600.0, _LOG, "Snapshot of the state into the log every", _positive)
    backup_dir: Path | None = _flag(None, _LOG, "Folder of backups; unset = backups/ in -work_dir")
    backup_interval: Duration = _flag(3600.0, _LOG, "Least time between backups, made when snapshots are", _positive)
    max_saved_backups: int = _flag(48, _LOG, "Backups kept; older ones are removed", _positive)

    thermos_executor_cpu: float = _flag(0.25, _EXECUTOR, "CPU set aside for each executor", _non_negative)
    thermos_executor_ram: Data = _flag(128 << 20, _EXECUTOR, "Memory set aside for each executor", _non_negative)
    thermos_executor_flags: str = _flag("", _EXECUTOR, "Flags of each executor, as a shell would split them")

    observer_port: int = _flag(1338, _OBSERVER, "Observer's HTTP port, also called -port; 0 = any free one", check.port)
    mesos_root: Path | None = _flag(
        None,
        _OBSERVER,
        "A Mesos agent's work_dir; unset = our own engine's, and /var/lib/mesos without a scheduler here",
    )
    root: tuple[str, ...] = _flag((), _OBSERVER, "Checkpoint roots besides, as of the thermos command")
    polling_interval_secs: float = _flag(5.0, _OBSERVER, "Look for tasks every so many seconds", _positive)
    disable_task_resource_collection: bool = _flag(False, _OBSERVER, "Measure nothing: CPU, RAM and disk read 0")
    task_process_collection_interval_secs: float = _flag(20.0, _OBSERVER, "Measure CPU and RAM every", _positive)
    task_disk_collection_interval_secs: float = _flag(60.0, _OBSERVER, "Measure disk use every", _positive)
    enable_mesos_disk_collector: bool = _flag(False, _OBSERVER, "Ask the Mesos agent for disk use")
    agent_api_url: str = _flag("http://localhost:5051/containers", _OBSERVER, "Where to ask it", check.http_url)
    executor_id_json_path: str = _flag(
        "executor_id", _OBSERVER, "JMESPath of a container's executor id", check.jmespath
    )
    disk_usage_json_path: str = _flag(
        "statistics.disk_used_bytes", _OBSERVER, "JMESPath of a container's disk use", check.jmespath
    )

    simulated_hosts: int = _flag(100, _SIMULATED, "How many hosts to pretend", _positive)
    simulated_cpus: float = _flag(16.0, _SIMULATED, "CPUs of each", _positive)
    simulated_ram: Data = _flag(64 << 30, _SIMULATED, "Memory of each", _positive)
    simulated_disk: Data = _flag(500 << 30, _SIMULATED, "Disk of each", _positive)
    simulated_ports: str = _flag("31000-32000", _SIMULATED, "Ports of each", check.port_range)
    simulated_racks: int = _flag(10, _SIMULATED, "Racks that they are spread over (attribute rack)", _positive)
    simulated_agents: Path | None = _flag(
        None, _SIMULATED, "File of agents in place of all these, each line: id host cpus ram disk ports name=value,..."
    )
    simulated_finish: float = _flag(0.0, _SIMULATED, "Part of the tasks that finish; what is left runs on", check.share)
    simulated_fail: float = _flag(0.0, _SIMULATED, "Part of the tasks that fail", check.share)
    simulated_lose: float = _flag(0.0, _SIMULATED, "Part of the tasks that get lost", check.share)
    simulated_run_time: Duration = _flag(600.0, _SIMULATED, "How long those run, half more or less", _positive)
    simulated_flap: float = _flag(0.0, _SIMULATED, "Part of the instances whose every run fails after 2 s", check.share)
    simulated_start_delay: Duration = _flag(
        0.15, _SIMULATED, "From launch to STARTING, and from there to RUNNING", _non_negative
    )
    simulated_kill_delay: Duration = _flag(0.15, _SIMULATED, "From kill to KILLED", _non_negative)
    simulated_seed: int = _flag(1, _SIMULATED, "What fates of tasks are drawn from: the same seed, the same fates")
    simulated_control_port: int | None = _flag(
        None,
        _SIMULATED,
        "Port on this machine where tasks and agents are told what happens to them; 0 = any free one",
        check.port,
    )

    log_to_stderr: str = _flag("INFO", _OUTPUT, "Least level of what is logged", check.level)
    log_to_disk: str = _flag("NONE", _OUTPUT, "NONE: the log goes to standard error alone", check.no_log)

    @property
    def replicated(self) -> bool:
        """Whether there are other schedulers, who share a log and elect who leads."""
        return bool(self.zk_endpoints) and not self.zk_in_proc


def parse(arguments: Sequence[str]) -> Flags:
    """The daemon's flags. Raises as `flag_parsing.parse`, and `FlagError` for flags that do not go together."""
    flags = flag_parsing.parse([_SHORT.sub("-observer_port", argument) for argument in arguments], Flags)
    _check_ensemble(flags)
    if flags.engine != "simulated":
        _refuse_simulation(flags)
        return flags
    _check_simulation(flags)
    if flags.work_dir == _default_work_dir():  # pretended tasks are kept apart from real ones
        return dataclasses.replace(flags, work_dir=flags.work_dir.with_name("aurorad-simulated"))
    return flags


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
        "Durations look like 500ms, 10secs, 5mins, 2hrs, 1days; amounts of data like 64MB, 1GB; lists like a,b.",
        "What follows each flag here is its default.",
    ]
    return "\n".join(lines) + "\n" + flag_parsing.usage(Flags())


def changed(flags: Flags) -> list[str]:
    """The flags that are not at their defaults, as they would be written."""
    return [f"-{name}={value}" for name, value in flag_parsing.changed(flags, Flags()).items()]
