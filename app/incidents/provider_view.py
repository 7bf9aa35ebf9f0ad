"""What a provider sees of an incident: its own sites, and what was written for it. Pure.

Assignee and names are the offices'. What spans the sites of others too is cut down to its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from app.incidents.derive_status import BOUNDS, bounds
from app.incidents.members import Member
from app.incidents.models import Happening, IncidentEvent

NAMES = ("assignee", "acknowledged_by", "cause_confirmed_by")
REPORT = ("ticket_no", "reported_at")  # to one provider, which is not known where there are several
EVENT_FIELDS = {"status", "cause", "cause_hint", "merged_into"}


def own_fields(members: Sequence[Member]) -> dict[str, Any]:
    """Return the fields of an incident that differ from those the offices see."""
    own = [member.outage for member in members if member.visible]
    fields: dict[str, Any] = dict.fromkeys(NAMES)
    return fields if len(own) == len(members) else fields | dict.fromkeys(REPORT) | bounds(own)


def own_events(events: Iterable[IncidentEvent], members: Sequence[Member]) -> Iterator[dict[str, Any]]:
    """Yield the events without who caused them and without the fields that are not for a provider."""
    is_alone = all(member.visible for member in members)
    shown = EVENT_FIELDS | set(BOUNDS) if is_alone else EVENT_FIELDS
    for event in events:
        before, after = _only(event.before, shown), _only(event.after, shown)
        if after or event.kind not in {Happening.CHANGED, Happening.MOVED}:
            same = {name: getattr(event, name) for name in ("at", "kind", "site_id")}
            yield same | {"by": None, "before": before, "after": after}


def _only(values: dict[str, Any] | None, names: set[str]) -> dict[str, Any] | None:
    return None if values is None else {name: value for name, value in values.items() if name in names}
