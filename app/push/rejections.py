"""Why a row was not taken: the codes that an agent is answered, and what they say to whoever reads its log."""

from typing import Any

from app.core import i18n
from app.core.errors import Fault

REJECTED = {
    "missing": "{field} is missing",
    "not_an_object": "{given} is not an object with boot, seq and sent",
    "not_a_list": "{field} is a list of numbers, one for each answer; {given} is none",
    "not_a_number": "{field} {given} is not a number",
    "not_whole": "{field} {given} is not a whole number",
    "out_of_range": "{field} {given} is not within 0 and {most}",
    "wrong_order": "{field} {given} is greater than the maximum",
    "too_many_answers": "{received} answers to {sent} packets: there are more than were sent",
    "bad_boot": "{field} {given} is not 1 to 32 letters, digits, - and _",
    "bad_agent": "{field} {given} is not 1 to 60 plain characters",
    "bad_uptime": "{field} {given} is neither seconds nor written like 1d02:03:04",
    "bad_time": "{field} {given} is not a time: write it like {example}",
    "naive_time": "{field} {given} has no offset: add +08:00, or Z for UTC",
    "no_clock": "When it was measured cannot be told: send uptime_s in the row and beside the batch (with the same "
    "boot), or clock in the row and sent_at beside the batch",
    "too_old": "It was measured {days} days ago: what is older than 7 days is not taken any more",
    "in_future": "It lies {seconds} s in the future",
    "before_site": "It was measured before the site was set up to be measured by its agent ({since})",
    "not_active": "The site is {lifecycle}: nothing is measured there now",
}


def fault(field: str, code: str, *, row: int | None = None, **values: Any) -> Fault:
    return Fault(field, code, REJECTED[code], row=row, values={"field": field, **values})


def told(faults: list[Fault], spoken: str) -> list[dict[str, Any]]:
    """As an agent is answered; row null: it concerns what stands beside the batch."""
    return [
        {"row": one.row, "code": one.code, "message": i18n.translate(one.message, one.values, language=spoken)}
        for one in faults
    ]
