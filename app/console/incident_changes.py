"""What a form changes in an incident, compared with the incident as the API has it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.console.wita_input import from_input, to_input

TEXTS = ("assignee", "ticket_no")
CHOICES = ("status", "cause")  # never empty in the API: an empty field of a form leaves them


def changed_fields(incident: Mapping[str, Any], form: Mapping[str, str]) -> dict[str, Any]:
    """Return the body of a PATCH: only what differs, so that nobody's name comes to stand for what others set."""
    changes: dict[str, Any] = {name: form[name] for name in CHOICES if form.get(name) and form[name] != incident[name]}
    changes |= {name: form[name] or None for name in TEXTS if name in form and (form[name] or None) != incident[name]}
    if "reported_at" in form and form["reported_at"] != to_input(incident["reported_at"]):
        changes["reported_at"] = from_input(form["reported_at"])
    return changes


def needs_confirmation(effects: Mapping[str, Any] | None) -> bool:
    """Whether a closed month would get a correction."""
    return effects is not None and any(item["closed_at"] is not None for item in effects["items"])


def changes_since(incident: Mapping[str, Any], seen: str) -> Iterator[dict[str, Any]]:
    """Yield each field that changed after the events that a page had shown, `seen` of them: what, from, to, by whom."""
    known = int(seen) if seen.isdecimal() and len(seen) < 7 else len(incident["events"])
    for event in incident["events"][known:]:
        for name, value in (event["after"] or {}).items():
            yield {"field": name, "before": (event["before"] or {}).get(name), "after": value, **_who(event)}


def _who(event: Mapping[str, Any]) -> dict[str, Any]:
    return {"by": event["by"], "at": event["at"]}
