"""Tiers: what a task's tier allows (quota-tiers-sla sheet, section 1; config-validation sheet, section 6)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from frozendict import frozendict


class TierError(ValueError):
    """A tier configuration that cannot be used; the text says what is wrong with it."""


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    preemptible: bool = False
    revocable: bool = False

    @property
    def production(self) -> bool:
        """Whether its tasks count against quota and may preempt others."""
        return not self.preemptible and not self.revocable

    @property
    def settings(self) -> frozendict[str, str]:
        """As getTierConfigs answers them."""
        return frozendict(preemptible=str(self.preemptible).lower(), revocable=str(self.revocable).lower())


class Tiers(msgspec.Struct, frozen=True):
    """All tiers by name; `default` names the one of a task that names none."""

    default: str
    by_name: Mapping[str, Tier]


BUILT_IN = Tiers(
    "preemptible",
    frozendict(
        preferred=Tier(preemptible=False, revocable=False),
        preemptible=Tier(preemptible=True, revocable=False),
        revocable=Tier(preemptible=True, revocable=True),
    ),
)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    default: str | None = None
    tiers: dict[str, Tier] | None = None


def parse(content: str | bytes) -> Tiers:
    """The content of a tier file, JSON like ``{"default": "a", "tiers": {"a": {"preemptible": false}}}``.

    Raises `TierError`. A missing boolean is false; unknown properties are refused.
    """
    if not content.strip():
        raise TierError("configuration cannot be empty")
    try:
        file = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise TierError(f"not a tier configuration: {error}") from None
    if not file.default:
        raise TierError("Default tier name cannot be empty.")
    if not file.tiers:
        raise TierError("Tiers cannot be empty.")
    if file.default not in file.tiers:
        raise TierError("Default tier name should match supplied tiers.")
    return Tiers(file.default, frozendict(file.tiers))
