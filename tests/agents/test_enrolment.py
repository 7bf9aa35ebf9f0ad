"""Codes: one line at the site installs the agent, once; a page tells whether it works; nobody guesses one."""

import asyncio
import re
import subprocess
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Audit
from app.agents import enrolment, install_commands, scripts
from app.agents.models import AgentKind, DeviceToken, Enrolment
from app.core.clock import utc_now
from tests.conftest import Cast
from tests.factories import register
from tests.support.agent_fixtures import Agent

TOKEN = re.compile(r"sd-[A-Za-z0-9_-]{43}")


@pytest.fixture
async def anybody(app: FastAPI) -> Any:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sinyal.test") as client:
        yield client


def shell(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh"], input=script, capture_output=True, text=True, timeout=10)


async def enrolled(cast: Cast, site_id: int) -> dict[str, Any]:
    answer = await cast.ana.post(f"/sites/{site_id}/enrolment")
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()  # type: ignore[no-any-return]


async def pushing(cast: Cast, **changes: Any) -> int:
    return int((await register(cast, probe="push", host=None, **changes))["id"])


async def good_tokens(session: AsyncSession, site_id: int) -> int:
    query = select(DeviceToken).where(DeviceToken.site_id == site_id, DeviceToken.revoked_at.is_(None))
    async with session.begin():
        return len(list(await session.scalars(query)))


async def test_a_code_is_easily_read_and_kept_as_a_digest(cast: Cast, session: AsyncSession) -> None:
    made = await enrolled(cast, await pushing(cast))
    assert re.fullmatch(r"[A-HJKMNP-Z2-9]{8}", made["code"])
    assert made["commands"].keys() == set(scripts.FILES)
    assert made["card_url"].endswith(f"/enrol/{made['code']}/card")
    async with session.begin():
        kept = (await session.scalars(select(Enrolment))).one()
        assert made["code"].encode() not in kept.digest
        told = str([(one.action, one.after) for one in await session.scalars(select(Audit))])
    assert "enrol" in told
    assert made["code"] not in told


async def fetch(anybody: httpx.AsyncClient, code: str, kind: str = "linux") -> str:
    """The token of the script."""
    answer = await anybody.get(f"/enrol/{code}?kind={kind}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    (token,) = TOKEN.findall(answer.text)
    return str(token)


async def pushed(anybody: httpx.AsyncClient, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return (await anybody.post("/api/v1/push", json={"boot": "b1", "batch": []}, headers=headers)).status_code


async def test_a_code_gives_its_script_until_the_agent_has_reported_and_then_one_that_fails_aloud(
    cast: Cast, anybody: httpx.AsyncClient, session: AsyncSession
) -> None:
    site_id = await pushing(cast)
    code = (await enrolled(cast, site_id))["code"]
    first = await fetch(anybody, f"{code[:4].lower()}-{code[4:]}", "linux")
    second = await fetch(anybody, code, "openwrt")
    assert await good_tokens(session, site_id) == 1, "nobody came with the first"
    assert [await pushed(anybody, token) for token in (first, second)] == [401, 200]
    refused = await anybody.get(f"/enrol/{code}?kind=linux")
    assert (refused.status_code, TOKEN.search(refused.text)) == (410, None)
    for_busybox = await anybody.get(f"/enrol/{code}?kind=openwrt")
    assert (for_busybox.status_code, for_busybox.text) == (200, refused.text), "its wget drops what a 410 says"
    done = await asyncio.to_thread(shell, refused.text)
    assert (done.returncode, "sudah dipakai" in done.stderr, done.stdout) == (1, True, "")
    async with session.begin():
        acts = [one for one in await session.scalars(select(Audit)) if one.action == "issue_agent"]
    assert all(one.actor.startswith("enrolment by ") and one.address == "127.0.0.1" for one in acts)
    assert [one.after["kind"] for one in acts if one.after] == ["linux", "openwrt"]


async def test_a_script_is_fetched_again_for_an_hour_and_five_times(
    cast: Cast, anybody: httpx.AsyncClient, session: AsyncSession
) -> None:
    often, late = (
        (await enrolled(cast, await pushing(cast)))["code"],
        (await enrolled(cast, await pushing(cast)))["code"],
    )
    for _ in range(5):
        await fetch(anybody, often)
    assert "sudah dipakai" in (await anybody.get(f"/enrol/{often}?kind=linux")).text
    await fetch(anybody, late)
    async with session.begin():
        await session.execute(update(Enrolment).values(used_at=utc_now() - timedelta(hours=1)))
    assert (await anybody.get(f"/enrol/{late}?kind=linux")).status_code == 410


async def test_an_installation_that_fails_leaves_the_agent_that_works_as_it_was(
    cast: Cast, anybody: httpx.AsyncClient, agent: Agent, session: AsyncSession
) -> None:
    assert await pushed(anybody, agent.token) == 200
    new = await fetch(anybody, (await enrolled(cast, agent.site["id"]))["code"])
    assert await pushed(anybody, agent.token) == 200, "the new one has not reported"
    assert await pushed(anybody, new) == 200
    async with session.begin():
        query = select(DeviceToken).where(DeviceToken.site_id == agent.site["id"]).order_by(DeviceToken.id)
        old, present = await session.scalars(query)
        told = [one.after for one in await session.scalars(select(Audit)) if one.action == "revoke_agent"]
    assert (old.revoked_by or "").endswith(f"replaced by token {present.id}")
    assert present.revoked_at is None
    assert told == [{"device_token_ids": [old.id]}]


async def test_with_the_agent_the_codes_are_over_too(cast: Cast, anybody: httpx.AsyncClient) -> None:
    site_id = await pushing(cast)
    open_, fetched = (await enrolled(cast, site_id))["code"], (await enrolled(cast, site_id))["code"]
    await fetch(anybody, fetched)
    assert (await cast.ana.client.delete(f"/api/v1/sites/{site_id}/agent")).status_code == 204
    for code in (open_, fetched):
        refused = await anybody.get(f"/enrol/{code}?kind=linux")
        assert (refused.status_code, "sudah ditarik" in refused.text) == (410, True)
    assert "sudah ditarik" in (await anybody.get(f"/enrol/{open_}/status")).text
    assert "sudah dicabut" in (await anybody.get(f"/enrol/{fetched}/status")).text


async def test_a_phone_that_opens_a_code_that_is_over_sees_a_page(anybody: httpx.AsyncClient) -> None:
    for kind in ("linux", "openwrt"):
        seen = await anybody.get(f"/enrol/ZZZZ2222?kind={kind}", headers={"Accept": "text/html,*/*"})
        assert (seen.status_code, seen.headers["content-type"]) == (410, "text/html; charset=utf-8")
        assert "<h1>" in seen.text or "verdict" in seen.text


async def test_where_the_kind_is_left_out_it_says_which_there_are(cast: Cast) -> None:
    refused = await cast.ana.post(f"/sites/{await pushing(cast)}/agent")
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["field"], error["suggestion"]) == ("kind", "One of: routeros, openwrt, linux, windows, own")


async def test_for_an_agent_of_ones_own_making_there_is_the_token_alone(cast: Cast, anybody: httpx.AsyncClient) -> None:
    site_id = await pushing(cast)
    given = await cast.ana.post(f"/sites/{site_id}/agent?kind=own")
    assert (given.status_code, TOKEN.sub("", given.text)) == (201, "\n")
    assert await pushed(anybody, given.text.strip()) == 200
    assert (await cast.vera.get(f"/sites/{site_id}/agent?kind=own")).text == "sd-TOKEN\n"
    assert (await cast.vera.get(f"/sites/{site_id}/device")).json()["kind"] == "own"


async def test_without_an_address_of_its_own_it_says_which_one_it_took(cast: Cast, app: FastAPI) -> None:
    site_id = await pushing(cast)
    made = await enrolled(cast, site_id)
    assert "SINYAL_PUBLIC_URL is not set" in made["warnings"][0]
    assert made["card_url"].partition("/enrol")[0] in made["warnings"][0]
    answer = await cast.ana.post(f"/sites/{site_id}/agent?kind=linux")
    assert answer.headers["x-sinyal-warning"] == made["warnings"][0]
    app.state.settings = app.state.settings.model_copy(update={"public_url": "https://sinyal.example"})
    assert (await enrolled(cast, site_id))["warnings"] == []


async def test_wrong_and_expired_codes_are_answered_alike(
    cast: Cast, anybody: httpx.AsyncClient, session: AsyncSession
) -> None:
    code = (await enrolled(cast, await pushing(cast)))["code"]
    async with session.begin():
        await session.execute(update(Enrolment).values(expires_at=utc_now() - timedelta(seconds=1)))
    for path in ("?kind=linux", "/status", "/card"):
        expired, wrong = await anybody.get(f"/enrol/{code}{path}"), await anybody.get(f"/enrol/ZZZZ2222{path}")
        assert (expired.status_code, expired.text) == (wrong.status_code, wrong.text)
        assert expired.status_code == 410


async def test_a_new_code_ends_the_open_one(cast: Cast, anybody: httpx.AsyncClient) -> None:
    site_id = await pushing(cast)
    first, second = await enrolled(cast, site_id), await enrolled(cast, site_id)
    assert (await anybody.get(f"/enrol/{first['code']}?kind=linux")).status_code == 410
    assert (await anybody.get(f"/enrol/{second['code']}?kind=linux")).status_code == 200


async def test_who_guesses_codes_waits_ever_longer(cast: Cast, anybody: httpx.AsyncClient) -> None:
    code = (await enrolled(cast, await pushing(cast)))["code"]
    answers = [await anybody.get(f"/enrol/ABCD{n:04}/status") for n in range(2222, 2244)]
    assert {one.status_code for one in answers[:20]} == {410}
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert (await anybody.get(f"/enrol/{code}/status")).status_code == 429, "nor is a right one told from there"


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "WhatsApp/2.23.20.0"},
        {"User-Agent": "facebookexternalhit/1.1"},
        {"User-Agent": "Mozilla/5.0 (Linux; Android 14) Chrome/130", "Accept": "text/html,*/*"},
    ],
)
async def test_who_only_looks_uses_up_no_code(cast: Cast, anybody: httpx.AsyncClient, headers: dict[str, str]) -> None:
    code = (await enrolled(cast, await pushing(cast)))["code"]
    looked = await anybody.get(f"/enrol/{code}?kind=openwrt", headers=headers)
    assert "text/html" in looked.headers["content-type"]
    assert TOKEN.search(looked.text) is None
    powershell = "Mozilla/5.0 (Windows NT; Windows NT 10.0; id-ID) WindowsPowerShell/5.1.19041.1"
    fetched = await anybody.get(f"/enrol/{code}?kind=windows", headers={"User-Agent": powershell})
    assert len(TOKEN.findall(fetched.text)) == 1


async def test_a_head_request_uses_up_no_code(cast: Cast, anybody: httpx.AsyncClient) -> None:
    code = (await enrolled(cast, await pushing(cast)))["code"]
    assert (await anybody.head(f"/enrol/{code}?kind=openwrt")).status_code == 405
    assert (await anybody.get(f"/enrol/{code}?kind=openwrt")).status_code == 200


async def test_without_a_kind_the_code_leads_to_its_page(cast: Cast, anybody: httpx.AsyncClient) -> None:
    made = await enrolled(cast, await pushing(cast))
    answer = await anybody.get(f"/enrol/{made['code']}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"http://sinyal.test/enrol/{made['code']}/status")


async def test_the_page_tells_how_far_the_installation_has_come(
    cast: Cast, anybody: httpx.AsyncClient, agent: Agent, session: AsyncSession
) -> None:
    code = (await enrolled(cast, agent.site["id"]))["code"]

    async def shown() -> str:
        page = await anybody.get(f"/enrol/{code}/status")
        assert page.status_code == 200
        return page.text

    assert "Kode belum dipakai" in await shown()
    agent.token = TOKEN.findall((await anybody.get(f"/enrol/{code}?kind=openwrt")).text)[0]
    assert "laporan pertama belum datang" in await shown()
    batch = [
        {"boot": "b1", "seq": 1, "sent": 3, "rtt_ms": []},
        {"boot": "b1", "seq": 2, "uptime_s": 101, "sent": 3, "rtt_ms": [9]},
    ]
    await agent.push({"boot": "b1", "uptime_s": 101, "agent": "openwrt/1", "batch": batch})
    page = await shown()
    assert "Berjalan: laporan diterima" in page
    assert "1 diterima, 1 ditolak" in page
    assert "jam perangkat belum diatur (NTP)" in page
    async with session.begin():
        await session.execute(
            text("UPDATE device SET heard_at = heard_at - interval '1 hour' WHERE site_id = :site"),
            {"site": agent.site["id"]},
        )
        await session.execute(update(Enrolment).values(used_at=utc_now() - timedelta(hours=2)))
    assert "Tidak ada laporan: yang terakhir 60 menit lalu" in await shown()
    await cast.ana.client.delete(f"/api/v1/sites/{agent.site['id']}/agent")
    assert "sudah dicabut" in await shown()


async def test_pages_show_no_person_and_no_exact_position(cast: Cast, anybody: httpx.AsyncClient) -> None:
    site_id = await pushing(
        cast,
        contact_name="Ibu Rina Kartikasari",
        contact_phone="0812-5550-7713",
        latitude=-0.4321,
        longitude=117.1234,
        location_note="di belakang rumah Pak RT",
    )
    code = (await enrolled(cast, site_id))["code"]
    for page in ("status", "card"):
        answer = await anybody.get(f"/enrol/{code}/{page}")
        assert answer.status_code == 200
        for secret in ("Rina", "5550", "0.4321", "117.1234", "Pak RT"):
            assert secret not in answer.text
        assert "style-src 'sha256-" in answer.headers["content-security-policy"]
    assert code[:4] + "-" + code[4:] in answer.text


async def test_only_sites_that_report_themselves_have_an_agent(cast: Cast) -> None:
    site = await register(cast, probe="icmp")
    for refused in (
        await cast.ana.post(f"/sites/{site['id']}/enrolment"),
        await cast.ana.post(f"/sites/{site['id']}/agent?kind=linux"),
    ):
        assert refused.status_code == 409
        assert refused.json()["detail"] == "This site is measured by icmp: set its probe to push first"


async def test_an_agent_is_issued_rotated_previewed_and_revoked(cast: Cast, session: AsyncSession) -> None:
    site_id = await pushing(cast)
    path = f"/sites/{site_id}/agent?kind=routeros"
    first, second = await cast.ana.post(path), await cast.ana.post(path)
    assert (first.status_code, first.headers["cache-control"]) == (201, "no-store")
    assert TOKEN.findall(first.text) != TOKEN.findall(second.text)
    assert await good_tokens(session, site_id) == 1
    seen = await cast.vera.get(path)
    assert seen.text == TOKEN.sub("sd-TOKEN", second.text)
    gone = [(await cast.ana.client.delete(f"/api/v1/sites/{site_id}/agent")).status_code for _ in range(2)]
    assert gone == [204, 204]
    assert await good_tokens(session, site_id) == 0
    async with session.begin():
        told = str([(one.action, one.after) for one in await session.scalars(select(Audit))])
    assert told.count("revoke_agent") == 1
    assert TOKEN.search(told) is None


def test_a_refusal_fails_aloud_whatever_runs_it() -> None:
    said = 'it\'s "over" $(reboot)'
    assert install_commands.refusal(AgentKind.ROUTEROS, said) == ':error "its over (reboot)"\n'
    assert install_commands.refusal(AgentKind.WINDOWS, said) == "throw 'its over (reboot)'\n"
    done = shell(install_commands.refusal(AgentKind.LINUX, said))
    assert (done.returncode, done.stderr) == (1, "its over (reboot)\n")


def test_no_letter_of_a_code_is_taken_for_another() -> None:
    assert not set(enrolment.ALPHABET) & set("0O1IL")
    assert len(set(enrolment.ALPHABET)) == 31
