"""Services, threads and loggers of the process (http-endpoints sheet, section 5)."""

import json
import logging
from collections.abc import Iterator

import pytest
import trio
from quart import Response
from quart import typing as quart_typing
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from aurorad.web.diagnostics import diagnostic_endpoints, level_name
from aurorad.web.pages import scheduler_look

NAME = "tests.of.levels"


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger(NAME)
    yield made
    made.setLevel(logging.NOTSET)


def client() -> quart_typing.TestClientProtocol:
    app = QuartTrio(__name__, static_folder=None)
    app.register_blueprint(diagnostic_endpoints(look := scheduler_look("here", lambda: 0)))
    app.register_blueprint(look.assets())
    app.register_error_handler(HTTPException, look.http_error)
    return app.test_client()


async def post(**form: str) -> Response:
    answer: Response = await client().post("/logconfig", form=form)
    return answer


async def test_services_are_named_with_their_state() -> None:
    class Alarm:
        async def run(self) -> None:
            await trio.sleep_forever()

    Alarm.run.__module__, Alarm.run.__qualname__ = "aurorad.tests", "Alarm.run"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Alarm().run)
        answer = await client().get("/services")
        nursery.cancel_scope.cancel()
    assert {"name": "Alarm", "state": "RUNNING"} in json.loads(await answer.get_data())


@pytest.mark.parametrize(("path", "words"), [("/threads", "Name: MainThread"), ("/contention", "Locked threads:")])
async def test_threads_are_told_as_text(path: str, words: str) -> None:
    answer = await client().get(path)
    assert (answer.status_code, answer.content_type) == (200, "text/plain; charset=utf-8")
    assert words in await answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("level", "set_to"),
    [("OFF", 60), ("ERROR", 40), ("WARN", 30), ("INFO", 20), ("DEBUG", 10), ("TRACE", 5), ("ALL", 1), ("INHERIT", 0)],
)
async def test_a_level_is_set_and_shown(logger: logging.Logger, level: str, set_to: int) -> None:
    answer = await post(logger=NAME, level=level)
    assert (answer.status_code, logger.level) == (200, set_to)
    row = (await answer.get_data(as_text=True)).partition(f'value="{NAME}"')[2].partition("</form>")[0]
    assert f"<option selected>{level}</option>" in row


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"logger": NAME, "level": "LOUD"}, "'LOUD': one of OFF, ERROR, WARN, INFO, DEBUG, TRACE, ALL, INHERIT was"),
        ({"logger": NAME}, "'': one of OFF"),
        ({"logger": "nobodys", "level": "INFO"}, "'nobodys': one that /logconfig lists was expected."),
        ({"logger": "ROOT", "level": "INHERIT"}, "There is nobody from whom ROOT could inherit"),
    ],
)
async def test_what_cannot_be_set_is_refused(form: dict[str, str], words: str) -> None:
    answer = await post(**form)
    assert (answer.status_code, words in await answer.get_data(as_text=True)) == (400, True)
    assert "nobodys" not in logging.root.manager.loggerDict


@pytest.mark.parametrize(("level", "name"), [(0, "INHERIT"), (50, "ERROR"), (15, "DEBUG"), (3, "ALL"), (99, "OFF")])
def test_levels_in_between_go_by_the_next_lower_name(level: int, name: str) -> None:
    assert level_name(level) == name
