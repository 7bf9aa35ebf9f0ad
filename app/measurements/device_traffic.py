"""Counts what devices' pushes and streams cost their sites' months."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

ADD = text("""
    INSERT INTO push_traffic AS t (site_id, month, requests, bytes)
    SELECT site_id, month, coalesce(requests, 0), bytes FROM json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, month date, requests int, bytes bigint)
    ORDER BY site_id, month
    ON CONFLICT (site_id, month) DO UPDATE SET
        requests = t.requests + excluded.requests, bytes = t.bytes + excluded.bytes
""")


async def add(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """`rows`: site_id, month, bytes and, of pushes, requests."""
    if rows:
        await session.execute(ADD, {"rows": orjson.dumps(list(rows)).decode()})
