"""Ingest as a process of its own: whatever the api is busy with, devices are heard, and our heartbeat proves it."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from app.worker.ingest_heartbeat import open_heartbeat
from tests.support.demo_process import wait_for
from tests.support.killing import Api
from tests.support.nginx import NGINX, behind_nginx
from tests.support.push_samples import BEAT

pytestmark = pytest.mark.real_time


@pytest.fixture(scope="module")
def api_and_ingest(fleet: tuple[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Api]]:
    folder = tmp_path_factory.mktemp("apart")
    api, ingest = Api(fleet[0], folder / "api"), Api(fleet[0], folder / "ingest", command="ingest")
    yield api, ingest
    for process in (api, ingest):
        process.close()


@pytest.fixture
def processes(api_and_ingest: tuple[Api, Api]) -> tuple[Api, Api]:
    """An api and an ingest over one database; one that a test has ended is started again."""
    for process in api_and_ingest:
        if not process.is_running:
            process.start()
    for process in api_and_ingest:
        wait_for(lambda process=process: process.ready, 300)  # type: ignore[misc]
    return api_and_ingest


async def test_a_stalled_api_deafens_nobody(processes: tuple[Api, Api], fleet: tuple[str, list[str]]) -> None:
    api, ingest = processes
    assert api.pid is not None
    port, ingest_port = (int(process.url.rpartition(":")[2]) for process in processes)
    heartbeat = open_heartbeat(Settings(database_url=None, port=port, ingest_port=ingest_port))
    device = {"Authorization": f"Bearer {fleet[1][0]}"}
    heartbeat.secret = fleet[1][1]
    os.kill(api.pid, signal.SIGSTOP)
    try:
        async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
            for seq in range(5):
                answer = await client.post(f"{ingest.url}/api/v1/push", json=BEAT | {"seq": seq}, headers=device)
                assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
            await heartbeat.send()
            assert (heartbeat.sent, heartbeat.unanswered) == (1, 0)
            with pytest.raises(httpx.TimeoutException):
                await client.get(f"{api.url}/healthz", timeout=1)
    finally:
        os.kill(api.pid, signal.SIGCONT)
        await heartbeat.close()
    await asyncio.to_thread(wait_for, lambda: api.ready, 120)


def test_the_api_still_takes_pushes_for_devices_that_know_its_address(
    processes: tuple[Api, Api], fleet: tuple[str, list[str]]
) -> None:
    api, ingest = processes
    device, row = {"Authorization": f"Bearer {fleet[1][2]}"}, BEAT | {"boot": "once"}
    first, second = (
        httpx.post(f"{process.url}/api/v1/push", json=row, headers=device, trust_env=False, timeout=60).json()
        for process in (api, ingest)
    )
    assert (first["accepted"], second["duplicates"]) == (1, 1)


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light")
async def test_nginx_passes_pushes_on_to_ingest_and_pages_to_the_api(
    processes: tuple[Api, Api], fleet: tuple[str, list[str]], tmp_path: Path
) -> None:
    api, _ = processes
    assert api.pid is not None
    ports = [int(process.url.rpartition(":")[2]) for process in processes]
    device, row = {"Authorization": f"Bearer {fleet[1][3]}"}, BEAT | {"boot": "proxied"}
    async with (
        behind_nginx(ports[0], tmp_path, ingest=ports[1]) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client,
    ):
        assert (await client.get("/readyz")).json() == {"ready": True}
        os.kill(api.pid, signal.SIGSTOP)
        try:
            assert (await client.post("/api/v1/push", json=row, headers=device)).json()["accepted"] == 1
        finally:
            os.kill(api.pid, signal.SIGCONT)
        end = await client.post("/api/v1/push/end", headers={"Authorization": "Bearer unknown"})
        assert end.json()["type"].endswith("/not-signed-in")


def test_serving_processes_watch_their_event_loop(processes: tuple[Api, Api]) -> None:
    for process in processes:
        status = Path(f"/proc/{process.pid}/status").read_text()
        [caught] = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:")]
        assert caught & 1 << signal.SIGPROF - 1, "the watchdog's timer"


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light")
async def test_ingest_ends_in_order_with_a_stream_that_nginx_passes_on_line_by_line(
    processes: tuple[Api, Api], fleet: tuple[str, list[str]], tmp_path: Path
) -> None:
    _, ingest = processes
    ports = [int(process.url.rpartition(":")[2]) for process in processes]
    head = f"/api/v1/stream?boot=held&number=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {fleet[1][4]}\r\n"
    line = "1000.5\n"
    async with behind_nginx(ports[0], tmp_path, ingest=ports[1]) as port, asyncio.timeout(60):
        theirs, sending = await asyncio.open_connection("127.0.0.1", port)
        chunked = "Transfer-Encoding: chunked\r\n\r\n"
        sending.write(f"POST {head}{chunked}{len(line):x}\r\n{line}\r\n".encode())
        ours, asking = await asyncio.open_connection("127.0.0.1", port)
        asking.write(f"GET {head.replace('number=1', 'number=1&first_s=1')}\r\n".encode())
        await ours.readuntil(b"beat 30\n")
        await ours.readuntil(b"\n.\n")
        ended = await asyncio.to_thread(ingest.end)
        assert ended == -signal.SIGTERM, "uvicorn raises it again at its end"
        await ours.readuntil(b"wait ")
        await theirs.readuntil(b"end\n")
        for writer in (sending, asking):
            writer.close()
