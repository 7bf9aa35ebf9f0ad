"""An account API on loopback as Starlink documents it: OAuth, batches of rows by column names, and a read index that
moves with every answer, also with one that nobody receives."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import orjson

DEVICE = "ut01000000-00000000-006d6312"
COLUMNS = {
    "u": [
        *("DeviceType", "UtcTimestampNs", "DeviceId", "DownlinkThroughput", "UplinkThroughput", "PingDropRateAvg"),
        *("PingLatencyMsAvg", "ObstructionPercentTime", "Uptime", "SignalQuality", "H3CellId"),
        *("SecondsUntilSwupdateRebootPossible", "RunningSoftwareVersion", "ActiveAlerts"),
    ],
    "r": ["DeviceType", "UtcTimestampNs", "DeviceId", "WifiUptimeS", "DishId"],
}
ENUMS = {
    "DeviceType": {"u": "UserTerminal", "r": "Router", "i": "IpAllocs"},
    "AlertsByDeviceType": {"u": {"55": "disabled_no_active_service_line", "62": "pop_change"}},
}
CELL = 600654498502803455


def terminal_row(
    at: datetime, *, device: str = DEVICE, drop: Any = 0.0, uptime_s: int = 349_213, alerts: Any = ()
) -> list[Any]:
    stamp = int(at.timestamp()) * 10**9 + 123
    return ["u", stamp, device, 11.6, 0.38, drop, 51, 0.0101, uptime_s, 1, CELL, -1, "2026.10.20", [*alerts]]


def router_row(at: datetime) -> list[Any]:
    return ["r", int(at.timestamp()) * 10**9, "Router-01ACBB9", 207_572, DEVICE]


def answer_of(rows: list[list[Any]]) -> bytes:
    data = {"values": rows, "columnNamesByDeviceType": COLUMNS, "aggregateValues": None}
    return orjson.dumps({"data": data, "metadata": {"enums": ENUMS}})


class AccountApi:
    """`before_answer` is called once the index has moved; `cut` ends the connection there, as a broken uplink does."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self.index = 0  # of the next row that is answered
        self.batch_rows = 4
        self.asked = 0  # how often for rows
        self.tokens = 0
        self.status = 200
        self.cut = False
        self.packed: bytes | None = None  # the answer as it is, in this encoding
        self.encoding = "identity"
        self.port = 0
        self.headers: list[dict[str, str]] = []
        self.before_asked: Callable[[], Awaitable[None]] | None = None  # before the index moves
        self.before_answer: Callable[[], Awaitable[None]] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.headers.append(headers)
            answer = await self._answer(line.split(" ")[1], headers, body)
            writer.write(answer or b"")
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, path: str, headers: dict[str, str], body: bytes) -> bytes | None:
        if path == "/api/auth/connect/token":
            form = parse_qs(body.decode())
            if form["client_secret"] != ["rahasia akun"] or form["grant_type"] != ["client_credentials"]:
                return response(401, b"{}")
            self.tokens += 1
            return response(200, orjson.dumps({"access_token": f"t{self.tokens}", "expires_in": 900}))
        if path != "/api/public/v2/telemetry/stream" or headers.get("authorization") != f"Bearer t{self.tokens}":
            return response(401, b"{}")
        self.asked += 1
        if self.before_asked:
            await self.before_asked()
        if self.status != 200:
            return response(self.status, b"{}")
        rows = self.rows[self.index : self.index + self.batch_rows]
        self.index += len(rows)
        if self.before_answer:
            await self.before_answer()
        if self.packed is not None:
            return response(200, self.packed, f"\r\nContent-Encoding: {self.encoding}")
        return None if self.cut else response(200, answer_of(rows))


def response(status: int, body: bytes, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
    head += more
    return head.encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def open_account_api() -> AsyncIterator[AccountApi]:
    api = AccountApi()
    async with await asyncio.start_server(api.serve, "127.0.0.1", 0) as listening:
        api.port = listening.sockets[0].getsockname()[1]
        yield api


def moment(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC)
