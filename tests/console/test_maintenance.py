"""Pemeliharaan: calendar, preview, planning, changing, ending early and cancelling."""

from datetime import date, timedelta

from app.console.maintenance_calendar import first_of, month_weeks
from app.core.clock import WITA, to_wita, utc_now
from tests.conftest import Cast
from tests.factories import register
from tests.support.console import Page, Visitor

HOSTILE = "<script>alert(1)</script>\u202egnp.exe"
NEW = "/console/maintenance/new"


def local(hours: float) -> str:
    return (utc_now() + timedelta(hours=hours)).astimezone(WITA).strftime("%Y-%m-%dT%H:%M")


async def plan(officer: Visitor, **fields: str) -> Page:
    given = {"title": "Ganti kabel", "started_at": local(24), "ended_at": local(26), "region": "64.02", **fields}
    return await officer.submit(await officer.get(NEW), NEW, **given)


def test_a_calendar_begins_on_monday_and_an_end_at_midnight_is_not_the_next_day() -> None:
    window = {"started_at": "2026-11-29T20:00:00+08:00", "ended_at": "2026-12-02T00:00:00+08:00"}
    weeks = month_weeks(date(2026, 12, 1), [window])
    assert weeks[0][0].date == date(2026, 11, 30)
    assert [day.date.day for week in weeks for day in week if day.windows] == [30, 1]
    assert first_of("2026-10", date(2026, 11, 24)) == date(2026, 10, 1)
    for odd in ("2026-13", "0001-01", "9999-12", "٢٠٢٦-11", ""):
        assert first_of(odd, date(2026, 11, 24)) == date(2026, 11, 1)


async def test_a_window_is_previewed_planned_and_stands_in_the_calendar(cast: Cast, officer: Visitor) -> None:
    await register(cast)
    await register(cast, host="198.51.100.21", village_code="64.02.05.2004")
    preview = await plan(officer, do="preview", title=HOSTILE)
    assert preview.status == 200
    assert "Mencakup 2 titik akses selama 2 jam" in preview.text
    assert preview.form(NEW)["title"] == HOSTILE
    assert (await cast.sari.get("/maintenance")).json()["items"] == []
    planned = await officer.submit(preview, NEW, do="plan")
    again = await officer.submit(preview, NEW, do="plan")
    assert planned.response.headers["location"] == again.response.headers["location"], "sent twice, planned once"
    page = await officer.follow(planned)
    assert "Pemeliharaan sudah dicatat" in page.text
    assert "<script>alert" not in page.response.text
    month = to_wita(utc_now() + timedelta(hours=24)).strftime("%Y-%m")
    calendar = await officer.get(f"/console/maintenance?month={month}")
    assert calendar.tree.xpath("//table[@class='calendar']//a[contains(@class, 'w-planned')]")
    assert "Kabupaten Kutai Kartanegara" in calendar.text
    assert "<script>alert" not in calendar.response.text
    assert "Tidak ada pemeliharaan dalam bulan ini" in (await officer.get("/console/maintenance?month=2025-01")).text
    assert (await officer.get("/console/maintenance?status=odd")).status == 422


async def test_what_is_wrong_stands_beside_its_field_and_a_late_window_needs_a_reason(
    cast: Cast, officer: Visitor, reader: Visitor
) -> None:
    await register(cast)
    wrong = await plan(officer, started_at="besok", ended_at="", site="64.99", region="")
    assert wrong.status == 422
    assert {"started_at", "ended_at"} <= set(wrong.errors())
    assert wrong.form(NEW)["site"] == "64.99"
    late = await plan(officer, started_at=local(-2), do="preview", ended_at=local(1))
    assert "Sebagian waktunya sudah lewat" in late.text
    assert "isi alasannya" in late.text
    refused = await officer.submit(late, NEW, do="plan")
    assert (refused.status, set(refused.errors())) == (422, {"reason"})
    page = await officer.follow(await officer.submit(refused, NEW, do="plan", reason="baru dilaporkan"))
    assert "diumumkan terlambat" in page.text
    assert (await plan(officer, region="64.03")).status == 403
    alone = await plan(officer, site="64.02.05.2003-01", do="plan")
    assert "64.02.05.2003-01" in (await officer.follow(alone)).text, "the site, not the region it began with"
    read = await reader.get("/console/maintenance")
    assert "Rencanakan pemeliharaan" not in read.text
    assert (await reader.get(NEW)).status == 403


async def test_a_window_is_changed_ended_early_and_cancelled_with_a_reason(
    cast: Cast, officer: Visitor, neighbour: Visitor
) -> None:
    await register(cast)
    running = {"started_at": local(-1), "ended_at": local(2), "reason": "mendadak", "do": "plan"}
    path = (await plan(officer, **running)).response.headers["location"].split("?")[0]
    assert (await neighbour.get(path)).status == 404
    page = await officer.get(path)
    number = path.rsplit("/", 1)[1]
    other = await cast.ana.patch(f"/maintenance/{number}", {"title": "Ganti tiang"})
    assert other.status_code == 200
    stale = await officer.submit(page, f"{path}#change", title="Ganti kabel utama")
    assert (stale.status, "Ganti tiang" in stale.text) == (412, True)
    assert stale.form(f"{path}#change")["title"] == "Ganti kabel utama"
    assert (await officer.submit(stale, f"{path}#change")).status == 303
    page = await officer.get(path)
    assert (await officer.post(path, {**page.form(path), "do": "end_now"})).status == 303
    window = (await cast.ana.get(f"/maintenance/{number}")).json()
    assert (window["status"], window["title"]) == ("past", "Ganti kabel utama")
    page = await officer.get(path)
    refused = await officer.submit(page, f"{path}/cancel")
    assert (refused.status, set(refused.errors())) == (422, {"reason"})
    assert (await officer.submit(refused, f"{path}/cancel", cancel_reason="salah wilayah")).status == 303
    page = await officer.get(path)
    assert "dibatalkan" in page.text
    assert not page.tree.xpath("//form[contains(@action, '/cancel')]")
