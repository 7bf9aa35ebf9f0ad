"""Many probers that deliver over HTTP, as a process of its own: options as JSON on stdin, results as JSON on stdout.

Each prober looks at a site each ROUND_S and delivers each EVERY_S, as `sinyal prober` does; what was not acknowledged
is sent again.
"""

import asyncio
import gzip
import json
import secrets
import sys
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import orjson

from probes.reading_block import OK, SOURCE_CODES, TIMEOUT, ReadingBlock
from probes.reading_wire import encode_json

ROUND_S, EVERY_S, PACKETS, VALID_S = 10, 5, 3, 60


class Prober:
    def __init__(self, client: httpx.AsyncClient, token: str, sites: tuple[int, int], addressed_at: int) -> None:
        self.client, self.token, self.addressed_at = client, token, addressed_at
        self.ids = np.arange(*sites, dtype=np.int32)
        self.phase = self.ids % ROUND_S
        self.instance, self.started_at = secrets.token_hex(16), _now()
        self.seq = self.acknowledged = self.sent = 0
        self.slowest_s = 0.0
        self.random = np.random.default_rng(sites[0])

    def block(self, first: int, last: int, lost: float) -> dict[str, Any]:
        """Return the readings of the slots from `first` up to before `last`; so many of them are losses."""
        parts = [(np.full(len(ids), slot), ids) for slot in range(first, last) if len(ids := self._due(slot))]
        slots, keys = (np.concatenate(column) for column in zip(*parts, strict=True))
        is_lost, count = self.random.random(len(keys)) < lost, len(keys)
        rtt_us = self.random.integers(15_000, 25_000, (count, PACKETS)).astype(np.int32)
        rtt_us[is_lost] = 0
        readings = ReadingBlock(
            key=keys.astype(np.int32),
            slot=slots.astype(np.int64),
            outcome=np.where(is_lost, TIMEOUT, OK).astype(np.int8),
            sent=np.full(count, PACKETS, np.int16),
            received=np.where(is_lost, 0, PACKETS).astype(np.int16),
            rtt_us=rtt_us,
            valid_s=np.full(count, VALID_S, np.int32),
            source=np.full(count, SOURCE_CODES["vantage-1"], np.int8),
            reason=np.zeros(count, np.int32),
        )
        document = encode_json(readings, np.full(count, self.addressed_at, np.int64))
        self.seq += 1
        return {"seq": self.seq, **orjson.loads(document)}

    def _due(self, slot: int) -> Any:
        return self.ids[self.phase == slot % ROUND_S]

    async def deliver(self, block: dict[str, Any]) -> None:
        now = _now()
        beat = {"protocol": 1, "version": "bench", "instance": self.instance, "started_at": self.started_at}
        beat |= {"sent_at": now, "spool": {"readings": 0, "oldest_at": None, "bytes": 0, "lost": 0}}
        body = {"protocol": 1, "instance": self.instance, "boot": self.instance, "blocks": [block], "beat": beat}
        packed = await asyncio.to_thread(lambda: gzip.compress(orjson.dumps(body), 1))
        headers = {"Authorization": f"Bearer {self.token}", "Content-Encoding": "gzip"}
        self.sent += len(block["key"])
        began = time.monotonic()
        while True:
            answer = await self.client.post("/api/v1/prober/readings", content=packed, headers=headers)
            if answer.status_code == 200:
                break
            await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))
        told = answer.json()
        assert told["accepted"] + told["duplicates"] == [block["seq"]], told
        assert not told["not_assigned"], told
        self.acknowledged += len(block["key"])
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)


def _now() -> str:
    return datetime.now(UTC).isoformat()


async def run(options: dict[str, Any]) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=options["url"], timeout=120) as client:
        probers = [
            Prober(client, token, (first, last), options["addressed_at"]) for token, (first, last) in options["probers"]
        ]
        until = time.monotonic() + options["seconds"]
        await asyncio.gather(*(_probe(prober, n / len(probers), until, options) for n, prober in enumerate(probers)))
    return {
        "sent": sum(prober.sent for prober in probers),
        "acknowledged": sum(prober.acknowledged for prober in probers),
        "slowest_s": max(prober.slowest_s for prober in probers),
        "cpu_s": time.process_time(),
    }


async def _probe(prober: Prober, phase: float, until: float, options: dict[str, Any]) -> None:
    await asyncio.sleep(phase * EVERY_S)
    slot = int(time.time()) - EVERY_S
    while time.monotonic() < until:
        block = await asyncio.to_thread(prober.block, slot, slot + EVERY_S, options["lost"])
        await prober.deliver(block)
        slot += EVERY_S
        await asyncio.sleep(max(0.0, slot + EVERY_S - time.time()))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
