"""Why a report is not drafted, changed, corrected or issued: the refusals of its lifecycle."""

from datetime import datetime

from app.core.errors import Conflict, Fault, Invalid
from app.reports.models import Report
from app.reports.objection_term import last_day


def drafted_already(report_id: int | None) -> Conflict:
    return Conflict(
        faults=[
            Fault(
                "period",
                "drafted_already",
                "There is a draft of this period already",
                "Read it: GET /reports?period=",
                values={"id": report_id},
            )
        ]
    )


def issued_already(report_id: int) -> Conflict:
    return Conflict(
        faults=[
            Fault(
                "period",
                "issued_already",
                "The report of this period is issued",
                "Correct it: POST /reports/{id}/correct",
                values={"id": report_id},
            )
        ]
    )


def never_changes(report: Report) -> Conflict:
    return Conflict(
        faults=[
            Fault(
                "status",
                "issued",
                "Report {number} is issued: it never changes",
                "Correct it by a new one: POST /reports/{id}/correct",
                values={"number": report.number, "id": report.id},
            )
        ]
    )


def not_issued() -> Conflict:
    return Conflict(
        faults=[
            Fault(
                "status",
                "not_issued",
                "A draft is not corrected",
                "Its figures follow what is known; what its papers say is changed by PATCH",
            )
        ]
    )


def corrected_already(correction: Report) -> Conflict:
    return Conflict(
        faults=[
            Fault(
                "status",
                "corrected_already",
                "It is corrected by report {id}",
                "If that is issued, correct that one",
                values={"id": correction.id},
            )
        ]
    )


def decided_already(no: int) -> Conflict:
    return Conflict(
        faults=[
            Fault(
                "decision",
                "decided_already",
                "Objection {no} is decided: a decision is not replaced",
                "Set what the figures rest on, and the draft follows; or withdraw the draft with the reason",
                values={"no": no},
            )
        ]
    )


def term_shortened() -> Invalid:
    return Invalid(
        Fault(
            "objections_until",
            "term_shortened",
            "The term for objections can only be extended",
            "Give a later day",
        )
    )


def undecided(count: int) -> Conflict:
    return Conflict(
        faults=[
            Fault(
                "objections",
                "undecided",
                "{count} objections are not decided",
                "Decide on each of them first",
                values={"count": count},
            )
        ]
    )


def term_open(until: datetime) -> Conflict:
    return Conflict(
        faults=[
            Fault(
                "objections_until",
                "term_open",
                "The provider may object until the end of {day}",
                "Issue it after that, or once the provider says that it has no objections",
                values={"day": last_day(until).isoformat()},
            )
        ]
    )


def term_over(until: datetime) -> Conflict:
    return Conflict(
        faults=[
            Fault(
                "objections_until",
                "term_over",
                "The term for objections ended with {day}",
                "Ask the province for more time while the report is a draft",
                values={"day": last_day(until).isoformat()},
            )
        ]
    )


def changed_meanwhile() -> Conflict:
    return Conflict(
        faults=[
            Fault(
                "version",
                "changed_meanwhile",
                "What the report says has changed since it was read: the draft is brought up to date",
                "Read it again, and issue what you see",
            )
        ]
    )
