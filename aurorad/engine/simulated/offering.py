"""Which offers are out, and who is to be offered next. No clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aurorad.engine.base import Event, Offer, Offers, Rescind
from aurorad.engine.simulated.hosts import Host


class Offering:
    """One offer of each host at most, of all that is free. `say` hears of offers and of those taken back."""

    def __init__(self, say: Callable[[Event], None], strict: bool) -> None:
        self._say = say
        self._strict = strict
        self._out: dict[str, Host] = {}
        self._replaced: dict[str, Host] = {}  # taken back only to be made larger, the last one of each host
        self._wanted: dict[Host, None] = {}
        self._made = 0

    @property
    def has_more(self) -> bool:
        return bool(self._wanted)

    def want(self, host: Host) -> None:
        """Have this host offered, if it has anything to offer and no offer is out."""
        self._wanted[host] = None

    def withdraw(self, offer_id: str) -> Host | None:
        """Whose offer it was, which is used or declined; None if it is not out."""
        host = self._out.pop(offer_id, None)
        if host is not None:
            host.offer_id = None
        return host

    def withdraw_replaced(self, offer_id: str) -> Host | None:
        """The same for an offer that was replaced while its launch was on the way: the new one is taken back."""
        host = self._replaced.get(offer_id)
        if host is not None:
            self.take_back(host)
        return host

    def replace(self, host: Host) -> None:
        """Take back the offer to make a larger one."""
        replaced_id = host.offer_id
        self.take_back(host)
        if replaced_id is not None and not self._strict:
            host.replaced_id = replaced_id
            self._replaced[replaced_id] = host
        self.want(host)

    def take_back(self, host: Host) -> None:
        """Nothing of this host is out any longer, nor wanted."""
        self._wanted.pop(host, None)
        if host.replaced_id is not None:
            del self._replaced[host.replaced_id]
            host.replaced_id = None
        if host.offer_id is not None:
            del self._out[host.offer_id]
            self._say(Rescind(host.offer_id))
            host.offer_id = None

    def void(self) -> None:
        """Nobody is there to whom anything was offered."""
        for host in (*self._out.values(), *self._replaced.values()):
            host.offer_id = host.replaced_id = None
        self._out.clear()
        self._replaced.clear()
        self._wanted.clear()

    def make(self, at_most: int) -> None:
        """Offer some of the hosts that wait for it."""
        offers: list[Offer] = []
        while self._wanted and len(offers) < at_most:
            host = next(iter(self._wanted))
            del self._wanted[host]
            if host.offer_id is None and host.is_reachable and host.has_room():
                host.offer_id = f"offer-{self._made}"
                self._made += 1
                host.grew = False
                self._out[host.offer_id] = host
                offers.append(host.offer(host.offer_id))
        if offers:
            self._say(Offers(tuple(offers)))

    def check_invariants(self, hosts: Iterable[Host]) -> None:
        for host in hosts:
            assert host.offer_id is None or self._out[host.offer_id] is host
            assert host.replaced_id is None or self._replaced[host.replaced_id] is host
        assert len(self._out) == sum(host.offer_id is not None for host in hosts)
        assert len(self._replaced) == sum(host.replaced_id is not None for host in hosts)
