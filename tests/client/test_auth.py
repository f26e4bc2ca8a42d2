"""Who the client says it is, by `auth_mechanism` in clusters.json (client-internals sheet, section 6)."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from aurorad.api.calls import GetJobs, KillTasks
from aurorad.api.enums import ResponseCode
from client import auth
from client.auth import Basic, Kerberos, Mechanism, mechanism
from client.clock import Clock
from client.clusters import Cluster
from client.errors import AuthenticationError
from client.leaders import Leader
from client.terminal import Terminal
from client.transport import Transport
from tests import kerberos
from tests.client import fake_scheduler
from tests.client.fake_scheduler import FakeScheduler, Http, ok

CHALLENGE = Http(401, {"WWW-Authenticate": 'BASIC realm="Apache Aurora Scheduler"'})
NEGOTIATE = Http(401, {"WWW-Authenticate": "Negotiate"})


@pytest.fixture
def scheduler() -> Iterator[FakeScheduler]:
    with fake_scheduler.running() as it:
        yield it


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of credentials for this machine."""
    path = tmp_path / "credentials"
    path.write_text("machine 127.0.0.1 login ann password apple\nmachine localhost login bob password pear\n")
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own credentials are used here."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)


def transport(url: str, **settings: object) -> Transport:
    cluster = Cluster("west", {"scheduler_uri": url, **settings})
    leader = Leader(cluster, Clock(lambda: 0.0, lambda seconds: None), Terminal(io.StringIO(), io.StringIO()))
    return Transport(leader, "test", mechanism(cluster, {}))


def told(scheduler: FakeScheduler) -> list[str | None]:
    """What came in as credentials, request by request."""
    return [headers.get("Authorization") for _, headers in scheduler.requests]


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class TestUnauthenticated:
    @pytest.mark.parametrize("settings", [{}, {"auth_mechanism": "UNAUTHENTICATED"}, {"auth_mechanism": "OTHER"}])
    def test_netrc_is_used_all_the_same(
        self, scheduler: FakeScheduler, settings: dict[str, object], file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NETRC", str(file))
        scheduler.on(GetJobs, ok())
        with transport(scheduler.url, **settings) as made:
            made.send(GetJobs())
        assert told(scheduler) == [basic("ann", "apple")]

    def test_without_it_nothing_is_told_and_a_refusal_says_how(self, scheduler: FakeScheduler) -> None:
        scheduler.on(KillTasks, CHALLENGE)
        with transport(scheduler.url) as made, pytest.raises(AuthenticationError, match=r"401 .* ~/\.netrc may hold"):
            made.send(KillTasks())
        assert told(scheduler) == [None]


class TestBasic:
    def test_the_hosts_password_is_told_at_once(self, scheduler: FakeScheduler, file: Path) -> None:
        scheduler.on(GetJobs, ok())
        with transport(scheduler.url, auth_mechanism="BASIC", credentials_file=str(file)) as made:
            made.send(GetJobs())
            made.send(GetJobs())
        assert told(scheduler) == [basic("ann", "apple")] * 2

    def test_after_a_redirect_it_is_that_hosts(self, scheduler: FakeScheduler, file: Path) -> None:
        with fake_scheduler.running() as leader:
            there = leader.url.replace("127.0.0.1", "localhost")
            scheduler.on(GetJobs, Http(307, {"Location": f"{there}/api"}))
            leader.on(GetJobs, CHALLENGE, ok())
            with transport(scheduler.url, auth_mechanism="BASIC", credentials_file=str(file)) as made:
                assert made.send(GetJobs()).response_code is ResponseCode.OK
            assert told(leader) == [None, basic("bob", "pear")]

    def test_a_password_that_is_refused_is_not_told_again(self, scheduler: FakeScheduler, file: Path) -> None:
        scheduler.on(GetJobs, CHALLENGE)
        with (
            transport(scheduler.url, auth_mechanism="BASIC", credentials_file=str(file)) as made,
            pytest.raises(AuthenticationError, match="does not know this name and password"),
        ):
            made.send(GetJobs())
        assert told(scheduler) == [basic("ann", "apple")]

    def test_netrc_is_the_file_if_no_other_is_named(self, tmp_path: Path, file: Path) -> None:
        file.rename(tmp_path / ".netrc")
        found = mechanism(Cluster("west", {"auth_mechanism": "BASIC"}), {}).auth
        assert isinstance(found, Basic)
        request = requests.Request("POST", "http://127.0.0.1:1/api", auth=found).prepare()
        assert request.headers["Authorization"] == basic("ann", "apple")

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
    def test_a_file_that_others_can_open_is_not_used(self, scheduler: FakeScheduler, file: Path, mode: int) -> None:
        file.chmod(mode)
        with (
            transport(scheduler.url, auth_mechanism="BASIC", credentials_file=str(file)) as made,
            pytest.raises(AuthenticationError, match=f"can be opened by others .mode {mode:o}.: chmod 600 {file}"),
        ):
            made.send(GetJobs())
        assert told(scheduler) == []

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (None, "cannot be read: No such file or directory"),
            ("machine elsewhere login ann password sesame", "has no entry for this scheduler: machine 127.0.0.1 was"),
            ("machine 127.0.0.1 login ann sesame", "line 1: machine HOST login NAME password PASSWORD was expected"),
        ],
    )
    def test_a_file_that_does_not_help_is_told_without_its_secrets(
        self, scheduler: FakeScheduler, file: Path, content: str | None, words: str
    ) -> None:
        file.unlink()
        if content is not None:
            file.write_text(content)
            file.chmod(0o600)
        with (
            transport(scheduler.url, auth_mechanism="BASIC", credentials_file=str(file)) as made,
            pytest.raises(AuthenticationError) as caught,
        ):
            made.send(GetJobs())
        assert words in str(caught.value)
        assert "sesame" not in str(caught.value)


class TestKerberos:
    def test_without_a_ticket_the_user_is_told_to_get_one(
        self, scheduler: FakeScheduler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/nothing")
        scheduler.on(GetJobs, NEGOTIATE)
        with (
            transport(scheduler.url, auth_mechanism="KERBEROS") as made,
            pytest.raises(AuthenticationError, match=r'Did you forget to run "kinit"\?'),
        ):
            made.send(GetJobs())

    def test_a_ticket_is_shown_to_who_asks_for_it_and_only_then(
        self, scheduler: FakeScheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with kerberos.realm("ann") as realm:
            for name, value in realm.ticket("ann").items():
                monkeypatch.setenv(name, value)
            scheduler.on(GetJobs, ok())
            scheduler.on(KillTasks, NEGOTIATE, ok(), NEGOTIATE)
            with transport(scheduler.url.replace("127.0.0.1", "localhost"), auth_mechanism="KERBEROS") as made:
                made.send(GetJobs())
                assert made.send(KillTasks()).response_code is ResponseCode.OK
                with pytest.raises(AuthenticationError, match="kinit"):  # it is refused
                    made.send(KillTasks())
        shown = [(header or "nothing").partition(" ")[0] for header in told(scheduler)]
        assert shown == ["nothing", "nothing", "Negotiate", "nothing", "Negotiate"]

    def test_who_does_not_ask_for_tickets_is_shown_none(self, scheduler: FakeScheduler) -> None:
        scheduler.on(GetJobs, CHALLENGE)
        with transport(scheduler.url, auth_mechanism="KERBEROS") as made, pytest.raises(AuthenticationError):
            made.send(GetJobs())
        assert told(scheduler) == [None]


def test_a_build_of_ones_own_may_have_other_mechanisms() -> None:
    mine = Mechanism(None, "mine")
    assert mechanism(Cluster("west", {"auth_mechanism": "MINE"}), {"MINE": mine}) is mine
    assert mechanism(Cluster("west", {"auth_mechanism": "BASIC"}), {"BASIC": mine}) is mine
    assert isinstance(mechanism(Cluster("west", {"auth_mechanism": "KERBEROS"}), {"MINE": mine}).auth, Kerberos)
    assert auth.mechanism(Cluster("west", {}), {"UNAUTHENTICATED": mine}) is mine
