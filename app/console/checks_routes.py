"""Pemeriksaan daftar: what may be wrong in the registry, each finding with the form that mends it."""

from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from fastapi import Response

from app.console.page import Console, page_router

router = page_router()

PAGE = 50


@router.get("/checks")
async def show_checks(
    console: Console, check: str | None = None, region: str | None = None, cursor: str | None = None
) -> Response:
    found = await console.api.get("/registry/checks", check=check, region=region, cursor=cursor, limit=PAGE)
    filters = {name: value for name, value in (("check", check), ("region", region)) if value}
    whole = await console.api.get("/registry/checks", region=region, limit=1) if check else found
    return console.page(
        "checks.html",
        found=found,
        groups=_groups(found["items"]),
        counts={kind: count for kind, count in whole["counts"].items() if count or kind == check},
        check=check or "",
        region=region or "",
        path=f"?{urlencode(filters)}",
        is_later=cursor is not None,
    )


def _groups(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings by check, warnings first; `suggestion` where all of a check have the same."""
    ordered = sorted(findings, key=lambda finding: (finding["severity"] != "warning", finding["check"]))
    groups = []
    for check, group in groupby(ordered, lambda finding: finding["check"]):
        items = list(group)
        suggestions = {finding["suggestion"] for finding in items}
        groups.append(
            {
                "check": check,
                "severity": items[0]["severity"],
                "suggestion": suggestions.pop() if len(suggestions) == 1 else None,
                "findings": items,
            }
        )
    return groups
