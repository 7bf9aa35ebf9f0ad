from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from app.agents import enrolment, installation
from app.agents import install_commands as commands
from app.agents.models import AgentKind
from app.core import i18n
from app.core.errors import Fault, Invalid
from app.core.validation import MESSAGES
from app.registry.params import SiteId
from app.settings import Settings
from app.web.deps import Reader, Session, Writer
from app.web.problem_details import ProblemResponses, problems

router = APIRouter(prefix="/sites/{id}", tags=["field"])


def asked_kind(
    kind: Annotated[AgentKind | None, Query(description="needed: what it runs on", examples=["openwrt"])] = None,
) -> AgentKind:
    """Raises Invalid where it is left out, with what there is."""
    if kind is None:
        raise Invalid(
            Fault("kind", "missing", MESSAGES["missing"], "One of: {kinds}", values={"kinds": ", ".join(AgentKind)})
        )
    return kind


AskedKind = Annotated[AgentKind, Depends(asked_kind)]
SET_IT = "Set it to the address at which every device reaches the service"
UNSET = Fault(
    "url", "not_set", "SINYAL_PUBLIC_URL is not set: devices are to send to {url}, where this request came to", SET_IT
)
SECRET = {"Cache-Control": "no-store"}
TEXT = {"description": "The script", "content": {"text/plain": {"schema": {"type": "string"}}}}


def script(status: int, *others: int) -> ProblemResponses:
    return problems(*others) | {status: TEXT}


class EnrolmentOut(BaseModel):
    code: str = Field(examples=["K7QX2MRD"], description="for one agent, until `expires_at`; shown this once")
    expires_at: datetime
    commands: dict[AgentKind, str] = Field(description="the one line that installs the agent, by what it runs on")
    card_url: str = Field(description="to print for the technician")
    status_url: str = Field(description="tells whoever is at the site whether readings arrive")
    warnings: list[str] = Field([], description="what is allowed but probably not meant")


@router.post("/agent", status_code=201, response_class=PlainTextResponse, responses=script(201, 403, 404, 409))
async def issue_agent(session: Session, caller: Writer, request: Request, id: SiteId, kind: AskedKind) -> Response:
    """The script of the site's agent, with a token of its own, shown this once. The token before it is over.

    Of the kind `own` the token alone, for an agent of your own making. Where `SINYAL_PUBLIC_URL` is not set, the header
    `X-Sinyal-Warning` says what address was taken instead.
    """
    found = await installation.issue(session, id, kind, caller=caller, settings=settings(request), url=base(request))
    told = warnings(request)  # beside the body, which is a script
    return PlainTextResponse(found, 201, headers=SECRET | ({"X-Sinyal-Warning": "; ".join(told)} if told else {}))


@router.get("/agent", response_class=PlainTextResponse, responses=script(200, 404))
async def preview_agent(session: Session, caller: Reader, request: Request, id: SiteId, kind: AskedKind) -> Response:
    """The script to read, with a placeholder for the token."""
    found = await installation.preview(session, id, kind, caller=caller, settings=settings(request), url=base(request))
    return PlainTextResponse(found)


@router.delete("/agent", status_code=204, responses=problems(403, 404))
async def revoke_agent(session: Session, caller: Writer, id: SiteId) -> None:
    """Its token is over, and so are codes that nobody used; the site's history stays. Again: 204 again."""
    await installation.revoke(session, id, caller=caller)


@router.post("/enrolment", status_code=201, response_model=EnrolmentOut, responses=problems(403, 404, 409))
async def enrol(session: Session, caller: Writer, request: Request, response: Response, id: SiteId) -> dict[str, Any]:
    """A code by which a technician at the site installs the agent with one line. One that was still open is over."""
    made, code = await enrolment.create(session, id, caller=caller)
    response.headers.update(SECRET)
    url = base(request)
    return {
        "code": code,
        "expires_at": made.expires_at,
        "commands": commands.lines(url, code),
        "card_url": f"{url}/enrol/{code}/card",
        "status_url": f"{url}/enrol/{code}/status",
        "warnings": warnings(request),
    }


def settings(request: Request) -> Settings:
    return request.app.state.settings  # type: ignore[no-any-return]


def warnings(request: Request) -> list[str]:
    if settings(request).public_url:
        return []
    spoken, values = i18n.preferred_language(request.headers.get("accept-language")), {"url": base(request)}
    return ["; ".join(i18n.translate(part, values, language=spoken) for part in (UNSET.message, SET_IT))]


def base(request: Request) -> str:
    return installation.public_url(settings(request), str(request.base_url))
