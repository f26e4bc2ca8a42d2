"""The names a job file finds in scope (config-schema sheet, sections 4 and 19)."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pystachio

from aurorad.jobfile import python2
from aurorad.jobfile.schema import aurora, helpers, older, thermos

_PYSTACHIO = (
    *("Boolean", "Choice", "Default", "Empty", "Enum", "Environment", "Float", "Integer", "List", "Map"),
    *("MustacheParser", "Namable", "Ref", "Required", "String", "Struct", "Type", "TypeCheck", "TypeFactory"),
)
_HELPERS = (
    *("order", "combine_tasks", "concat_tasks", "java_options", "python_options", "SequentialTask", "SimpleTask"),
    *("Options", "Processes", "Tasks", "Units"),
)


def for_jobs() -> dict[str, object]:
    """A new namespace for one job file and all that it includes."""
    return older.names() | _of_tasks() | _public(aurora)


def for_tasks(export: Callable[[object], None]) -> dict[str, object]:
    """The same for a thermos config: structs of tasks only, and `export`."""
    return _of_tasks() | {"export": export}


def _of_tasks() -> dict[str, object]:
    chosen = {name: getattr(pystachio, name) for name in _PYSTACHIO}
    chosen |= {name: getattr(helpers, name) for name in _HELPERS}
    return python2.names() | _public(thermos) | chosen


def _public(module: ModuleType) -> dict[str, object]:
    """Every struct and constant: a schema module imports nothing that a job file may not see."""
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}
