import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.alerts import acknowledgements
from app.alerts.acknowledgement_schemas import AcknowledgeIn, AcknowledgementOut
from app.alerts.acknowledgements import Acknowledgement
from app.core.sealing import Sealer, read_keys
from app.incidents import serializers
from app.web.deps import Reader, Session, Writer
from app.web.json_body import JsonRoute
from app.web.problem_details import problems

router = APIRouter(prefix="/acknowledgements", tags=["alerts"], route_class=JsonRoute)

LISTED = 50

Token = Annotated[
    str,
    Path(
        max_length=100,
        description="the end of the link in a message",
        examples=["812.1796477500.dGhpcyBpcyBhIHNpZ25hdHVyZSBvZiAzMiBieXRlcy4"],
    ),
]


async def read_sealer(request: Request) -> Sealer | None:
    """None before there is a key: then no link was made either."""
    keys = await asyncio.to_thread(read_keys, request.app.state.settings)
    return Sealer(keys) if keys else None


OwnSealer = Annotated[Sealer | None, Depends(read_sealer)]


@router.get("/{token}", response_model=AcknowledgementOut, responses=problems(404, 410))
async def get_acknowledgement(session: Session, caller: Reader, token: Token, sealer: OwnSealer) -> dict[str, Any]:
    """What the link of a message is to acknowledge.

    Of what the message told and its group: what lasts and nobody handles. Reading it changes nothing.
    """
    asked = await acknowledgements.find_acknowledgement(session, token, sealer=sealer, caller=caller)
    return await _content(session, asked, caller)


@router.post("/{token}", response_model=AcknowledgementOut, responses=problems(403, 404, 410, 412))
async def acknowledge(
    session: Session, caller: Writer, token: Token, body: AcknowledgeIn, sealer: OwnSealer
) -> dict[str, Any]:
    """Acknowledge what a message told, by its link.

    As `PATCH /incidents` does: reminders and escalation end. The link is good once, for seven days; where some of the
    incidents lie beyond your scope, it stays good for those who handle them.
    """
    done = await acknowledgements.acknowledge(
        session, token, expected_count=body.expected_count, sealer=sealer, caller=caller
    )
    return await _content(session, done, caller)


async def _content(session: AsyncSession, asked: Acknowledgement, caller: Caller) -> dict[str, Any]:
    incidents = await serializers.serialize(session, asked.incidents[:LISTED], caller=caller)
    return asked.present(names_people=caller.provider_id is None) | {"incidents": incidents}
