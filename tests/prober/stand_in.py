"""A server of probers in memory: receipts, readings, and the ways in which it may fail."""

import gzip
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from probes import reading_wire
from probes.contract import Reading


class StandIn(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.now = 1_795_910_400.0  # the server's clock
        self.sites: list[dict[str, Any]] = []
        self.rules: dict[str, Any] = {"canaries": [], "policy": {"allow": ["127.0.0.0/8"], "deny": []}}
        self.version = 1
        self.database = "7000-00000001"
        self.receipts: Counter[tuple[str, int]] = Counter()
        self.readings: list[Reading] = []
        self.beats: list[dict[str, Any]] = []
        self.is_away = False
        self.loses_answers = 0  # so many: what they would acknowledge is kept
        self.refuses: int | None = None  # with this status
        self.rejects: dict[int, str] = {}  # seq: code
        self.most_blocks = 20
        self.requests: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(f"{request.method} {request.url.path}")
        if self.is_away:
            raise httpx.ConnectError("refused")
        if self.refuses:
            return httpx.Response(self.refuses, json={"detail": "said so"})
        if request.method == "GET":
            return self._assignment(request)
        body = await request.aread()
        document = orjson.loads(gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body)
        self.beats.append(document.get("beat", document))
        answer = self._take(document) if "blocks" in document else {}
        if answer is None:
            return httpx.Response(413, json={"detail": "too large"})
        if self.loses_answers:
            self.loses_answers -= 1
            raise httpx.ReadError("connection reset")
        return httpx.Response(200, json={**answer, **self._heard()})

    def _assignment(self, request: httpx.Request) -> httpx.Response:
        etag = f'"{self.version}"'
        if request.headers.get("if-none-match") == etag:
            return httpx.Response(304, headers={"etag": etag})
        body = {"version": self.version, "full": True, "sites": self.sites, "removed": [], **self.rules}
        return httpx.Response(200, json={**body, **self._heard()}, headers={"etag": etag})

    def _take(self, document: dict[str, Any]) -> dict[str, Any] | None:
        blocks = document["blocks"]
        if len(blocks) > self.most_blocks:
            return None
        answer: dict[str, Any] = {"accepted": [], "duplicates": [], "rejected": []}
        for block in blocks:
            seq = block["seq"]
            if seq in self.rejects:
                rejected = {"seq": seq, "code": self.rejects[seq], "message": "no", "readings": len(block["key"])}
                answer["rejected"].append(rejected)
                continue
            self.receipts[document["boot"], seq] += 1
            if self.receipts[document["boot"], seq] > 1:
                answer["duplicates"].append(seq)
                continue
            answer["accepted"].append(seq)
            self.readings += reading_wire.read_columns(block)[0].readings()
        return answer

    def _heard(self) -> dict[str, Any]:
        moment = datetime.fromtimestamp(self.now, UTC).isoformat()
        return {"server_time": moment, "assignment": self.version, "database": self.database, "ack_keep_s": 900}


def a_site(key: int, **changed: Any) -> dict[str, Any]:
    site = {"id": key, "kind": "icmp", "host": f"127.7.7.{key % 250 + 1}", "interval_s": 60, "valid_s": 60}
    return {**site, "addressed_at": 1_795_000_000_000_000, "timeout_ms": 500, "spacing_ms": 100, **changed}
