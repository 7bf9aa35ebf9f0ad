"""Why 24 hours cannot be certified."""

from datetime import datetime

from app.certificates.models import Certificate
from app.core.clock import to_wita
from app.core.errors import Conflict, Fault


def _said(moment: datetime) -> str:
    return f"{to_wita(moment):%Y-%m-%d %H:%M} WITA"


def not_an_access_point() -> Fault:
    return Fault(
        "site", "not_an_access_point", "This site is a node: no village's line", "Choose an access point behind it"
    )


def not_full_hour(start: datetime) -> Fault:
    return Fault(
        "from",
        "not_full_hour",
        "{given} is not a full hour",
        "Give a full hour, like 2026-11-24T06:00:00+08:00",
        values={"given": to_wita(start).isoformat()},
    )


def too_far_ahead(days: int) -> Fault:
    return Fault(
        "from",
        "too_far_ahead",
        "It begins more than {days} days ahead",
        "Ask for it later, or choose an earlier hour",
        values={"days": days},
    )


def under_way(end: datetime) -> Fault:
    return Fault(
        "from",
        "under_way",
        "These 24 hours have begun and end at {end}",
        "Choose hours that lie ahead, or such that are over",
        values={"end": _said(end)},
    )


def readings_gone(oldest: datetime | None) -> Fault:
    return Fault(
        "from",
        "readings_gone",
        "The single readings of these hours are no longer kept",
        "The oldest are of {oldest}" if oldest else "No readings are kept at all",
        values={"oldest": oldest and _said(oldest)},
    )


def not_in_service() -> Fault:
    return Fault(
        "from",
        "not_in_service",
        "The site is not in service in all of these hours",
        "Choose hours in which it is active: see its history",
    )


def line_changed() -> Fault:
    return Fault(
        "from",
        "line_changed",
        "Provider, technology or village of the site changed within these hours",
        "Choose hours before or after the change",
    )


def bad_follows(code: str) -> Fault:
    return Fault(
        "follows",
        "bad_follows",
        "It can only follow a certificate of the same site that is done and ended before",
        "Take one of GET /sites/{code}/certificates",
        values={"code": code},
    )


def overlaps(other: Certificate) -> Conflict:
    return Conflict(
        faults=[
            Fault(
                "from",
                "overlaps",
                "Certificate {id} of this site covers {start} to {end}",
                "Those of a site do not overlap: read that one, or choose hours beside it",
                values={"id": other.id, "start": _said(other.started_at), "end": _said(other.ended_at)},
            )
        ]
    )


def too_many_running(district: str, most: int) -> Conflict:
    return Conflict(
        faults=[
            Fault(
                "from",
                "too_many_running",
                "{most} certificates run in district {district} already, as many as may",
                "Wait until one is done, or choose hours that are over",
                values={"most": most, "district": district},
            )
        ]
    )
