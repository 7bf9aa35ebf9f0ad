from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from app.field import agents, commands, enrolment
from app.field.models import AgentKind
from app.http import Reader, Session, Writer
from app.problems import ProblemResponses, problems
from app.registry.routes import SiteId
from app.settings import Settings

router = APIRouter(prefix="/sites/{id}", tags=["field"])

AskedKind = Annotated[AgentKind, Query(description="what it runs on", examples=["openwrt"])]
SECRET = {"Cache-Control": "no-store"}
TEXT = {"description": "The script", "content": {"text/plain": {"schema": {"type": "string"}}}}


def script(status: int, *others: int) -> ProblemResponses:
    return problems(*others) | {status: TEXT}


class EnrolmentOut(BaseModel):
    code: str = Field(examples=["K7QX2MRD"], description="good once, until `expires_at`; shown this once")
    expires_at: datetime
    commands: dict[AgentKind, str] = Field(description="the one line that installs the agent, by what it runs on")
    card_url: str = Field(description="to print for the technician")
    status_url: str = Field(description="tells whoever is at the site whether readings arrive")


@router.post(
    "/agent", status_code=201, response_class=PlainTextResponse, responses=script(201, 403, 404, 409)
)  # fmt: skip
async def issue_agent(session: Session, caller: Writer, request: Request, id: SiteId, kind: AskedKind) -> Response:
    """The script of the site's agent, with a token of its own, shown this once. The token before it is over."""
    found = await agents.issue(session, id, kind, caller=caller, settings=settings(request), url=base(request))
    return PlainTextResponse(found, 201, headers=SECRET)


@router.get("/agent", response_class=PlainTextResponse, responses=script(200, 404))
async def preview_agent(session: Session, caller: Reader, request: Request, id: SiteId, kind: AskedKind) -> Response:
    """The script to read, with a placeholder for the token."""
    found = await agents.preview(session, id, kind, caller=caller, settings=settings(request), url=base(request))
    return PlainTextResponse(found)


@router.delete("/agent", status_code=204, responses=problems(403, 404))
async def revoke_agent(session: Session, caller: Writer, id: SiteId) -> None:
    """Its token is over; the site's history stays. Again: 204 again."""
    await agents.revoke(session, id, caller=caller)


@router.post("/enrolment", status_code=201, response_model=EnrolmentOut, responses=problems(403, 404, 409))
async def enrol(session: Session, caller: Writer, request: Request, response: Response, id: SiteId) -> dict[str, Any]:
    """A code by which a technician at the site installs the agent with one line. One that was still open is over."""
    made, code = await enrolment.create(session, id, caller=caller)
    response.headers.update(SECRET)
    url = base(request)
    return {
        "code": code, "expires_at": made.expires_at, "commands": commands.lines(url, code),
        "card_url": f"{url}/enrol/{code}/card", "status_url": f"{url}/enrol/{code}/status",
    }  # fmt: skip


def settings(request: Request) -> Settings:
    return request.app.state.settings  # type: ignore[no-any-return]


def base(request: Request) -> str:
    return agents.public_url(settings(request), str(request.base_url))
