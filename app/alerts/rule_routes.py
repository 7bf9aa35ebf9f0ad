from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.alerts import channels, rule_changes, rules
from app.alerts.preview import preview
from app.alerts.preview_schemas import RulePreview
from app.alerts.rule_schemas import RuleIn, RuleOut, RulePatch
from app.core.clock import floor_second, utc_now
from app.registry.params import RegionCode
from app.web.account_queues import AccountQueues
from app.web.deps import Reader, Session, Writer
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, IfMatch, Limit, RowId, read_version
from app.web.problem_details import problems

PREVIEWED = timedelta(days=7)

router = APIRouter(prefix="/rules", tags=["alerts"], route_class=JsonRoute)


@router.get("", response_model=Page[RuleOut], responses=problems(403))
async def list_rules(
    session: Session,
    caller: Reader,
    region: RegionCode = None,
    channel: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="only rules that tell through this channel", examples=[3])
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List rules.

    Those of the offices within your region, by id. A provider sees none.
    """
    channel = await channels.require_channel(session, channel, caller=caller)
    found = await rules.list_rules(
        session, caller=caller, region=region, channel=channel, after=BY_ID.read(cursor), limit=limit + 1
    )
    page, next_cursor = BY_ID.page(found, limit, lambda rule: rule.id)
    slugs = await rules.read_slugs(session)
    return {"items": [rules.present(rule, slugs) for rule in page], "next_cursor": next_cursor}


@router.post("", response_model=RuleOut, status_code=201, responses=problems(403, 409))
async def create_rule(
    session: Session, caller: Writer, body: RuleIn, request: Request, response: Response, idempotency: IdempotencyKey
) -> dict[str, Any]:
    """Create a rule.

    It applies to what happens from now on, and to outages that last. Preview it first: `POST /rules/preview`.
    """
    if rule_id := await idempotency.find(session, body, caller=caller):
        rule = await rules.get_rule(session, rule_id, caller=caller)
    else:
        rule = await rule_changes.create_rule(session, body, caller=caller)
        await idempotency.record(session, body, rule.id, caller=caller)
        response.headers["Location"] = f"{request.url.path}/{rule.id}"
    response.headers["ETag"] = f'"{rule.version}"'
    return rules.present(rule, await rules.read_slugs(session))


@router.post("/preview", response_model=RulePreview, responses=problems(403))
async def preview_rule(session: Session, caller: Writer, body: RuleIn, request: Request) -> RulePreview:
    """What a rule would have sent in the last seven days.

    With the body that would create it; nothing is stored. One at a time for each account.
    """
    queues: AccountQueues = request.app.state.previews
    async with queues.hold(caller):
        rule = await rule_changes.draft_rule(session, body, caller=caller)
        until = floor_second(utc_now())
        return await preview(session, rule, since=until - PREVIEWED, until=until)


@router.get("/{id}", response_model=RuleOut, responses=problems(404))
async def get_rule(session: Session, caller: Reader, id: RowId, response: Response) -> dict[str, Any]:
    """One rule."""
    rule = await rules.get_rule(session, id, caller=caller)
    response.headers["ETag"] = f'"{rule.version}"'
    return rules.present(rule, await rules.read_slugs(session))


@router.patch("/{id}", response_model=RuleOut, responses=problems(403, 404, 409, 412))
async def patch_rule(
    session: Session, caller: Writer, id: RowId, body: RulePatch, response: Response, if_match: IfMatch = None
) -> dict[str, Any]:
    """Change a rule.

    Also to mute it until a moment: what it would have told then comes as one digest.
    """
    rule = await rule_changes.patch_rule(session, id, body, caller=caller, if_match=read_version(if_match))
    response.headers["ETag"] = f'"{rule.version}"'
    return rules.present(rule, await rules.read_slugs(session))


@router.delete("/{id}", status_code=204, responses=problems(403, 404))
async def delete_rule(session: Session, caller: Writer, id: RowId) -> None:
    """Delete a rule.

    Whoever was told of an outage by it is still told of its end. Idempotent.
    """
    await rule_changes.delete_rule(session, id, caller=caller)
