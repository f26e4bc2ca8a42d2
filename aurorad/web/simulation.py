"""Telling a simulated cluster what happens to its tasks and agents, over HTTP on loopback: for tests and trials."""

from __future__ import annotations

from collections.abc import Callable

import trio
from quart import Blueprint, Response, request
from werkzeug.exceptions import Forbidden

from aurorad.api import units
from aurorad.engine.base import TaskState
from aurorad.engine.simulated.cluster import UnknownAgent
from aurorad.engine.simulated.engine import SimulatedEngine
from aurorad.pages.guard import refusal

_STATUS = frozenset({"id", "state", "message", "reason", "account", "agent"})


class _BadRequest(Exception):
    """What is wrong with a request, in a sentence."""


def simulation_endpoints(engine: SimulatedEngine, now_ms: Callable[[], int]) -> Blueprint:
    """``/status`` has a task be in a state, ``/agent_remove`` has an agent be lost; docs/simulated.md has more."""
    blueprint = Blueprint("simulation", __name__)

    @blueprint.before_request
    async def keep_others_out() -> None:
        reason = refusal("POST", request.headers, names=None)  # a GET here changes something
        if reason is not None:
            raise Forbidden(reason)

    def add(path: str, do: Callable[[dict[str, str]], None]) -> None:
        async def answer() -> Response:
            try:
                do(_parameters())
            except (_BadRequest, UnknownAgent) as error:
                return Response(f"{error}\n", 400, content_type="text/plain; charset=utf-8")
            engine.wake()
            return Response("OK\n", content_type="text/plain; charset=utf-8")

        blueprint.add_url_rule(path, path, answer)

    def status(given: dict[str, str]) -> None:
        _check_names(given, _STATUS)
        agent_id = given.get("agent")
        if agent_id is not None and agent_id not in engine.cluster.agents:
            raise UnknownAgent(f"there is no agent {agent_id}")
        engine.cluster.report(
            trio.current_time(),
            _needed(given, "id"),
            _state(_needed(given, "state")),
            message=given.get("message"),
            reason=given.get("reason"),
            agent_id=agent_id,
            account=_boolean(given.get("account", "true")),
        )

    def agent(do: Callable[[float, str], None]) -> Callable[[dict[str, str]], None]:
        def changed(given: dict[str, str]) -> None:
            _check_names(given, frozenset({"id"}))
            do(trio.current_time(), _needed(given, "id"))

        return changed

    def unavailable(given: dict[str, str]) -> None:
        _check_names(given, frozenset({"id", "in"}))
        start_ms = now_ms() + round(_duration_s(_needed(given, "in")) * 1000)
        engine.cluster.announce_unavailability(trio.current_time(), _needed(given, "id"), start_ms)

    add("/status", status)
    add("/agent_unavailable", unavailable)
    add("/agent_remove", agent(engine.cluster.remove_agent))
    add("/agent_cut_off", agent(engine.cluster.cut_off))
    add("/agent_reach", agent(engine.cluster.reach))
    return blueprint


def _parameters() -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in request.args.items(multi=True):
        if name in given:
            raise _BadRequest(f"{name} was given twice: once was expected")
        given[name] = value
    return given


def _check_names(given: dict[str, str], known: frozenset[str]) -> None:
    for name in given:
        if name not in known:
            raise _BadRequest(f"unknown parameter {name}: {', '.join(sorted(known))} can be given")


def _needed(given: dict[str, str], name: str) -> str:
    if not given.get(name):
        raise _BadRequest(f"{name} is missing")
    return given[name]


def _state(text: str) -> TaskState:
    try:
        return TaskState(text)
    except ValueError:
        raise _BadRequest(f"state={text}: one of {', '.join(TaskState)} was expected") from None


def _duration_s(text: str) -> float:
    try:
        return units.parse_duration(text)
    except ValueError as error:
        raise _BadRequest(f"in={text}: {error} was expected") from None


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise _BadRequest(f"account={text}: true or false was expected")
    return text == "true"
