"""Saluran: the list, a new one whose secret is shown once, a test, a pause, and what may go wrong."""

from app.alerts.models import Channel
from tests.conftest import Cast
from tests.support.alerts import AlertDesk
from tests.support.console import Page, Visitor

HOSTILE = "<script>alert(1)</script>\u202egnp.exe"
NEW = "/console/channels/new"
URL = "https://192.0.2.10/rahasia?token=T0psecret"


async def create(officer: Visitor, **fields: str) -> Page:
    given = {"name": "Grup jaga", "url": URL, **fields}
    return await officer.submit(await officer.get(NEW), NEW, **given)


async def test_a_webhook_is_created_its_secret_shown_once_and_its_url_never(
    cast: Cast, officer: Visitor, reader: Visitor
) -> None:
    assert "mailtos://PENGGUNA:SANDI@" in (await officer.get(NEW)).text
    empty = await officer.get("/console/channels")
    assert "Belum ada saluran" in empty.text
    made = await create(officer, name=HOSTILE)
    assert made.status == 201
    [secret] = made.tree.xpath("//code[@class='secret']/text()")
    [path] = made.tree.xpath("//main//a[contains(@href, '/console/channels/')]/@href")
    for browser in (officer, reader):
        for page in (await browser.get(path), await browser.get("/console/channels")):
            assert "<script>alert" not in page.response.text
            assert secret not in page.response.text
            assert "T0psecret" not in page.response.text
            assert "belum teruji" in page.text
    page = await officer.get(path)
    assert page.form(path + "#change")["url"] == ""
    rules = await officer.get("/console/rules")
    assert "Putus layanan" in rules.text, "the usual rules came with it"
    assert not (await reader.get(path)).tree.xpath("//main//form")
    assert (await reader.get(NEW)).status == 403


async def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(officer: Visitor) -> None:
    page = await create(officer, url="json://169.254.169.254/", name="Jebakan", fallback="999999", secret="short")
    assert page.status == 422
    assert {"url", "secret"} <= page.errors().keys() or page.errors().keys() & {"url", "secret", "fallback"}
    assert page.form(NEW)["name"] == "Jebakan"
    assert "json://169" not in str(page.errors())
    cut_off = await create(officer, url="mailtos://mail.example.go.id")
    assert "mailtos://PELADEN/PENERIMA" in cut_off.errors()["url"]


async def test_it_is_changed_paused_and_deleted(
    desk: AlertDesk, officer: Visitor, neighbour: Visitor, province: Visitor
) -> None:
    channel = await desk.channel(version=0)
    rule = await desk.rule(channel)
    path = f"/console/channels/{channel}"
    assert (await neighbour.get(path)).status == 404
    page = await officer.get(path)
    changed = await officer.submit(page, f"{path}#change", name="Piket", form="short", language="en")
    assert changed.response.headers["location"] == f"{path}?notice=saved"
    stale = await officer.submit(page, f"{path}#change", name="Lain")
    assert (stale.status, "Sementara itu" in stale.text) == (412, True)
    same = await officer.submit(await officer.get(path), f"{path}#change")
    assert "nothing_changed" in same.response.headers["location"]
    now = await officer.get(path)
    keys = now.form(f"{path}#change")
    paused = await officer.post(path, {"csrf_token": keys["csrf_token"], "do": "pause"})
    assert paused.status == 303
    assert "dijeda" in (await officer.get(path)).text
    refused = await officer.submit(await officer.get(path), f"{path}/delete")
    assert (refused.status, "memberi tahu lewat saluran ini" in refused.text) == (409, True)
    of_rule = f"/console/rules/{rule}"
    await province.submit(await province.get(of_rule), f"{of_rule}/delete")
    gone = await officer.submit(await officer.get(path), f"{path}/delete")
    assert gone.response.headers["location"].endswith("notice=channel_deleted")
    assert (await officer.get(path)).status == 404


async def test_a_failing_channel_says_why_and_a_test_leads_to_its_delivery(desk: AlertDesk, officer: Visitor) -> None:
    channel = await desk.channel()
    await desk.change(Channel, channel, failures=3, problem="HTTP 502")
    path = f"/console/channels/{channel}"
    page = await officer.get(path)
    for said in ("gagal mengirim", "3 pengiriman berturut-turut gagal", "HTTP 502"):
        assert said in page.text
    sent = await officer.submit(page, f"{path}/test")
    shown = await officer.follow(sent)
    assert "Pesan uji sedang dikirim" in shown.text
    assert "menunggu dikirim" in shown.text
    assert "PESAN UJI" in shown.text
