"""The text that an officer copies into a provider's ticket."""

from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI

from app.core.clock import to_slot
from app.core.i18n import write_moment
from app.incidents.ticket_text import Ticket, TicketSite, ticket_text
from app.measurements.store import record
from app.postgres.engine import transaction
from probes.contract import CENTRAL, Outcome, Reading
from tests.support.incident_scenario import IncidentScenario

OUTAGE: dict[str, Any] = {
    "code": "64.02.05.2003-01",
    "name": "Balai\nDesa",
    "village": "Muara Badak Ulu",
    "subdistrict": "Muara Badak",
    "district": "Kabupaten Kutai Kartanegara",
    "technology": "leo",
    "contract_number": None,
    "last_ok_at": datetime(2026, 11, 24, 13, 30, 24, tzinfo=UTC),
    "started_at": datetime(2026, 11, 24, 13, 31, 24, tzinfo=UTC),
    "confirmed_at": datetime(2026, 11, 24, 13, 31, 34, tzinfo=UTC),
    "ended_at": datetime(2026, 11, 24, 13, 36, 14, tzinfo=UTC),
    "duration_s": 290,
    "duration_min_s": 280,
    "duration_max_s": 350,
}


def ticket(*, sites_omitted: int = 0, service_no: str | None = "4700001-0021", **changes: Any) -> str:
    site = TicketSite(OUTAGE | changes, service_no, {"central": 12, "silence": 3})
    incident = {"id": 71, "ticket_no": None, "cause": "power"}
    return ticket_text(Ticket(incident, "Telkom WMS", [site], sites_omitted, "Ana", "0541-000000"))["id"]


def test_the_text_names_service_place_bounds_in_wita_duration_and_evidence() -> None:
    assert ticket() == (
        "LAPORAN GANGGUAN TITIK AKSES INTERNET DESA\n\n"
        "Penyedia      : Telkom WMS\n"
        "Gangguan      : 71\n"
        "Putus layanan : 1\n"
        "Penyebab      : listrik padam\n\n"
        "Nomor layanan (SID) : 4700001-0021\n"
        "Titik akses         : 64.02.05.2003-01 Balai Desa\n"
        "Lokasi              : Muara Badak Ulu, Muara Badak, Kabupaten Kutai Kartanegara\n"
        "Teknologi           : satelit orbit rendah\n"
        "Jawaban terakhir    : 24 November 2026 21.30.24 WITA\n"
        "Kehilangan pertama  : 24 November 2026 21.31.24 WITA\n"
        "Dipastikan          : 24 November 2026 21.31.34 WITA\n"
        "Pulih               : 24 November 2026 21.36.14 WITA\n"
        "Lama putus          : 4 menit 50 detik (paling sedikit 4 menit 40 detik, paling banyak 5 menit 50 detik)\n"
        "Bukti               : 12 hasil ukur kami tanpa jawaban, 3 laporan mandiri yang tidak datang\n\n"
        "Pelapor : Ana\n"
        "Kontak  : 0541-000000"
    )


def test_an_outage_that_lasts_says_what_is_proven_so_far_and_what_is_not_known() -> None:
    text = ticket(ended_at=None, duration_s=None, duration_max_s=None, last_ok_at=None, service_no=None)
    for line in (
        "Pulih               : belum\n",
        "Lama putus          : sampai saat ini paling sedikit 4 menit 40 detik\n",
        "Jawaban terakhir    : belum pernah sejak dipantau\n",
        "Nomor layanan (SID) : belum tercatat\n",
    ):
        assert line in text
    assert "dan 7 titik akses lain" in ticket(sites_omitted=7)


async def test_each_provider_of_an_incident_has_its_ticket(app: FastAPI, scenario: IncidentScenario) -> None:
    node = await scenario.site(kind="node")
    sites = [
        await scenario.site(parent_id=node, provider=provider, service_no=f"SID-{n}")
        for n, provider in enumerate(("telkom-wms",) * 3 + ("iconplus",) * 2)
    ]
    for site in sites:
        await scenario.write(site, (0, 100, "up"), (100, 700, "down"), (700, None, "up"))
    async with transaction(scenario.sessions) as session:
        lost = [to_slot(scenario.at(second)) for second in (100, 110)]
        await record(
            session, [Reading(site, s, Outcome.TIMEOUT, 3, (), 60, None, CENTRAL) for site in sites for s in lost]
        )
    (incident,) = await scenario.list_incidents(kind="shared")
    path = f"/incidents/{incident['id']}/ticket-text"
    app.state.settings.public.contacts["64.02"] = "Diskominfo Kukar, 0541-000000"
    icon, telkom = (await scenario.cast.ana.get(path)).json()["items"]
    assert (icon["provider"], icon["sites"], telkom["provider_name"], telkom["sites"]) == (
        "iconplus",
        2,
        "Telkom WMS",
        3,
    )
    assert "SID-3" in icon["text"]["id"]
    assert "SID-0" not in icon["text"]["id"]
    assert "2 readings of our own without an answer" in telkom["text"]["en"]
    assert write_moment(scenario.at(100)) in telkom["text"]["id"]
    assert telkom["text"]["id"].endswith(
        "Pelapor : ana, Kabupaten Kutai Kartanegara\nKontak  : Diskominfo Kukar, 0541-000000"
    )
    (own,) = (await scenario.cast.icon.get(path)).json()["items"]
    assert own["provider"] == "iconplus"
    assert "Pelapor" not in own["text"]["id"], "it reports nothing to itself"
    assert (await scenario.cast.ben.get(path)).status_code == 404
