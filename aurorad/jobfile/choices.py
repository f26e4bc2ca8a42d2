"""JSON objects where a job may hold one of several structs.

Pystachio tries the alternatives in order but stops at the first with an unknown key (config-schema sheet, section 1.3).
Here every alternative is tried before Pystachio sees the object.
"""

from __future__ import annotations

from typing import Any

from pystachio.choice import ChoiceContainer
from pystachio.composite import Structural
from pystachio.container import ListContainer


def resolve(cls: Any, value: object) -> Any:
    """`value` with each object in a choice's place made the alternative that takes all its keys.

    `cls` is the Pystachio type that `value` is meant for. Raises `ValueError` where no alternative fits.
    """
    if issubclass(cls, ChoiceContainer) and isinstance(value, dict):
        return _alternative(cls, value)
    if issubclass(cls, Structural) and isinstance(value, dict):
        types = {name: signature.klazz for name, signature in cls.TYPEMAP.items()}
        return {key: resolve(types[key], inner) if key in types else inner for key, inner in value.items()}
    if issubclass(cls, ListContainer) and isinstance(value, list):
        return [resolve(cls.TYPE, element) for element in value]
    return value


def _alternative(cls: Any, value: dict[str, Any]) -> Any:
    for option in cls.CHOICES:
        required = {name for name, signature in option.TYPEMAP.items() if signature.required}
        if required <= value.keys() <= option.TYPEMAP.keys():
            return option(resolve(option, value))
    raise ValueError(f"{value!r} is none of {', '.join(option.__name__ for option in cls.CHOICES)}")
