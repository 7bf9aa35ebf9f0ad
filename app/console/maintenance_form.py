"""The form of a maintenance window: what it asks of the API, and what it begins with. Pure."""

from collections.abc import Mapping
from typing import Any

from app.console.wita_input import from_input, to_input

SCOPE = ("site", "region", "provider")
FIELDS = ("started_at", "ended_at", "title", "reason", *SCOPE)


def new_window(form: Mapping[str, str], own_region: str) -> dict[str, Any]:
    """Return the body of a POST: only what was filled in; with a site, not the region that the form began with."""
    texts = {name: form[name] for name in ("title", "reason", *SCOPE) if form.get(name)}
    if "site" in texts and texts.get("region") == own_region:
        del texts["region"]
    return texts | _times(form)


def changed_fields(window: Mapping[str, Any], form: Mapping[str, str]) -> dict[str, Any]:
    """Return the body of a PATCH: what differs from the window, and the reason that was given for it."""
    times = {name: moment for name, moment in _times(form).items() if form[name] != to_input(window[name])}
    title = {"title": form["title"]} if form.get("title", window["title"]) != window["title"] else {}
    changes = times | title
    if form.get("reason") and (changes or form["reason"] != window["reason"]):
        changes["reason"] = form["reason"]
    return changes


def values_of(window: Mapping[str, Any]) -> dict[str, str]:
    """Return what the form of a window begins with; why it changes is asked anew each time."""
    times = {name: to_input(window[name]) for name in ("started_at", "ended_at")}
    return times | {"title": window["title"], "reason": ""}


def _times(form: Mapping[str, str]) -> dict[str, str]:
    moments = {name: from_input(form.get(name, "")) for name in ("started_at", "ended_at")}
    return {name: moment for name, moment in moments.items() if moment is not None}
