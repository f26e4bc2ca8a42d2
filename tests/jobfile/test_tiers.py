from __future__ import annotations

from pathlib import Path

import pytest
from frozendict import frozendict

from aurorad.api.results import GetTierConfigResult, TierConfig
from aurorad.jobfile import tiers
from tests.jobfile.evaluating import evaluate, minimal


def tier(name: str, preemptible: str, revocable: str) -> TierConfig:
    return TierConfig(name, frozendict(preemptible=preemptible, revocable=revocable))


KNOWN = GetTierConfigResult(
    "preemptible",
    frozenset(
        {tier("preferred", "false", "false"), tier("preemptible", "true", "false"), tier("revocable", "true", "true")}
    ),
)


@pytest.mark.parametrize(
    ("fields", "chosen"),
    [
        ("", ("preemptible", False)),
        ("production = True", ("preferred", True)),
        ("tier = 'preferred'", ("preferred", True)),
        ("tier = 'revocable', production = True", ("revocable", False)),
        ("tier = 'preemptible'", ("preemptible", False)),
        ("tier = 'unknown', production = True", ("unknown", True)),
    ],
)
def test_tier_and_production_are_made_to_agree(tmp_path: Path, fields: str, chosen: tuple[str, bool]) -> None:
    filled = tiers.fill(evaluate(tmp_path, minimal(fields)), KNOWN)
    assert (filled.job.tier, filled.job.production) == chosen
    assert (filled.source.tier().get(), filled.source.production().get()) == chosen


def test_without_a_fitting_tier_it_is_the_default_one(tmp_path: Path) -> None:
    only = GetTierConfigResult("only", frozenset({tier("only", "true", "true")}))
    assert tiers.choose(evaluate(tmp_path, minimal()).job, only) == ("only", False)
