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
TASK_NAMES = NAMES.partition("MesosContext")[0]
# Of older versions, and of Python 2.
OLDER = "HTTPLifecycleConfig PackerObject"
PYTHON_2 = "basestring filter long map raw_input reduce unichr unicode xrange zip"


def test_a_job_file_sees_these_names_and_no_others() -> None:
    assert namespace.for_jobs().keys() == set(f"{NAMES} {OLDER} {PYTHON_2}".split())


def test_a_thermos_config_sees_what_tasks_are_made_of() -> None:
    assert namespace.for_tasks(print).keys() == set(f"{TASK_NAMES} {PYTHON_2} export".split())


def test_two_files_do_not_share_a_namespace() -> None:
    one = namespace.for_jobs()
    one["MB"] = 1
    assert namespace.for_jobs()["MB"] == 1024 * 1024
