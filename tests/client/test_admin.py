from __future__ import annotations

from aurorad import __version__
from client.admin import _NOT_YET
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
    assert "    get_scheduler\n" in aurora_admin("help").out
    assert __version__ in aurora_admin("version").out


def test_no_command_shows_the_usage_and_fails(aurora_admin: Runner) -> None:
    ran = aurora_admin()
    assert ran.code == 1
    assert ran.out.startswith("usage: aurora_admin")


def test_what_is_not_built_says_so(aurora_admin: Runner) -> None:
    for command in _NOT_YET:
        ran = aurora_admin(command, "west")
        assert (ran.code, ran.err) == (5, f"'aurora_admin {command}' is not available yet\n")


def test_an_unknown_command_gets_a_suggestion(aurora_admin: Runner) -> None:
    ran = aurora_admin("get_schedular", "west")
    assert (ran.code, ran.err) == (1, "Subcommand get_schedular not found: did you mean get_scheduler?\n")


def test_a_missing_or_unknown_cluster_is_told(aurora_admin: Runner) -> None:
    assert aurora_admin("get_scheduler").err.startswith("Incorrect parameters for get_scheduler\n")
    assert "Unknown cluster: x (known: devcluster, example)" in aurora_admin("get_scheduler", "x").err


def test_help_is_about_one_command(aurora_admin: Runner) -> None:
    for command in ("host_drain", "host_status", "backup", "scheduler_snapshot", "nothing"):
        ran = aurora_admin("help", command)
        assert (ran.code, command in ran.out + ran.err) == ({"host_drain": 5, "nothing": 1}.get(command, 0), True)
    assert aurora_admin("help", "nothing").err == "Subcommand nothing not found.\n"
    assert aurora_admin("help", "backup", "host_status").err == "Please specify at most one subcommand.\n"
