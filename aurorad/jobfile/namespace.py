"""The names a job file finds in scope (config-schema sheet, section 4)."""

from __future__ import annotations

from types import ModuleType

import pystachio

from aurorad.jobfile.schema import aurora, helpers, thermos

_PYSTACHIO = (
    *("Boolean", "Choice", "Default", "Empty", "Enum", "Environment", "Float", "Integer", "List", "Map"),
    *("MustacheParser", "Namable", "Ref", "Required", "String", "Struct", "Type", "TypeCheck", "TypeFactory"),
)
_HELPERS = (
    *("order", "combine_tasks", "concat_tasks", "java_options", "python_options", "SequentialTask", "SimpleTask"),
    *("Options", "Processes", "Tasks", "Units"),
)


def fresh() -> dict[str, object]:
    """A new namespace for one file and all that it includes."""
    chosen = {name: getattr(pystachio, name) for name in _PYSTACHIO}
    chosen |= {name: getattr(helpers, name) for name in _HELPERS}
    return _public(thermos) | _public(aurora) | chosen


def _public(module: ModuleType) -> dict[str, object]:
    """Every struct and constant: a schema module imports nothing that a job file may not see."""
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}
