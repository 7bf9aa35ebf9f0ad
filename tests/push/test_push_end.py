"""An agent that is removed revokes its own token, so that its silence is no outage."""

from sqlalchemy import select, text

from app.access.models import Audit
from app.api.app import API
from tests.support.agent_fixtures import Agent
from tests.support.push_samples import BEAT


async def test_an_agent_that_is_removed_revokes_its_own_token(agent: Agent) -> None:
    await agent.push(BEAT)
    for _ in range(2):
        answer = await agent.client.post(f"{API}/push/end", headers={"Authorization": f"Bearer {agent.token}"})
        assert (answer.status_code, answer.content) == (204, b""), "idempotent"
    assert (await agent.send(BEAT)).status_code == 401
    assert (await agent.row("device_token"))["revoked_by"] == "the agent, when it was removed"
    async with agent.session.begin():
        entries = await agent.session.scalars(select(Audit).where(Audit.object == "site"))
        actions = [entry.action for entry in entries]
    assert actions.count("revoke_agent") == 1


async def test_the_token_may_be_in_the_body_as_with_a_push(agent: Agent) -> None:
    for body in ({"token": "sd-nobody"}, {"token": 7}, {}):
        assert (await agent.client.post(f"{API}/push/end", json=body)).status_code == 401
    assert (await agent.client.post(f"{API}/push/end", content=b"{")).status_code == 422
    assert (await agent.client.post(f"{API}/push/end")).status_code == 401
    assert (await agent.client.post(f"{API}/push/end", json={"token": agent.token})).status_code == 204


async def test_a_device_whose_ping_cannot_run_is_shown_as_not_measuring(agent: Agent) -> None:
    measures = text("SELECT measures FROM device")
    for seq, sent, expected in ((1, 0, False), (2, 3, True)):
        await agent.push({"boot": "b1", "seq": seq, "sent": sent, "rtt_ms": []})
        async with agent.session.begin():
            assert await agent.session.scalar(measures) is expected
    await agent.push({"boot": "b1", "batch": []})
    assert (await agent.row("device"))["measures"] is True, "an empty batch changes nothing"
    assert [reading.outcome for reading in await agent.dequeue()] == ["ok"] * 3
