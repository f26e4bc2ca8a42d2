"""The access matrix: every call by every kind of caller, and what else is served, over real HTTP.

The scheduler asks for passwords and for tickets of a real realm of Kerberos.
"""

from __future__ import annotations

import base64
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from aurorad.api import binary
from aurorad.api.calls import CALLS, Call, CreateJob, KillTasks, ManagerCall, ReadOnlyCall, Reply, SetQuota
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response
from aurorad.api.tasks import JobConfiguration, JobKey
from aurorad.api.wire import BINARY_TYPE, MessageHeader, MessageType
from tests import kerberos
from tests.certificates import certificate
from tests.e2e.cluster import Cluster, cluster, eventually
from tests.e2e.test_other_sites import TASK
from tests.light_hashes import light
from tests.log.certificates import Authority
from tests.rules.test_authorization import OF_JOBS

REFUSED, PASSED = ResponseCode.AUTH_FAILED, "passed"
UNKNOWN = 401

USERS = f"""
[users]
admin = {light("apple")}, admin
deployer = plum, ads
stranger = {light("pear")}, others
nobody = nut
ticketed = !, ads
proxy = cherry, proxy
[roles]
admin = *
ads = thrift.AuroraSchedulerManager:*:ads
others = thrift.AuroraSchedulerManager:*:others, thrift.AuroraSchedulerManager:*:ads:test
proxy = http.runAs:deployer
"""

CHALLENGES = 'Negotiate, BASIC realm="Apache Aurora Scheduler"'

Authorization = Callable[[], str | None]


def basic(name: str, password: str) -> Authorization:
    return lambda: "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


CALLERS: dict[str, Authorization] = {
    "none": lambda: None,
    "wrong password": basic("admin", "pear"),
    "nobody there": basic("mallory", "apple"),
    "no role": basic("nobody", "nut"),
    "another role": basic("stranger", "pear"),
    "right role": basic("deployer", "plum"),
    "admin": basic("admin", "apple"),
}
# What becomes of calls that read, of those on the job ads/prod/web, and of those on the cluster.
EXPECTED: dict[str, tuple[object, object, object]] = {
    "none": (PASSED, UNKNOWN, UNKNOWN),
    "wrong password": (UNKNOWN, UNKNOWN, UNKNOWN),
    "nobody there": (UNKNOWN, UNKNOWN, UNKNOWN),
    "no role": (PASSED, REFUSED, REFUSED),
    "another role": (PASSED, REFUSED, REFUSED),
    "right role": (PASSED, PASSED, REFUSED),
    "admin": (PASSED, PASSED, PASSED),
}
OF_TICKETS: dict[str, tuple[object, object, object]] = {
    "ticketed": (PASSED, PASSED, REFUSED),
    "unheard": (PASSED, REFUSED, REFUSED),
}

EVERY_CALL: list[Call] = [
    *(call() for call in CALLS.values() if not issubclass(call, ManagerCall)),
    *OF_JOBS,
]


@contextmanager
def secured(*flags: str) -> Iterator[Cluster]:
    """A scheduler over a pretended cluster, with these flags besides."""
    with tempfile.TemporaryDirectory(prefix="aurorad-") as name:
        folder = Path(name)
        users = folder / "users.ini"
        users.write_text(USERS)
        users.chmod(0o600)
        simulated = Cluster(folder, "-engine=simulated", "-simulated_hosts=1", f"-shiro_ini_path={users}", *flags)
        simulated.start()
        try:
            yield simulated
        finally:
            assert simulated.stop() == 0, simulated.log()


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Cluster]:
    with secured("-http_authentication_mechanism=BASIC", "-shiro_after_auth_filter=RUN_AS") as it:
        yield it


@pytest.fixture(scope="module")
def closed() -> Iterator[Cluster]:
    with secured("-http_authentication_mechanism=BASIC", "-http_anonymous_reads=false") as it:
        yield it


def send(url: str, call: Call, authorization: str | None, **headers: str) -> requests.Response:
    if authorization is not None:
        headers["Authorization"] = authorization
    return requests.post(
        f"{url}/api",
        data=binary.encode_message(MessageHeader(call.method(), MessageType.CALL, 0), call),
        headers={"Content-Type": BINARY_TYPE, "Accept": BINARY_TYPE, **headers},
        auth=_nothing,
        timeout=30,
    )


def _nothing(request: Any) -> Any:
    """Keeps the library from looking for credentials by itself."""
    return request


def said(answer: requests.Response) -> Response:
    assert answer.status_code == 200, answer.text
    response = binary.read_struct(Reply, answer.content, binary.decode_header(answer.content)[1])[0].success
    assert response is not None
    return response


def outcome(answer: requests.Response) -> object:
    """401, `REFUSED`, or that the call was answered as those who may make it are."""
    if answer.status_code == UNKNOWN:
        assert "BASIC" in answer.headers["WWW-Authenticate"]
        return UNKNOWN
    response = said(answer)
    if response.response_code is REFUSED:
        assert response.server_info is None
        return REFUSED
    assert response.server_info is not None, response  # the API itself has answered
    return PASSED


def expected(call: Call, row: tuple[object, object, object]) -> object:
    (of_reads, of_jobs, of_cluster) = row
    if isinstance(call, ReadOnlyCall):
        return of_reads
    return of_jobs if isinstance(call, ManagerCall) else of_cluster


@pytest.mark.parametrize("caller", CALLERS)
def test_every_call_by_every_caller(scheduler: Cluster, caller: str) -> None:
    assert len(EVERY_CALL) == len(CALLS) == 45
    outcomes = {call.method(): outcome(send(scheduler.scheduler, call, CALLERS[caller]())) for call in EVERY_CALL}
    assert outcomes == {call.method(): expected(call, EXPECTED[caller]) for call in EVERY_CALL}


@pytest.mark.parametrize("caller", CALLERS)
def test_every_call_where_reading_is_closed(closed: Cluster, caller: str) -> None:
    of_reads, of_jobs, of_cluster = EXPECTED[caller]
    row = (UNKNOWN if caller == "none" else of_reads, of_jobs, of_cluster)
    outcomes = {call.method(): outcome(send(closed.scheduler, call, CALLERS[caller]())) for call in EVERY_CALL}
    assert outcomes == {call.method(): expected(call, row) for call in EVERY_CALL}


@pytest.fixture(scope="module")
def realm() -> Iterator[kerberos.Realm]:
    with kerberos.realm(*OF_TICKETS) as it:
        yield it


@pytest.fixture(scope="module")
def kerberized(realm: kerberos.Realm) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in realm.environment.items():
            environment.setenv(name, value)
        flags = (
            "-http_authentication_mechanism=NEGOTIATE,BASIC",
            "-shiro_realm_modules=KERBEROS5_AUTHN,INI_AUTHNZ",
            f"-kerberos_server_keytab={realm.keytab}",
            f"-kerberos_server_principal={kerberos.SERVICE}",
            "-kerberos_debug",
        )
        with secured(*flags) as it:
            yield it


def ticket(realm: kerberos.Realm, user: str) -> str:
    """What the header of a client says whose user has logged in; each is good for one request."""
    import gssapi

    cache = realm.ticket(user)["KRB5CCNAME"]
    context = gssapi.SecurityContext(
        name=gssapi.Name("HTTP@localhost", gssapi.NameType.hostbased_service),
        usage="initiate",
        creds=gssapi.Credentials(usage="initiate", store={"ccache": cache}),
        mech=gssapi.OID.from_int_seq("1.3.6.1.5.5.2"),
    )
    return "Negotiate " + base64.b64encode(context.step()).decode()


@pytest.mark.parametrize("user", OF_TICKETS)
def test_every_call_by_whoever_has_a_ticket(kerberized: Cluster, realm: kerberos.Realm, user: str) -> None:
    outcomes = {call.method(): outcome(send(kerberized.scheduler, call, ticket(realm, user))) for call in EVERY_CALL}
    assert outcomes == {call.method(): expected(call, OF_TICKETS[user]) for call in EVERY_CALL}


def test_a_ticket_is_good_once(kerberized: Cluster, realm: kerberos.Realm) -> None:
    mine = ticket(realm, "ticketed")
    assert outcome(send(kerberized.scheduler, KillTasks(JobKey("ads", "prod", "web")), mine)) == PASSED
    assert send(kerberized.scheduler, KillTasks(JobKey("ads", "prod", "web")), mine).status_code == 401


@pytest.mark.parametrize(("header", "status"), [("Negotiate AAAA", 401), ("Negotiate !", 400), ("Negotiate", 400)])
def test_what_is_no_ticket_is_refused(kerberized: Cluster, header: str, status: int) -> None:
    answer = send(kerberized.scheduler, CALLS["getJobs"](), header)
    assert answer.status_code == status


def test_both_ways_are_offered_and_a_password_will_do(kerberized: Cluster) -> None:
    answer = send(kerberized.scheduler, KillTasks(JobKey("ads", "prod", "web")), None)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, CHALLENGES)
    assert outcome(send(kerberized.scheduler, SetQuota(), CALLERS["admin"]())) == PASSED


def test_refusals_have_the_originals_words_and_are_counted(scheduler: Cluster) -> None:
    before = variables(scheduler)
    key = JobKey("ads", "prod", "web")
    texts = [
        text(send(scheduler.scheduler, call, CALLERS[caller]()))
        for caller, call in (
            ("no role", KillTasks(key)),
            ("right role", SetQuota()),
            ("no role", KillTasks()),
        )
    ]
    assert texts == [
        "Subject nobody is not permitted to JobScopedRpcPermission{rpc=killTasks, "
        "permittedJob=IJobKey{role=ads, environment=prod, name=web}}.",
        "Subject deployer lacks permission UnscopedRpcPermission{domain=thrift.AuroraAdmin, rpc=setQuota}",
        "Missing or invalid job key from request.",
    ]
    after = variables(scheduler)
    grown = {name: after[name] - before[name] for name in ("shiro_authorization_failures", "shiro_bad_requests")}
    assert grown == {"shiro_authorization_failures": 2, "shiro_bad_requests": 1}


def test_nobody_creates_a_job_under_one_name_whose_tasks_have_another(scheduler: Cluster) -> None:
    mine, theirs = JobKey("ads", "test", "job"), JobKey("others", "prod", "job")
    call = CreateJob(JobConfiguration(mine, task_config=msgspec.structs.replace(TASK, job=theirs), instance_count=1))
    for caller in ("right role", "admin"):
        assert "one key was expected" in text(send(scheduler.scheduler, call, CALLERS[caller]()))


def test_a_trusted_caller_may_act_for_another_and_no_further(scheduler: Cluster) -> None:
    proxy, kill = basic("proxy", "cherry")(), KillTasks(JobKey("ads", "prod", "web"))
    assert outcome(send(scheduler.scheduler, kill, proxy)) == REFUSED
    assert outcome(send(scheduler.scheduler, kill, proxy, **{"Aurora-Run-As": "deployer"})) == PASSED
    assert outcome(send(scheduler.scheduler, SetQuota(), proxy, **{"Aurora-Run-As": "deployer"})) == REFUSED
    assert send(scheduler.scheduler, kill, proxy, **{"Aurora-Run-As": "admin"}).status_code == 403
    assert send(scheduler.scheduler, kill, None, **{"Aurora-Run-As": "deployer"}).status_code == 401
    eventually("the log says so", lambda: "proxy acts for 'deployer': POST /api" in scheduler.log())


PAGES = ["/scheduler", "/updates", "/agents", "/vars", "/vars.json", "/offers", "/quotas", "/explain?job=a/b/c"]
OPEN = ["/health", "/leaderhealth"]


@pytest.mark.parametrize("path", [*PAGES, *OPEN])
def test_pages_are_for_all_unless_reading_is_closed(scheduler: Cluster, closed: Cluster, path: str) -> None:
    def status(of: Cluster, caller: str) -> int:
        authorization = CALLERS[caller]()
        headers = {} if authorization is None else {"Authorization": authorization}
        return requests.get(of.scheduler + path, headers=headers, auth=_nothing, timeout=30).status_code

    fine = 404 if "explain" in path else 200
    assert status(scheduler, "none") == fine
    assert status(closed, "none") == (fine if path in OPEN else 401)
    for of in (scheduler, closed):
        assert status(of, "no role") == fine
        assert status(of, "wrong password") == (fine if path in OPEN else 401)


def test_the_json_apis_ask_as_thrift_does(scheduler: Cluster, closed: Cluster) -> None:
    def statuses(of: Cluster, method: str, path: str, body: object = None) -> list[int]:
        found = []
        for caller in ("none", "wrong password", "no role", "right role", "admin"):
            authorization = CALLERS[caller]()
            headers = {} if authorization is None else {"Authorization": authorization}
            answer = requests.request(
                method, of.scheduler + path, json=body, headers=headers, auth=_nothing, timeout=30
            )
            found.append(answer.status_code)
        return found

    kill = {"job": {"role": "ads", "environment": "prod", "name": "web"}}
    assert statuses(scheduler, "POST", "/apibeta/getJobs", {}) == [200, 401, 200, 200, 200]
    assert statuses(scheduler, "POST", "/apibeta/killTasks", kill) == [401, 401, 200, 200, 200]  # some are AUTH_FAILED
    assert statuses(closed, "POST", "/apibeta/getJobs", {}) == [401, 401, 200, 200, 200]
    assert statuses(scheduler, "GET", "/v1/roles") == [200, 401, 200, 200, 200]
    assert statuses(closed, "GET", "/v1/roles") == [401, 401, 200, 200, 200]
    quota = {"resources": [{"numCpus": 1}, {"ramMb": 1}, {"diskMb": 1}]}
    assert statuses(scheduler, "PUT", "/v1/quotas/ads", quota) == [401, 401, 403, 403, 200]


def test_nothing_of_the_json_api_is_shown_to_unknown_callers_where_reading_is_closed(closed: Cluster) -> None:
    described = requests.get(f"{closed.scheduler}/v1/openapi.json", auth=_nothing, timeout=30).json()
    asked = [(method, path) for path, methods in described["paths"].items() for method in methods]
    assert len(asked) > 30
    for method, path in asked:
        url = closed.scheduler + re.sub("{[^}]*}", "1", path)
        status = requests.request(method, url, auth=_nothing, timeout=30).status_code
        assert status == (200 if path == "/v1/openapi.json" else 401), (method, path)


def test_who_may_end_the_scheduler() -> None:
    with tempfile.TemporaryDirectory(prefix="aurorad-") as name:
        users = Path(name, "users.ini")
        users.write_text(USERS)
        flags = ("-http_authentication_mechanism=BASIC", f"-shiro_ini_path={users}", "-engine=simulated")
        it = Cluster(Path(name), *flags)
        it.start()
        statuses = []
        for caller in ("none", "wrong password", "right role", "admin"):
            authorization = CALLERS[caller]()
            headers = {} if authorization is None else {"Authorization": authorization}
            answer = requests.post(f"{it.scheduler}/quitquitquit", headers=headers, auth=_nothing, timeout=30)
            statuses.append(answer.status_code)
        assert statuses == [401, 401, 403, 200]
        assert it.wait_for_end() == 0


def test_the_observer_shows_sandboxes_to_known_callers_alone_where_reading_is_closed(tmp_path: Path) -> None:
    users = tmp_path / "users.ini"
    users.write_text(USERS)
    flags = ("-http_authentication_mechanism=BASIC", "-http_anonymous_reads=false", f"-shiro_ini_path={users}")
    with cluster(tmp_path, *flags) as it:
        for path in ("/", "/main/all/0/10", "/file/t/x", "/download/t/x", "/logstream/t/p/0/stdout", "/j/task_ids/all"):
            assert requests.get(it.observer + path, auth=_nothing, timeout=30).status_code == 401
            answer = requests.get(it.observer + path, auth=("nobody", "nut"), timeout=30)
            assert answer.status_code in (200, 404)
        assert requests.get(f"{it.observer}/health", auth=_nothing, timeout=30).status_code == 200


def test_nothing_secret_is_shown(scheduler: Cluster) -> None:
    send(scheduler.scheduler, SetQuota(), basic("admin", "sesame")())
    shown = scheduler.log() + requests.get(f"{scheduler.scheduler}/vars", timeout=30).text
    command_line = Path(f"/proc/{scheduler.pid}/cmdline").read_text()
    for secret in ("apple", "sesame", "plum", "$scrypt", base64.b64encode(b"admin:sesame").decode()):
        assert secret not in shown + command_line


def variables(of: Cluster) -> dict[str, int]:
    answer: dict[str, int] = requests.get(f"{of.scheduler}/vars.json", timeout=30).json()
    return answer


def text(answer: requests.Response) -> str:
    (detail,) = said(answer).details
    return detail.message or ""


class TestTheCommandLine:
    def test_is_refused_without_a_password_and_let_in_with_one(self, scheduler: Cluster) -> None:
        ran = scheduler.aurora_admin("set_quota", "devcluster", "ads", "1", "1MB", "1MB")
        assert (ran.returncode, "401" in ran.stdout) == (1, True), ran.stdout
        netrc = scheduler.folder / ".netrc"
        netrc.write_text("machine localhost login admin password apple")
        netrc.chmod(0o600)
        try:
            ran = scheduler.aurora_admin("set_quota", "devcluster", "ads", "1", "1MB", "1MB")
            assert ran.returncode == 0, ran.stdout
            netrc.write_text("machine localhost login nobody password nut")
            ran = scheduler.aurora("job", "killall", "--no-batching", "devcluster/ads/prod/web")
            assert ran.returncode != 0
            assert "Subject nobody is not permitted to" in ran.stdout
        finally:
            netrc.unlink()

    def test_shows_a_ticket(self, kerberized: Cluster, realm: kerberos.Realm) -> None:
        entry = {"name": "devcluster", "scheduler_uri": kerberized.scheduler, "auth_mechanism": "KERBEROS"}
        (kerberized.folder / "clusters.json").write_text(json.dumps([entry]))
        ran = kerberized.aurora(
            "job", "killall", "--no-batching", "devcluster/ads/prod/web", KRB5CCNAME="FILE:/nowhere"
        )
        assert (ran.returncode, "kinit" in ran.stdout) == (30, True), ran.stdout
        ran = kerberized.aurora(
            "job", "killall", "--no-batching", "devcluster/ads/prod/web", **realm.ticket("ticketed")
        )
        assert ran.returncode == 0, ran.stdout


def test_everything_may_go_over_tls(tmp_path: Path) -> None:
    key, made = certificate(tmp_path)
    users = tmp_path / "users.ini"
    users.write_text(USERS)
    flags = ("-http_authentication_mechanism=BASIC", f"-shiro_ini_path={users}")
    ours = Authority(tmp_path / "ours")
    mine = ours.member("me")
    asking = (f"-http_tls_key={key}", f"-http_tls_certificate={made}", f"-http_tls_client_ca={ours.certificate}")
    with cluster(tmp_path, *flags, *asking) as it:
        assert it.scheduler.startswith("https://localhost:")
        shown = (str(mine.certificate), str(mine.key))
        assert requests.get(f"{it.scheduler}/health", verify=str(made), cert=shown, timeout=30).text == "OK\n"
        page = requests.get(f"{it.observer}/", verify=str(made), cert=shown, timeout=30)
        assert f"{it.scheduler}/scheduler" in page.text
        (tmp_path / ".netrc").write_text("machine localhost login deployer password plum")
        entry = {"name": "devcluster", "scheduler_uri": it.scheduler, "tls_ca": str(made)}
        for certificates, status in (
            ({}, 7),
            ({"tls_certificate": shown[0]}, 3),
            ({"tls_certificate": shown[0], "tls_key": shown[1]}, 0),
        ):
            (tmp_path / "clusters.json").write_text(json.dumps([entry | certificates]))
            ran = it.aurora("job", "killall", "--no-batching", "devcluster/ads/prod/web")
            assert ran.returncode == status, ran.stdout
        entry = {"name": "devcluster", "scheduler_uri": it.scheduler}
        (tmp_path / "clusters.json").write_text(json.dumps([entry]))
        ran = it.aurora("job", "killall", "devcluster/ads/prod/web")
        assert "certificate verify failed" in ran.stdout.lower().replace("_", " ")
