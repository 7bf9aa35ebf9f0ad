"""A simulated past of the first villages, in a database of its own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.registry import providers
from app.registry.regions import REGIONS_CSV
from app.runtime.migrate import migrate
from simulator.history.plan import BlindDraw, EpisodeDraw
from simulator.history.scenarios import Episodes, HistorySite, draw_blind_ranges, draw_episodes
from simulator.history.write import write_history
from simulator.registration import planned_sites, register
from simulator.script import AgentBehaviour, Script
from simulator.villages import PROVIDERS
from tests.conftest import drop_database, make_database


@dataclass
class WrittenHistory:
    engine: AsyncEngine
    sessions: Sessions
    drawn: Episodes = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    async def rows(self, statement: str, **given: Any) -> list[tuple[Any, ...]]:
        async with transaction(self.sessions) as session:
            return [tuple(row) for row in await session.execute(text(statement), given)]

    async def ids(self) -> list[int]:
        """Site ids, those without a parent first."""
        return [row[0] for row in await self.rows("SELECT id FROM site ORDER BY parent_id IS NOT NULL, id")]


@asynccontextmanager
async def written_history(
    server_url: str,
    *,
    days: int,
    sites: int,
    towers: int,
    raw_hours: int = 24,
    draw: EpisodeDraw = draw_episodes,
    draw_blind: BlindDraw = draw_blind_ranges,
) -> AsyncIterator[WrittenHistory]:
    engine = open_engine(await make_database(server_url), name="test", command_timeout_s=None)
    await migrate(engine)
    history = WrittenHistory(engine, open_sessions(engine))
    async with transaction(history.sessions) as session:
        await providers.ensure_providers(session, PROVIDERS)
        await register(session, planned_sites(REGIONS_CSV, Script(sites=sites, nodes=towers, agents=AgentBehaviour())))

    def drawn(seed: int, sites: Sequence[HistorySite], start: int, end: int) -> Episodes:
        history.drawn = draw(seed, sites, start, end)
        return history.drawn

    assert await write_history(
        engine, days=days, seed=3, raw_hours=raw_hours, say=history.lines.append, draw=drawn, draw_blind=draw_blind
    )
    yield history
    await engine.dispose()
    await drop_database(engine.url.render_as_string(hide_password=False), server_url)
