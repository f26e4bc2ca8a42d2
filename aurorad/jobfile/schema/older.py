"""Spellings of older versions: accepted, told of once, and turned into today's (config-schema sheet, section 17)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pystachio import Empty

from aurorad.jobfile.schema import origins

Fields = dict[str, Any]

NO_PACKER = (
    "was a packaging helper of early Aurora and is gone: fetch the package in a Process of its own, "
    "with curl for example, and put that first with order(...)"
)
# What the author sees as the struct's name, where that is another than the class's.
_SHOWN = {"MesosJob": "Job"}


class _Older(NamedTuple):
    """`change` gets the struct, the value and the fields so far, and returns the fields to set instead."""

    advice: str
    change: Callable[[Any, Any, Fields], Fields]
    today: str | None = None  # the field that must not be given beside it
    both: str | None = None  # the text when it is


def translate(struct: Any, given: Mapping[str, Any]) -> Fields:
    """`given` in today's spelling; what no version knows is left as it is. Raises `ValueError` for both spellings."""
    known = _OLDER.get(type(struct).__name__, {})
    fields = dict(given)
    for name in given:
        older = known.get(name) if name not in struct.TYPEMAP else None
        if older is None:
            continue
        if older.today in given:
            raise ValueError(older.both or f"Specified both {name} and {older.today}!")
        fields |= older.change(struct, fields.pop(name), fields)
        _warn(f"{_SHOWN.get(type(struct).__name__, type(struct).__name__)}({name} = ...)", older.advice)
    return fields


def names() -> dict[str, object]:
    """Names that job files of older versions use."""
    return {"HTTPLifecycleConfig": _http_lifecycle, "PackerObject": _packer}


def _http_lifecycle(*args: object, **fields: object) -> Any:
    from aurorad.jobfile.schema.aurora import HttpLifecycleConfig  # which is made of what this module helps to make

    _warn("HTTPLifecycleConfig", "write HttpLifecycleConfig")
    return HttpLifecycleConfig(*args, **fields)


def _packer(*_: object, **__: object) -> Any:
    raise ValueError(f"PackerObject {NO_PACKER}")


def _warn(what: str, advice: str) -> None:
    recorder = origins.current()
    if recorder is not None:
        recorder.warn(f"{what} is from an older version: {advice}")


def _renamed(today: str, both: str | None = None) -> _Older:
    return _Older(f"write {today} = ...", lambda _, value, __: {today: value}, today, both)


def _interval(struct: Any, value: Any, _: Fields) -> Fields:
    return {"health_check_config": struct._schema_data["health_check_config"](interval_secs=value)}


def _http(name: str) -> _Older:
    def change(struct: Any, value: Any, fields: Fields) -> Fields:
        checker = fields.get("health_checker", struct._schema_data["health_checker"])
        http = checker._schema_data["http"]
        return {"health_checker": checker(http={name: value} if http is Empty else http(**{name: value}))}

    advice = f"write health_checker = HealthCheckerConfig(http = HttpHealthChecker({name} = ...))"
    return _Older(advice, change, "health_checker")


def _refused(struct: Any, _: Any, __: Fields) -> Fields:
    raise ValueError(f"recipes {NO_PACKER}")


_OLDER: dict[str, dict[str, _Older]] = {
    "MesosJob": {
        "daemon": _renamed("service", "Specified both daemon and service bits!"),
        "cron_policy": _renamed("cron_collision_policy"),
        "env": _renamed("environment"),
        "health_check_interval_secs": _Older(
            "write health_check_config = HealthCheckConfig(interval_secs = ...)", _interval, "health_check_config"
        ),
        "recipes": _Older("", _refused),
    },
    "UpdateConfig": {
        "restart_threshold": _Older("it has had no effect since Aurora 0.11, leave it out", lambda _, __, ___: {})
    },
    "HealthCheckConfig": {name: _http(name) for name in ("endpoint", "expected_response", "expected_response_code")},
}
