"""Stopping in order, whatever goes on."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, eventually

FIRST = "SIGTERM: stopping"
UNFINISHED = b"POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_cut_an_orderly_stop_short(folder: Path, again: signal.Signals) -> None:
    it = Cluster(folder, "-shutdown_grace=2secs")
    it.start()
    host, port = it.scheduler.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(UNFINISHED)  # so that there is something to wait for
        os.kill(it.pid, signal.SIGTERM)
        eventually("the first is heard", lambda: FIRST in it.log())
        assert it.stop(again) == 0
    assert f"{again.name}: already stopping" in it.log()
    assert "Traceback" not in it.log()
