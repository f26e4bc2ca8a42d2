"""Ending the daemon over HTTP."""

import urllib.request
from http.client import RemoteDisconnected

import pytest

from tests.e2e.cluster import Cluster


def post(cluster: Cluster, path: str) -> bytes:
    request = urllib.request.Request(cluster.scheduler + path, data=b"", method="POST")
    with urllib.request.urlopen(request, timeout=30) as response:
        body: bytes = response.read()
        return body


def test_quitquitquit_ends_it_in_order_and_abortabortabort_at_once(devcluster: Cluster) -> None:
    assert post(devcluster, "/quitquitquit") == b"Notifying quit listener."
    assert devcluster.wait_for_end() == 0
    devcluster.start()
    with pytest.raises(RemoteDisconnected):
        post(devcluster, "/abortabortabort")
    assert devcluster.wait_for_end() == 0
    devcluster.start()
    assert devcluster.get("/health") == "OK\n"
