import pytest
from quart_trio import QuartTrio
from quart_trio.testing import TrioClient
from werkzeug.exceptions import HTTPException

from aurorad.api.enums import JobUpdateAction, JobUpdateStatus, ScheduleStatus
from aurorad.pages import tones
from aurorad.pages.look import Look, protect


def app_with_assets() -> QuartTrio:
    app = QuartTrio(__name__, static_folder=None)
    app.register_blueprint(Look("aurorad.web", lambda: 0).assets())
    app.after_request(protect)
    return app


@pytest.mark.parametrize(
    ("name", "type_"),
    [("aurora.css", "text/css"), ("aurora.js", "text/javascript"), ("icon.svg", "image/svg+xml")],
)
async def test_static_files_come_with_their_type_and_may_be_kept_an_hour(name: str, type_: str) -> None:
    answer = await app_with_assets().test_client().get(f"/assets/{name}")
    assert answer.status_code == 200
    assert answer.content_type.startswith(type_)
    assert answer.headers["Cache-Control"] == "max-age=3600"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_unknown_asset_is_named() -> None:
    answer = await app_with_assets().test_client().get("/assets/nope.js")
    assert (answer.status_code, await answer.get_data(as_text=True)) == (404, "Unknown asset: nope.js")


async def test_the_favicon_leads_to_the_icon() -> None:
    answer = await app_with_assets().test_client().get("/favicon.ico")
    assert (answer.status_code, answer.location) == (302, "/assets/icon.svg")


def app_that_fails() -> QuartTrio:
    app = QuartTrio(__name__, static_folder=None)
    look = Look("aurorad.web", lambda: 0, home="/", part="scheduler", place="here", nav=[])
    app.register_error_handler(HTTPException, look.http_error)

    @app.get("/fail")
    async def fail() -> str:
        raise AssertionError("a secret")

    return app


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nothing", 404, "Not Found"),
        ("POST", "/fail", 405, "Method Not Allowed"),
        ("GET", "/fail", 500, "Internal Server Error"),
    ],
)
@pytest.mark.parametrize("accept", ["text/html,application/xhtml+xml,*/*;q=0.8", "*/*", None])
async def test_an_error_is_a_page_for_browsers_and_words_for_others(
    method: str, path: str, status: int, words: str, accept: str | None
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = await TrioClient(app_that_fails()).open(path, method=method, headers=headers)
    text = await answer.get_data(as_text=True)
    assert answer.status_code == status
    assert words in text
    assert "secret" not in text
    assert "Traceback" not in text
    if accept is not None and "html" in accept:
        assert answer.content_type == "text/html; charset=utf-8"
        assert "/assets/aurora.css" in text
    else:
        assert answer.content_type == "text/plain; charset=utf-8"
        assert text.startswith(f"{words}\n")


async def test_a_refused_method_names_those_that_are_not() -> None:
    answer = await app_that_fails().test_client().put("/fail")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_every_state_has_its_colour() -> None:
    assert tones.of_task(ScheduleStatus.RUNNING.name) == "good"
    assert tones.of_task(ScheduleStatus.THROTTLED.name) == "bad"
    assert tones.of_task(ScheduleStatus.KILLED.name) == "quiet"
    assert [status.name for status in JobUpdateStatus if tones.of_update(status.name) == "good"] == ["ROLLED_FORWARD"]
    assert tones.of_instance(JobUpdateAction.INSTANCE_UPDATE_FAILED.name) == "bad"
    assert tones.of_thermos("FAILED") == "bad"
