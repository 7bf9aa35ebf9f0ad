"""Visitors of a site: pages that open a visit and send results, each from an address of its own."""

import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

HOME, ELSEWHERE = "36.70.1.9", "103.20.9.7"  # a device of the site; somebody far away


@dataclass
class Visitor:
    app: FastAPI
    address: str
    name: str = field(default_factory=lambda: secrets.token_hex(16))

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(self.address, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, f"/api/v1/visits{path}", **options)

    async def open(self, code: str) -> dict[str, Any]:
        answer = await self.ask("POST", "", json={"code": code, "visitor": self.name})
        assert answer.status_code == 201, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def send(self, visit: str, *results: dict[str, Any]) -> dict[str, Any]:
        answer = await self.ask("POST", "/results", json={"visit": visit, "results": list(results)})
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]


def result(seq: int, *, age_ms: float = 500, rtt_ms: tuple[float, ...] = (30, 31, 29), **more: Any) -> dict[str, Any]:
    return {"seq": seq, "age_ms": age_ms, "rtt_ms": list(rtt_ms), "lost": 0, "offline_s": 0, **more}


async def add_network(session: AsyncSession, site_id: int, address: str = HOME) -> None:
    """Let the site's own device have come from this address today."""
    async with session.begin():
        query = "INSERT INTO push_source (site_id, address, first_at, last_at) VALUES (:id, :address, now(), now())"
        await session.execute(text(query), {"id": site_id, "address": address})
