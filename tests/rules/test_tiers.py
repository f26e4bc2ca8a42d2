import pytest

from aurorad.rules.tiers import BUILT_IN, Tier, TierError, parse


def test_the_built_in_tiers_are_those_of_the_sheet() -> None:
    assert BUILT_IN.default == "preemptible"
    assert {name: (tier.preemptible, tier.revocable) for name, tier in BUILT_IN.by_name.items()} == {
        "preferred": (False, False),
        "preemptible": (True, False),
        "revocable": (True, True),
    }


@pytest.mark.parametrize(
    ("preemptible", "revocable", "production"),
    [(False, False, True), (True, False, False), (False, True, False), (True, True, False)],
)
def test_production_means_neither_preemptible_nor_revocable(
    preemptible: bool, revocable: bool, production: bool
) -> None:
    assert Tier(preemptible, revocable).production is production


def test_settings_are_the_texts_true_and_false() -> None:
    assert Tier(preemptible=True).settings == {"preemptible": "true", "revocable": "false"}


def test_a_missing_boolean_is_false() -> None:
    tiers = parse('{"default": "a", "tiers": {"a": {}, "b": {"revocable": true}}}')
    assert tiers.default == "a"
    assert tiers.by_name == {"a": Tier(), "b": Tier(revocable=True)}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "configuration cannot be empty"),
        (" \n", "configuration cannot be empty"),
        ('{"tiers": {"a": {}}}', "Default tier name cannot be empty."),
        ('{"default": "", "tiers": {"a": {}}}', "Default tier name cannot be empty."),
        ('{"default": "a"}', "Tiers cannot be empty."),
        ('{"default": "a", "tiers": {}}', "Tiers cannot be empty."),
        ('{"default": "b", "tiers": {"a": {}}}', "Default tier name should match supplied tiers."),
        ("{", "not a tier configuration: Input data was truncated"),
        ('{"default": "a", "tiers": {"a": {"preemptable": true}}}', "unknown field `preemptable` - at `$.tiers[...]`"),
        ('{"default": "a", "tiers": {"a": {"revocable": "no"}}}', "Expected `bool`, got `str`"),
        ('{"default": "a", "tiers": {"a": {}}, "more": 1}', "unknown field `more`"),
        ("[]", "Expected `object`, got `array`"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_is_wrong(content: str, text: str) -> None:
    with pytest.raises(TierError) as refused:
        parse(content)
    assert text in str(refused.value)


def test_a_file_that_is_not_text_is_refused() -> None:
    with pytest.raises(TierError, match="not a tier configuration"):
        parse(b'\xff\xfe{"default"')
