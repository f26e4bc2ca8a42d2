import pytest
from quart_trio import QuartTrio
from werkzeug.datastructures import Headers

from aurorad.pages.guard import keep_others_out, refusal

OURS = frozenset({"localhost", "builder7"})


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8081",
        "LOCALHOST.:8081",
        "aurora.localhost:8081",
        "builder7:8081",
        "127.0.0.1:8081",
        "127.1.2.3",
        "[::1]:8081",
        "192.168.1.5:8081",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_browser_on_this_machine_may_use_its_names_and_any_address(method: str, host: str) -> None:
    origin = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"} if method == "POST" else {}
    assert refusal(method, {"Host": host, **origin}, OURS) is None


@pytest.mark.parametrize("host", ["evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example", "[::1"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_a_foreign_name_that_leads_here_is_refused_to_browsers(method: str, host: str) -> None:
    origin = {"Origin": f"http://{host}"} if method in ("POST", "PUT") else {}
    assert refusal(method, {"Host": host, **origin}, OURS) is not None


@pytest.mark.parametrize("names", [OURS, None])
@pytest.mark.parametrize(
    "marks",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1338"},
        {"Origin": "http://localhost:8081", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_change_that_another_sites_page_asks_for_is_refused(marks: dict[str, str], names: frozenset[str]) -> None:
    assert refusal("POST", {"Host": "localhost:8081", **marks}, names) is not None


def test_a_link_on_another_site_may_lead_here() -> None:
    marks = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert refusal("GET", {"Host": "localhost:8081", **marks}, OURS) is None


def test_what_no_browser_sent_may_have_any_host() -> None:
    assert refusal("POST", {"Host": "another-scheduler"}, OURS) is None
    assert refusal("POST", {}, OURS) is None
    for headers in ({}, {"Host": ""}):  # a bare HTTP/1.0 probe
        assert refusal("GET", headers, OURS) is None


def test_listening_for_others_any_name_may_be_ours() -> None:
    assert refusal("GET", {"Host": "aurora.example"}, None) is None
    assert refusal("POST", {"Host": "aurora.example", "Origin": "http://aurora.example"}, None) is None


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 403), ("::1", 403), ("10.0.0.1", 404)])
async def test_an_app_is_guarded_as_it_listens(address: str, status: int) -> None:
    app = QuartTrio(__name__, static_folder=None)
    keep_others_out(app, address, "localhost")
    answer = await app.test_client().get("/nothing", headers=Headers({"Host": "evil.example"}))
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("welcome", "origin", "path", "status"),
    [
        ("https://friend.example", "https://friend.example", "/api", 200),
        ("*", "https://anybody.example", "/api", 200),
        ("https://friend.example", "https://evil.example", "/api", 403),
        ("https://friend.example", "https://friend.example", "/plan", 403),
        ("https://friend.example", "null", "/api", 403),
        (None, "https://friend.example", "/api", 403),
    ],
)
async def test_one_site_may_be_welcome_at_the_api(welcome: str | None, origin: str, path: str, status: int) -> None:
    app = QuartTrio(__name__, static_folder=None)

    @app.post("/api")
    @app.post("/plan")
    async def answer() -> str:
        return "done"

    keep_others_out(app, "127.0.0.1", "builder7", welcome)
    client = app.test_client()
    marks = {"Origin": origin, "Sec-Fetch-Site": "cross-site", "Host": "localhost:8081"}
    got = await client.post(path, headers=marks)
    assert got.status_code == status
    told = [got.headers.get(f"Access-Control-Allow-{what}") for what in ("Origin", "Methods", "Headers")]
    if welcome is not None and path == "/api":
        assert told == [
            welcome,
            "DELETE,GET,HEAD,OPTIONS,POST,PUT",
            "Accept,Content-Type,Origin,X-Requested-With",
        ]
    else:
        assert told == [None] * 3
    asked = await client.options(path, headers=marks)  # before, by the browser
    assert asked.status_code == 200


@pytest.mark.parametrize("welcome", ["*", "https://friend.example"])
async def test_a_guest_may_not_use_the_credentials_that_a_browser_keeps_for_us(welcome: str) -> None:
    app = QuartTrio(__name__, static_folder=None)

    @app.post("/api")
    async def answer() -> str:
        return "done"

    keep_others_out(app, "127.0.0.1", "builder7", welcome)
    client = app.test_client()
    kept = {"Host": "localhost:8081", "Authorization": "Basic YW5uOmFwcGxl"}
    guest = {"Origin": "https://friend.example", "Sec-Fetch-Site": "cross-site", **kept}
    ours = {"Origin": "http://localhost:8081", "Sec-Fetch-Site": "same-origin", **kept}
    assert (await client.post("/api", headers=guest)).status_code == 403
    assert (await client.post("/api", headers=ours)).status_code == 200
    assert (await client.post("/api", headers=kept)).status_code == 200  # no browser
