"""Jejak audit: who changed what, and how it was before."""

from typing import Any
from urllib.parse import urlencode

from fastapi import Response

from app.access.models import Audited, Source
from app.console.api_client import ApiProblem
from app.console.audit_diff import changed_fields
from app.console.page import Console, page_router
from app.pages.record_words import RECORD_WORDS
from app.pages.words import word

router = page_router()

PAGE = 50
EMPTY: dict[str, Any] = {"items": [], "next_cursor": None}
PAGES = {  # of the console, by what an entry is about
    Audited.ACCOUNT: "/accounts/{id}",
    Audited.CONTRACT: "/contracts/{id}",
    Audited.SITE: "/sites/{id}",
    Audited.INCIDENT: "/incidents/{id}",
    Audited.MAINTENANCE: "/maintenance/{id}",
    Audited.PROVIDER: "/providers/{id}",
    Audited.CHANNEL: "/channels/{id}",
    Audited.RULE: "/rules/{id}",
}


@router.get("/audit")
async def list_audit(console: Console, cursor: str | None = None) -> Response:
    """A filter that makes no sense is said beside the form, which keeps it."""
    names = ("object", "object_id", "actor", "action", "source", "from", "to")
    filters = {name: value for name in names if (value := console.request.query_params.get(name, "").strip())}
    problem = None
    try:
        entries = await console.api.get("/audit", cursor=cursor, limit=PAGE, **filters)
    except ApiProblem as refused:
        if refused.status != 422:
            raise
        problem, entries = refused, EMPTY
    return console.page(
        "audit.html",
        status=problem.status if problem else 200,
        problem=problem,
        entries=[_present(entry, console.language) for entry in entries["items"]],
        next_cursor=entries["next_cursor"],
        filters=dict.fromkeys(names, "") | filters,
        fields=list(names),
        query=urlencode(filters),
        choices=_choices(console.language),
        is_later=cursor is not None,
    )


def _present(entry: dict[str, Any], language: str) -> dict[str, Any]:
    page = PAGES.get(Audited(entry["object"]), "").format(id=entry["object_id"])
    return entry | {"changes": changed_fields(entry, language), "page": page}


def _choices(language: str) -> dict[str, list[tuple[str, str]]]:
    return {
        "objects": [(value.value, word("audited", value, language)) for value in Audited],
        "sources": [(value.value, word("audit_source", value, language)) for value in Source],
        "actions": [(value, word("audit_action", value, language)) for value in RECORD_WORDS["audit_action"]],
    }
