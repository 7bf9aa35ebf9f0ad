"""What an admin may choose from when granting a role: roles, regions within their own, providers."""

import asyncio
from collections.abc import Sequence
from typing import Any

from app.access.rights import REFUSALS, Right
from app.console import choices
from app.console.page import ConsoleRequest
from app.core.errors import NotAllowed
from app.pages.words import word

MOST = 1000  # regions
INDENT = "– "


async def read_choices(console: ConsoleRequest) -> dict[str, Any]:
    """Return `roles` that the caller may grant, `regions` and `providers`, as pairs of value and word.

    Raises NotAllowed for a caller who may grant none.
    """
    if not console.may(Right.ADMINISTER):
        raise NotAllowed(REFUSALS[Right.ADMINISTER], values={"role": console.caller.role.value})
    me, districts, subdistricts = await asyncio.gather(
        console.api.get("/me"),
        console.api.get("/regions", level="kabupaten_kota", limit=MOST),
        console.api.get("/regions", level="kecamatan", limit=MOST),
    )
    regions = [*districts["items"], *subdistricts["items"]]
    own = me["region_code"]
    return {
        "roles": [(role, word("role", role, console.language)) for role in me["grants"]],
        "regions": [(own, f"{me['region']} ({own})"), *_below(own, regions)],
        "providers": await choices.providers(console.api),
    }


def _below(own: str, regions: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the regions below one's own by code: each district is followed by its subdistricts."""
    within = (region for region in regions if region["code"].startswith(f"{own}."))
    return [
        (region["code"], f"{INDENT * (region['code'].count('.') - 1)}{region['name']} ({region['code']})")
        for region in sorted(within, key=lambda region: region["code"])
    ]
