"""The start of a site's contract in a sheet: which days it changes, and who may change those that are over."""

from collections.abc import Iterator

from app.access.scope import PROVINCE, Caller
from app.core.clock import today
from app.core.errors import Fault
from app.registry.drafts import Draft
from app.registry.site_contracts import DayRange


def changed_days(draft: Draft) -> DayRange | None:
    """Return the days before today on which a registered site comes under another contract, None without any."""
    if draft.site is None or draft.contract_from is None or "contract_from" not in draft.changes:
        return None
    starts = [draft.contract_from]
    if "contract_id" not in draft.changes and draft.site.contract_from is not None:
        starts.append(draft.site.contract_from)
    return (min(starts), today()) if min(starts) < today() else None


def check(draft: Draft, *, caller: Caller, reason: str | None) -> Iterator[Fault]:
    """Yield a fault unless the province changes days that are over, and says why."""
    days = changed_days(draft)
    if days is None:
        return
    if not caller.covers(PROVINCE):
        yield Fault(
            "contract_from",
            "province_dates_back",
            "Only the province puts a site under a contract for days that are over",
            "Leave the start empty: the contract then covers it from today on",
        )
    elif reason is None:
        yield Fault(
            "contract_from",
            "reason_needed",
            "This changes what counts since {since}",
            "Give the reason with the file: reason=… (--reason); it is recorded",
            values={"since": days[0].isoformat()},
        )
