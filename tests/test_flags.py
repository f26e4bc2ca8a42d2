from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.flags import FlagError, Flags, HelpRequested, changed, parse, time_zone, usage

ENSEMBLE = [
    "-zk_endpoints=zk1:2181,[::1]:2181",
    "-serverset_path=/aurora/scheduler",
    "-native_log_zk_group_path=/aurora/log",
    "-native_log_file_path=/log",
]
TLS = [f"-native_log_tls_{name}=/log/{name}.pem" for name in ("key", "certificate", "ca")]


def test_without_arguments_every_flag_has_its_default() -> None:
    assert parse([]) == Flags()


@pytest.mark.parametrize(
    "arguments",
    [
        ["-http_port=9000"],
        ["--http_port=9000"],
        ["-http_port", "9000"],
        ["--http_port", "9000"],
    ],
)
def test_a_flag_may_be_written_as_operators_are_used_to(arguments: list[str]) -> None:
    assert parse([*arguments, "-cluster_name=x"]) == Flags(http_port=9000, cluster_name="x")


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["-stop_tasks_on_exit"], True),
        (["-stop_tasks_on_exit", "-cluster_name=x"], True),
        (["-stop_tasks_on_exit=true"], True),
        (["-stop_tasks_on_exit=FALSE"], False),
        (["-stop_tasks_on_exit", "true"], True),
        (["-stop_tasks_on_exit", "false"], False),
    ],
)
def test_a_boolean_is_on_by_its_name_alone(arguments: list[str], value: bool) -> None:
    assert parse(arguments).stop_tasks_on_exit is value


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("-offer_filter_duration=90secs", "offer_filter_duration", 90.0),
        ("-dlog_max_entry_size=1MB", "dlog_max_entry_size", 1 << 20),
        ("-thermos_executor_cpu=0.5", "thermos_executor_cpu", 0.5),
        ("-role=observer,scheduler", "role", ("observer", "scheduler")),
        ("-tier_config=/etc/tiers.json", "tier_config", Path("/etc/tiers.json")),
        ("-work_dir=~", "work_dir", Path.home()),
        ("-viz_job_url_prefix=http://viz/?a=b", "viz_job_url_prefix", "http://viz/?a=b"),
        ("-viz_job_url_prefix=", "viz_job_url_prefix", ""),
        ("-default_docker_parameters=a=b,c=d", "default_docker_parameters", ("a=b", "c=d")),
        ("-default_docker_parameters=", "default_docker_parameters", ()),
        ("-default_docker_parameters=''", "default_docker_parameters", ()),
        ("-allowed_container_types=DOCKER", "allowed_container_types", ("DOCKER",)),
    ],
)
def test_each_kind_of_value_is_read(argument: str, name: str, value: object) -> None:
    assert getattr(parse([argument]), name) == value


def test_a_list_given_again_grows() -> None:
    assert parse(["-role=scheduler", "-role=observer"]).role == ("scheduler", "observer")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-no_such_flag=5"], "unknown flag -no_such_flag=5: -help lists those there are"),
        (["stray"], "'stray' is not a flag: -name=value was expected"),
        (["-http_port=x"], "-http_port=x: a whole number was expected"),
        (["-http_port=1_0"], "-http_port=1_0: a whole number was expected"),
        (["-http_port="], "-http_port=: a whole number was expected"),
        (["-http_port=70000"], "-http_port=70000: a port from 0 to 65535 was expected"),
        (["-http_port"], "-http_port has no value: a whole number was expected"),
        (["-http_port=1", "-http_port=2"], "-http_port was given twice, the second time with '2': once was expected"),
        (["-stop_tasks_on_exit=yes"], "-stop_tasks_on_exit=yes: true or false was expected"),
        (["-offer_filter_duration=10"], "-offer_filter_duration=10: a duration such as 10secs or 1mins was expected"),
        (["-shutdown_grace=-1secs"], "-shutdown_grace=-1secs: a duration such as 10secs or 1mins was expected"),
        (["-dlog_max_entry_size=64"], "-dlog_max_entry_size=64: an amount of data such as 64MB was expected"),
        (["-dlog_max_entry_size=0MB"], "-dlog_max_entry_size=0MB: a value above 0 was expected"),
        (["-thermos_executor_cpu=nan"], "-thermos_executor_cpu=nan: a number was expected"),
        (["-thermos_executor_cpu=-1.5"], "-thermos_executor_cpu=-1.5: a value of 0 or more was expected"),
        (["-role=queen"], "-role=queen: scheduler, observer or both; or executor or launcher alone was expected"),
        (["-tier_config=~nobody-of-this-name/x"], "-tier_config=~nobody-of-this-name/x: a path was expected"),
        (["-tier_config="], "-tier_config=: a path was expected"),
        (["-allowed_container_types=VM"], "-allowed_container_types=VM: MESOS, DOCKER or both was expected"),
        (
            ["-default_docker_parameters=a"],
            "-default_docker_parameters=a: name=value, with commas between was expected",
        ),
        (
            ["-allowed_job_environments=("],
            "-allowed_job_environments=(: a regular expression (missing ), unterminated subpattern at position 0) "
            "was expected",
        ),
    ],
)
def test_what_cannot_be_accepted_is_named_with_what_was_expected(arguments: list[str], text: str) -> None:
    with pytest.raises(FlagError) as refused:
        parse(arguments)
    assert str(refused.value) == text


@pytest.mark.parametrize("argument", ["-help", "--help", "-h"])
def test_help_may_be_asked_for_anywhere(argument: str) -> None:
    with pytest.raises(HelpRequested):
        parse(["-http_port=1", argument])


def test_help_lists_every_flag_once_by_group_with_its_default_and_meaning() -> None:
    text = usage()
    groups = ["Identity, HTTP, API", "Cluster and engine", "Storage and log", "Job validation", "Task state"]
    for group in groups:
        assert text.count(f"\n{group}:\n") == 1
    for field in dataclasses.fields(Flags):
        assert text.count(f"\n  -{field.name}=") == 1
        assert field.metadata["flag"].meaning in text
    assert "\n  -http_port=8081\n" in text
    assert "\n  -max_sla_duration_secs=2hrs\n" in text
    assert "\n  -require_docker_use_executor=true\n" in text


def test_the_flags_that_were_changed_are_told_as_they_may_be_given_again() -> None:
    flags = Flags(role=("observer",), tier_config=Path("/t"), max_sla_duration_secs=90.0, ip="127.0.0.1")
    written = ["-role=observer", "-ip=127.0.0.1", "-tier_config=/t", "-max_sla_duration_secs=90secs"]
    assert changed(flags) == written
    assert parse(written) == flags


@given(st.lists(st.text(max_size=12), max_size=4))
def test_whatever_is_given_only_a_flag_error_comes_out(arguments: list[str]) -> None:
    with contextlib.suppress(FlagError, HelpRequested):
        parse(arguments)


@given(st.sampled_from([field.name for field in dataclasses.fields(Flags)]), st.text(max_size=12))
def test_whatever_the_value_a_flag_takes_it_or_says_what_was_expected(name: str, text: str) -> None:
    with_it = [argument for argument in (*ENSEMBLE, *TLS) if not argument.startswith(f"-{name}=")]
    if name.startswith("simulated_"):
        with_it = ["-engine=simulated"]
    try:
        parse([f"-{name}={text}", *with_it])
    except FlagError as refused:
        said = str(refused)
    else:
        return
    shown = "***" if name == "zk_digest_credentials" else text  # a password stays out of what may be logged
    assert said.startswith(f"-{name}={shown}: ")
    assert said.endswith(" was expected")


@pytest.mark.parametrize(("name", "shown"), [("GMT", "UTC"), ("UTC", "UTC"), ("Europe/Berlin", "Europe/Berlin")])
def test_time_zones_go_by_their_names(name: str, shown: str) -> None:
    assert str(time_zone(name)) == shown


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "Europe", "../../etc/passwd", "/etc/localtime"])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(FlagError, match="cron_timezone"):
        parse([f"-cron_timezone={name}"])


def test_a_simulated_cluster_is_kept_apart_from_the_real_one() -> None:
    assert parse(["-engine=simulated"]).work_dir == Flags().work_dir.with_name("aurorad-simulated")
    assert parse(["-engine=simulated", "-work_dir=/w"]).work_dir == Path("/w")
    assert parse(["-engine=local"]).work_dir == Flags().work_dir


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-simulated_hosts=5"], "-simulated_hosts=5: -engine=simulated was expected with it"),
        (["-engine=simulated", "-role=observer"], "-engine=simulated: the role scheduler was expected with it"),
        (["-engine=simulated", "-stop_tasks_on_exit"], "-stop_tasks_on_exit=true: not expected with -engine=simulated"),
        (
            ["-engine=simulated", "-simulated_agents=/a", "-simulated_racks=2"],
            "-simulated_racks=2: not expected with -simulated_agents, whose file says that",
        ),
        (
            ["-engine=simulated", "-simulated_fail=0.6", "-simulated_lose=0.5"],
            "-simulated_finish, -simulated_fail and -simulated_lose add up to 1.1: at most 1 was expected",
        ),
        (["-engine=real"], "-engine=real: one of local, simulated, mesos was expected"),
        (["-engine=simulated", "-simulated_ports=9"], "-simulated_ports=9: a range of ports such as 31000-32000 was"),
        (["-engine=simulated", "-simulated_ports=0-9"], "-simulated_ports=0-9: a range of ports such as 31000-32000"),
        (["-engine=simulated", "-simulated_flap=2"], "-simulated_flap=2: a part of 1, such as 0.1 was expected"),
        (["-engine=simulated", "-simulated_hosts=0"], "-simulated_hosts=0: a value above 0 was expected"),
    ],
)
def test_flags_of_a_simulated_cluster_that_make_no_sense_are_refused(arguments: list[str], text: str) -> None:
    with pytest.raises(FlagError) as refused:
        parse(arguments)
    assert str(refused.value).startswith(text)


MASTER = "-mesos_master_address=zk://user:pa@ss@zk1:2181,[::1]:2181/mesos"
EXECUTOR = "-thermos_executor_path=/executor"


@pytest.mark.parametrize(
    "address",
    [
        "master:5050",
        "10.0.0.1:5050,[::1]:5050",
        "zk://zk:2181/mesos",
        "zk://zk1:2181,zk2:2181/",
        "zk://u:p@zk:2181/a/b",
    ],
)
def test_who_names_a_master_has_mesos_as_the_engine(address: str) -> None:
    flags = parse([f"-mesos_master_address={address}", EXECUTOR, "-role=scheduler"])
    assert flags.engine == "mesos"
    assert flags.mesos_master_address == address
    assert parse(["-engine=mesos", MASTER, EXECUTOR, "-role=scheduler"]).engine == "mesos"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-engine=mesos"], "-engine=mesos: -mesos_master_address was expected with it"),
        (["-engine=simulated", MASTER], "-mesos_master_address=zk://***@zk1:2181,[::1]:2181/mesos: not expected with"),
        ([MASTER, "-role=observer"], "-mesos_master_address: the role scheduler was expected with it"),
        (["-mesos_master_address=m:5050"], "-mesos_master_address=m:5050: -thermos_executor_path was expected"),
        (["-thermos_executor_path=/a/b/"], "-thermos_executor_path=/a/b/: a URI that does not end in / was expected"),
        ([MASTER, EXECUTOR, "-stop_tasks_on_exit=true"], "-stop_tasks_on_exit=true: not expected with"),
        (["-global_container_mounts=/a:/b"], "-global_container_mounts=/a:/b: host:container:mode, of mode ro or rw"),
        (["-custom_executor_config=/e"], "-custom_executor_config=/e: there is one executor with -engine=local"),
        (["-mesos_role=a b"], "-mesos_role=a b: a role such as aurora"),
        (["-framework_failover_timeout=-1secs"], "-framework_failover_timeout=-1secs: "),
        *(
            (
                [f"-mesos_master_address={bad}"],
                f"-mesos_master_address={bad.replace('user', '***')}: host:port, perhaps",
            )
            for bad in (
                "",
                "master",
                "master:0",
                "a:1,",
                "zk://zk:2181",
                "zk://zk/mesos",
                "zk://user@zk:2181/mesos",
                "zk:///m",
            )
        ),
    ],
)
def test_flags_of_a_mesos_cluster_that_make_no_sense_are_refused(arguments: list[str], text: str) -> None:
    with pytest.raises(FlagError) as refused:
        parse(arguments)
    assert str(refused.value).startswith(text)


def test_the_password_of_the_masters_zookeeper_is_not_shown() -> None:
    flags = parse([MASTER, EXECUTOR, "-role=scheduler"])
    assert "-mesos_master_address=zk://***@zk1:2181,[::1]:2181/mesos" in changed(flags)
    assert "pa@ss" not in repr(flags) + "".join(changed(flags))


def test_it_may_be_in_a_file_so_that_nobody_sees_it_in_a_list_of_processes(tmp_path: Path) -> None:
    (tmp_path / "masters").write_text("zk://user:pa@ss@zk1:2181/mesos\n")
    flags = parse([f"-mesos_master_address=@{tmp_path}/masters", EXECUTOR, "-role=scheduler"])
    assert flags.mesos_master_address == "zk://user:pa@ss@zk1:2181/mesos"
    assert "pa@ss" not in repr(flags) + "".join(changed(flags))


def test_several_schedulers_are_asked_for_by_all_that_they_need() -> None:
    assert not parse([]).replicated
    assert parse(ENSEMBLE).replicated
    assert parse([*ENSEMBLE, "-native_log_quorum_size=2", "-zk_digest_credentials=a:b"]).replicated
    assert not parse([*ENSEMBLE, "-zk_in_proc=true"]).replicated


@pytest.mark.parametrize("argument", [*ENSEMBLE, "-zk_chroot_path=/a", "-native_log_quorum_size=2"])
def test_half_of_it_is_refused(argument: str) -> None:
    with pytest.raises(FlagError) as refused:
        parse([argument])
    missing = ", ".join(flag.partition("=")[0] for flag in ENSEMBLE if flag != argument)
    assert str(refused.value) == f"{argument}: {missing} was expected with it, for several schedulers"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-zk_endpoints=zk1"], "-zk_endpoints=zk1: host:port of each server, with commas between was expected"),
        (["-zk_endpoints=zk1:0"], "-zk_endpoints=zk1:0: host:port of each server, with commas between was expected"),
        (["-zk_endpoints="], "-zk_endpoints=: host:port of each server, with commas between was expected"),
        (["-zk_chroot_path=a"], "-zk_chroot_path=a: a path in ZooKeeper such as /aurora/scheduler was expected"),
        (["-serverset_path=/a/"], "-serverset_path=/a/: a path in ZooKeeper such as /aurora/scheduler was expected"),
        (["-serverset_endpoint_name="], "-serverset_endpoint_name=: a name such as http or https was expected"),
        (
            [*ENSEMBLE[:1], "-serverset_path=/a", "-native_log_zk_group_path=/a", ENSEMBLE[3]],
            "-native_log_zk_group_path=/a: another path than that of -serverset_path was expected",
        ),
        (
            ["-zk_in_proc", "-native_log_quorum_size=2"],
            "-native_log_quorum_size=2: not expected with -zk_in_proc, which is to be alone",
        ),
    ],
)
def test_what_zookeeper_could_not_do_is_refused(arguments: list[str], text: str) -> None:
    with pytest.raises(FlagError) as refused:
        parse(arguments)
    assert str(refused.value) == text


def test_credentials_are_never_shown() -> None:
    for wrong in (["secret"], ["secret:"], ["a:secret", "-zk_digest_credentials=b:secret"], ["a:secret"]):
        with pytest.raises(FlagError, match=r"zk_digest_credentials") as refused:
            parse([f"-zk_digest_credentials={wrong[0]}", *wrong[1:]])
        assert "secret" not in str(refused.value)
    flags = parse([*ENSEMBLE, "-zk_digest_credentials=aurora:secret"])
    assert "-zk_digest_credentials=***" in changed(flags)
    assert "secret" not in repr(flags)


def test_a_secret_may_be_in_a_file_where_others_do_not_see_it(tmp_path: Path) -> None:
    file = tmp_path / "zookeeper"
    file.write_text("ann:apple\nnothing of this\n")
    flags = parse([*ENSEMBLE, f"-zk_digest_credentials=@{file}"])
    assert flags.zk_digest_credentials == "ann:apple"
    assert "apple" not in " ".join(changed(flags))


@pytest.mark.parametrize("content", [None, b"", b"\xff:\xff", b"nothing that fits\n"])
def test_a_secrets_file_that_does_not_help_is_told_and_not_shown(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "zookeeper"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FlagError, match=r"-zk_digest_credentials=.* expected") as caught:
        parse([*ENSEMBLE, f"-zk_digest_credentials=@{file}"])
    assert "nothing that fits" not in str(caught.value)
