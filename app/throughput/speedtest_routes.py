"""`/speedtest`: downloads and uploads of a site's agent under a grant, timed by the server, and the agent's report."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.core.validation import reject_nul
from app.postgres.engine import Sessions, transaction
from app.throughput import speedtest_grants
from app.throughput.models import SpeedtestStatus, ThroughputTest
from app.throughput.speedtest_grants import AgentReport, Direction
from app.throughput.timed_transfer import TimedDownload, TimedTransfer, read_upload
from app.web.deps import Session, open_to_all
from app.web.json_body import JsonRoute
from app.web.problem_details import problems
from probes.rate import rate_of

router = APIRouter(prefix="/speedtest", tags=["field"], dependencies=[Depends(open_to_all)], route_class=JsonRoute)

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
BitRate = Annotated[int | None, Field(ge=0, le=10**12)]
Bytes = Annotated[int | None, Field(ge=0, le=2**53)]


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
                },
                {"grant": "q3Vn0x2LhTzA", "deferred": True, "rx_bps": 1_840_000, "tx_bps": 212_000},
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
    deferred: bool = Field(False, description="true: nothing was measured, because the link is in use; it waits again")
    rx_bps: BitRate = Field(None, description="with `deferred`: what the link carried down in ten seconds, in bit/s")
    tx_bps: BitRate = Field(None, description="with `deferred`: what the link carried up in ten seconds, in bit/s")


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
    return TimedDownload(_timed(request.app.state.sessions, test, Direction.DOWN))


@router.post("", response_model=UploadedOut, responses=problems(404, 409, 413))
async def upload_speedtest(request: Request, grant: Grant) -> UploadedOut:
    """Upload of a speed test.

    Any body, up to the grant's size and time limit; it is counted and discarded. Once per grant.
    """
    sessions: Sessions = request.app.state.sessions
    async with transaction(sessions) as session:
        test = await speedtest_grants.claim_direction(session, grant, Direction.UP)
    timed = _timed(sessions, test, Direction.UP)
    await read_upload(request, timed)
    return UploadedOut(up_bytes=timed.bytes, up_ms=round(timed.ms))


def _timed(sessions: Sessions, test: ThroughputTest, direction: Direction) -> TimedTransfer:
    async def store(timed: TimedTransfer) -> None:
        rate = rate_of(timed.samples)
        async with transaction(sessions) as session:
            await speedtest_grants.settle_direction(
                session, test.id, direction, timed.bytes, timed.ms, rate, open_end=timed.open_end
            )

    max_bytes = test.allowed_down_bytes if direction is Direction.DOWN else test.allowed_up_bytes
    return TimedTransfer(site_id=test.site_id, max_bytes=max_bytes, max_s=test.max_s, store=store)


@router.post("/report", response_model=ReportedOut, responses=problems(404, 409))
async def report_speedtest(session: Session, report_in: ReportIn) -> ThroughputTest:
    """Report of a speed test.

    The agent's own figures, which reveal a buffering proxy between it and the server. Ends the test. With `deferred`
    the grant goes back unused, as others use the link: the test waits again, for an hour at most from its time.
    """
    if report_in.deferred:
        return await speedtest_grants.defer(session, report_in.grant, rx_bps=report_in.rx_bps, tx_bps=report_in.tx_bps)
    agent_report = AgentReport(**report_in.model_dump(exclude={"grant", "deferred", "rx_bps", "tx_bps"}))
    return await speedtest_grants.end_with_report(session, report_in.grant, agent_report)
