"""Notifikasi: who was told what and when, and how its delivery went."""

from typing import Any
from urllib.parse import urlencode

from fastapi import Response

from app.alerts.models import NotificationKind, NotificationState
from app.console import choices
from app.console.api_client import ApiProblem
from app.console.page import Console, ConsoleRequest, page_router
from app.pages.words import word

router = page_router()

PAGE = 100
FIELDS = ("state", "kind", "channel", "region", "provider", "incident", "from", "to")


@router.get("/notifications")
async def show_notifications(console: Console, cursor: str = "") -> Response:
    given = console.request.query_params
    asked = {name: given[name] for name in FIELDS if given.get(name)}
    problem: ApiProblem | None = None
    found: dict[str, Any] = {"items": [], "next_cursor": None}
    try:
        found = await console.api.get("/notifications", **_params(asked), cursor=cursor, limit=PAGE)
    except ApiProblem as refused:
        if refused.status not in {403, 422}:
            raise
        problem = refused
    return console.page(
        "notifications.html",
        status=problem.status if problem else 200,
        notifications=found,
        asked=dict.fromkeys(FIELDS, "") | asked,
        problem=problem,
        is_later=bool(cursor),
        address="/notifications" + (f"?{urlencode(asked)}" if asked else ""),
        files="/notifications?" + urlencode(asked),
        channels=await _channels(console),
        providers=await choices.providers(console.api),
        regions=await choices.child_regions(console),
        states=[(each.value, word("notification_state", each.value, console.language)) for each in NotificationState],
        kinds=[(each.value, word("notification_kind", each.value, console.language)) for each in NotificationKind],
    )


def _params(asked: dict[str, str]) -> dict[str, str]:
    return {("from_" if name == "from" else name): value for name, value in asked.items()}


@router.get("/notifications/{notification_id}")
async def show_notification(console: Console, notification_id: str) -> Response:
    notification = await console.api.get(f"/notifications/{notification_id}")
    return console.page(
        "notification.html", notification=notification, provider_names=dict(await choices.providers(console.api))
    )


async def _channels(console: ConsoleRequest) -> choices.Choices:
    listed = await console.api.get("/channels", limit=1000)
    return [(each["id"], each["name"]) for each in listed["items"]]
