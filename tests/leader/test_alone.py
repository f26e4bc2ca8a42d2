from aurorad.leader.alone import Alone
from aurorad.leader.face import Leader, Leadership


async def test_who_is_alone_leads_once_it_asks_and_is_advertised_once_it_says_so() -> None:
    alone: Leadership = Alone("host.example", 8081)
    assert (alone.leads, alone.leaders) == (False, ())
    await alone.elected()
    assert (alone.leads, alone.leaders) == (True, ())
    await alone.advertise()
    assert alone.leaders == (Leader("host.example", 8081, {"http": ("host.example", 8081)}),)
    assert alone.is_advertised


async def test_who_withdraws_leads_no_more_and_may_do_so_again() -> None:
    alone = Alone("host.example", 8081)
    await alone.elected()
    await alone.advertise()
    await alone.withdraw()
    assert (alone.leads, alone.leaders, alone.is_advertised) == (False, (), False)
    await alone.elected()
    assert alone.leads
