from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from app.agents import device_status, enrolment, installation
from app.agents.install_commands import install_commands, page_url
from app.agents.params import RequiredKind
from app.agents.schemas import DeviceOut, EnrolmentOut
from app.core import i18n
from app.core.errors import Fault
from app.registry import store as registry
from app.registry.params import SiteId
from app.settings import Settings
from app.web.deps import Reader, Session, Writer
from app.web.problem_details import ProblemResponses, problems

router = APIRouter(prefix="/sites/{id}", tags=["field"])

SET_PUBLIC_URL = "Set it to the address at which every device reaches the service"
NO_PUBLIC_URL = Fault(
    "url",
    "not_set",
    "SINYAL_PUBLIC_URL is not set: devices will send to {url}, the address of this request",
    SET_PUBLIC_URL,
)
NO_STORE = {"Cache-Control": "no-store"}
SCRIPT = {"description": "The script", "content": {"text/plain": {"schema": {"type": "string"}}}}


def script_or_problems(status: int, *others: int) -> ProblemResponses:
    return problems(*others) | {status: SCRIPT}


@router.post(
    "/agent", status_code=201, response_class=PlainTextResponse, responses=script_or_problems(201, 403, 404, 409)
)
async def issue_agent(session: Session, caller: Writer, request: Request, id: SiteId, kind: RequiredKind) -> Response:
    """Issue the script of a site's agent.

    With a new token, shown only once; earlier tokens are revoked. For the kind `own`, return only the token, for an
    agent that you write yourself. If `SINYAL_PUBLIC_URL` is not set, the header `X-Sinyal-Warning` states the address
    that the script uses instead.
    """
    content = await installation.issue(
        session, id, kind, caller=caller, settings=settings(request), url=ingest_url(request)
    )
    texts = warnings(request)  # in a header, since the body is a script
    return PlainTextResponse(content, 201, headers=NO_STORE | ({"X-Sinyal-Warning": "; ".join(texts)} if texts else {}))


@router.get("/agent", response_class=PlainTextResponse, responses=script_or_problems(200, 404))
async def preview_agent(session: Session, caller: Reader, request: Request, id: SiteId, kind: RequiredKind) -> Response:
    """Preview the script of a site's agent.

    With a placeholder for the token.
    """
    content = await installation.preview(
        session, id, kind, caller=caller, settings=settings(request), url=ingest_url(request)
    )
    return PlainTextResponse(content)


@router.delete("/agent", status_code=204, responses=problems(403, 404))
async def revoke_agent(session: Session, caller: Writer, id: SiteId) -> None:
    """Revoke a site's device tokens.

    Unused codes are withdrawn, too; its history stays. Idempotent.
    """
    await installation.revoke(session, id, caller=caller)


@router.post("/enrolment", status_code=201, response_model=EnrolmentOut, responses=problems(403, 404, 409))
async def create_enrolment(
    session: Session, caller: Writer, request: Request, response: Response, id: SiteId
) -> dict[str, Any]:
    """Create a code that installs a site's agent.

    A technician at the site installs the agent by one line. Open codes are withdrawn.
    """
    created, code = await enrolment.create(session, id, caller=caller)
    response.headers.update(NO_STORE)
    url = base_url(request)
    return {
        "code": code,
        "expires_at": created.expires_at,
        "commands": install_commands(url, code),
        "card_url": page_url(url, code, "card"),
        "status_url": page_url(url, code),
        "warnings": warnings(request),
    }


@router.get("/device", response_model=DeviceOut, responses=problems(404))
async def get_device(session: Session, caller: Reader, id: SiteId) -> dict[str, Any]:
    """Status of a site's own device.

    Its last push, its agent, its traffic, its rejected rows.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    return await device_status.read_device(session, site.id, caller=caller)


def settings(request: Request) -> Settings:
    return request.app.state.settings  # type: ignore[no-any-return]


def warnings(request: Request) -> list[str]:
    if settings(request).public_url:
        return []
    language, values = i18n.preferred_language(request.headers.get("accept-language")), {"url": ingest_url(request)}
    texts = (NO_PUBLIC_URL.message, SET_PUBLIC_URL)
    return ["; ".join(i18n.translate(text, values, language=language) for text in texts)]


def base_url(request: Request) -> str:
    return installation.public_url(settings(request), str(request.base_url))


def ingest_url(request: Request) -> str:
    return installation.ingest_url(settings(request), str(request.base_url))
