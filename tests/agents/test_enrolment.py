"""Enrolment codes: one line at the site installs one agent, a page shows whether it works, codes cannot be guessed."""

import asyncio
import re
import subprocess
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Audit
from app.agents import enrolment, install_commands, rejection_words, scripts
from app.agents.models import AgentKind, DeviceToken, Enrolment
from app.core.clock import to_slot, utc_now
from app.measurements import store as measurements
from app.push.rejections import REJECTION_MESSAGES
from probes.contract import AGENT, Outcome, Reading
from tests.conftest import Cast
from tests.factories import register
from tests.support.agent_fixtures import Agent

TOKEN = re.compile(r"sd-[A-Za-z0-9_-]{43}")


@pytest.fixture
async def visitor(app: FastAPI) -> Any:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sinyal.test") as client:
        yield client


def run_shell(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh"], input=script, capture_output=True, text=True, timeout=10)


async def create_code(cast: Cast, site_id: int) -> dict[str, Any]:
    answer = await cast.ana.post(f"/sites/{site_id}/enrolment")
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()  # type: ignore[no-any-return]


async def create_push_site(cast: Cast, **changes: Any) -> int:
    return int((await register(cast, probe="push", host=None, **changes))["id"])


async def count_valid_tokens(session: AsyncSession, site_id: int) -> int:
    query = select(DeviceToken).where(DeviceToken.site_id == site_id, DeviceToken.revoked_at.is_(None))
    async with session.begin():
        return len(list(await session.scalars(query)))


async def test_a_code_is_easy_to_read_and_stored_as_a_digest(cast: Cast, session: AsyncSession) -> None:
    created = await create_code(cast, await create_push_site(cast))
    assert re.fullmatch(r"[A-HJKMNP-Z2-9]{8}", created["code"])
    assert created["commands"].keys() == set(scripts.FILES)
    assert created["card_url"].endswith(f"/enrol?page=card#{created['code']}")
    assert created["status_url"].endswith(f"/enrol#{created['code']}")
    asked = [
        urlsplit(address) for text in created["commands"].values() for address in re.findall(r"https?://[^'\" ]+", text)
    ]
    for address in (*asked, urlsplit(created["card_url"]), urlsplit(created["status_url"])):
        assert created["code"] not in address.path + address.query, "proxies log paths and queries"
    async with session.begin():
        stored = (await session.scalars(select(Enrolment))).one()
        assert created["code"].encode() not in stored.digest
        audited = str([(entry.action, entry.after) for entry in await session.scalars(select(Audit))])
    assert "enrol" in audited
    assert created["code"] not in audited


async def fetch_script(visitor: httpx.AsyncClient, code: str, kind: str = "linux", **headers: str) -> httpx.Response:
    """Post the code as the line for a device does."""
    return await visitor.post("/enrol", content=f"code={code}&kind={kind}", headers=headers)


async def open_page(visitor: httpx.AsyncClient, code: str, page: str = "status") -> httpx.Response:
    """Post the code as the form does, and follow to the page."""
    return await visitor.post(f"/enrol/{page}", data={"code": code}, follow_redirects=True)


async def fetch_token(visitor: httpx.AsyncClient, code: str, kind: str = "linux") -> str:
    """Fetch the script; return the token in it."""
    answer = await fetch_script(visitor, code, kind)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    (token,) = TOKEN.findall(answer.text)
    return str(token)


async def push_status(visitor: httpx.AsyncClient, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return (await visitor.post("/api/v1/push", json={"boot": "b1", "batch": []}, headers=headers)).status_code


async def test_a_code_gives_the_script_until_the_agents_first_push_and_then_a_failing_script(
    cast: Cast, visitor: httpx.AsyncClient, session: AsyncSession
) -> None:
    site_id = await create_push_site(cast)
    code = (await create_code(cast, site_id))["code"]
    first = await fetch_token(visitor, f"{code[:4].lower()}-{code[4:]}", "linux")
    second = await fetch_token(visitor, code, "openwrt")
    assert await count_valid_tokens(session, site_id) == 1, "the first was never used"
    assert [await push_status(visitor, token) for token in (first, second)] == [401, 200]
    refused = await fetch_script(visitor, code)
    assert (refused.status_code, TOKEN.search(refused.text)) == (410, None)
    for_busybox = await fetch_script(visitor, code, "openwrt")
    assert (for_busybox.status_code, for_busybox.text) == (200, refused.text), "its wget discards the body of a 410"
    done = await asyncio.to_thread(run_shell, refused.text)
    assert (done.returncode, "sudah dipakai" in done.stderr, done.stdout) == (1, True, "")
    async with session.begin():
        entries = [entry for entry in await session.scalars(select(Audit)) if entry.action == "issue_agent"]
    assert all(entry.actor.startswith("enrolment by ") and entry.address == "127.0.0.1" for entry in entries)
    assert [entry.after["kind"] for entry in entries if entry.after] == ["linux", "openwrt"]


async def test_a_script_may_be_fetched_five_times_within_an_hour(
    cast: Cast, visitor: httpx.AsyncClient, session: AsyncSession
) -> None:
    often, late = (
        (await create_code(cast, await create_push_site(cast)))["code"],
        (await create_code(cast, await create_push_site(cast)))["code"],
    )
    for _ in range(5):
        await fetch_token(visitor, often)
    assert "sudah dipakai" in (await fetch_script(visitor, often)).text
    await fetch_token(visitor, late)
    async with session.begin():
        await session.execute(update(Enrolment).values(used_at=utc_now() - timedelta(hours=1)))
    assert (await fetch_script(visitor, late)).status_code == 410


async def test_the_old_agents_token_stays_valid_until_the_new_agents_first_push(
    cast: Cast, visitor: httpx.AsyncClient, agent: Agent, session: AsyncSession
) -> None:
    assert await push_status(visitor, agent.token) == 200
    new = await fetch_token(visitor, (await create_code(cast, agent.site["id"]))["code"])
    assert await push_status(visitor, agent.token) == 200, "the new agent has not sent a push"
    assert await push_status(visitor, new) == 200
    async with session.begin():
        query = select(DeviceToken).where(DeviceToken.site_id == agent.site["id"]).order_by(DeviceToken.id)
        old, current = await session.scalars(query)
        audited = [entry.after for entry in await session.scalars(select(Audit)) if entry.action == "revoke_agent"]
    assert (old.revoked_by or "").endswith(f"replaced by token {current.id}")
    assert current.revoked_at is None
    assert audited == [{"device_token_ids": [old.id]}]


async def test_revoking_an_agent_withdraws_its_codes(cast: Cast, visitor: httpx.AsyncClient) -> None:
    site_id = await create_push_site(cast)
    unused, fetched = (await create_code(cast, site_id))["code"], (await create_code(cast, site_id))["code"]
    await fetch_token(visitor, fetched)
    assert (await cast.ana.client.delete(f"/api/v1/sites/{site_id}/agent")).status_code == 204
    for code in (unused, fetched):
        refused = await fetch_script(visitor, code)
        assert (refused.status_code, "sudah ditarik" in refused.text) == (410, True)
    assert "sudah ditarik" in (await open_page(visitor, unused)).text
    assert "sudah dicabut" in (await open_page(visitor, fetched)).text


async def test_a_browser_that_opens_an_expired_code_gets_a_page(visitor: httpx.AsyncClient) -> None:
    for kind in ("linux", "openwrt"):
        page = await visitor.get(f"/enrol/ZZZZ2222?kind={kind}", headers={"Accept": "text/html,*/*"})
        assert (page.status_code, page.headers["content-type"]) == (410, "text/html; charset=utf-8")
        assert "<h1>" in page.text or "verdict" in page.text


async def test_a_missing_kind_is_rejected_with_the_possible_ones(cast: Cast) -> None:
    refused = await cast.ana.post(f"/sites/{await create_push_site(cast)}/agent")
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["field"], error["suggestion"]) == ("kind", "One of: routeros, openwrt, linux, windows, own")


async def test_the_kind_own_gets_only_a_token(cast: Cast, visitor: httpx.AsyncClient) -> None:
    site_id = await create_push_site(cast)
    issued = await cast.ana.post(f"/sites/{site_id}/agent?kind=own")
    assert (issued.status_code, TOKEN.sub("", issued.text)) == (201, "\n")
    assert await push_status(visitor, issued.text.strip()) == 200
    assert (await cast.vera.get(f"/sites/{site_id}/agent?kind=own")).text == "sd-TOKEN\n"
    assert (await cast.vera.get(f"/sites/{site_id}/device")).json()["kind"] == "own"


async def test_without_a_public_url_the_answer_warns_which_address_is_used(cast: Cast, app: FastAPI) -> None:
    site_id = await create_push_site(cast)
    created = await create_code(cast, site_id)
    assert "SINYAL_PUBLIC_URL is not set" in created["warnings"][0]
    assert created["card_url"].partition("/enrol")[0] in created["warnings"][0]
    answer = await cast.ana.post(f"/sites/{site_id}/agent?kind=linux")
    assert answer.headers["x-sinyal-warning"] == created["warnings"][0]
    app.state.settings = app.state.settings.model_copy(update={"public_url": "https://sinyal.example"})
    assert (await create_code(cast, site_id))["warnings"] == []


async def test_unknown_and_expired_codes_get_the_same_answer(
    cast: Cast, visitor: httpx.AsyncClient, session: AsyncSession
) -> None:
    code = (await create_code(cast, await create_push_site(cast)))["code"]
    async with session.begin():
        await session.execute(update(Enrolment).values(expires_at=utc_now() - timedelta(seconds=1)))
    for ask in (fetch_script, open_page, partial(open_page, page="card")):
        expired, unknown = await ask(visitor, code), await ask(visitor, "ZZZZ2222")
        assert (expired.status_code, expired.text) == (unknown.status_code, unknown.text)
        assert expired.status_code == 410


async def test_a_new_code_withdraws_the_open_one(cast: Cast, visitor: httpx.AsyncClient) -> None:
    site_id = await create_push_site(cast)
    first, second = await create_code(cast, site_id), await create_code(cast, site_id)
    assert (await fetch_script(visitor, first["code"])).status_code == 410
    assert (await fetch_script(visitor, second["code"])).status_code == 200


async def test_guessing_codes_is_throttled(cast: Cast, visitor: httpx.AsyncClient) -> None:
    code = (await create_code(cast, await create_push_site(cast)))["code"]
    answers = [await open_page(visitor, f"ABCD{n:04}") for n in range(2222, 2244)]
    assert {answer.status_code for answer in answers[:20]} == {410}
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert (await open_page(visitor, code)).status_code == 429, "a valid code is throttled too"


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "WhatsApp/2.23.20.0"},
        {"User-Agent": "facebookexternalhit/1.1"},
        {"User-Agent": "Mozilla/5.0 (Linux; Android 14) Chrome/130", "Accept": "text/html,*/*"},
    ],
)
async def test_browsers_and_previews_do_not_use_up_a_code(
    cast: Cast, visitor: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    code = (await create_code(cast, await create_push_site(cast)))["code"]
    viewed = await visitor.get(f"/enrol/{code}?kind=openwrt", headers=headers)
    assert "text/html" in viewed.headers["content-type"]
    assert TOKEN.search(viewed.text) is None
    powershell = "Mozilla/5.0 (Windows NT; Windows NT 10.0; id-ID) WindowsPowerShell/5.1.19041.1"
    fetched = await visitor.get(f"/enrol/{code}?kind=windows", headers={"User-Agent": powershell})
    assert len(TOKEN.findall(fetched.text)) == 1


async def test_a_head_request_does_not_use_up_a_code(cast: Cast, visitor: httpx.AsyncClient) -> None:
    code = (await create_code(cast, await create_push_site(cast)))["code"]
    assert (await visitor.head(f"/enrol/{code}?kind=openwrt")).status_code == 405
    assert (await visitor.get(f"/enrol/{code}?kind=openwrt")).status_code == 200


async def test_links_of_cards_printed_before_codes_left_the_address_lead_to_the_pages(
    cast: Cast, visitor: httpx.AsyncClient
) -> None:
    code = (await create_code(cast, await create_push_site(cast)))["code"]
    for link, heading in (("", "Kode belum dipakai"), ("/status", "Kode belum dipakai"), ("/card", "Kartu pemasangan")):
        page = await visitor.get(f"/enrol/{code}{link}", follow_redirects=True)
        assert (page.status_code, heading in page.text) == (200, True)
        assert code not in str(page.url)
        visitor.cookies.clear()


async def test_a_page_without_a_code_asks_for_one_and_keeps_it_out_of_the_address(
    cast: Cast, visitor: httpx.AsyncClient
) -> None:
    code = (await create_code(cast, await create_push_site(cast)))["code"]
    form = await visitor.get("/enrol/card", follow_redirects=True)
    assert str(form.url) == "http://sinyal.test/enrol?page=card"
    assert '<form method="post" action="enrol/card">' in form.text
    assert "script-src 'sha256-" in form.headers["content-security-policy"]
    assert "form-action 'self'" in form.headers["content-security-policy"]
    typed = await visitor.post("/enrol/card", data={"code": f" {code[:4].lower()}-{code[4:]}"})
    assert (typed.status_code, typed.headers["location"]) == (303, "card")
    assert re.search(rf"={code};.*HttpOnly.*Path=/enrol.*SameSite=strict", typed.headers["set-cookie"])
    assert "form-action 'none'" in (await visitor.get("/enrol/card")).headers["content-security-policy"]


async def test_a_form_that_is_none_of_ours_uses_nothing_up(cast: Cast, visitor: httpx.AsyncClient) -> None:
    code = (await create_code(cast, await create_push_site(cast)))["code"]
    for body in (
        b"",
        b"\xff\x00",
        b"code=" + b"A" * 100_000,
        f"code={code}".encode(),
        f"code={code}&kind=own".encode(),
    ):
        refused = await visitor.post("/enrol", content=body)
        assert (refused.status_code, TOKEN.search(refused.text)) == (422, None)
    assert (await visitor.post("/enrol/status", data={"code": "a;b\r\n"})).status_code == 410
    await fetch_token(visitor, code)


async def test_the_status_page_shows_the_stage_of_the_installation(
    cast: Cast, visitor: httpx.AsyncClient, agent: Agent, session: AsyncSession
) -> None:
    code = (await create_code(cast, agent.site["id"]))["code"]

    async def status_page() -> str:
        page = await open_page(visitor, code)
        assert page.status_code == 200
        return page.text

    assert "Kode belum dipakai" in await status_page()
    agent.token = TOKEN.findall((await fetch_script(visitor, code, "openwrt")).text)[0]
    assert "laporan pertama belum datang" in await status_page()
    batch = [
        {"boot": "b1", "seq": 1, "sent": 3, "rtt_ms": []},
        {"boot": "b1", "seq": 2, "uptime_s": 101, "sent": 3, "rtt_ms": [9]},
    ]
    await agent.push({"boot": "b1", "uptime_s": 101, "agent": "openwrt/1", "batch": batch})
    page = await status_page()
    assert "Berjalan: laporan diterima" in page
    assert "1 diterima, 1 ditolak" in page
    assert "jam perangkat belum diatur (NTP)" in page
    async with session.begin():
        await session.execute(
            text("UPDATE device SET heard_at = heard_at - interval '1 hour' WHERE site_id = :site"),
            {"site": agent.site["id"]},
        )
        await session.execute(update(Enrolment).values(used_at=utc_now() - timedelta(hours=2)))
    assert "Tidak ada laporan: yang terakhir 60 menit lalu" in await status_page()
    await cast.ana.client.delete(f"/api/v1/sites/{agent.site['id']}/agent")
    assert "sudah dicabut" in await status_page()


async def test_the_status_page_shows_the_link_and_warns_of_two_devices(
    cast: Cast, visitor: httpx.AsyncClient, agent: Agent, session: AsyncSession
) -> None:
    code = (await create_code(cast, agent.site["id"]))["code"]
    agent.token = await fetch_token(visitor, code, "openwrt")
    await agent.push({"boot": "b1", "uptime_s": 103, "agent": "openwrt/1", "batch": [{"boot": "b1", "seq": "x"}]})
    page = (await open_page(visitor, code)).text
    assert "belum terukur" in page
    assert "ada isian laporan yang salah" in page
    assert "tidak menjawab" not in page
    assert 'href="card"' in page
    await record_looks(agent, (21_300,), (21_300, 24_000), (21_300, 24_000, 300_000))
    async with session.begin():
        await session.execute(
            text(
                "UPDATE device SET two_agents_at = now(), network_changed_at = now() - interval '8 days', "
                "last_rejection = 'json_invalid', near_at = now(), lan = true, terminal = false, "
                "carrier = true WHERE site_id = :site"
            ),
            {"site": agent.site["id"]},
        )
    page = (await open_page(visitor, code)).text
    for shown in ("33% hilang, 24,0 ms", "<td>1/3</td>", "<td>2/3</td>", "<td>3/3</td>", "<td>21,3 ms</td>"):
        assert shown in page
    assert "Dua perangkat melapor dengan token yang sama" in page
    assert "jaringan baru" not in page, "longer ago than a week"
    assert "isi laporan tidak dapat dibaca" in page
    assert "json_invalid" not in page
    answers = re.findall(r"<dt>([^<]+)<small[^<]*</small></dt>\s*<dd>((?:tidak )?(?:menjawab|ada))<", page)
    assert answers == [
        ("Gerbang (router)", "menjawab"),
        ("Terminal (modem, antena)", "tidak menjawab"),
        ("Kabel atau sinyal antarmuka", "ada"),
    ]


async def record_looks(agent: Agent, *rtts_us: tuple[int, ...]) -> None:
    """Store a look a minute, of three packets each, as the worker does."""
    now = to_slot(utc_now())
    looks = [
        Reading(agent.site["id"], now - 60 * n, Outcome.OK, 3, rtt_us, 60, None, AGENT)
        for n, rtt_us in enumerate(rtts_us)
    ]
    async with agent.session.begin():
        await measurements.record(agent.session, looks)


def test_every_rejection_has_words_for_whoever_stands_before_the_device() -> None:
    """No page shows a code of ours: what no other words fit is a field that is wrong."""
    fields = {"not_a_number", "not_a_flag", "not_whole", "out_of_range", "wrong_order"}
    fields |= {"bad_boot", "bad_agent", "bad_epochs", "bad_starlink", "not_objects", "not_in_order"}
    assert {code for code in REJECTION_MESSAGES if rejection_words.in_words(code) is rejection_words.FIELD} <= fields


async def test_pages_show_no_person_and_no_exact_position(cast: Cast, visitor: httpx.AsyncClient) -> None:
    site_id = await create_push_site(
        cast,
        contact_name="Ibu Rina Kartikasari",
        contact_phone="0812-5550-7713",
        latitude=-0.4321,
        longitude=117.1234,
        location_note="di belakang rumah Pak RT",
    )
    code = (await create_code(cast, site_id))["code"]
    for page in ("status", "card"):
        answer = await open_page(visitor, code, page)
        assert answer.status_code == 200
        for secret in ("Rina", "5550", "0.4321", "117.1234", "Pak RT"):
            assert secret not in answer.text
        assert "style-src 'sha256-" in answer.headers["content-security-policy"]
    assert code[:4] + "-" + code[4:] in answer.text


async def test_only_push_sites_have_an_agent(cast: Cast) -> None:
    site = await register(cast, probe="icmp")
    for refused in (
        await cast.ana.post(f"/sites/{site['id']}/enrolment"),
        await cast.ana.post(f"/sites/{site['id']}/agent?kind=linux"),
    ):
        assert refused.status_code == 409
        assert refused.json()["detail"] == "This site is measured by icmp: set its probe to push first"


async def test_an_agent_is_issued_rotated_previewed_and_revoked(cast: Cast, session: AsyncSession) -> None:
    site_id = await create_push_site(cast)
    path = f"/sites/{site_id}/agent?kind=routeros"
    first, second = await cast.ana.post(path), await cast.ana.post(path)
    assert (first.status_code, first.headers["cache-control"]) == (201, "no-store")
    assert TOKEN.findall(first.text) != TOKEN.findall(second.text)
    assert await count_valid_tokens(session, site_id) == 1
    preview = await cast.vera.get(path)
    assert preview.text == TOKEN.sub("sd-TOKEN", second.text)
    statuses = [(await cast.ana.client.delete(f"/api/v1/sites/{site_id}/agent")).status_code for _ in range(2)]
    assert statuses == [204, 204]
    assert await count_valid_tokens(session, site_id) == 0
    async with session.begin():
        audited = str([(entry.action, entry.after) for entry in await session.scalars(select(Audit))])
    assert audited.count("revoke_agent") == 1
    assert TOKEN.search(audited) is None


def test_a_failing_script_prints_its_message_on_every_platform() -> None:
    message = 'it\'s "over" $(reboot)'
    assert install_commands.failing_script(AgentKind.ROUTEROS, message) == ':error "its over (reboot)"\n'
    assert install_commands.failing_script(AgentKind.WINDOWS, message) == "throw 'its over (reboot)'\n"
    done = run_shell(install_commands.failing_script(AgentKind.LINUX, message))
    assert (done.returncode, done.stderr) == (1, "its over (reboot)\n")


def test_a_code_has_no_characters_that_are_easily_confused() -> None:
    assert not set(enrolment.ALPHABET) & set("0O1IL")
    assert len(set(enrolment.ALPHABET)) == 31
