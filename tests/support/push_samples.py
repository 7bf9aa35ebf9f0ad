"""A valid push, and a site old enough for back-dated ones."""

from sqlalchemy import text

from tests.support.agent_fixtures import Agent

BEAT = {"boot": "k3f9", "seq": 181, "uptime_s": 86400, "sent": 3, "rtt_ms": [21.3, 22.0], "clients": 14}


async def backdate_site(agent: Agent) -> None:
    """A site that was set up a month ago, and its agent with it."""
    async with agent.session.begin():
        await agent.session.execute(text("UPDATE site SET addressed_at = now() - interval '30 days'"))
        await agent.session.execute(text("UPDATE device_token SET used_at = now() - interval '30 days'"))


async def was_heard(agent: Agent, *, seconds_ago: int) -> None:
    """Its device pushed before."""
    await agent.push(BEAT | {"boot": "before"})
    await agent.dequeue()
    async with agent.session.begin():
        changed = "UPDATE device SET heard_at = now() - make_interval(secs => :ago)"
        await agent.session.execute(text(changed), {"ago": seconds_ago})
