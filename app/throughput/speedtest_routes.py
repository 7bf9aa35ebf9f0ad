"""`/speedtest`: downloads and uploads of a site's agent under a grant, timed by the server, and the agent's report."""

import asyncio
import contextlib
import os
import time
from functools import cache
from typing import Annotated, ClassVar

import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.core.errors import TooLarge
from app.core.validation import reject_nul
from app.postgres.engine import Sessions, transaction
from app.throughput import speedtest_grants
from app.throughput.models import SpeedtestStatus, ThroughputTest
from app.throughput.speedtest_grants import AgentReport, Direction
from app.web.deps import Session, open_to_all
from app.web.json_body import JsonRoute
from app.web.problem_details import problems
from probes.rate import SAMPLE_S, Sample, rate_of

log = structlog.get_logger()
router = APIRouter(prefix="/speedtest", tags=["field"], dependencies=[Depends(open_to_all)], route_class=JsonRoute)

BLOCK = 65_536
BLOCKS = 16
# `Content-Encoding: identity` keeps proxies and our own middleware from compressing it.
UNBUFFERED_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "Content-Encoding": "identity",
    "Content-Type": "application/octet-stream",
}
Grant = Annotated[
    str,
    Query(
        min_length=1,
        max_length=60,
        description="`speedtest_grant` from the response to a push",
        examples=["q3Vn0x2LhTzA"],
    ),
]
Milliseconds = Annotated[float | None, Field(ge=0, le=3_600_000, allow_inf_nan=False)]
Bytes = Annotated[int | None, Field(ge=0, le=2**53)]


class TimedTransfer:
    """Bytes transferred over time in one direction; settled once, however the transfer ends."""

    _settling: ClassVar[set[asyncio.Future[None]]] = set()  # strong references: asyncio keeps weak ones only

    def __init__(self, sessions: Sessions, test: ThroughputTest, direction: Direction) -> None:
        self._sessions, self._test, self._direction = sessions, test, direction
        self._started = time.monotonic()
        self.bytes = 0
        self.samples = [Sample(0.0, 0)]
        self.max_bytes = test.allowed_down_bytes if direction is Direction.DOWN else test.allowed_up_bytes
        self.max_s = test.max_s
        self.open_end = False  # the peer may send more than was counted

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def add(self, size: int) -> None:
        self.bytes += size
        if self.elapsed_s - self.samples[-1].at_s >= SAMPLE_S:
            self.samples.append(Sample(self.elapsed_s, self.bytes))

    async def settle(self) -> None:
        """Store the result, even if the request is cancelled meanwhile."""
        self.samples.append(Sample(self.elapsed_s, self.bytes))
        settling = asyncio.ensure_future(self._settle())
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)
        await asyncio.shield(settling)

    async def _settle(self) -> None:
        last = self.samples[-1]
        try:
            async with transaction(self._sessions) as session:
                await speedtest_grants.settle_direction(
                    session,
                    self._test.id,
                    self._direction,
                    self.bytes,
                    last.at_s * 1000,
                    rate_of(self.samples),
                    open_end=self.open_end,
                )
        except Exception:  # the maximum cost stays reserved
            log.exception("speedtest_not_settled", site=self._test.site_id)


class GrantedDownload(Response):
    """Sends as many bytes as are granted, or as the peer receives within the granted time."""

    def __init__(self, timed: TimedTransfer) -> None:
        super().__init__(headers=UNBUFFERED_HEADERS)
        del self.headers["Content-Length"]
        self._timed = timed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        timed = self._timed
        disconnected = asyncio.create_task(_wait_for_disconnect(receive))
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timed.max_s):
                    await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                    await self._send_all(send, disconnected)
        finally:
            disconnected.cancel()
            await timed.settle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timed.max_s):  # for a peer that still receives what is buffered
                await send({"type": "http.response.body", "body": b""})

    async def _send_all(self, send: Send, disconnected: asyncio.Task[None]) -> None:
        timed, blocks, number = self._timed, _blocks(), 0
        while timed.bytes < timed.max_bytes and not disconnected.done():
            block = blocks[number % BLOCKS][: timed.max_bytes - timed.bytes]
            await send({"type": "http.response.body", "body": block, "more_body": True})
            timed.add(len(block))
            number += 1
            await asyncio.sleep(0)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@cache
def _blocks() -> list[bytes]:
    """Return random data, which no link can compress."""
    return [os.urandom(BLOCK) for _ in range(BLOCKS)]


class UploadedOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"up_bytes": 2_900_000, "up_ms": 4810}]})

    up_bytes: int
    up_ms: int = Field(description="by the server's clock")


class ReportIn(BaseModel):
    """Figures by the agent's own clock, all optional. Unknown fields are ignored, for newer agents."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "grant": "q3Vn0x2LhTzA",
                    "down_bytes": 8_900_000,
                    "down_ms": 5020,
                    "up_bytes": 2_900_000,
                    "up_ms": 4900,
                    "rtt_idle_ms": 611.0,
                    "rtt_loaded_ms": 780.5,
                }
            ]
        }
    )

    grant: Annotated[
        str,
        StringConstraints(min_length=1, max_length=60),
        AfterValidator(reject_nul),
        Field(description="`speedtest_grant` of the response to a push"),
    ]
    down_bytes: Bytes = None
    down_ms: Milliseconds = Field(None, description="time of the download, in ms")
    up_bytes: Bytes = None
    up_ms: Milliseconds = Field(None, description="time of the upload, in ms")
    rtt_idle_ms: Milliseconds = None
    rtt_loaded_ms: Milliseconds = None


class ReportedOut(BaseModel):
    status: SpeedtestStatus
    reason: str | None = Field(description="why it has no result", examples=["too_short"])
    down_mbps: float | None = Field(description="by the server's clock, without the warm-up")
    up_mbps: float | None


@router.get(
    "",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}, **problems(404, 409)},
)
async def download_speedtest(session: Session, request: Request, grant: Grant) -> Response:
    """Download of a speed test.

    Random bytes, up to the grant's size and time limit. Once per grant.
    """
    test = await speedtest_grants.claim_direction(session, grant, Direction.DOWN)
    return GrantedDownload(TimedTransfer(request.app.state.sessions, test, Direction.DOWN))


@router.post("", response_model=UploadedOut, responses=problems(404, 409, 413))
async def upload_speedtest(request: Request, grant: Grant) -> UploadedOut:
    """Upload of a speed test.

    Any body, up to the grant's size and time limit; it is counted and discarded. Once per grant.
    """
    sessions: Sessions = request.app.state.sessions
    async with transaction(sessions) as session:
        test = await speedtest_grants.claim_direction(session, grant, Direction.UP)
    timed = TimedTransfer(sessions, test, Direction.UP)
    try:
        await _read_all(request, timed)
    finally:
        await timed.settle()
    return UploadedOut(up_bytes=timed.bytes, up_ms=round(timed.samples[-1].at_s * 1000))


async def _read_all(request: Request, timed: TimedTransfer) -> None:
    too_large = TooLarge("This grant allows {limit} bytes", values={"limit": timed.max_bytes})
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:18]) > timed.max_bytes:
        raise too_large
    try:
        async with asyncio.timeout(timed.max_s):
            async for chunk in request.stream():
                timed.add(len(chunk))
                if timed.bytes > timed.max_bytes:
                    raise too_large
    except ClientDisconnect:
        pass
    except TimeoutError:  # most clients go on sending what they announced, whatever the response
        timed.open_end = True


@router.post("/report", response_model=ReportedOut, responses=problems(404, 409))
async def report_speedtest(session: Session, report_in: ReportIn) -> ThroughputTest:
    """Report of a speed test.

    The agent's own figures, which reveal a buffering proxy between it and the server. Ends the test.
    """
    agent_report = AgentReport(**report_in.model_dump(exclude={"grant"}))
    return await speedtest_grants.end_with_report(session, report_in.grant, agent_report)
