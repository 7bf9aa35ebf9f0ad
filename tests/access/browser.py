"""A browser that signs in: it keeps the session cookie and sends the CSRF token."""

from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import passwords
from app.access.models import Account, Role
from app.core.clock import utc_now
from tests.conftest import Person

PASSWORD = "perahu ketinting pagi hujan"
OTHER = "jembatan kayu ulin sore terang"
SITES = "/api/v1/sites"


class Browser:
    """One person's browser, at a client address."""

    def __init__(self, app: FastAPI, *, address: str = "198.51.100.7") -> None:
        transport = httpx.ASGITransport(app, client=(address, 40_000))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")
        self.person = Person(self.client)

    async def sign_in(self, username: str, password: str = PASSWORD) -> httpx.Response:
        answer = await self.person.post("/session", {"username": username, "password": password})
        if answer.status_code == 200:
            self.client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        return answer


_hashes: dict[str, str] = {}


async def _hashed() -> str:
    """The hash of PASSWORD, computed once."""
    if PASSWORD not in _hashes:
        _hashes[PASSWORD] = await passwords.hashed(PASSWORD)
    return _hashes[PASSWORD]


async def account(
    session: AsyncSession, username: str, role: Role = Role.PROVINCE_ADMIN, region_code: str = "64", **more: Any
) -> Account:
    async with session.begin():
        account = Account(
            username=username,
            name=username.title(),
            role=role,
            region_code=region_code,
            password_hash=await _hashed(),
            must_change_password=False,
            created_at=utc_now(),
            password_changed_at=utc_now(),
            version=1,
            **more,
        )
        session.add(account)
        await session.flush()
    return account
