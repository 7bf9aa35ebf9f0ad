"""Rejection codes of rows and their messages, as agents get them in the response."""

from typing import Any

from app.core import i18n
from app.core.errors import Fault

REJECTION_MESSAGES = {
    "missing": "{field} is missing",
    "not_an_object": "{given} is not an object with boot, seq and sent",
    "not_a_list": "{field} must be a list of numbers, one per reply; {given} is not a list",
    "not_a_number": "{field} {given} is not a number",
    "not_a_flag": "{field} {given} is neither 0 nor 1: it is left out",
    "not_whole": "{field} {given} is not a whole number",
    "out_of_range": "{field} {given} is not between 0 and {max}",
    "wrong_order": "{field} {given} is greater than the maximum",
    "too_many_answers": "{received} replies to {sent} packets: more replies than packets sent",
    "bad_boot": "{field} {given} is not 1 to 32 letters, digits, - and _",
    "bad_agent": "{field} {given} is not 1 to 60 printable ASCII characters",
    "bad_epochs": "{field} {given} is not an object of at most {max} boots with seconds since 1970",
    "bad_starlink": "{field} is not the answer of a terminal in base64, of at most {max} bytes",
    "bad_uptime": "{field} {given} is neither seconds nor written like 1d02:03:04",
    "bad_time": "{field} {given} is not a time: write it like {example}",
    "naive_time": "{field} {given} has no offset: add +08:00, or Z for UTC",
    "not_objects": "{field} must be a list of objects with seq, heard_s, from_s, lost_s and to_s; {given} is none",
    "not_in_order": "{field} must have heard_s <= from_s <= to_s and heard_s <= lost_s <= to_s",
    "no_clock": "The time of measurement is unknown: send uptime_s in the row and beside the batch (with the same "
    "boot), or clock in the row and sent_at beside the batch",
    "too_old": "Measured {days} days ago: readings older than 7 days are not accepted",
    "in_future": "Its time is {seconds} s in the future",
    "before_site": "Measured before this site was set up to be measured by its agent ({since})",
    "not_active": "The site is {lifecycle}: its readings are not recorded",
}


def fault(field: str, code: str, *, row: int | None = None, **values: Any) -> Fault:
    return Fault(field, code, REJECTION_MESSAGES[code], row=row, values={"field": field, **values})


def serialize(faults: list[Fault], language: str) -> list[dict[str, Any]]:
    """Faults as the response lists them; `row` null: the fault is in the fields beside the batch."""
    return [
        {
            "row": fault.row,
            "code": fault.code,
            "message": i18n.translate(fault.message, fault.values, language=language),
        }
        for fault in faults
    ]
