"""Agents that come back to a service that was away, each with the rows of that time, as a process of its own.

Options as JSON on stdin, results as JSON on stdout. Each behaves as our scripts do: rows are kept until a 200, a
refusal is waited out (`Retry-After`), a failure tried again a beat later, and then there is a push each `next_s`.
"""

import asyncio
import gzip
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

ROW = '{"seq":%d,"uptime_s":%d,"sent":3,"rtt_ms":[21.3,22.0,21.8]}'
BODY = '{"agent":"linux/%s","boot":"bench","uptime_s":%.1f,"waiting":%d,"dropped":0,"batch":[%s]}'
MOST_ROWS, BEAT_S, TIMEOUT_S = 500, 60, 45


@dataclass
class Fleet:
    port: int
    stopped: float  # by the wall clock: their first row is of the minute after
    rows: int
    until: float
    version: str
    within_s: float
    statuses: Counter[str] = field(default_factory=Counter)
    accepted: Counter[int] = field(default_factory=Counter)
    duplicates: int = 0
    rejected: list[Any] = field(default_factory=list)
    returned_at: dict[int, float] = field(default_factory=dict)  # with all its rows
    push_s: list[float] = field(default_factory=list)


async def agent(fleet: Fleet, site: int, chance: random.Random) -> None:
    """One device: its rows are those of each minute since the stop, the first `rows` of them measured before now."""
    phase, acknowledged = chance.random() * BEAT_S, 0
    booted = fleet.stopped - 3600
    due = time.time() + chance.uniform(0, fleet.within_s)
    while due < fleet.until:
        await asyncio.sleep(max(0.0, due - time.time()))
        now = time.time()
        total = int((now - fleet.stopped - phase) // BEAT_S)
        rows = range(acknowledged + 1, min(total, acknowledged + MOST_ROWS) + 1)
        body = ",".join(ROW % (seq, 3600 + BEAT_S * seq + phase) for seq in rows)
        status, head, answer = await _push(fleet, site, BODY % (fleet.version, now - booted, total - len(rows), body))
        fleet.statuses[status] += 1
        if status == "200":
            fleet.accepted[site] += answer["accepted"]
            fleet.duplicates += answer["duplicates"]
            fleet.rejected += answer["rejected"]
            acknowledged += len(rows)
            fleet.push_s.append(time.time() - now)
            if acknowledged >= fleet.rows - 1:
                fleet.returned_at.setdefault(site, time.time())
            due = now + (answer["next_s"] if acknowledged >= total else 1)
        elif "retry-after" in head:
            due = now + int(head["retry-after"]) * chance.uniform(1, 1.25)
        else:
            due = now + BEAT_S


async def _push(fleet: Fleet, site: int, text: str) -> tuple[str, dict[str, str], Any]:
    body = gzip.compress(text.encode(), 1) if len(text) > 2000 else text.encode()
    packed = "Content-Encoding: gzip\r\n" if len(text) > 2000 else ""
    head = (
        f"POST /api/v1/push HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer bench-{site}\r\nConnection: close\r\n"
        f"{packed}Content-Length: {len(body)}\r\n\r\n"
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
            try:
                writer.write(head.encode() + body)
                response = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return type(error).__name__, {}, None
    lines, _, content = response.partition(b"\r\n\r\n")
    first, *fields = lines.decode().split("\r\n")
    if not first:
        return "closed", {}, None
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in fields)}
    status = first.split()[1]
    return status, headers, json.loads(content) if status == "200" else None


async def main() -> None:
    options = json.load(sys.stdin)
    sites = options.pop("sites")
    fleet = Fleet(**options)
    await asyncio.gather(*(agent(fleet, site, random.Random(site)) for site in sites))
    push_s = sorted(fleet.push_s)
    json.dump(
        {
            "statuses": fleet.statuses,
            "accepted": fleet.accepted,
            "duplicates": fleet.duplicates,
            "rejected": fleet.rejected[:5],
            "returned_at": fleet.returned_at,
            "push_p99_s": push_s[len(push_s) * 99 // 100] if push_s else None,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    asyncio.run(main())
