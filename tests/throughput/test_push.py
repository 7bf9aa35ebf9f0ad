"""An agent's download and upload under a grant, through a real uvicorn; wide tolerances, for a machine under load."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.core.clock import utc_now
from app.postgres.engine import open_engine, open_sessions
from app.throughput.budget import SLACK_BYTES, UP_SLACK_BYTES
from app.throughput.models import SpeedtestStatus
from simulator.shaped_server import Shape
from tests.conftest import drop_database, make_database
from tests.support.nginx import NGINX, behind_nginx, example_config
from tests.support.served_api import Served, served
from tests.support.speedtest_agent import Agent, create_grant, get_test

LINK = Shape(20, 20)


@pytest.fixture(scope="module")
async def live(server_url: str, migrated_template: str) -> AsyncIterator[Served]:
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="test")
    async with served(url, open_sessions(engine)) as found:
        yield found
    await engine.dispose()
    await drop_database(url, server_url)


async def test_the_server_times_a_push_test_and_keeps_the_agents_own_figures(live: Served) -> None:
    code, agent = await create_grant(live, down=5_000_000, up=3_000_000), Agent(live.port, LINK)
    down = await agent.download(code)
    up = await agent.upload(code, 3_000_000)
    assert "content-encoding: identity" in down["head"].lower()
    assert "cache-control: no-store" in down["head"].lower()
    assert "x-accel-buffering: no" in down["head"].lower()
    answer = await agent.report(code, **down, **up, rtt_idle_ms=31.0, rtt_loaded_ms=80.5)
    assert answer.status_code == 200, answer.text
    found = await get_test(live, code)
    assert (found.status, found.reason, found.reserved_bytes) == (SpeedtestStatus.DONE, None, 0)
    assert (found.down_bytes, found.up_bytes) == (5_000_000, 3_000_000)
    assert found.down_mbps == pytest.approx(20, rel=0.3)
    assert found.up_mbps == pytest.approx(20, rel=0.3)
    assert found.agent_down_mbps == pytest.approx(20, rel=0.4)
    assert (found.rtt_idle_ms, found.rtt_loaded_ms) == (31.0, 80.5)


async def test_a_grant_goes_back_while_the_link_is_in_use_but_not_once_something_was_measured(live: Served) -> None:
    code, agent = await create_grant(live, down=200_000), Agent(live.port, Shape(500, 1))
    answer = await agent.report(code, deferred=True, rx_bps=1_840_000, tx_bps=212_000)
    assert (answer.status_code, answer.json()["status"], answer.json()["reason"]) == (200, "waiting", "link_in_use")
    assert (await agent.report(code, deferred=True)).status_code == 404, "the grant has ended"
    used = await create_grant(live, down=200_000)
    await agent.download(used)
    refused = await agent.report(used, deferred=True)
    assert (refused.status_code, (await get_test(live, used)).deferrals) == (409, 0)


async def test_a_download_ends_with_its_time_and_counts_what_was_taken(live: Served) -> None:
    code = await create_grant(live, down=500_000_000, max_s=1)
    down = await Agent(live.port, Shape(8, 10)).download(code)
    found = await get_test(live, code)
    assert found.down_ms is not None
    assert 900 < found.down_ms < 2000
    assert down["down_bytes"] == pytest.approx(found.down_bytes, rel=0.01), "but for the chunks' frames"
    assert found.reserved_bytes == found.allowed_up_bytes + UP_SLACK_BYTES


async def test_a_direction_is_claimed_once_by_the_first_request(live: Served) -> None:
    code, agent = await create_grant(live, down=200_000), Agent(live.port, Shape(500, 1))
    answers = await asyncio.gather(*(agent.download(code) for _ in range(5)))
    assert sorted(answer["head"].split()[1] for answer in answers) == ["200", *["409"] * 4]
    assert (await get_test(live, code)).down_bytes == 200_000


async def test_bytes_sent_to_an_agent_that_vanished_are_counted(live: Served) -> None:
    code = await create_grant(live, down=50_000_000)
    down = await Agent(live.port, Shape(40, 5)).download(code, hang_up_after=1_000_000)
    found = await get_test(live, code)
    for _ in range(100):
        if found.down_ms is not None:
            break
        await asyncio.sleep(0.05)
        found = await get_test(live, code)
    assert down["down_bytes"] <= found.down_bytes < 10_000_000
    assert found.reserved_bytes == found.allowed_up_bytes + UP_SLACK_BYTES


async def test_an_upload_that_its_time_cut_costs_what_may_still_have_been_sent(live: Served) -> None:
    code = await create_grant(live, up=3_000_000, max_s=1)
    url = f"http://127.0.0.1:{live.port}/api/v1/speedtest?grant={code}"
    slowly = ["--limit-rate", "1M", "-w", "%{size_upload}"]
    curl = await asyncio.create_subprocess_exec(
        "curl", "-sS", "-o", "/dev/null", *slowly, "--data-binary", "@-", url, stdin=PIPE, stdout=PIPE
    )
    sent = int((await curl.communicate(b"x" * 3_000_000))[0])
    found = await get_test(live, code)
    assert found.up_bytes < 2_000_000 < sent, "it goes on, whatever it is answered meanwhile"
    for_download = found.allowed_down_bytes + SLACK_BYTES
    assert sent <= found.up_bytes + found.reserved_bytes - for_download == 3_000_000 + UP_SLACK_BYTES


async def test_more_than_is_granted_is_refused_whether_it_is_announced_or_just_comes(live: Served) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}/api/v1", trust_env=False) as client:
        code = await create_grant(live, up=100_000)
        answer = await client.post(f"/speedtest?grant={code}", content=b"x" * 100_001)
        assert (answer.status_code, answer.json()["detail"]) == (413, "This grant allows 100000 bytes")
        assert (await get_test(live, code)).up_bytes == 0

        async def endless() -> object:
            for _ in range(40):
                yield b"x" * 10_000

        code = await create_grant(live, up=100_000)
        answer = await client.post(f"/speedtest?grant={code}", content=endless())  # type: ignore[arg-type]
        assert answer.status_code == 413
        assert 100_000 < (await get_test(live, code)).up_bytes <= 100_000 + UP_SLACK_BYTES


async def test_an_unknown_or_expired_grant_is_refused(live: Served) -> None:
    over = await create_grant(live, expires_at=utc_now())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}/api/v1", trust_env=False) as client:
        for code, status in (("none", 404), (over, 409)):
            assert (await client.get(f"/speedtest?grant={code}")).status_code == status
            assert (await client.post(f"/speedtest?grant={code}", content=b"x")).status_code == status
            assert (await client.post("/speedtest/report", json={"grant": code})).status_code == status
        fresh = await create_grant(live)
        assert (await client.post("/speedtest/report", json={"grant": fresh})).status_code == 409, "nothing measured"
        assert (await client.head(f"/speedtest?grant={fresh}")).status_code == 405
        assert (await client.get("/speedtest")).status_code == 422
        sick = {"grant": fresh, "down_ms": -1, "up_bytes": "many", "rtt_idle_ms": 1e12}
        assert len((await client.post("/speedtest/report", json=sick)).json()["errors"]) == 3


# In memory: as root its worker may not write into our folder.
BUFFERING = """
    proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;
    client_body_buffer_size 8m; proxy_buffer_size 1m; proxy_buffers 8 1m; proxy_busy_buffers_size 2m;
"""


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light")
async def test_through_nginx_the_link_is_measured_and_through_one_that_buffers_nothing_is(
    live: Served, tmp_path: Path
) -> None:
    async with behind_nginx(live.port, tmp_path) as port:
        agent = Agent(port, LINK)
        code = await create_grant(live, down=9_000_000, up=3_000_000, max_s=5)
        found = await agent.download(code) | await agent.upload(code, 3_000_000)
        answer = (await agent.report(code, **found)).json()
        timed = await get_test(live, code)
        if answer["reason"] != "buffered":  # now and then its kernel swallows half of it at once: then that is said
            assert (answer["status"], answer["reason"]) == ("done", None), (timed.down_ms, timed.up_ms, found)
            assert answer["down_mbps"] == pytest.approx(20, rel=0.5)
            assert answer["up_mbps"] == pytest.approx(20, rel=0.5)

    (tmp_path / "buffering").mkdir()
    before, _, block = example_config().partition("location = /api/v1/speedtest {")
    block = block.replace("proxy_buffering off;", BUFFERING, 1)
    block = block.replace("request_buffering off", "request_buffering on", 1)
    buffering = before + "location = /api/v1/speedtest {" + block
    code = await create_grant(live, down=5_000_000, up=4_000_000)
    async with behind_nginx(live.port, tmp_path / "buffering", config=buffering) as port:
        agent = Agent(port, LINK)
        found = await agent.download(code) | await agent.upload(code, 4_000_000)
        answer = (await agent.report(code, **found)).json()
    timed = await get_test(live, code)
    assert (answer["status"], answer["reason"]) == ("invalid", "buffered"), (timed.down_ms, timed.up_ms, found)
