import math

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aurorad.engine.local.capacity import Amounts, amounts
from aurorad.engine.local.offers import Offering

TOTAL = amounts({"cpus": 4, "mem": 100}, range(10))


def test_one_offer_is_out_at_a_time() -> None:
    offering = Offering(TOTAL, "o-")
    assert offering.next_at(5) == 5
    made = offering.make()
    assert (made.id, made.free) == ("o-0", TOTAL)
    assert offering.next_at(5) == math.inf
    assert offering.stale() is None


def test_an_offer_is_stale_once_something_else_is_free() -> None:
    offering = Offering(TOTAL, "o-")
    made = offering.make()
    assert offering.hold("a", amounts({"cpus": 1})) == []
    assert offering.stale() == made
    assert offering.stale() is None
    assert offering.next_at(0) == 0


def test_what_was_refused_stays_away_for_the_time_given() -> None:
    offering = Offering(TOTAL, "o-")
    offering.used(offering.make().id, 10, 5)
    assert offering.next_at(10) == 15
    assert offering.next_at(20) == 20


def test_what_was_refused_comes_back_at_once_with_more() -> None:
    offering = Offering(TOTAL, "o-")
    offering.hold("a", amounts({"cpus": 1}))
    offering.used(offering.make().id, 10, 5)
    offering.hold("b", amounts({"cpus": 1}))
    assert offering.next_at(10) == 15  # less is refused too
    offering.release("a")
    offering.release("b")
    assert offering.next_at(10) == 10


def test_declining_an_offer_that_was_replaced_changes_nothing() -> None:
    offering = Offering(TOTAL, "o-")
    old = offering.make()
    offering.hold("a", amounts({"cpus": 1}))
    offering.stale()
    new = offering.make()
    offering.used(old.id, 0, 5)
    assert offering.outstanding == new


def test_only_offers_that_were_made_are_known() -> None:
    offering = Offering(TOTAL, "o-")
    offering.make()
    assert offering.made("o-0")
    assert not any(map(offering.made, ("o-1", "o-", "0", "x-0", "o--1", "o-²")))


_WANTED = st.builds(
    amounts,
    st.fixed_dictionaries({"cpus": st.floats(0, 5), "mem": st.floats(0, 200)}),
    st.frozensets(st.integers(0, 12), max_size=3),
)


class Oversubscription(RuleBasedStateMachine):
    """Whatever is asked for and given back: never is more held than there is."""

    def __init__(self) -> None:
        super().__init__()
        self.offering = Offering(TOTAL, "o-")
        self.held: dict[str, Amounts] = {}

    @rule(holder=st.sampled_from("abcdef"), wanted=_WANTED)
    def hold(self, holder: str, wanted: Amounts) -> None:
        if holder not in self.held and not self.offering.hold(holder, wanted):
            self.held[holder] = wanted

    @rule(holder=st.sampled_from("abcdef"))
    def release(self, holder: str) -> None:
        self.held.pop(holder, None)
        self.offering.release(holder)

    @invariant()
    def held_and_free_are_all_there_is(self) -> None:
        ports = [port for held in self.held.values() for port in held.ports]
        assert len(ports) == len(set(ports))
        assert self.offering.free.ports == TOTAL.ports - set(ports)
        for name, total in TOTAL.scalars.items():
            held = math.fsum(held.scalars.get(name, 0) for held in self.held.values())
            assert held <= total + 1e-4
            assert abs(held + self.offering.free.scalars.get(name, 0) - total) < 1e-4


TestOversubscription = Oversubscription.TestCase
