"""What a task uses, and what that is of what it reserved."""

from pathlib import Path

import pytest

from aurorad.observer.sampling import NOTHING, Metrics, Sample, Usage, disk_used, metrics
from aurorad.observer.walk import Place, place_at
from executor.task import Resources

MB = 1 << 20


@pytest.mark.parametrize(
    ("usage", "reserved", "expected"),
    [
        (NOTHING, None, Metrics(0, 0, 0, 0, 0, 0, 0, 0, 0)),
        (NOTHING, Resources(1, MB, MB), Metrics(0, 1, 0, 0, MB, 0, 0, MB, 0)),
        (
            Usage({"a": Sample(cpu=0.5, ram=MB), "b": Sample(cpu=1, ram=MB)}, disk=8 * MB),
            Resources(2, 4 * MB, 4 * MB),
            Metrics(1.5, 2, 0.75, 2 * MB, 4 * MB, 0.5, 8 * MB, 4 * MB, 2.0),
        ),
        (Usage({"a": Sample(cpu=1, ram=MB)}, disk=MB), None, Metrics(1, 0, 0, MB, 0, 0, MB, 0, 0)),
        (Usage({}, disk=-1), Resources(1, MB, MB), Metrics(0, 1, 0, 0, MB, 0, -1, MB, 0)),  # nobody knows
    ],
)
def test_use_is_told_beside_what_was_reserved(usage: Usage, reserved: Resources | None, expected: Metrics) -> None:
    assert metrics(usage, reserved) == expected


def test_the_disk_is_counted_as_the_executor_counts_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 8192)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to("/usr")
    assert disk_used(place_at(tmp_path)) == 8192 + len("/usr")


def test_a_link_on_the_way_to_a_sandbox_leads_to_nothing_that_is_measured(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "sandbox").mkdir(parents=True)
    (tmp_path / "elsewhere" / "sandbox" / "a").write_bytes(b"x" * 8192)
    (tmp_path / "link").symlink_to("elsewhere")
    assert disk_used(Place(str(tmp_path), ("elsewhere", "sandbox"))) == 8192
    assert disk_used(Place(str(tmp_path), ("link", "sandbox"))) == 0
