"""Who is allowed to try to lead: a pretended ZooKeeper, whose sessions expire, and what each scheduler hears of it."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

import trio

from aurorad.leader.face import Defeated, Leader
from tests.simulation.timeline import Timeline
from tests.simulation.trace import Trace

BEAT_S = 0.5
SESSION_S = 4.0
HEARS_S = 0.1


@dataclasses.dataclass(eq=False)
class Session:
    owner: str
    heard_s: float
    is_over: bool = False


class Election:
    """Candidates in the order in which they came; the first leads, as long as its session lasts."""

    def __init__(self, timeline: Timeline, rng: random.Random, trace: Trace) -> None:
        self.cut: set[str] = set()
        """Who cannot reach it."""
        self.is_patient = rng.random() < 0.5
        """Whether who is cut off believes that it leads until it hears otherwise; else for a session's whole time."""
        self.rng = rng
        self._timeline = timeline
        self._trace = trace
        self._sessions: list[Session] = []
        self._line: list[Session] = []
        self._advertised: dict[Session, Leader] = {}
        timeline.after(BEAT_S, self._expire)

    @property
    def leaders(self) -> tuple[Leader, ...]:
        return tuple(self._advertised.values())

    def open(self, owner: str) -> Session:
        session = Session(owner, trio.current_time())
        self._sessions.append(session)
        return session

    def stand(self, session: Session) -> None:
        if session not in self._line:
            self._line.append(session)

    def is_first(self, session: Session) -> bool:
        return self._line[:1] == [session]

    def advertise(self, session: Session, leader: Leader) -> None:
        self._advertised[session] = leader

    def leave(self, session: Session) -> None:
        self._advertised.pop(session, None)
        if session in self._line:
            self._line.remove(session)

    def expire_one(self) -> None:
        """Somebody ends the session of who leads, or of another."""
        if self._sessions:
            self._end(self._line[0] if self._line and self.rng.random() < 0.7 else self.rng.choice(self._sessions))

    def expire(self, owner: str) -> None:
        for session in [one for one in self._sessions if one.owner == owner]:
            self._end(session)

    def _expire(self) -> None:
        now = trio.current_time()
        for session in [one for one in self._sessions if one.heard_s < now - SESSION_S]:
            self._end(session)
        self._timeline.after(BEAT_S, self._expire)

    def _end(self, session: Session) -> None:
        self._trace("election", f"a session of {session.owner} has expired")
        session.is_over = True
        self._sessions.remove(session)
        self.leave(session)


class Candidate:
    """One process's `aurorad.leader.face.Leadership`."""

    def __init__(self, election: Election, me: str, is_gone: Callable[[], bool]) -> None:
        self._election = election
        self._me = Leader(me, 0, {})
        self._address = me
        self._is_gone = is_gone
        self._session: Session | None = None
        self._tenure: Session | None = None
        self._why_over = ""
        self._is_advertised = False
        self._leaders: tuple[Leader, ...] = ()
        self._heard = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while True:
            await trio.sleep(BEAT_S * (0.5 + self._election.rng.random()))
            await trio.sleep(HEARS_S * self._election.rng.random())  # there and back again
            now = trio.current_time()
            if self._is_linked:
                if self._session is None or self._session.is_over:
                    self._over("the session has expired")
                    self._session = self._election.open(self._address)
                self._session.heard_s = now
                self._leaders = self._election.leaders
            elif not self._election.is_patient and self._session and self._session.heard_s < now - SESSION_S:
                self._over("no word for a session's whole time")
            self._heard.set()
            self._heard = trio.Event()

    async def elected(self) -> None:
        while True:
            session = self._session
            if session is not None and not session.is_over and self._is_linked:
                self._election.stand(session)
                if self._election.is_first(session):
                    self._tenure = session
                    return
            await self._heard.wait()

    async def defeated(self) -> str:
        while self._tenure is not None:
            await self._heard.wait()
        return self._why_over or "it does not lead"

    async def advertise(self) -> None:
        while self._tenure is not None and not self._is_linked:
            await self._heard.wait()
        if self._tenure is None or self._tenure.is_over:
            raise Defeated(self._why_over or "it does not lead")
        self._election.advertise(self._tenure, self._me)
        self._is_advertised = True
        self._leaders = self._election.leaders
        await trio.lowlevel.checkpoint()

    async def withdraw(self) -> None:
        self._tenure, self._is_advertised = None, False
        if self._session is not None and self._is_linked:
            self._election.leave(self._session)
        await trio.lowlevel.checkpoint()

    @property
    def leads(self) -> bool:
        return self._tenure is not None

    @property
    def leaders(self) -> tuple[Leader, ...]:
        return self._leaders

    @property
    def is_advertised(self) -> bool:
        return self._is_advertised and self.leads and self._leaders == (self._me,)

    @property
    def _is_linked(self) -> bool:
        return self._address not in self._election.cut and not self._is_gone()

    def _over(self, why: str) -> None:
        if self._tenure is not None:
            self._why_over, self._tenure, self._is_advertised = why, None, False
