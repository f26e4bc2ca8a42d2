"""TLS on the HTTP ports."""

from __future__ import annotations

import contextlib
import logging
import ssl
import subprocess
from pathlib import Path

import pytest
import trio
from quart import Blueprint, request

from aurorad.web import connection, tls
from aurorad.web.tls import BadCertificate, Tls, TlsFiles
from tests.certificates import certificate
from tests.log.certificates import Authority
from tests.waiting import until
from tests.web.serving import Served, served
from tests.web.test_server import endless

CLOSE = b"Host: x\r\nConnection: close\r\n\r\n"
SCHEME = b"GET /scheme HTTP/1.1\r\n" + CLOSE


def scheme() -> Blueprint:
    blueprint = Blueprint("scheme", __name__)

    @blueprint.get("/scheme")
    async def answer() -> str:
        return f"over {request.scheme}"

    return blueprint


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return TlsFiles(*certificate(tmp_path_factory.mktemp("server")))


def trusting(files: TlsFiles) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=files.certificate)


async def connected(it: Served, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    tcp = await trio.open_tcp_stream("127.0.0.1", it.port)
    return trio.SSLStream(tcp, context, server_hostname="localhost", https_compatible=True)


async def exchange(it: Served, context: ssl.SSLContext, data: bytes = SCHEME) -> bytes:
    async with await connected(it, context) as stream:
        await stream.send_all(data)
        return b"".join([bytes(chunk) async for chunk in stream])


async def test_requests_are_answered_over_tls(files: TlsFiles) -> None:
    async with served(scheme(), tls=files.context) as it:
        answer = await exchange(it, trusting(files))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"over https")


async def test_who_does_not_speak_tls_is_let_go(files: TlsFiles) -> None:
    async with served(scheme(), tls=files.context) as it:
        assert b"over" not in await it.exchange(SCHEME)
        assert (await exchange(it, trusting(files))).endswith(b"over https")


async def test_old_versions_are_not_spoken(files: TlsFiles) -> None:
    context = trusting(files)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with served(scheme(), tls=files.context) as it:
        with pytest.raises(trio.BrokenResourceError):
            await exchange(it, context)


async def test_who_begins_and_does_not_go_on_is_let_go(files: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.05)
    async with served(scheme(), tls=files.context) as it:
        assert await it.exchange(b"\x16\x03\x01") == b""


async def test_a_client_that_stopped_reading_does_not_hold_up_the_stop(files: TlsFiles) -> None:
    with trio.fail_after(10):
        async with served(endless(), tls=files.context) as it:
            stream = await connected(it, trusting(files))
            await stream.send_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            await stream.receive_some(10)
    await trio.aclose_forcefully(stream)


async def test_a_client_that_goes_away_ends_its_answer(files: TlsFiles) -> None:
    ended = trio.Event()
    async with served(endless(ended), tls=files.context) as it:
        stream = await connected(it, trusting(files))
        await stream.send_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await stream.receive_some(10)
        await trio.aclose_forcefully(stream)
        with trio.fail_after(10):
            await ended.wait()


async def test_only_clients_of_a_certain_authority_may_connect(files: TlsFiles, tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    asking = files._replace(client_ca=ours.certificate)
    async with served(scheme(), tls=asking.context) as it:
        for member in (None, others.member("mallory")):
            context = trusting(files)
            if member is not None:
                context.load_cert_chain(member.certificate, member.key)
            with contextlib.suppress(trio.BrokenResourceError):
                assert await exchange(it, context) == b""
        member = ours.member("ann")
        context = trusting(files)
        context.load_cert_chain(member.certificate, member.key)
        assert (await exchange(it, context)).endswith(b"over https")


async def test_a_renewed_certificate_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(tls, "_LOOK_EVERY_S", 0.01)
    old, new = (TlsFiles(*certificate(tmp_path, name)) for name in ("old", "new"))
    used = TlsFiles(tmp_path / "used.key", tmp_path / "used.pem")
    used.key.write_bytes(old.key.read_bytes())
    used.certificate.write_bytes(old.certificate.read_bytes())
    it = Tls(used)
    async with served(scheme(), tls=lambda: it.context) as at, trio.open_nursery() as nursery:
        nursery.start_soon(it.run)
        assert await exchange(at, trusting(old))
        used.key.write_bytes(new.key.read_bytes())
        await until(lambda: "certificate from before" in caplog.text)  # it does not fit the other file
        assert await exchange(at, trusting(old))
        used.certificate.write_bytes(new.certificate.read_bytes())
        await until(lambda: "use the certificate that is in" in caplog.text)
        assert await exchange(at, trusting(new))
        nursery.cancel_scope.cancel()


class TestFilesThatCannotBeUsed:
    def test_are_told_by_name_if_they_are_not_there(self, files: TlsFiles) -> None:
        with pytest.raises(BadCertificate, match="/nowhere/key cannot be read"):
            files._replace(key=Path("/nowhere/key")).context()

    def test_are_told_if_key_and_certificate_do_not_belong_together(self, files: TlsFiles, tmp_path: Path) -> None:
        key, _ = certificate(tmp_path, "another")
        with pytest.raises(BadCertificate, match=f"-http_tls_key={key} and -http_tls_certificate=.*MISMATCH"):
            files._replace(key=key).context()

    def test_are_told_if_the_key_has_a_password(self, files: TlsFiles, tmp_path: Path) -> None:
        key = tmp_path / "locked.key"
        command: list[str | Path] = ["openssl", "ec", "-in", files.key, "-aes256", "-passout", "pass:x", "-out", key]
        subprocess.run(command, check=True, capture_output=True)
        with pytest.raises(BadCertificate, match="a key without a password was expected"):
            files._replace(key=key).context()

    def test_are_told_if_the_authority_is_none(self, files: TlsFiles, tmp_path: Path) -> None:
        nothing = tmp_path / "ca.pem"
        nothing.touch()
        with pytest.raises(BadCertificate, match=f"-http_tls_client_ca={nothing}: "):
            files._replace(client_ca=nothing).context()
