"""Sites behind a tower that was out: the report names the tower, its incident and cause, and proves their seconds."""

from datetime import datetime, timedelta
from typing import Any

from app.incidents import outage_causes
from app.registry.models import Cause
from tests.conftest import Person
from tests.support.monthly_close import AFTERWARDS
from tests.support.report_month import BEGAN, OUTAGE, ReportMonth
from tests.support.site_histories import execute, set_states, site_since
from tests.support.uptime import get

LATER = OUTAGE + timedelta(hours=4)


async def behind_a_tower(month: ReportMonth, provider: str) -> int:
    """Let `here` have been unreachable for 4 h behind a tower of that provider; the tower was without power."""
    states = (OUTAGE, "down"), (LATER, "up"), AFTERWARDS
    tower = await site_since(month.session, month.cast, BEGAN, *states, provider=provider, name="Menara Ulu")
    await set_states(month.session, month.here, (BEGAN, "up"), (OUTAGE, "unreachable"), (LATER, "up"), AFTERWARDS)
    values: dict[str, Any] = {"here": month.here, "tower": tower, "start": OUTAGE, "end": LATER}
    await execute(
        month.session,
        "UPDATE site SET parent_id = :tower WHERE id = :here",
        "UPDATE site_configuration SET parent_id = :tower WHERE site_id = :here",
        "UPDATE state_segment SET confirmed_at = cast(:start AS timestamptz) + interval '10 s', "
        "last_loss_at = cast(:end AS timestamptz) - interval '60 s' WHERE site_id = :here AND state = 'unreachable'",
        "INSERT INTO incident (kind, status, opened_at, started_at, ended_at, ticket_no, version) "
        "VALUES ('single', 'resolved', :start, :start, :end, 'T-9', 1)",
        "INSERT INTO incident_site (incident_id, site_id, started_at, ended_at, unseen_s) "
        "SELECT max(id), :tower, :start, :end, 0 FROM incident",
        **values,
    )
    async with month.session.begin():
        await outage_causes.set_cause(month.session, [tower], OUTAGE, LATER, Cause.POWER, "ana")
    await month.invalidate()
    await month.close()
    return tower


async def outage_of(month: ReportMonth, report: int, person: Person) -> dict[str, Any]:
    data = (await get(person, f"/reports/{report}"))["data"]
    [outage] = [each for each in data["outages"] if each["site"] == month.codes[month.here]]
    return outage  # type: ignore[no-any-return]


async def test_a_counted_outage_behind_a_tower_has_its_evidence(month: ReportMonth) -> None:
    await behind_a_tower(month, "iconplus")
    draft = await month.draft()
    outage = await outage_of(month, draft["id"], month.cast.icon)
    assert (outage["counted_s"], outage["unreachable_s"], outage["cause"]) == (4 * 3600, 4 * 3600, None)
    assert outage["compared_s"] == 4 * 3600 - 60, "proven by its own losses"
    assert datetime.fromisoformat(outage["confirmed_at"]) == OUTAGE + timedelta(seconds=10)
    assert (outage["parent_name"], outage["parent_ticket_no"], outage["parent_cause"]) == ("Menara Ulu", "T-9", "power")
    assert outage["parent_incident_id"] is not None
    page = await month.cast.icon.get(f"/reports/{draft['id']}/document", params={"format": "html"})
    assert "di balik Menara Ulu" in page.text
    assert "tidak mengubah hitungan titik akses di baliknya" in " ".join(page.text.split())


async def test_a_tower_of_another_provider_is_not_named(month: ReportMonth) -> None:
    await behind_a_tower(month, "telkom-wms")
    outage = await outage_of(month, (await month.draft())["id"], month.cast.icon)
    assert outage["unreachable_s"] == 4 * 3600
    assert {value for name, value in outage.items() if name.startswith("parent_")} == {None}
