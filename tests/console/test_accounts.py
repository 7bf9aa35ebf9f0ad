"""Akun, Token and Jejak audit as their admins use them."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Account, Role, Token
from tests.access.browser import account
from tests.support.console import Page, Visitor

Open = Callable[[], Visitor]
BUDI = {"username": "budi", "name": "Budi <b>Santoso</b>", "role": "district_operator", "region_code": "64.03"}


@pytest.fixture
async def district(visitor: Open, session: AsyncSession) -> Visitor:
    """Administers Kutai Kartanegara (64.02)."""
    await account(session, "admin.kukar", Role.DISTRICT_ADMIN, "64.02")
    browser = visitor()
    await browser.sign_in("admin.kukar")
    return browser


def secret(page: Page) -> str:
    [code] = page.tree.xpath('//code[@id="secret"]')
    return str(code.text)


async def test_an_account_is_made_and_its_password_shown_once(
    province: Visitor, visitor: Open, session: AsyncSession
) -> None:
    form = await province.get("/console/accounts/new")
    assert "Wewenang setiap peran" in form.text
    made = await province.submit(form, "/console/accounts", **BUDI)
    assert (made.status, made.response.headers["cache-control"]) == (201, "no-store")
    budi = await session.scalar(select(Account).where(Account.username == "budi"))
    assert budi is not None
    assert (budi.role, budi.region_code) == (Role.DISTRICT_OPERATOR, "64.03")
    again = await province.submit(form, "/console/accounts", **BUDI)
    assert "Akun ini sudah dibuat" in again.text
    shown = await province.get(f"/console/accounts/{budi.id}")
    assert secret(made) not in shown.response.text + again.response.text
    assert "Budi <b>Santoso</b>" in (await province.get("/console/accounts")).text
    welcomed = await visitor().sign_in("budi", secret(made))
    assert welcomed.response.headers["location"] == "/console/me/password"


async def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(province: Visitor) -> None:
    form = await province.get("/console/accounts/new")
    page = await province.submit(form, "/console/accounts", **BUDI | {"username": "Bu di", "region_code": "64"})
    assert page.status == 422
    assert set(page.errors()) >= {"username"}
    assert page.form("/console/accounts")["name"] == BUDI["name"]


async def test_an_account_changes_is_disabled_and_enabled_again(
    province: Visitor, visitor: Open, session: AsyncSession
) -> None:
    ana = await account(session, "ana", Role.DISTRICT_OPERATOR, "64.02")
    path, hers = f"/console/accounts/{ana.id}", visitor()
    await hers.sign_in("ana")
    page = await province.get(path)
    assert "Akhiri semua sesi" in page.text
    await province.submit(page, path, role="viewer", name="Ana L.")
    stale = await province.submit(page, path, role="district_operator")
    assert stale.status == 412
    page = await province.get(path)
    assert (page.form(path)["role"], page.form(path)["name"]) == ("viewer", "Ana L.")
    ended = await province.submit(page, f"{path}/sessions")
    assert "Semua sesinya sudah berakhir" in (await province.follow(ended)).text
    assert (await hers.get("/console/me")).status == 303
    reset = await province.submit(page, f"{path}/reset-password")
    assert (await hers.sign_in("ana", secret(reset))).status == 303
    disabled = await province.follow(await province.submit(page, f"{path}/disable"))
    assert "Nonaktif sejak" in disabled.text
    assert (await hers.sign_in("ana", secret(reset))).status == 401
    assert "Nonaktif sejak" not in (await province.follow(await province.submit(disabled, f"{path}/enable"))).text


async def test_an_admin_of_a_district_grants_within_it_alone(district: Visitor, session: AsyncSession) -> None:
    berau = await account(session, "ben", Role.DISTRICT_OPERATOR, "64.03")
    form = await district.get("/console/accounts/new")
    roles = form.tree.xpath('//select[@name="role"]/option/@value')
    regions = form.tree.xpath('//select[@name="region_code"]/option/@value')
    assert roles == ["district_admin", "district_operator", "viewer", "provider_viewer"]
    assert regions[0] == "64.02"
    assert all(code.startswith("64.02") for code in regions)
    assert (await district.submit(form, "/console/accounts", **BUDI)).status == 403
    assert (await district.get(f"/console/accounts/{berau.id}")).status == 404
    assert "ben" not in (await district.get("/console/accounts")).text


async def test_others_find_neither_accounts_nor_tokens_nor_the_audit_trail(officer: Visitor) -> None:
    menu = (await officer.get("/console/me")).tree.xpath("//nav//a/@href")
    for page in ("accounts", "accounts/new", "tokens", "tokens/new", "audit"):
        path = f"/console/{page}"
        assert (await officer.get(path)).status == 403
        assert path not in menu


async def test_a_token_is_shown_once_and_revoked(district: Visitor, session: AsyncSession) -> None:
    form = await district.get("/console/tokens/new?wall=true")
    made = await district.submit(form, "/console/tokens", name="Layar pendopo", region_code="64.02.05")
    assert (made.status, made.response.headers["cache-control"]) == (201, "no-store")
    assert "/layar" in made.text
    bearer = {"Authorization": f"Bearer {secret(made)}"}
    district.client.cookies.clear()
    assert (await district.client.get("/api/v1/sites", headers=bearer)).status_code == 200
    await district.sign_in("admin.kukar")
    page = await district.get("/console/tokens")
    assert "Layar pendopo" in page.text
    assert secret(made) not in page.response.text
    token = await session.scalar(select(Token).where(Token.name == "Layar pendopo"))
    assert token is not None
    revoked = await district.follow(await district.submit(page, f"/console/tokens/{token.id}/revoke"))
    assert "Token sudah dicabut" in revoked.text
    assert "Layar pendopo" in (await district.get("/console/tokens?ended=true")).text
    assert (await district.client.get("/api/v1/audit?object=token&action=revoke")).json()["items"][0]["actor"]


async def test_days_that_make_no_sense_are_said_beside_them(district: Visitor, session: AsyncSession) -> None:
    form = await district.get("/console/tokens/new")
    for days in ("0", "x", "9" * 40):
        page = await district.submit(form, "/console/tokens", name="Excel", days=days)
        assert (page.status, list(page.errors())) == (422, ["days"])
        assert page.form("/console/tokens")["days"] == days
    assert await session.scalar(select(func.count(Token.id))) == 0


async def test_the_trail_shows_before_and_after_and_leads_to_the_object(
    province: Visitor, session: AsyncSession
) -> None:
    ana = await account(session, "ana", Role.DISTRICT_OPERATOR, "64.02")
    path = f"/console/accounts/{ana.id}"
    await province.submit(await province.get(path), path, role="viewer", name="<i>Ana</i>")
    page = await province.get(f"/console/audit?object=account&object_id={ana.id}&action=change")
    [entry] = page.tree.xpath("//article")
    rows = {row.xpath("th")[0].text: row.xpath("string(td[2])") for row in entry.xpath(".//tbody/tr")}
    assert rows == {"Nama": "<i>Ana</i>", "Peran": "pembaca"}
    assert entry.xpath(f'.//a[@href="{path}"]')
    assert page.tree.xpath('//a[contains(@href, "/api/v1/audit?object=account") and contains(@href, "format=csv")]')
    nothing = await province.get("/console/audit?actor=nobody")
    assert "Tidak ada catatan seperti itu" in nothing.text
    odd = await province.get("/console/audit?object=nonsense")
    assert odd.status == 422
    assert set(odd.errors()) >= {"object"}
