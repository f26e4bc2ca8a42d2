import pytest

from aurorad.leader.election import predecessor

A, B, C = "_c_ffff-lock-0000000003", "_c_0000-lock-0000000004", "_c_8888-lock-0000000009"


@pytest.mark.parametrize(("mine", "before"), [(A, None), (B, A), (C, B)])
def test_candidates_stand_in_the_order_of_their_numbers(mine: str, before: str | None) -> None:
    assert predecessor([C, A, "member_0000000000", B, "other"], mine) == before


def test_a_candidate_of_another_program_counts() -> None:
    assert predecessor(["x-lock-0000000001", B], B) == "x-lock-0000000001"


def test_numbers_of_more_digits_are_later() -> None:
    assert (
        predecessor(["_c_1-lock-10000000000", "_c_2-lock-9999999999"], "_c_1-lock-10000000000")
        == "_c_2-lock-9999999999"
    )
