"""Programs that do not want to end. Run as ``python -S -E hostile.py NAME PLACE [NUMBER]``.

Whatever becomes of a test, each of these processes ends by itself after `LIMIT_S`, and none makes more than NUMBER
others. All of them have PLACE on their command line. In PLACE a file `up` tells that all are there.
"""

from __future__ import annotations

import os
import signal
import sys
import time

LIMIT_S = 60
BEGAN = time.monotonic()


def main(name: str, place: str, number: int) -> None:
    signal.alarm(LIMIT_S)
    {
        "bomb": bomb,
        "hoppers": hoppers,
        "daemon": daemon,
        "deaf": deaf,
        "holder": holder,
        "stopped": stopped,
        "zombies": zombies,
        "linger": linger,
    }[name](place, number)


def up(place: str) -> None:
    with open(os.path.join(place, "up"), "w") as file:
        file.write("up\n")


def linger(place: str, number: int) -> None:
    """What a daemon becomes. It does not listen to SIGTERM, unless it has a `number`."""
    if not number:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    up(place)
    rest()


def rest() -> None:
    while True:
        signal.pause()


def child() -> bool:
    """A fork, which ends by itself in time."""
    if os.fork():
        return False
    signal.alarm(LIMIT_S)
    return True


def bomb(place: str, number: int) -> None:
    """Children that have `number` children together, each of which has one more when it is told to end, once."""
    tokens, spend = os.pipe()
    os.set_blocking(tokens, False)
    os.write(spend, b"." * 500)
    born, birth = os.pipe()
    families, each = 20, number // 20

    def one_more(*_: object) -> None:
        try:
            if os.read(tokens, 1):
                child()
        except BlockingIOError:
            return

    for _ in range(families):
        if child():
            for _ in range(each):
                if child():
                    signal.signal(signal.SIGTERM, one_more)
                    os.write(birth, b".")
                    rest()
            rest()
    left = families * each
    while left:
        left -= len(os.read(born, left))
    up(place)
    rest()


def hoppers(place: str, number: int) -> None:
    """Each forks and ends at once, in a session of its own, and so is never there when one looks for it."""
    for _ in range(number):
        if child():
            os.setsid()
            while time.monotonic() < BEGAN + LIMIT_S:
                if os.fork():
                    os._exit(0)
                os.setsid()
            os._exit(0)
    up(place)
    rest()


def daemon(place: str, number: int) -> None:
    """Leaves its parents, its session, its directory and its environment; then its program ends."""
    if os.fork():
        while not os.path.exists(os.path.join(place, "up")):
            time.sleep(0.01)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.closerange(0, 100)
    for _ in range(3):
        os.open(os.devnull, os.O_RDWR)
    os.execve(sys.executable, [sys.executable, "-S", "-E", __file__, "linger", place, str(number)], {})


def deaf(place: str, number: int) -> None:
    for number_of_signal in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number_of_signal, signal.SIG_IGN)
    for _ in range(3):
        if child():
            rest()
    up(place)
    rest()


def holder(place: str, number: int) -> None:
    """Ends, but what it leaves holds its output open."""
    if child():
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        up(place)
        rest()
    while not os.path.exists(os.path.join(place, "up")):
        time.sleep(0.01)


def stopped(place: str, number: int) -> None:
    """Children that are stopped, one of which says so when it is told to end."""

    def say(*_: object) -> None:
        with open(os.path.join(place, "woken"), "w") as file:
            file.write("woken\n")
        os._exit(0)

    children = []
    for ears in (say, signal.SIG_IGN):
        pid = os.fork()
        if pid == 0:
            signal.alarm(LIMIT_S)
            signal.signal(signal.SIGTERM, ears)
            os.kill(os.getpid(), signal.SIGSTOP)
            rest()
        children.append(pid)
    for pid in children:
        os.waitpid(pid, os.WUNTRACED)
    up(place)
    rest()


def zombies(place: str, number: int) -> None:
    """Never looks after its children, and leaves others to whoever adopts them."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for index in range(number):
        if child():
            if index % 2 and child():
                os._exit(0)
            os._exit(0)
    up(place)
    rest()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
