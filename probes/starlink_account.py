"""Reads the telemetry of a Starlink account over HTTP: one batch a request, from an index that the provider moves.

`POST {base}/public/v2/telemetry/stream` answers with rows of all terminals of the account, each terminal every 15 s,
and moves the account's read index with every answer: an answer that is not received is not given again
(starlink.readme.io/docs/telemetry-api; retention 8 h, about 4 requests a minute). So a problem says whether an answer
may have been lost. Columns are read by the names that come with the rows; positions (H3CellId) are not read.
"""

import asyncio
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from probes.telemetry import MAX_WORD, LinkState, Telemetry, fraction, milliseconds, named, whole, word

TOKEN_PATH, STREAM_PATH = "/auth/connect/token", "/public/v2/telemetry/stream"
BATCH_ROWS, LINGER_MS = 5_000, 1_000
MAX_ROWS = 4 * BATCH_ROWS  # and of each a few tens of values
MAX_COMMAS = 50 * MAX_ROWS  # a million empty values take long to parse
MAX_ANSWER = 8_000_000  # bytes; 5,000 rows are about 1 MB
ANSWER_S = 30.0  # as a whole
TIMEOUTS = {"connect": 10.0, "read": 20.0, "write": 10.0, "pool": 10.0}
TOKEN_MARGIN_S = 60
TERMINAL = "UserTerminal"
TERMINAL_KEY = "u"  # of rows, where the answer does not say


class AccountProblem(Exception):
    """`lost`: an answer may have been given, and was not received whole."""

    def __init__(self, reason: str, *, lost: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.lost = reason, lost


@dataclass(frozen=True, slots=True)
class AccountAccess:
    """`address`: of the API's host, checked by the policy."""

    base_url: str
    address: str
    client_id: str
    client_secret: str


@dataclass(frozen=True, slots=True)
class AccessToken:
    value: str
    until: float  # by the monotonic clock

    @property
    def is_valid(self) -> bool:
        return time.monotonic() < self.until


@dataclass(frozen=True, slots=True)
class TelemetryBatch:
    """`rows`: how many came, of all kinds; `skipped`: rows of terminals that cannot be read."""

    samples: Sequence[Telemetry]
    rows: int
    skipped: int = 0
    size: int = 0  # bytes

    @property
    def is_full(self) -> bool:
        return self.rows >= BATCH_ROWS


async def fetch_token(access: AccountAccess, client: httpx.AsyncClient) -> AccessToken:
    """Raises AccountProblem."""
    form = {"client_id": access.client_id, "client_secret": access.client_secret, "grant_type": "client_credentials"}
    answer = _object(await _post(access, client, TOKEN_PATH, data=form))
    token, lasts_s = answer.get("access_token"), answer.get("expires_in", 900)
    if type(token) is not str or not token.isascii() or not token.isprintable() or type(lasts_s) is not int:
        raise AccountProblem("no_token")
    return AccessToken(token, time.monotonic() + max(0, min(lasts_s, 86_400) - TOKEN_MARGIN_S))


async def read_batch(access: AccountAccess, token: AccessToken, client: httpx.AsyncClient) -> TelemetryBatch:
    """Raises AccountProblem."""
    asked = {"batchSize": BATCH_ROWS, "maxLingerMs": LINGER_MS}
    body = await _post(access, client, STREAM_PATH, json=asked, headers={"Authorization": f"Bearer {token.value}"})
    try:
        return parse_batch(body)
    except AccountProblem as problem:
        raise AccountProblem(problem.reason, lost=True) from None


async def _post(
    access: AccountAccess,
    client: httpx.AsyncClient,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    **body: Any,
) -> bytes:
    """Post to the checked address, with the Host, SNI and certificate of the URL's name; follow no redirect."""
    url = httpx.URL(access.base_url + path)
    request = client.build_request(
        "POST",
        url.copy_with(host=access.address),
        headers={
            "Host": url.netloc.decode("ascii"),
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            **(headers or {}),
        },
        extensions={"sni_hostname": url.raw_host.decode("ascii"), "timeout": TIMEOUTS},
        **body,
    )
    try:
        async with asyncio.timeout(ANSWER_S):
            response = await client.send(request, stream=True)
            try:
                if response.status_code != 200:
                    raise AccountProblem(f"status {response.status_code}")
                return await _read_body(response)
            finally:
                await response.aclose()
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise AccountProblem(_reason(error)) from None
    except (httpx.HTTPError, OSError) as error:  # TimeoutError is one
        raise AccountProblem(_reason(error), lost=True) from None


async def _read_body(response: httpx.Response) -> bytes:
    """Unpack it here: what a small answer becomes is bounded before it is unpacked."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip"}:
        raise AccountProblem("unknown_encoding", lost=True)
    body, unpacking = bytearray(), zlib.decompressobj(31) if encoding == "gzip" else None  # 31: gzip format
    async for piece in response.aiter_raw():
        try:
            body += piece if unpacking is None else unpacking.decompress(piece, MAX_ANSWER + 1 - len(body))
        except zlib.error:
            raise AccountProblem("bad_gzip", lost=True) from None
        if len(body) > MAX_ANSWER:
            raise AccountProblem("too_long", lost=True)
    return bytes(body)


def _reason(error: Exception) -> str:
    return "no_answer" if isinstance(error, httpx.TimeoutException | TimeoutError) else "unreachable"


def parse_batch(body: bytes) -> TelemetryBatch:
    """Raises AccountProblem for what is no batch; a row that cannot be read is skipped and counted."""
    if body.count(b",") > MAX_COMMAS:
        raise AccountProblem("too_many_values")
    answer = _object(body)
    data, enums = _dict(answer.get("data")), _dict(_dict(answer.get("metadata")).get("enums"))
    rows, columns = data.get("values"), _dict(data.get("columnNamesByDeviceType"))
    if rows is None:
        rows = []
    if type(rows) is not list:
        raise AccountProblem("no_batch")
    if len(rows) > MAX_ROWS:
        raise AccountProblem("too_many_rows")
    kinds = {key for key, name in _dict(enums.get("DeviceType")).items() if name == TERMINAL} or {TERMINAL_KEY}
    alerts = _dict(enums.get("AlertsByDeviceType"))
    found = [*_read_rows(rows, kinds, columns, alerts)]
    samples = [sample for sample in found if sample is not None]
    return TelemetryBatch(samples, len(rows), len(found) - len(samples), len(body))


def _read_rows(
    rows: list[Any], kinds: set[str], columns: Mapping[str, Any], alerts: Mapping[str, Any]
) -> Iterator[Telemetry | None]:
    for row in rows:
        kind = row[0] if type(row) is list and row else None
        if type(kind) is not str:
            yield None
        elif kind in kinds:
            names = columns.get(kind)
            if type(names) is list and len(names) == len(row):
                yield _sample(dict(zip(map(str, names), row, strict=True)), _dict(alerts.get(kind)))
            else:
                yield None


def _sample(row: Mapping[str, Any], alert_names: Mapping[str, Any]) -> Telemetry | None:
    device, stamp = row.get("DeviceId"), row.get("UtcTimestampNs")
    if type(device) is not str or not 0 < len(device) <= MAX_WORD or not device.isprintable():
        return None
    if type(stamp) is not int or not 0 < stamp < 2**63:
        return None
    alerts = named(row.get("ActiveAlerts"), alert_names)
    drop_rate = fraction(row.get("PingDropRateAvg"))
    state, cause = _state(drop_rate, alerts)
    return Telemetry(
        device=device,
        at=datetime.fromtimestamp(stamp // 10**9, UTC),
        state=state,
        cause=cause,
        alerts=alerts,
        drop_rate=drop_rate,
        latency_ms=milliseconds(row.get("PingLatencyMsAvg")),
        obstruction=fraction(row.get("ObstructionPercentTime")),
        uptime_s=whole(row.get("Uptime"), most=10**9),
    )


def _state(drop_rate: float | None, alerts: Sequence[str]) -> tuple[LinkState, str | None]:
    if disabled := next((alert for alert in alerts if alert.startswith("disabled_")), None):
        return LinkState.DOWN, word(disabled)
    if drop_rate is None:
        return LinkState.UNKNOWN, None
    return (LinkState.DOWN, "no_pings") if drop_rate >= 1 else (LinkState.UP, None)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise AccountProblem("no_json") from None
    if type(found) is not dict:
        raise AccountProblem("no_json")
    return found


def _dict(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}
