"""Real ZooKeeper servers for tests: Debian's, one alone or three together, on free ports of this machine."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError
from kazoo.security import make_digest_acl_credential

PATIENCE_S = 60.0

_JARS = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-nop.jar"
_SUPER = ("digest", "super:super")  # may do everything
_JAVA = (
    *("setpriv", "--pdeathsig", "KILL"),  # it does not outlive the tests, however they end
    *("java", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
    *("-Dzookeeper.forceSync=no", "-Dzookeeper.preAllocSize=64"),
    f"-Dzookeeper.DigestAuthenticationProvider.superDigest={make_digest_acl_credential('super', 'super')}",
)
_MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
_CONFIGURATION = """\
tickTime=200
initLimit=100
syncLimit=10
maxSessionTimeout=20000
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=srvr
"""


class ZooKeeper:
    """`address` stays the same over restarts, and what is stored, too."""

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        ensemble: str = "",
        *,
        host: str = "127.0.0.1",
        enter: Sequence[str] = (),
    ) -> None:
        """`ensemble` are the lines of the configuration that name all servers; without, it is alone.

        `enter` is what its command begins with, if it is to run elsewhere.
        """
        self._directory = directory
        self._ensemble = ensemble
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port or free_ports(1)[0]
        self._host = host
        self._enter = enter
        self.address = f"{host}:{self.port}"

    def start(self) -> None:
        """Returns once clients are served."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        configuration = self._directory / "zoo.cfg"
        configuration.write_text(
            f"{_CONFIGURATION}clientPortAddress={self._host}\nclientPort={self.port}\n"
            f"dataDir={self._directory / 'data'}\n{self._ensemble}"
        )
        with (self._directory / "output").open("ab") as output:
            command = [*self._enter, *_JAVA, "-cp", _JARS, _MAIN, str(configuration)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def wait(self) -> None:
        assert self._process is not None
        end = time.monotonic() + PATIENCE_S
        while "Mode:" not in self._ask("srvr"):
            output_text = (self._directory / "output").read_text()
            assert self._process.poll() is None, f"ZooKeeper ended: {output_text}"
            assert time.monotonic() < end, f"ZooKeeper does not serve: {output_text}"
            time.sleep(0.01)

    @property
    def runs(self) -> bool:
        return self._process is not None

    @property
    def leads(self) -> bool:
        """Whether it is its ensemble's leader."""
        return "Mode: leader" in self._ask("srvr")

    def stop(self) -> None:
        """At once, as by a power failure; sessions live on when it is started again within their time."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Within, it keeps its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def client(self, *auth: tuple[str, str]) -> contextlib.AbstractContextManager[KazooClient]:
        """A client with these credentials, as (scheme, credential), connected."""
        return client_of(self.address, *auth)

    def expire(self, session_id: int) -> None:
        """Ends somebody's session, as if nothing had been heard of it: the server learns of it from another client."""
        thief = KazooClient(self.address, client_id=(session_id, _password(session_id)))
        thief.start(PATIENCE_S)
        assert thief.client_id is not None
        assert thief.client_id[0] == session_id, "there is no such session"
        thief.stop()
        thief.close()

    def _ask(self, word: str) -> str:
        try:
            with socket.create_connection((self._host, self.port), timeout=5) as connection:
                connection.sendall(word.encode())
                return connection.recv(4096).decode()
        except OSError:
            return ""


class Ensemble:
    """Three servers, of which two must run."""

    def __init__(self, directory: Path) -> None:
        ports = free_ports(9)
        lines = [f"server.{n + 1}=127.0.0.1:{ports[3 + n]}:{ports[6 + n]}\n" for n in range(3)]
        self.servers = []
        for n, port in enumerate(ports[:3]):
            own = directory / str(n + 1)
            (own / "data").mkdir(parents=True)
            (own / "data" / "myid").write_text(f"{n + 1}\n")
            self.servers.append(ZooKeeper(own, port, "".join(lines)))
        self.addresses = tuple(server.address for server in self.servers)

    def start(self) -> None:
        """All that do not run; returns once all serve."""
        for server in self.servers:
            if not server.runs:
                server.launch()
        for server in self.servers:
            server.wait()

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    @property
    def leader(self) -> ZooKeeper:
        (leader,) = [server for server in self.servers if server.runs and server.leads]
        return leader

    def client(self, *auth: tuple[str, str]) -> contextlib.AbstractContextManager[KazooClient]:
        return client_of(",".join(self.addresses), *auth)


class Relay:
    """A way to the server that can be cut, or stand still. Within, there are connections over `address`."""

    def __init__(self, server: ZooKeeper) -> None:
        self._up, self._down = threading.Event(), threading.Event()
        self._up.set()
        self._down.set()
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """Ends all connections; there may be new ones at once."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def still(self, *, up: bool = True, down: bool = True) -> Iterator[None]:
        """Within, nothing passes to the server (`up`) or from it (`down`); later all of it does."""
        ways = [way for way, stands in ((self._up, up), (self._down, down)) if stands]
        for way in ways:
            way.clear()
        try:
            yield
        finally:
            for way in ways:
                way.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                self._connect(self._listener.accept()[0])

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._server.port))
        except OSError:
            near.close()
            return
        self._ends += [near, far]
        for pump in ((near, far, self._up), (far, near, self._down)):
            self._threads.append(threading.Thread(target=self._pump, args=pump))
            self._threads[-1].start()

    def _pump(self, source: socket.socket, target: socket.socket, way: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                way.wait()
                target.sendall(part)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._ends):
            end.close()


@contextlib.contextmanager
def client_of(hosts: str, *auth: tuple[str, str]) -> Iterator[KazooClient]:
    client = KazooClient(hosts, auth_data=auth, connection_retry={"max_tries": -1, "max_delay": 0.2})
    client.start(PATIENCE_S)
    try:
        yield client
    finally:
        client.stop()
        client.close()


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def empty(client: KazooClient) -> None:
    """Removes all that tests have left."""
    for name in client.get_children("/"):
        if name != "zookeeper":
            client.delete(f"/{name}", recursive=True)


def children_when(client: KazooClient, path: str, holds: Callable[[list[str]], bool]) -> list[str]:
    """The sorted names of the nodes in `path` as soon as they are as wanted; a path without a node has none."""
    end = time.monotonic() + PATIENCE_S
    while True:
        changed = threading.Event()

        def wake(_: object, changed: threading.Event = changed) -> None:
            changed.set()

        children: list[str] = []
        if client.retry(client.exists, path, watch=wake) is not None:
            with contextlib.suppress(NoNodeError):
                children = sorted(client.retry(client.get_children, path, watch=wake))
        if holds(children):
            return children
        assert changed.wait(end - time.monotonic()), f"after {PATIENCE_S} s {path} has {children}"


def _password(session_id: int) -> bytes:
    """The password of a session, which the server makes from its id with Java's generator of random numbers."""
    mask = (1 << 48) - 1
    seed = (session_id ^ 0xB3415C00 ^ 0x5DEECE66D) & mask
    password = b""
    for _ in range(4):
        seed = (seed * 0x5DEECE66D + 0xB) & mask
        password += (seed >> 16).to_bytes(4, "little")
    return password


@pytest.fixture(scope="module")
def zookeeper_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """Not for all modules: there are tests that wait until this process has no children left."""
    server = ZooKeeper(tmp_path_factory.mktemp("zookeeper"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def zookeeper(zookeeper_server: ZooKeeper) -> ZooKeeper:
    """The server, empty."""
    with zookeeper_server.client(_SUPER) as client:
        empty(client)
    return zookeeper_server


@pytest.fixture(scope="module")
def ensemble_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ensemble]:
    servers = Ensemble(tmp_path_factory.mktemp("ensemble"))
    yield servers
    servers.stop()


@pytest.fixture
def ensemble(ensemble_servers: Ensemble) -> Ensemble:
    """Three servers, empty, all of which run."""
    ensemble_servers.start()
    with ensemble_servers.client(_SUPER) as client:
        empty(client)
    return ensemble_servers
