from typing import NoReturn

import pytest
from quart_trio import QuartTrio

from aurorad.web.lifecycle import lifecycle_endpoints


class Aborted(BaseException):
    pass


def abort() -> NoReturn:
    raise Aborted


def app(asked: list[str]) -> QuartTrio:
    made = QuartTrio(__name__, static_folder=None)
    made.register_blueprint(lifecycle_endpoints(lambda: asked.append("stop"), abort))
    return made


async def test_who_may_stops_the_scheduler() -> None:
    asked: list[str] = []
    answer = await app(asked).test_client().post("/quitquitquit")
    assert (answer.status_code, await answer.get_data(as_text=True)) == (200, "Notifying quit listener.")
    assert asked == ["stop"]


@pytest.mark.parametrize("path", ["/quitquitquit", "/abortabortabort"])
async def test_looking_stops_nothing(path: str) -> None:
    asked: list[str] = []
    answer = await app(asked).test_client().get(path, scope_base={"client": ("127.0.0.1", 40000)})
    assert answer.status_code == 405
    assert asked == []


async def test_aborting_answers_nothing() -> None:
    with pytest.RaisesGroup(Aborted, flatten_subgroups=True):
        await app([]).test_client().post("/abortabortabort", scope_base={"client": ("127.0.0.1", 40000)})
