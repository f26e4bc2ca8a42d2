from __future__ import annotations

from pathlib import Path

from quart_trio import QuartTrio

from aurorad.web.sandboxes import sandbox_endpoint


async def test_a_scheduler_with_an_agent_of_its_own_tells_where_sandboxes_are() -> None:
    app = QuartTrio("test")
    app.register_blueprint(sandbox_endpoint(Path("/var/lib/aurorad/agent")))
    answer = await app.test_client().get("/sandboxes")
    assert await answer.get_json() == {"slave_root": "/var/lib/aurorad/agent", "slave_run_directory": "latest"}


async def test_without_one_it_does_not_know() -> None:
    app = QuartTrio("test")
    app.register_blueprint(sandbox_endpoint(None))
    answer = await app.test_client().get("/sandboxes")
    assert answer.status_code == 404
