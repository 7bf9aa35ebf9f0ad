"""2,000 visitors at once, 50 of them hostile, as a process of its own: options as JSON on stdin, results on stdout.

Each comes from an address of its own of 127.0.0.0/8. A round trip is measured, and lasts longer by the link's own.
"""

import asyncio
import json
import resource
import secrets
import statistics
import sys
import time
from collections import Counter
from typing import Any

ECHOES, MOST_TRIES, FLOODS = 5, 6, 40
FAR = "127.250.{}.{}"


class Connection:
    """One keep-alive connection from an address."""

    def __init__(self, port: int, address: str, statuses: Counter[str]) -> None:
        self._port, self._address, self._statuses = port, address, statuses
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes, dict[str, str]]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(self._address, 0))
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + content)
        raw = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        status = int(raw.split()[1])
        headers = dict(line.split(": ", 1) for line in raw.split("\r\n")[1:] if ": " in line)
        answer = await _body(reader, headers)
        self._statuses[f"{method} {path.partition('?')[0]} {status}"] += 1
        return status, answer, headers

    async def tries(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Ask again after the time that a 429 names."""
        for _ in range(MOST_TRIES):
            status, answer, headers = await self.ask(method, path, body)
            if status != 429:
                break
            await asyncio.sleep(float(headers.get("retry-after", 1)))
        return status, json.loads(answer)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    whole = b""
    while headers.get("transfer-encoding") == "chunked":
        size = int(await reader.readline(), 16)
        whole += (await reader.readexactly(size + 2))[:-2]
        if size == 0:
            break
    return whole


class Crowd:
    def __init__(self, options: dict[str, Any]) -> None:
        self.port, self.sites = options["port"], options["sites"]
        self.statuses: Counter[str] = Counter()
        self.hostile_statuses: Counter[str] = Counter()
        self.sent = 0
        self.measured: dict[str, list[float]] = {}  # each honest visitor's own median, by its link's round trip
        self.lost: list[str] = []
        self.taken: list[dict[str, Any]] = []  # requests of honest visitors, for those who replay them

    async def honest(self, number: int) -> None:
        site = self.sites[number % len(self.sites)]
        link = Connection(self.port, site["network"].format(1 + number // len(self.sites)), self.statuses)
        try:
            status, visit = await link.tries(
                "POST", "/visits", {"code": site["code"], "visitor": secrets.token_hex(16)}
            )
            assert status == 201, visit
            rtts = [await self._round_trip(link, site["rtt_ms"]) for _ in range(ECHOES)]
            result = {"seq": 1, "age_ms": 500, "rtt_ms": rtts, "lost": 0, "offline_s": 0, "down": None}
            if number % 50 == 0 and visit["speed"] is not None:
                result["down"] = await self._download(link, visit["visit"])
            body = {"visit": visit["visit"], "results": [result]}
            status, answer = await link.tries("POST", "/visits/results", body)
            assert (status, answer.get("accepted")) == (200, 1), answer
            self.sent += 1
            self.measured.setdefault(str(site["rtt_ms"]), []).append(statistics.median(rtts))
            self.taken.append(body)
        except (AssertionError, OSError, EOFError) as error:
            self.lost.append(f"{site['code']}: {error!r}"[:300])
        finally:
            link.close()

    async def _round_trip(self, link: Connection, base_ms: float) -> float:
        began = time.perf_counter()
        await asyncio.sleep(base_ms / 1000)
        await link.ask("GET", "/visits/echo")
        return round((time.perf_counter() - began) * 1000, 2)

    async def _download(self, link: Connection, visit: str) -> dict[str, float] | None:
        began = time.perf_counter()
        status, body, _ = await link.ask("GET", f"/visits/down?visit={visit}")
        ms = (time.perf_counter() - began) * 1000
        return {"bytes": len(body), "ms": round(ms, 1)} if status == 200 else None

    async def hostile(self, number: int) -> None:
        kind, site = number % 4, self.sites[number % len(self.sites)]
        address = site["network"].format(200 + number % 50) if kind in {1, 3} else FAR.format(number, 9)
        link = Connection(self.port, address, self.hostile_statuses)
        try:
            if kind == 0:
                await self._replay(link)
                return
            victim = self.sites[(number * 7 + 3) % len(self.sites)] if kind == 2 else site
            name = secrets.token_hex(16)
            for flood in range(FLOODS):
                if kind == 3:
                    name = secrets.token_hex(16)  # a new visitor each time
                status, visit, _ = await link.ask("POST", "/visits", {"code": victim["code"], "visitor": name})
                if status != 201:
                    continue
                rtt_ms = 0.01 if kind == 1 or flood % 2 else 9_000
                down = {"bytes": 50_000_000, "ms": 400} if kind in {1, 3} else None
                rows = [
                    {"seq": 100 * flood + n, "age_ms": n * 1000, "rtt_ms": [rtt_ms] * 5, "down": down}
                    for n in range(100)
                ]
                await link.ask("POST", "/visits/results", {"visit": json.loads(visit)["visit"], "results": rows})
        except (OSError, EOFError):
            pass
        finally:
            link.close()

    async def _replay(self, link: Connection) -> None:
        for flood in range(FLOODS):
            while not self.taken:  # noqa: ASYNC110  # filled by the others
                await asyncio.sleep(0.05)
            await link.ask("POST", "/visits/results", self.taken[flood % len(self.taken)])


class Dashboards:
    """Polls of the status, 20 a second, while the others come."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token, self.durations_s = port, token, list[float]()
        self.statuses: Counter[int] = Counter()

    async def poll(self) -> None:
        due = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while True:
            began = time.perf_counter()
            head = f"GET /api/v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._token}\r\n"
            writer.write(f"{head}Accept-Encoding: gzip\r\n\r\n".encode())
            raw = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            headers = dict(line.split(": ", 1) for line in raw.split("\r\n")[1:] if ": " in line)
            await _body(reader, headers)
            self.statuses[int(raw.split()[1])] += 1
            self.durations_s.append(time.perf_counter() - began)
            due += 0.05
            await asyncio.sleep(max(0.0, due - time.perf_counter()))


async def main() -> None:
    options = json.load(sys.stdin)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8_192), most))
    crowd, dashboards = Crowd(options), Dashboards(options["port"], options["token"])
    polling = asyncio.create_task(dashboards.poll())
    await asyncio.sleep(options["quiet_s"])
    quiet, dashboards.durations_s = sorted(dashboards.durations_s), []
    began = time.perf_counter()
    honest = (crowd.honest(number) for number in range(options["honest"]))
    hostile = (crowd.hostile(number) for number in range(options["hostile"]))
    await asyncio.gather(*honest, *hostile)
    seconds = time.perf_counter() - began
    polling.cancel()
    json.dump(
        {
            "seconds": seconds,
            "sent": crowd.sent,
            "measured": {link: statistics.median(medians) for link, medians in crowd.measured.items()},
            "lost": crowd.lost[:5],
            "statuses": crowd.statuses,
            "hostile_statuses": crowd.hostile_statuses,
            "status_statuses": dashboards.statuses,
            "quiet_s": quiet,
            "busy_s": sorted(dashboards.durations_s),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    asyncio.run(main())
