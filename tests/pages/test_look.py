import pytest
from quart_trio import QuartTrio

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


def test_every_state_has_its_colour() -> None:
    assert tones.of_task(ScheduleStatus.RUNNING.name) == "good"
    assert tones.of_task(ScheduleStatus.THROTTLED.name) == "bad"
    assert tones.of_task(ScheduleStatus.KILLED.name) == "quiet"
    assert [status.name for status in JobUpdateStatus if tones.of_update(status.name) == "good"] == ["ROLLED_FORWARD"]
    assert tones.of_instance(JobUpdateAction.INSTANCE_UPDATE_FAILED.name) == "bad"
    assert tones.of_thermos("FAILED") == "bad"
