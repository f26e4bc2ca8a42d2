"""Every example of the manuals' configuration reference, configuration tutorial and tutorials, and what it means.

Those of the tutorials' sessions at the prompt are in `test_templating`. Some examples are broken as they are printed:
for these, the message that their author gets, and what they mean once mended.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aurorad.api.tasks import Constraint, LimitConstraint, Resource, TaskConstraint
from aurorad.api.updates import JobUpdateSettings, JobUpdateStrategy, QueueJobUpdateStrategy
from aurorad.jobfile import convert, jobs, loader, settings
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.jobs import JobConfig, Selector
from tests.jobfile.evaluating import evaluate, minimal, processes

EXAMPLES = Path(__file__).parent / "examples"
MB, GB = 1 << 20, 1 << 30


@pytest.fixture(autouse=True)
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "bozo")


def example(name: str) -> str:
    return (EXAMPLES / f"{name}.aurora").read_text()


def config_of(name: str, *wanted: str | None) -> JobConfig:
    file = loader.load(EXAMPLES / f"{name}.aurora")
    assert file.warnings == ()
    return jobs.evaluate(jobs.pick(jobs.bound(file.jobs, []), Selector(*wanted) if wanted else Selector(*[None] * 4)))


def task_of(folder: Path, text: str, task: str = "task") -> dict[str, Any]:
    """What the executor gets when a job consists of this task of the example."""
    text += f"\njobs = [Job(cluster = 'c', role = 'bozo', environment = 'devel', task = {task})]"
    found: dict[str, Any] = json.loads(json.dumps(evaluate(folder, text).source.get()))["task"]
    return found


def cmdlines(task: dict[str, Any]) -> dict[str, str]:
    return {process["name"]: process["cmdline"] for process in task["processes"]}


def orders(task: dict[str, Any]) -> list[list[str]]:
    return [constraint["order"] for constraint in task["constraints"]]


def settings_of(config: JobConfig) -> JobUpdateSettings:
    return settings.convert(config.job.update_config)


DEFAULT_SETTINGS = JobUpdateSettings(
    update_group_size=1,
    min_wait_in_instance_running_ms=45_000,
    rollback_on_failure=True,
    update_strategy=JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(1)),
)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        evaluate(folder, text)
    return str(caught.value).replace(f"{folder}/", "")


class TestConfigurationReference:
    def test_an_order_constraint_names_processes_made_of_one_template(self, tmp_path: Path) -> None:
        text = """
process = Process(cmdline = "echo hello {{name}}")
task = Task(name = "echoes",
            processes = [process(name = "jim"), process(name = "bob")],
            constraints = [Constraint(order = ["jim", "bob"])])
"""
        task = task_of(tmp_path, text)
        assert task["name"] == "echoes"
        assert cmdlines(task) == {"jim": "echo hello jim", "bob": "echo hello bob"}
        assert orders(task) == [["jim", "bob"]]

    def test_order_is_a_shorthand(self, tmp_path: Path) -> None:
        text = """
process1, process2 = Process(name = 'one', cmdline = 'x'), Process(name = 'two', cmdline = 'x')
assert order(process1, process2) == [Constraint(order = [process1.name(), process2.name()])]
task = Task(processes = [process2, process1], constraints = order(process1, process2))
"""
        assert orders(task_of(tmp_path, text)) == [["one", "two"]]

    def test_ten_failed_runs_are_one_failed_process(self, tmp_path: Path) -> None:
        text = """
template = Process(max_failures=10)
task = Task(
    name = "fail",
    processes = [
        template(name = "failing", cmdline = "exit 1"),
        template(name = "succeeding", cmdline = "exit 0")
    ],
    max_failures=2)
"""
        task = task_of(tmp_path, text)
        assert (task["name"], task["max_failures"]) == ("fail", 2)
        assert [(p["name"], p["cmdline"], p["max_failures"]) for p in task["processes"]] == [
            ("failing", "exit 1", 10),
            ("succeeding", "exit 0", 10),
        ]

    def test_the_sine_table_has_180_mappers_and_then_a_reducer(self, tmp_path: Path) -> None:
        task = task_of(tmp_path, example("sine_table"))
        commands = cmdlines(task)
        assert (task["name"], task["max_concurrency"], len(commands)) == ("mapreduce", 8, 181)
        assert commands["mapper007"] == r"echo 'scale=50;s(7\*4\*a(1)/180)' | bc -l > temp.sine_table.007"
        assert commands["reducer"] == r"cat temp.* | nl \> sine\_table.txt && rm -f temp.*"
        assert orders(task) == [[f"mapper{number:03}", "reducer"] for number in range(180)]

    def test_the_sine_table_as_printed_has_broken_lines(self, tmp_path: Path) -> None:
        message = refused(tmp_path, example("sine_table_as_printed"))
        assert message.startswith("job.aurora:4: SyntaxError: unterminated string literal")
        assert message.endswith("cmdline = \"echo 'scale=50;s(%d\\*4\\*a(1)/180)' | bc -l >")

    @pytest.mark.parametrize(("attribute", "limit"), [("host", 2), ("rack", 1)])
    def test_limits_on_hosts_and_racks(self, tmp_path: Path, attribute: str, limit: int) -> None:
        text = minimal(f"constraints = {{\n    '{attribute}': 'limit:{limit}',\n}}")
        task = convert.convert(evaluate(tmp_path, text), "me").task_config
        assert task.constraints == {Constraint(attribute, TaskConstraint(limit=LimitConstraint(limit)))}

    def test_a_port_that_a_process_mentions_is_asked_for(self, tmp_path: Path) -> None:
        text = minimal(processes="Process(name = 'x', cmdline = 'serve {{thermos.ports[http]}}')")
        config = evaluate(tmp_path, text)
        assert processes(config) == {"x": "serve {{thermos.ports[http]}}"}
        assert Resource(named_port="http") in convert.convert(config, "me").task_config.resources

    def test_hello_world_lacks_its_environment(self) -> None:
        message = (
            "Could not find job cluster1/bozo/test/hello_world\n"
            "Job cluster1/bozo/{MISSING}/hello_world in configuration file doesn't specify an environment\n"
            "Candidates are:\n  cluster1/bozo/{MISSING}/hello_world"
        )
        with pytest.raises(ConfigError) as caught:
            config_of("hello_world", "cluster1", "bozo", "test", "hello_world")
        assert str(caught.value) == message
        with pytest.raises(
            ConfigError, match=r"MesosJob\[environment\] is required\. \(Job at .*hello_world.aurora:8\)"
        ):
            config_of("hello_world")

    def test_hello_world_with_an_environment(self, tmp_path: Path) -> None:
        config = evaluate(tmp_path, example("hello_world") + "jobs = [hello_world_job(environment = 'test')]")
        assert config.job.path == "cluster1/bozo/test/hello_world"
        assert processes(config) == {"hello_world": "echo hello world"}
        assert convert.convert(config, "me").task_config.resources == {
            Resource(num_cpus=0.1),
            Resource(ram_mb=16),
            Resource(disk_mb=16),
        }
        assert settings_of(config) == DEFAULT_SETTINGS
        assert not config.job.service

    def test_hello_world_without_a_user_says_what_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("USER")
        text = example("hello_world") + "jobs = [hello_world_job(environment = 'test')]"
        assert "Cannot coerce 'None' to String (Job at job.aurora:14, role)" in refused(tmp_path, text)

    def test_environment_tailoring_as_printed_lacks_a_comma(self, tmp_path: Path) -> None:
        text = example("hello_world_productionized_as_printed")
        (tmp_path / "hello_world.aurora").write_text(example("hello_world"))
        assert refused(tmp_path, text) == (
            'job.aurora:6: SyntaxError: invalid syntax. Perhaps you forgot a comma?: name = "hello_world-{{cluster}}"'
        )
        with_comma = text.replace('{{cluster}}"', '{{cluster}}",')
        assert refused(tmp_path, with_comma) == (
            "job.aurora:5: NameError: name 'hello_world' is not defined (did you mean hello_world_job?)"
        )

    @pytest.mark.parametrize(
        ("key", "instances", "cpu", "ram", "disk"),
        [
            ("cluster1/bozo/prod/hello_world-cluster1", 25, 1.0, 512 * MB, 2 * GB),
            ("cluster2/bozo/prod/hello_world-cluster2", 15, 1.0, 512 * MB, 2 * GB),
            ("local/bozo/staging/hello_world-local", 1, 0.1, 32 * MB, 512 * MB),
        ],
    )
    def test_environment_tailoring(self, key: str, instances: int, cpu: float, ram: int, disk: int) -> None:
        job = config_of("hello_world_productionized", *key.split("/")).job
        assert job.task.resources is not None
        resources = job.task.resources
        assert (job.path, job.instances) == (key, instances)
        assert (resources.cpu, resources.ram, resources.disk) == (cpu, ram, disk)


STAGED = """
STAGE_PROCESS = Process(name = 'stage', cmdline = 'x')
RUN_PROCESS = Process(name = 'run', cmdline = 'y')
"""
FOUR = """
download_interpreter, update_zookeeper, download_application, start_application = [
    Process(name = name, cmdline = 'x')
    for name in ('download_interpreter', 'update_zookeeper', 'download_application', 'start_application')]
setup_task = Task(
    name = 'setup',
    resources = Resources(cpu = 1, ram = 4 * GB, disk = 1 * GB),
    processes=[download_interpreter, update_zookeeper],
    # It is important to note that {{Tasks.concat}} has
    # no effect on the ordering of the processes within a task;
    # hence the necessity of the {{order}} statement below
    # (otherwise, the order in which {{download_interpreter}}
    # and {{update_zookeeper}} run will be non-deterministic)
    constraints=order(download_interpreter, update_zookeeper),
)

run_task = SequentialTask(
    name = 'run',
    resources = Resources(cpu = 2, ram = 1 * GB, disk = 1 * GB),
    processes=[download_application, start_application],
)
"""
NAMES = ["download_interpreter", "update_zookeeper", "download_application", "start_application"]


def before(given: Sequence[Sequence[str]]) -> set[tuple[str, str]]:
    """Which process comes before which, as far as the orders say, also over others."""
    pairs = {pair for order in given for pair in pairwise(order)}
    while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
        pairs |= more
    return pairs


class TestConfigurationTutorial:
    def test_the_typical_file_as_printed_does_not_parse(self, tmp_path: Path) -> None:
        message = refused(tmp_path, example("profile_as_printed"))
        assert message.startswith("job.aurora:26: SyntaxError: unterminated string literal")

    @pytest.mark.parametrize(
        ("key", "instances", "service", "ram", "main"),
        [
            (
                "cluster1/myteam/prod/application",
                20,
                True,
                2560 * MB,
                "-server -Xmx1792m  -jar application.jar -upstreamService /foocorp/service/bird/prod/bird",
            ),
            (
                "cluster2/myteam/prod/application",
                20,
                True,
                2560 * MB,
                "-server -Xmx1792m  -jar application.jar -upstreamService /foocorp/service/bird/prod/bird",
            ),
            (
                "cluster1/myteam/staging/application",
                2,
                False,
                2048 * MB,
                "-server -Xmx1792m -Xloggc:gc.log -jar application.jar "
                "-upstreamService /foocorp/service/bird/staging/bird",
            ),
        ],
    )
    def test_a_typical_file(self, key: str, instances: int, service: bool, ram: int, main: str) -> None:
        config = config_of("profile", *key.split("/"))
        job = config.job
        assert (job.path, job.instances, job.service) == (key, instances, service)
        assert job.contact == "myteam-team@foocorp.com"
        assert job.task.resources is not None
        assert job.task.resources.ram == ram
        assert processes(config) == {
            "fetch": "curl -O https://packages.foocorp.com/live/application.jar",
            "application": f"/usr/lib/jvm/java-1.7.0-openjdk/bin/java {main}",
        }
        assert [constraint.order for constraint in job.task.constraints] == [("fetch", "application")]
        assert settings_of(config) == DEFAULT_SETTINGS

    def test_many_tiny_processes(self, tmp_path: Path) -> None:
        task = task_of(tmp_path, example("many_processes"), "run_task")
        assert cmdlines(task) == {
            "copy": "curl -O https://packages.foocorp.com/app.zip",
            "unpack": "unzip app.zip",
            "remove": "rm -f app.zip",
            "app": "java -jar app.jar",
        }
        assert orders(task) == [["copy", "unpack", "remove", "app"]]
        assert task["name"] == "copy"

    def test_two_processes_one_after_the_other(self, tmp_path: Path) -> None:
        task = task_of(tmp_path, example("two_processes"), "run_task")
        assert cmdlines(task) == {
            "stage": "curl -O https://packages.foocorp.com/app.zip && unzip app.zip && rm -f app.zip",
            "app": "java -jar app.jar",
        }
        assert orders(task) == [["stage", "app"]]

    def test_the_two_processes_as_printed_once_more_have_a_string_without_an_end(self, tmp_path: Path) -> None:
        text = """
stage = Process(
    name = 'stage',
    cmdline = 'cmdline = `rcp user@my_machine:my_application . && ` `unzip app.zip && rm -f app.zip`

run = Process(name = 'app', cmdline = 'java -jar app.jar')
"""
        assert refused(tmp_path, text).startswith("job.aurora:4: SyntaxError: unterminated string literal")

    def test_the_template_of_a_process_that_fetches_is_no_code(self, tmp_path: Path) -> None:
        text = "<name> = Process(\n    name = '<name>'\n    cmdline = '<command to copy>'\n)"
        assert refused(tmp_path, text).startswith("job.aurora:1: SyntaxError: invalid syntax: <name> = Process(")

    BASIC = """
task = Task (
    name="hello_world",
    processes=[Process(name = "hello_world", cmdline = "echo hello world")],
    resources=Resources(cpu = 1.0,
                        ram = 1*GB,
                        disk = 1*GB))
"""

    def test_a_simple_task_is_a_basic_one(self, tmp_path: Path) -> None:
        basic = task_of(tmp_path, self.BASIC)
        assert cmdlines(basic) == {"hello_world": "echo hello world"}
        assert basic["resources"] == {"cpu": 1.0, "ram": GB, "disk": GB, "gpu": 0}
        assert task_of(tmp_path, 'task = SimpleTask(name="hello_world", command="echo hello world")') == basic

    @pytest.mark.parametrize(
        "constraints",
        ["[Constraint(order=['foo', 'bar', 'baz'])]", "order('foo', 'bar', 'baz')", "order(foo, bar, 'baz')"],
    )
    def test_the_ways_to_order_processes(self, tmp_path: Path, constraints: str) -> None:
        text = f"""
foo, bar, baz = [Process(name = name, cmdline = 'x') for name in ('foo', 'bar', 'baz')]
task = Task(processes=[foo, bar, baz], constraints = {constraints})
same = SequentialTask(processes=[foo, bar, baz])
assert task == same
"""
        assert orders(task_of(tmp_path, text)) == [["foo", "bar", "baz"]]

    def test_dots_for_what_is_left_out_are_no_code(self, tmp_path: Path) -> None:
        text = "SequentialTask( ... processes=[process1, process2, process3] ...)"
        assert refused(tmp_path, text).startswith("job.aurora:1: SyntaxError: invalid syntax")

    SIMPLEST = """
import os
hello_world_job = Job(
    task=SimpleTask(name="hello_world", command="echo hello world"),
    role=os.getenv('USER'),
    cluster="cluster1")
"""

    def test_the_simplest_job_lacks_jobs_and_an_environment(self, tmp_path: Path) -> None:
        assert refused(tmp_path, self.SIMPLEST) == "No job defined in this config!"
        assert refused(tmp_path, self.SIMPLEST + "jobs = [hello_world_job]") == (
            "Job not fully specified: MesosJob[environment] is required. (Job at job.aurora:3)"
        )
        config = evaluate(tmp_path, self.SIMPLEST + "jobs = [hello_world_job(environment = 'test')]")
        assert config.job.path == "cluster1/bozo/test/hello_world"
        assert processes(config) == {"hello_world": "echo hello world"}

    def test_concat_runs_one_task_after_the_other(self, tmp_path: Path) -> None:
        task = task_of(tmp_path, FOUR + "task = Tasks.concat(setup_task, run_task)")
        assert list(cmdlines(task)) == NAMES
        assert before(orders(task)) == before([NAMES])
        assert task["resources"] == {"cpu": 2.0, "ram": 4 * GB, "disk": GB, "gpu": 0}
        assert task_of(tmp_path, FOUR + "task = concat_tasks(setup_task, run_task)") == task

    def test_combine_runs_them_at_once(self, tmp_path: Path) -> None:
        task = task_of(tmp_path, FOUR + "task = Tasks.combine(setup_task, run_task)")
        assert list(cmdlines(task)) == NAMES
        assert orders(task) == [NAMES[:2], NAMES[2:]]
        assert task["resources"] == {"cpu": 3.0, "ram": 5 * GB, "disk": 2 * GB, "gpu": 0}
        assert task_of(tmp_path, FOUR + "task = combine_tasks(setup_task, run_task)") == task

    def test_a_job_with_its_four_parameters(self, tmp_path: Path) -> None:
        text = (
            self.BASIC.replace("task =", "foo_task =")
            + """
import os
foo_job = Job( name = 'foo', cluster = 'cluster1',
               role = os.getenv('USER'), environment = 'prod',
               task = foo_task)
jobs = [foo_job]
"""
        )
        assert evaluate(tmp_path, text).job.path == "cluster1/bozo/prod/foo"

    def test_jobs_are_in_the_order_of_their_list(self, tmp_path: Path) -> None:
        text = "job1, job2, job3 = [Job(name = name) for name in ('1', '2', '3')]\njobs = [job1, job2, job3]"
        file = tmp_path / "job.aurora"
        file.write_text(text)
        assert [str(job.name()) for job in loader.load(file).jobs] == ["1", "2", "3"]

    @pytest.mark.parametrize(
        ("environment", "instances", "dataset"),
        [
            ("prod", 100, "hdfs://home/aurora/data/prod"),
            ("devel", 1, "hdfs://home/aurora/data/test"),
            ("test", 1, "hdfs://home/aurora/data/test"),
        ],
    )
    def test_structural_binding(self, environment: str, instances: int, dataset: str) -> None:
        config = config_of("structural_binding", None, None, environment, "application")
        assert config.job.path == f"cluster1/myteam/{environment}/application"
        assert config.job.instances == instances
        assert processes(config) == {"main": f"java -jar application.jar -hdfsPath {dataset}"}

    def test_structural_binding_as_printed_lacks_a_quote(self, tmp_path: Path) -> None:
        text = example("structural_binding").replace("'hdfs://home/aurora/data/{{env", "hdfs://home/aurora/data/{{env")
        assert refused(tmp_path, text).startswith("job.aurora:4: SyntaxError: ")

    def test_the_redundant_and_the_less_redundant_task_do_the_same(self, tmp_path: Path) -> None:
        long = task_of(tmp_path, example("redundant"), "build_python")
        short = task_of(tmp_path, example("less_redundant"), "build_python")
        assert cmdlines(long) == cmdlines(short) | {"email": "echo Success | mail feynman@tmc.com"}
        assert cmdlines(short) == {
            "download": "wget http://www.python.org/ftp/python/2.7.3/Python-2.7.3.tar.bz2",
            "unpack": "rm -rf Python-2.7.3 && tar xzf Python-2.7.3.tar.bz2",
            "build": "pushd Python-2.7.3 && ./configure && make && popd",
            "email": "echo Success | mail bozo@foocorp.com",
        }
        assert orders(long) == orders(short) == [["download", "unpack", "build", "email"]]
        limits = [(p["max_failures"], p["min_duration"]) for p in long["processes"]]
        assert limits == [(5, 1), (5, 1), (1, 5), (5, 1)]
        assert [p["max_failures"] for p in short["processes"]] == [5, 5, 1, 5]

    def test_tasks_by_a_function_and_by_a_template(self, tmp_path: Path) -> None:
        for name, who in (("functions", "feynman"), ("task_template", "wickman")):
            one = task_of(tmp_path, STAGED + example(name), "task_one")
            two = task_of(tmp_path, STAGED + example(name), "task_two")
            assert (one["name"], one["user"], two["name"], two["user"]) == ("task_one", who, "task_two", who)
            assert one["resources"] == {"cpu": 1.0, "ram": 32 * MB, "disk": GB, "gpu": 0}
            assert two["resources"] == {"cpu": 2.0, "ram": 64 * MB, "disk": GB, "gpu": 0}
            assert orders(one) == orders(two) == [["stage", "run"]]


class TestTutorials:
    def test_the_one_of_0_5(self) -> None:
        config = config_of("tutorial_0_5", "example", "www-data", "devel", "hello_world")
        assert not config.job.service
        assert processes(config) == {
            "fetch_package": "cp /vagrant/hello_world.py . && chmod +x hello_world.py",
            "hello_world": "python2.6 hello_world.py",
        }
        assert [constraint.order for constraint in config.job.task.constraints] == [("fetch_package", "hello_world")]
        task = convert.convert(config, "me").task_config
        assert task.resources == {Resource(num_cpus=1.0), Resource(ram_mb=1), Resource(disk_mb=8)}

    def test_the_one_of_0_13_changes_with_the_script(self, tmp_path: Path) -> None:
        script = tmp_path / "hello_world.py"
        script.write_text("print('hello')")
        text = example("tutorial_0_13").replace("{{path}}", str(script))
        config = evaluate(tmp_path, text)
        checksum = hashlib.md5(b"print('hello')").hexdigest()
        assert config.job.path == "devcluster/www-data/devel/hello_world"
        assert config.job.service
        assert processes(config) == {
            "fetch_package": f"cp {script} . && echo {checksum} && chmod +x hello_world.py",
            "hello_world": "python -u hello_world.py",
        }
        script.write_text("print('hallo')")
        assert processes(evaluate(tmp_path, text)) != processes(config)

    def test_the_one_of_0_13_as_printed_has_lost_words(self, tmp_path: Path) -> None:
        assert ": SyntaxError: " in refused(tmp_path, example("tutorial_0_13_as_printed"))
