import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from probes import http
from probes.contract import Outcome, ProbeKind, Reading, Target

Answer = Callable[[bytes], bytes]


class Server:
    """A real listener that keeps every request's head and answers as the test says."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answer: Answer = lambda head: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        self.delay_s = 0.0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head)
            await asyncio.sleep(self.delay_s)
            writer.write(self.answer(head))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def probe(self, url: str, *, timeout_s: float = 2.0, tls: ssl.SSLContext | None = None) -> Reading:
        target = Target(7, 100, ProbeKind.HTTP, "", url=url.format(port=self.port), timeout_s=timeout_s)
        async with http.open_client(tls) as client:
            return await http.probe(target, "127.0.0.1", client)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


@pytest.fixture
async def tls_server(tmp_path: Path) -> AsyncIterator[tuple[Server, ssl.SSLContext]]:
    """Its certificate is for desa.test, for ten more days; with the context that trusts it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    await asyncio.to_thread(
        subprocess.run,
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 10 -keyout {key}"
        f" -out {certificate} -subj /CN=desa.test -addext subjectAltName=DNS:desa.test".split(),
        check=True,
        capture_output=True,
    )
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(certificate, key)
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=theirs) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server, ssl.create_default_context(cafile=str(certificate))


async def test_the_checked_address_is_connected_to_and_the_name_is_requested(server: Server) -> None:
    reading = await server.probe("http://kantor.desa.test:{port}/status?x=1")
    assert (reading.outcome, reading.sent) == (Outcome.OK, 1)
    assert reading.rtt_us[0] > 0
    head = server.requests[0].decode().lower()
    assert head.startswith("get /status?x=1 http/1.1")
    assert f"host: kantor.desa.test:{server.port}" in head


async def test_the_round_trip_is_the_time_to_the_first_byte(server: Server) -> None:
    server.delay_s = 0.1
    assert 100_000 <= (await server.probe("http://desa.test:{port}/")).rtt_us[0] < 400_000


@pytest.mark.parametrize("status", [200, 204, 301, 401, 404])
async def test_any_status_below_500_is_an_answer(server: Server, status: int) -> None:
    server.answer = lambda head: f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()
    assert (await server.probe("http://desa.test:{port}/")).outcome is Outcome.OK


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_error_is_not_ok(server: Server, status: int) -> None:
    server.answer = lambda head: f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()
    reading = await server.probe("http://desa.test:{port}/")
    assert (reading.outcome, reading.sent, reading.reason) == (Outcome.TIMEOUT, 1, f"status {status}")


async def test_a_redirect_is_not_followed(server: Server) -> None:
    server.answer = lambda head: b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"
    assert (await server.probe("http://desa.test:{port}/")).outcome is Outcome.OK
    assert len(server.requests) == 1


async def test_an_endless_body_is_not_read(server: Server) -> None:
    server.answer = lambda head: b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + bytes(1 << 20)
    assert (await server.probe("http://desa.test:{port}/", timeout_s=1)).outcome is Outcome.OK


async def test_cookies_and_proxies_play_no_part(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.answer = lambda head: b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    target = Target(7, 100, ProbeKind.HTTP, "", url=f"http://desa.test:{server.port}/")
    async with http.open_client() as client:
        outcomes = {(await http.probe(target, "127.0.0.1", client)).outcome for _ in range(2)}
    assert outcomes == {Outcome.OK}
    assert not any(b"cookie" in head.lower() for head in server.requests)


async def test_a_silent_server_times_out(server: Server) -> None:
    server.delay_s = 0.5
    reading = await server.probe("http://desa.test:{port}/", timeout_s=0.1)
    assert (reading.outcome, reading.sent, reading.reason) == (Outcome.TIMEOUT, 1, "no answer")


async def test_a_refusal_and_a_broken_answer_are_not_ok(server: Server) -> None:
    assert (await server.probe("http://desa.test:1/")).reason == "refused"
    server.answer = lambda head: b"SSH-2.0-dropbear\r\n"
    reading = await server.probe("http://desa.test:{port}/")
    assert (reading.outcome, reading.sent) == (Outcome.TIMEOUT, 1)


async def test_the_certificate_is_checked_for_the_name_and_its_near_expiry_is_reported(
    tls_server: tuple[Server, ssl.SSLContext],
) -> None:
    server, trust = tls_server
    reading = await server.probe("https://desa.test:{port}/", tls=trust)
    assert reading.outcome is Outcome.OK
    assert str(reading.reason).startswith("certificate expires 20")


@pytest.mark.parametrize("name", ["other.test", "127.0.0.1"])
async def test_a_certificate_of_another_name_is_not_ok(tls_server: tuple[Server, ssl.SSLContext], name: str) -> None:
    server, trust = tls_server
    reading = await server.probe(f"https://{name}:{{port}}/", tls=trust)
    assert reading.outcome is Outcome.TIMEOUT
    assert str(reading.reason).startswith("certificate: ")


NOT_HTTP = [None, "", "ftp://desa.id/", "desa.id", "http://", "http://[::1/", "http://a:b:c/"]
ODD = [
    "http://desa.id/\r\nX-Evil: 1",
    "http://desa.id/\x7f",
    "http://u:p@desa.id/",
    "http://desa.id/#a",
    "http://a b.id/",
]


@pytest.mark.parametrize("url", [*NOT_HTTP, *ODD])
def test_only_http_urls_name_a_host(url: str | None) -> None:
    assert http.host_of(Target(7, 100, ProbeKind.HTTP, "", url=url)) is None


def test_the_host_of_a_url() -> None:
    def host(url: str) -> str | None:
        return http.host_of(Target(7, 100, ProbeKind.HTTP, "", url=url))

    assert host("https://Desa.id:8443/x") == "desa.id"
    assert host("http://[::1]:80/") == "::1"
    assert httpx.URL("http://127.1/").host == host("http://127.1/") == "127.1"  # the policy refuses it
