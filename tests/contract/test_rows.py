"""Every row of the thrift-api sheet, in every encoding, against a real daemon."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from aurorad.api.calls import CALLS
from tests.contract.daemon import Daemon, running
from tests.contract.replay import replay
from tests.contract.rows.scenarios import ALL, SETUP, new_roles, scenario
from tests.contract.wire import TYPES

ROLES = new_roles(random.Random(7))


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(SETUP, tmp_path_factory.mktemp("rows")) as started:
        yield started


@pytest.mark.parametrize("protocol", TYPES)
@pytest.mark.parametrize("name", ALL)
def test_every_row_is_as_the_sheet_says(name: str, protocol: str, daemon: Daemon) -> None:
    findings = replay(scenario(name, protocol, next(ROLES)), daemon)
    assert not findings, "\n".join(map(str, findings))


def test_every_call_has_rows() -> None:
    asked = {row.method for rows in ALL.values() for row in rows("role")}
    assert asked == set(CALLS)


def test_every_refusal_is_asked_for_in_the_order_of_the_sheet() -> None:
    """The table of startJobUpdate has 17 rows, of which none can be 3: a strategy is known, or is the old way's."""
    rows = [row.says for name in ("updates-checks", "updates-conditions") for row in ALL[name]("role")]
    numbers = [int(says.split(":")[0]) for says in rows if says.split(":")[0].isdecimal()]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, 18)) - {3}
