from __future__ import annotations

from aurorad.jobfile import namespace

# config-schema sheet, section 4; `include` is added by the loader.
NAMES = """
    Boolean Choice Default Empty Enum Environment Float Integer List Map MustacheParser Namable Ref Required String
    Struct Type TypeCheck TypeFactory
    BYTES KB MB GB TB
    ThermosContext Resources Constraint RotatePolicy LoggerDestination LoggerMode Logger Process Task
    order combine_tasks concat_tasks java_options python_options SequentialTask SimpleTask Options Processes Tasks Units
    MesosContext QueueUpdateStrategy BatchUpdateStrategy VariableBatchUpdateStrategy UpdateConfig HttpHealthChecker
    ShellHealthChecker HealthCheckerConfig DefaultHealthChecker HealthCheckConfig HttpLifecycleConfig LifecycleConfig
    DisableLifecycle DefaultLifecycleConfig Announcer MesosTaskInstance Parameter Docker AppcImage DockerImage Mode
    Volume Mesos Container PartitionPolicy Metadata ExecutorConfig PercentageSlaPolicy CountSlaPolicy
    CoordinatorSlaPolicy MesosJob Job Service
    AURORA_EXECUTOR_NAME
"""


def test_a_job_file_sees_these_names_and_no_others() -> None:
    assert namespace.fresh().keys() == set(NAMES.split())


def test_two_files_do_not_share_a_namespace() -> None:
    one = namespace.fresh()
    one["MB"] = 1
    assert namespace.fresh()["MB"] == 1024 * 1024
