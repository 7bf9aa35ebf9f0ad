"""Contents of notifications, one of each situation, and how all their texts look in one file."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.alerts.content import Content, Section, ToldCondition, ToldIncident, ToldPlace, ToldSite
from app.alerts.message_values import Links
from app.alerts.models import AnnouncementKind, MessageForm, NotificationKind
from app.alerts.texts import render
from app.incidents.models import IncidentKind, IncidentStatus
from app.profiles import Technology
from app.registry.models import Cause

AT = datetime(2026, 11, 28, 6, 6, tzinfo=UTC)  # 14.06 WITA
KUKAR = ToldPlace(code="64.02", name="Kabupaten Kutai Kartanegara")
PROVINCE = ToldPlace(code="64", name="Kalimantan Timur")
LOA_KULU = ToldPlace(code="64.02-n1", name="Menara Loa Kulu")
BASE = "https://sinyal.kaltimprov.go.id/console"
LINKS = Links(f"{BASE}/notifications/4711", f"{BASE}/acknowledge/4711.1795932000.kH3vTz0qPwYb8mXc2dLsRg")
VILLAGES = (
    *("Loa Kulu Kota", "Jembayan", "Ponoragan", "Loh Sumber", "Sungai Payang", "Jonggon Desa", "Margahayu"),
    *("Lung Anai", "Rempanga", "Sumber Sari", "Jongkang", "Bakungan"),
)


def told_site(number: int = 0, **changes: Any) -> ToldSite:
    values: dict[str, Any] = {
        "code": f"64.02.05.20{number + 1:02}-01",
        "name": f"Kantor Desa {VILLAGES[number]}",
        "village": VILLAGES[number],
        "subdistrict": "Loa Kulu",
        "district": "Kabupaten Kutai Kartanegara",
        "technology": Technology.FIBER,
        "provider": "Telkom WMS",
        "service_no": f"16223344{number:02}",
        "incident_id": 17,
        "started_at": AT - timedelta(minutes=1, seconds=number),
        "last_ok_at": AT - timedelta(minutes=2),
        "ended_at": None,
        "lost_readings": {"central": 2, "silence": 1},
    }
    return ToldSite(**values | changes)


def told_incident(**changes: Any) -> ToldIncident:
    values: dict[str, Any] = {
        "id": 17,
        "kind": IncidentKind.SINGLE,
        "status": IncidentStatus.OPEN,
        "started_at": AT - timedelta(minutes=1),
        "confirmed_at": AT - timedelta(seconds=50),
        "ended_at": None,
        "sites": 1,
        "sites_down": 1,
        "cause": None,
        "cause_hint": None,
        "acknowledged_by": None,
        "ticket_no": None,
    }
    return ToldIncident(**values | changes)


def told(kind: NotificationKind, **changes: Any) -> Content:
    return Content(**{"kind": kind, "at": AT, "office": KUKAR} | changes)


def section(count: int, *, ended_after: timedelta | None = None, first: int = 0) -> Section:
    sites = [told_site(number) for number in range(first, first + min(count, 10))]
    if ended_after is not None:
        sites = [site.model_copy(update={"ended_at": (site.started_at or AT) + ended_after}) for site in sites]
    return Section(sites=sites, total=count)


def cut_off(of: Section) -> Section:
    """The first is a tower, and the others hang on it."""
    first, *others = of.sites
    behind = [site.model_copy(update={"is_cut_off": True, "last_ok_at": None, "lost_readings": {}}) for site in others]
    return Section(sites=[first, *behind], total=of.total, cut_off=of.total - 1, node=LOA_KULU)


def about(kind: AnnouncementKind, facts: dict[str, Any], *, ended: bool = False, **changes: Any) -> Content:
    """A notification of one condition, of a site unless `subject` says otherwise."""
    subject = changes.get("subject", "site:1")
    seen = None if kind is AnnouncementKind.NEVER_SEEN else AT
    of_site = None
    if subject.startswith("site"):
        of_site = told_site(started_at=None, incident_id=None, lost_readings={}, last_ok_at=seen)
    condition = ToldCondition(
        kind=kind,
        subject=subject,
        since=AT - timedelta(hours=6),
        ended_at=AT if ended else None,
        facts=facts,
        site=of_site,
    )
    told_as = NotificationKind.RECOVERY if ended else NotificationKind.ONSET
    return told(told_as, conditions=[condition], conditions_total=1)


ONE: dict[str, Any] = {"down": section(1), "incidents": [told_incident()], "incidents_total": 1}
SHARED = told_incident(kind=IncidentKind.SHARED, sites=12, sites_down=12, cause_hint=Cause.PROVIDER)
MANY: dict[str, Any] = {"down": section(12), "incidents": [SHARED], "incidents_total": 1}
TOWER = told_incident(sites=11, sites_down=11, cause_hint=Cause.POWER)
BEHIND_TOWER: dict[str, Any] = {"down": cut_off(section(11)), "incidents": [TOWER], "incidents_total": 1}
FIGURES = {"sites": 237, "normal": 220, "degraded": 5, "unknown": 9, "opened": 14, "resolved": 12, "unacknowledged": 2}
AVAILABILITY = {"uptime_pct": 98.7654, "coverage_pct": 99.1, "worst_pct": 97.8765, "best_pct": 98.7765}
PROVIDERS = {"providers": [{"name": "Telkom WMS", "outages": 11}, {"name": "Icon Plus", "outages": 3}]}
HALF_HOUR = timedelta(minutes=30)

CONTENTS: dict[str, Content] = {
    "one site down": told(NotificationKind.ONSET, **ONE),
    "one site, likely without power, in hand": told(
        NotificationKind.ONSET,
        down=section(1),
        incidents=[told_incident(cause_hint=Cause.POWER, acknowledged_by="ana", ticket_no="INC-77")],
        incidents_total=1,
    ),
    "one provider's twelve sites": told(
        NotificationKind.ONSET, **MANY, shared_by=ToldPlace(code="telkom-wms", name="Telkom WMS")
    ),
    "a tower and what it cuts off": told(NotificationKind.ONSET, **BEHIND_TOWER, shared_by=LOA_KULU),
    "a tower recovered": told(NotificationKind.RECOVERY, recovered=cut_off(section(4, ended_after=HALF_HOUR))),
    "told to the provider itself": told(NotificationKind.ONSET, **ONE, provider="telkom-wms"),
    "more of them": told(NotificationKind.UPDATE, **MANY, recovered=section(1, ended_after=HALF_HOUR, first=11)),
    "one recovered": told(NotificationKind.RECOVERY, recovered=section(1, ended_after=HALF_HOUR)),
    "twelve recovered": told(
        NotificationKind.RECOVERY, recovered=section(12, ended_after=HALF_HOUR), came_and_went=section(1, first=3)
    ),
    "withdrawn": told(NotificationKind.RECOVERY, withdrawn=section(1)),
    "held over the night": told(
        NotificationKind.HELD,
        **ONE,
        came_and_went=section(2, ended_after=HALF_HOUR, first=1),
        recovered=section(1, ended_after=HALF_HOUR, first=4),
        held="quiet_hours",
    ),
    "flapping": told(NotificationKind.FLAPPING, **ONE, flapping=True),
    "no longer flapping": told(NotificationKind.FLAPPING, recovered=section(1, ended_after=HALF_HOUR)),
    "escalated for want of acknowledgement": told(
        NotificationKind.ONSET, **MANY | {"office": PROVINCE}, escalated_after_min=30, escalated_from=[KUKAR]
    ),
    "escalated for its size": told(NotificationKind.ONSET, **MANY | {"office": PROVINCE}, escalated_from=[KUKAR]),
    "reminder": told(NotificationKind.UPDATE, **ONE, is_reminder=True),
    "maintenance overrun": told(NotificationKind.ONSET, **ONE, maintenance_overrun=True),
    "recurred": told(NotificationKind.UPDATE, **ONE, recurred=True),
    "degraded": about(AnnouncementKind.DEGRADED, {"hours": 6, "loss_pct": 12.5, "rtt_ms": 240}),
    "never seen": about(AnnouncementKind.NEVER_SEEN, {}),
    "coverage lost": about(
        AnnouncementKind.COVERAGE_LOST, {"reason": "silent", "last_seen_at": "2026-11-28T00:05:00+00:00"}
    ),
    "budget spent": about(AnnouncementKind.BUDGET_SPENT, {"spent_mb": 1024, "budget_mb": 1000}),
    "contract at risk": about(
        AnnouncementKind.CONTRACT_AT_RISK,
        {
            "contract": "027/DISKOMINFO/2026",
            "month": "2026-11",
            "target_pct": 99.5,
            "best_pct": 99.123,
            "used_pct": 91,
            "down_s": 11_800,
            "allowed_s": 12_960,
        },
    ),
    "worker silent": about(AnnouncementKind.SERVICE_UNWELL, {}, subject="service:worker"),
    "channel failing": about(
        AnnouncementKind.SERVICE_UNWELL,
        {"what": "channel_failing", "channel": "Grup Telegram NOC", "problem": "HTTP 502"},
        subject="channel:3",
    ),
    "channel silent": about(
        AnnouncementKind.SERVICE_UNWELL, {"what": "channel_silent", "channel": "Grup Telegram NOC"}, subject="channel:3"
    ),
    "blind ourselves": about(AnnouncementKind.SERVICE_UNWELL, {}, subject="service:blind"),
    "no longer blind": about(AnnouncementKind.SERVICE_UNWELL, {}, subject="service:blind", ended=True),
    "no longer degraded": about(AnnouncementKind.DEGRADED, {"hours": 6}, ended=True),
    "daily digest": told(NotificationKind.DAILY_DIGEST, **MANY, figures=FIGURES | AVAILABILITY | PROVIDERS),
    "weekly digest": told(
        NotificationKind.WEEKLY_DIGEST, figures=FIGURES | AVAILABILITY | {"skipped_on": "2026-11-23"}
    ),
    "test": told(NotificationKind.TEST),
    "weekly test": told(NotificationKind.WEEKLY_TEST),
    "simulated": told(NotificationKind.ONSET, **ONE, simulated=True),
}


def all_texts(language: str) -> str:
    return "\n\n".join(_texts(language)) + "\n"


def _texts(language: str) -> Iterator[str]:
    for situation, content in CONTENTS.items():
        written = render(content, language=language, form=MessageForm.LONG, links=LINKS)
        short = render(content, language=language, form=MessageForm.SHORT, links=LINKS)
        yield f"===== {situation}\n[{written.title}]\n\n{written.text}\n\n----- SMS ({len(short.text)})\n{short.text}"


if __name__ == "__main__":  # writes the texts anew, to be read before they are committed
    for written_language in ("id", "en"):
        Path(f"tests/alerts/texts.{written_language}.txt").write_text(all_texts(written_language), encoding="utf-8")
