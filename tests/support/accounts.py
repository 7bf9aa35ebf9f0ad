"""Accounts created over the API by a signed-in admin."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from tests.access.browser import Browser, account

Open = Callable[..., Browser]


def person(**changes: Any) -> dict[str, Any]:
    return {"username": "ana", "name": "Ana Lestari", "role": "district_operator", "region_code": "64.02", **changes}


async def admin(browser: Open, session: AsyncSession, username: str, region_code: str = "64") -> Browser:
    role = Role.PROVINCE_ADMIN if region_code == "64" else Role.DISTRICT_ADMIN
    await account(session, username, role, region_code)
    signed_in = browser()
    assert (await signed_in.sign_in(username)).status_code == 200
    return signed_in


async def made(one: Browser, **changes: Any) -> dict[str, Any]:
    answer = await one.person.post("/accounts", person(**changes))
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]
