"""`/speedtest`: what a site's agent downloads and uploads under a grant, timed by us, and what it says of it."""

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
from app.core.validation import refuse_nul
from app.postgres.engine import Sessions, transaction
from app.throughput import grants
from app.throughput.grants import Direction, Told
from app.throughput.models import Stage, ThroughputTest
from app.web.deps import Session, open_to_all
from app.web.problem_details import problems
from probes.rate import Sample, rate_of
from probes.throughput import SAMPLE_S

log = structlog.get_logger()
router = APIRouter(prefix="/speedtest", tags=["field"], dependencies=[Depends(open_to_all)])

BLOCK = 65_536
BLOCKS = 16
# identity: nothing on the way, and nothing of ours, takes it for worth zipping
UNTOUCHED = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "Content-Encoding": "identity",
    "Content-Type": "application/octet-stream",
}
Grant = Annotated[str, Query(min_length=1, max_length=60, description="`speedtest_grant` of a push's answer")]
Milliseconds = Annotated[float | None, Field(ge=0, le=3_600_000, allow_inf_nan=False)]
Bytes = Annotated[int | None, Field(ge=0, le=2**53)]


class Timed:
    """How much was accepted when; settled once, whatever ends it."""

    _settling: ClassVar[set[asyncio.Future[None]]] = set()  # asyncio itself would forget them

    def __init__(self, sessions: Sessions, test: ThroughputTest, direction: Direction) -> None:
        self._sessions, self._test, self._direction = sessions, test, direction
        self._began = time.monotonic()
        self.bytes = 0
        self.samples = [Sample(0.0, 0)]
        self.most = test.allowed_down_bytes if direction is Direction.DOWN else test.allowed_up_bytes
        self.max_s = test.max_s
        self.open_end = False  # the peer may go on sending what nobody counts

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def take(self, size: int) -> None:
        self.bytes += size
        if self.elapsed_s - self.samples[-1].at_s >= SAMPLE_S:
            self.samples.append(Sample(self.elapsed_s, self.bytes))

    async def settle(self) -> None:
        """A cancelled request settles all the same."""
        self.samples.append(Sample(self.elapsed_s, self.bytes))
        settling = asyncio.ensure_future(self._settle())
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)
        await asyncio.shield(settling)

    async def _settle(self) -> None:
        last = self.samples[-1]
        try:
            async with transaction(self._sessions) as session:
                await grants.settle(
                    session,
                    self._test.id,
                    self._direction,
                    self.bytes,
                    last.at_s * 1000,
                    rate_of(self.samples),
                    open_end=self.open_end,
                )
        except Exception as error:  # what it may have cost stays reserved
            log.error("test_not_settled", site=self._test.site_id, error=type(error).__name__)


class Download(Response):
    """As many bytes as are granted, or as the peer takes in the time that is granted."""

    def __init__(self, timed: Timed) -> None:
        super().__init__(headers=UNTOUCHED)
        del self.headers["Content-Length"]
        self._timed = timed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        timed = self._timed
        gone = asyncio.create_task(_gone(receive))
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timed.max_s):
                    await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                    await self._send_all(send, gone)
        finally:
            gone.cancel()
            await timed.settle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timed.max_s):  # for who has still to take what waits
                await send({"type": "http.response.body", "body": b""})

    async def _send_all(self, send: Send, gone: asyncio.Task[None]) -> None:
        timed, blocks, number = self._timed, _blocks(), 0
        while timed.bytes < timed.most and not gone.done():
            block = blocks[number % BLOCKS][: timed.most - timed.bytes]
            await send({"type": "http.response.body", "body": block, "more_body": True})
            timed.take(len(block))
            number += 1
            await asyncio.sleep(0)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@cache
def _blocks() -> list[bytes]:
    """What no link makes smaller."""
    return [os.urandom(BLOCK) for _ in range(BLOCKS)]


class UploadedOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"up_bytes": 2_900_000, "up_ms": 4810}]})

    up_bytes: int
    up_ms: int = Field(description="by our clock")


class ReportIn(BaseModel):
    """By the agent's own clock; what it does not know it leaves out. Unknown fields are ignored: agents get newer."""

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

    grant: Annotated[str, StringConstraints(min_length=1, max_length=60), AfterValidator(refuse_nul)]
    down_bytes: Bytes = None
    down_ms: Milliseconds = None
    up_bytes: Bytes = None
    up_ms: Milliseconds = None
    rtt_idle_ms: Milliseconds = None
    rtt_loaded_ms: Milliseconds = None


class ReportedOut(BaseModel):
    status: Stage
    reason: str | None
    down_mbps: float | None = Field(description="by our clock, without the warm-up")
    up_mbps: float | None


@router.get(
    "",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}, **problems(404, 409)},
)
async def download(session: Session, request: Request, grant: Grant) -> Response:
    """Bytes that no link makes smaller: as many as the grant allows, for as long as it allows. Once."""
    test = await grants.take(session, grant, Direction.DOWN)
    return Download(Timed(request.app.state.sessions, test, Direction.DOWN))


@router.post("", response_model=UploadedOut, responses=problems(404, 409, 413))
async def upload(request: Request, grant: Grant) -> UploadedOut:
    """Any body, counted as it comes and thrown away: no more than the grant allows, for as long as it allows. Once."""
    sessions: Sessions = request.app.state.sessions
    async with transaction(sessions) as session:
        test = await grants.take(session, grant, Direction.UP)
    timed = Timed(sessions, test, Direction.UP)
    try:
        await _read_all(request, timed)
    finally:
        await timed.settle()
    return UploadedOut(up_bytes=timed.bytes, up_ms=round(timed.samples[-1].at_s * 1000))


async def _read_all(request: Request, timed: Timed) -> None:
    too_large = TooLarge("This grant allows {limit} bytes", values={"limit": timed.most})
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:18]) > timed.most:
        raise too_large
    try:
        async with asyncio.timeout(timed.max_s):
            async for piece in request.stream():
                timed.take(len(piece))
                if timed.bytes > timed.most:
                    raise too_large
    except ClientDisconnect:
        pass
    except TimeoutError:  # most clients go on until they have sent what they announced, whatever they are answered
        timed.open_end = True


@router.post("/report", response_model=ReportedOut, responses=problems(404, 409))
async def report(session: Session, given: ReportIn) -> ThroughputTest:
    """What the agent measured itself: beside ours it shows whether something on the way took all of it at once."""
    return await grants.report(session, given.grant, Told(**given.model_dump(exclude={"grant"})))
