"""GET /sites/{id}/device: what is known of a site's agent."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.agents import agent_tokens
from app.core.clock import today, utc_now
from app.push.dedupe import OVERHEAD_BYTES
from tests.conftest import Cast
from tests.factories import register
from tests.support.agent_fixtures import Agent
from tests.support.push_samples import BEAT, backdate_site


async def test_a_site_without_an_agent_has_a_device_without_any_push(cast: Cast) -> None:
    site = await register(cast, probe="push", host=None)
    device = (await cast.vera.get(f"/sites/{site['code']}/device")).json()
    assert (device["heard_at"], device["token_created_at"], device["accepted"], device["boots"]) == (None, None, 0, 0)


async def test_a_device_shows_what_it_sent_and_its_traffic_but_not_its_token(cast: Cast, agent: Agent) -> None:
    sent = BEAT | {"agent": "openwrt/1", "waiting": 7, "dropped": 2, "clock": "2020-01-01T00:00:00Z"}
    answer = await agent.send(sent)
    assert answer.status_code == 200
    size = int(answer.request.headers["content-length"])
    await agent.push(BEAT | {"seq": 182, "sent": -1, "agent": "openwrt/1"})
    response = await cast.ana.get(f"/sites/{agent.site['id']}/device")
    device = response.json()
    assert (device["agent"], device["boot"], device["clients"]) == ("openwrt/1", "k3f9", 14)
    assert (device["accepted"], device["rejected"], device["last_rejection"]) == (1, 1, "out_of_range")
    assert device["token_created_by"] == "Sari"
    assert abs((utc_now() - datetime.fromisoformat(device["booted_at"])).total_seconds() - 86_400) < 60
    assert device["clock_offset_s"] > 6 * 365 * 86_400
    assert (device["month"], device["month_requests"]) == (today().replace(day=1).isoformat(), 2)
    assert 2 * OVERHEAD_BYTES + size < device["month_bytes"] < 2 * (OVERHEAD_BYTES + size) + 100
    assert agent.token not in response.text


async def test_the_token_of_the_last_push_is_known_from_the_first_push_on(agent: Agent, session: AsyncSession) -> None:
    """Silence counts from then on: an installation uses its new token at once."""
    await agent.push(BEAT)
    async with session.begin():
        token = await agent_tokens.find_valid(session, agent.site["id"])
    assert token is not None
    assert (await agent.row("device"))["token_id"] == token.id


async def test_a_device_is_visible_only_to_those_who_see_its_site(cast: Cast, agent: Agent) -> None:
    path = f"/sites/{agent.site['id']}/device"
    assert (await cast.ben.get(path)).status_code == 404
    assert (await cast.icon.get(path)).status_code == 404
    assert (await cast.stranger.get(path)).status_code == 401


async def test_two_agents_with_one_token_are_detected(cast: Cast, agent: Agent) -> None:
    async def two_agents() -> str | None:
        device: dict[str, str | None] = (await cast.sari.get(f"/sites/{agent.site['id']}/device")).json()
        return device["two_agents_at"]

    await agent.push(BEAT | {"boot": "one", "seq": 1})
    await agent.push(BEAT | {"boot": "one", "seq": 2})
    await agent.push(BEAT | {"boot": "other", "seq": 1})
    assert await two_agents() is None, "an agent that was restarted looks the same"
    await agent.push(BEAT | {"boot": "one", "seq": 3})
    assert await two_agents() is not None


async def test_rows_left_on_disk_by_an_earlier_boot_are_no_second_agent(cast: Cast, agent: Agent) -> None:
    await agent.push(BEAT | {"boot": "before", "seq": 1})
    await backdate_site(agent)
    now = utc_now().isoformat()
    old = {"boot": "before", "seq": 2, "clock": now, "sent": 3, "rtt_ms": [20]}
    for seq in (3, 4):
        answer = await agent.push({"boot": "after", "sent_at": now, "batch": [old | {"seq": seq}]})
        assert answer["accepted"] == 1, answer
    device = (await cast.sari.get(f"/sites/{agent.site['id']}/device")).json()
    assert (device["two_agents_at"], device["boot"], device["boots"]) == (None, "after", 2)
