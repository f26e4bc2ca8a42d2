from __future__ import annotations

from aurorad import __version__
from client.admin_commands.table import COMMANDS
from tests.client.conftest import Runner
from tests.client.fake_scheduler import FakeScheduler


def test_get_scheduler_names_its_address(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    ran = aurora_admin("get_scheduler", "west")
    assert (ran.code, ran.out) == (0, f"Found leading scheduler at: {scheduler.url}\n")


def test_this_machines_scheduler_is_known_without_a_file(aurora_admin: Runner) -> None:
    assert aurora_admin("get_scheduler", "devcluster").out == "Found leading scheduler at: http://localhost:8081\n"


def test_global_options_may_stand_in_front(aurora_admin: Runner) -> None:
    assert aurora_admin("-v", "--bypass-leader-redirect", "get_scheduler", "example").code == 0


def test_help_and_version(aurora_admin: Runner) -> None:
    assert "    get_scheduler  " in aurora_admin("help").out
    assert __version__ in aurora_admin("version").out


def test_no_command_shows_the_usage_and_fails(aurora_admin: Runner) -> None:
    ran = aurora_admin()
    assert ran.code == 1
    assert ran.out.startswith("usage: aurora_admin")


def test_every_command_tells_of_itself(aurora_admin: Runner) -> None:
    for command in COMMANDS:
        for words in (("help", command), (command, "--help")):
            ran = aurora_admin(*words)
            assert (ran.code, f"usage: aurora_admin {command}" in ran.out) == (0, True)
            assert " ".join(COMMANDS[command].summary.split()) in " ".join(ran.out.split())


def test_older_names_are_known(aurora_admin: Runner) -> None:
    assert "usage: aurora_admin host_status" in aurora_admin("help", "host_maintenance_status").out


def test_options_of_the_originals_framework_are_passed_over(aurora_admin: Runner) -> None:
    assert aurora_admin("get_scheduler", "--log_to_stderr=google:INFO", "example").code == 0


def test_an_unknown_command_gets_a_suggestion(aurora_admin: Runner) -> None:
    ran = aurora_admin("get_schedular", "west")
    assert (ran.code, ran.err) == (1, "Subcommand get_schedular not found: did you mean get_scheduler?\n")


def test_a_missing_or_unknown_cluster_is_told(aurora_admin: Runner) -> None:
    assert aurora_admin("get_scheduler").err.startswith("Incorrect parameters for get_scheduler\n")
    assert "Unknown cluster: x (known: devcluster, example)" in aurora_admin("get_scheduler", "x").err


def test_help_is_about_one_command(aurora_admin: Runner) -> None:
    assert aurora_admin("help", "nothing").err == "Subcommand nothing not found.\n"
    assert aurora_admin("help", "backup", "host_status").err == "Please specify at most one subcommand.\n"
