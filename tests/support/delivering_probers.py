"""Probers as the server sees them: created by the province, with beats and deliveries of a test's own readings."""

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson
from fastapi import FastAPI

from app.core.clock import utc_now
from app.judging.addressed_block import AddressedBlock
from probes.contract import Outcome, Reading
from probes.reading_wire import encode_json
from tests.conftest import Cast


def block(seq: int, readings: Iterable[Reading], *, addressed_at: datetime | None = None) -> dict[str, Any]:
    addressed = AddressedBlock.of((reading, addressed_at) for reading in readings)
    document: dict[str, Any] = orjson.loads(encode_json(addressed.readings, addressed.addressed_at))
    return {"seq": seq, **document}


def ok(site: int, slot: int, *rtt_us: int) -> Reading:
    return Reading(site, slot, Outcome.OK, 3, rtt_us or (20_000, 21_000, 22_000), 60)


def beat_of(instance: str, started_at: datetime) -> dict[str, Any]:
    return {
        "protocol": 1,
        "version": "0.1.0",
        "instance": instance,
        "started_at": started_at.isoformat(),
        "sent_at": utc_now().isoformat(),
        "spool": {"readings": 0, "oldest_at": None, "bytes": 0, "lost": 0},
    }


@dataclass
class DeliveringProber:
    """A process that holds a prober's token."""

    client: httpx.AsyncClient
    token: str
    id: int
    instance: str = "p1"
    started_at: datetime = field(default_factory=lambda: utc_now() - timedelta(minutes=10))

    def beat(self, **changes: Any) -> dict[str, Any]:
        return beat_of(self.instance, self.started_at) | changes

    async def send_beat(self, **changes: Any) -> httpx.Response:
        return await self.post("beat", orjson.dumps(self.beat(**changes)))

    async def deliver(self, blocks: Any, *, boot: str = "b1", **changes: Any) -> httpx.Response:
        """With a beat, unless `beat=None`."""
        body = {"protocol": 1, "instance": self.instance, "boot": boot, "blocks": blocks, "beat": self.beat()}
        body = {name: value for name, value in (body | changes).items() if value is not None}
        headers = {"Content-Encoding": "gzip"}
        return await self.post("readings", gzip.compress(orjson.dumps(body)), headers)

    async def post(self, path: str, content: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        return await self.client.post(f"/api/v1/prober/{path}", content=content, headers=sent)


async def make_vantage(cast: Cast, number: int = 1, name: str = "telkom") -> None:
    answer = await cast.sari.client.put(f"/api/v1/vantages/{number}", json={"name": name, "label": f"Jaringan {name}"})
    assert answer.status_code == 200, answer.text


async def make_prober(
    app: FastAPI, cast: Cast, name: str = "samarinda-1", *, vantage: str = "central", **changes: Any
) -> DeliveringProber:
    answer = await cast.sari.post("/probers", {"name": name, "vantage": vantage})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=("198.51.100.7", 40_000)), base_url="http://test"
    )
    return DeliveringProber(client, made["token"], made["id"], **changes)
