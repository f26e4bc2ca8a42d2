from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aurorad.storage.parted import Parted

KEYS = st.text("ab-", max_size=5)  # short ones, and many that end alike


@given(st.lists(st.tuples(KEYS, st.sampled_from(["set", "insert", "remove"]))))
def test_it_is_a_dictionary_whatever_is_done(steps: list[tuple[str, str]]) -> None:
    parted: Parted[int] = Parted()
    model: dict[str, int] = {}
    for number, (key, step) in enumerate(steps):
        if step == "remove" and key in model:
            del parted[key], model[key]
        elif step == "insert" and key not in model:
            assert not parted.has_any([key])
            parted.insert({key: number})
            model[key] = number
        else:
            parted[key] = model[key] = number
        assert parted.has_any(["other", key]) == (key in model)
    assert dict(parted) == model
    assert len(parted) == len(model)
    assert all(parted.get(key) == model.get(key) for key, _ in steps)
