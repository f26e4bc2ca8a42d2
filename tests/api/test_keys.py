from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api import keys
from aurorad.api.tasks import JobKey

IDENTIFIERS = st.from_regex(r"[A-Za-z0-9_.\-]{1,20}", fullmatch=True)


@pytest.mark.parametrize("text", ["a", "a.b-c_D9", "..", "-", "n" * 255])
def test_letters_digits_dots_dashes_and_underscores_make_an_identifier(text: str) -> None:
    assert keys.is_identifier(text)


def test_the_longest_job_key_makes_a_task_id_that_can_be_a_file() -> None:
    key = JobKey("r", "e", "n" * (keys.MAX_KEY_LENGTH - 2))
    assert keys.is_short(key)
    assert len("thermos-" + keys.task_id(key, 999_999, UUID(int=0))) <= 255
    assert not keys.is_short(JobKey("r", "e", "n" * (keys.MAX_KEY_LENGTH - 1)))


@pytest.mark.parametrize("text", ["", " ", "a b", "a/b", "abc\n", "näme", "٣", "a\0", "n" * 256])
def test_anything_else_does_not(text: str) -> None:
    assert not keys.is_identifier(text)


@pytest.mark.parametrize(
    ("key", "valid"),
    [
        (JobKey("a", "b", "c"), True),
        (None, False),
        (JobKey(), False),
        (JobKey("a", "b"), False),
        (JobKey("a b", "b", "c"), False),
        (JobKey("a", "", "c"), False),
        (JobKey("a", "b", "c\n"), False),
    ],
)
def test_a_key_is_three_identifiers(key: JobKey | None, valid: bool) -> None:
    assert keys.is_valid(key) is valid


@given(st.builds(JobKey, IDENTIFIERS, IDENTIFIERS, IDENTIFIERS))
def test_a_key_written_and_read_is_the_same(key: JobKey) -> None:
    assert keys.is_valid(key)
    assert keys.parse(keys.canonical(key)) == key


@pytest.mark.parametrize("path", ["", "a", "a/b", "a/b/c/d", "a//c", "a/b/c d", "/a/b/c"])
def test_what_is_no_key_is_told_so(path: str) -> None:
    with pytest.raises(ValueError, match="is not a job key: role/environment/name was expected") as refused:
        keys.parse(path)
    assert repr(path) in str(refused.value)


def test_a_task_id_is_made_of_what_may_be_a_file_name() -> None:
    unique = UUID("d23f0824-128b-2f33-0c5c-7fd0a6a3a450")
    made = keys.task_id(JobKey("www", "prod", "a.b"), 7, unique)
    assert made == "www-prod-a-b-7-d23f0824-128b-2f33-0c5c-7fd0a6a3a450"
