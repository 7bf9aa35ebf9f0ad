"""The form of a rule: what it asks of the API, and what it begins with. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.console.api_client import ApiProblem
from app.console.channel_form import read_id
from app.console.forms import Form
from app.console.numbers import read_number
from app.profiles import Technology

TIMES = ("quiet_from", "quiet_to", "remind_at")
NUMBERS = ("least_s", "degraded_hours")
LISTS = ("kinds", "technologies", "providers", "channels")
FIELDS = ["name", "office", "region", *LISTS, *NUMBERS, *TIMES, "escalate", "after_min", "beyond_sites", "to"]
BEGINNING: dict[str, Any] = {"least_s": 120, "degraded_hours": 6, "kinds": ["down"]}


def read_rule(form: Form) -> dict[str, Any]:
    """Return every field of a rule's body but its office; an empty field is null or none."""
    return {
        "name": form.get("name", ""),
        "region": form.get("region") or None,
        "kinds": form.all("kinds"),
        "technologies": form.all("technologies"),
        "providers": form.all("providers"),
        "channels": [read_id(each) for each in form.all("channels")],
        **{name: read_number(form.get(name, "")) for name in NUMBERS},
        **{name: form.get(name) or None for name in TIMES},
        "keeps_power_hours": "keeps_power_hours" in form,
        "escalate": _read_escalation(form),
    }


def new_rule(form: Form) -> dict[str, Any]:
    """Return the body of a POST: without what is empty, which the API then chooses."""
    body = {name: value for name, value in read_rule(form).items() if value is not None and value != []}
    return {"kinds": [], **body} | ({"office": form["office"]} if form.get("office") else {})


def changed_rule(rule: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """Return the body of a PATCH: what differs."""
    unordered = {name: set(rule[name]) for name in LISTS}
    read = read_rule(form)
    return {
        name: value
        for name, value in {**read, "region": read["region"] or rule["office"]}.items()
        if (set(value) != unordered[name] if name in LISTS else value != rule[name])
    }


def values_of(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form of a rule begins with."""
    escalate = rule["escalate"] or {}
    return {**rule, "after_min": escalate.get("after_min"), "beyond_sites": escalate.get("beyond_sites")}


def typed_values(form: Form) -> dict[str, Any]:
    """Return what was typed, for the form to be shown again."""
    typed = {name: form.all(name) for name in LISTS} | {"keeps_power_hours": "keeps_power_hours" in form}
    return {**dict(form), **typed, "channels": [read_id(each) for each in form.all("channels")]}


def beside_fields(problem: ApiProblem) -> ApiProblem:
    """Name the errors within the escalation as the form's fields are named."""
    named = [{**error, "field": error["field"].removeprefix("escalate.")} for error in problem.errors]
    return replace(problem, errors=named)


def technologies() -> list[str]:
    return [each.value for each in Technology]


def _read_escalation(form: Form) -> dict[str, Any] | None:
    after, beyond = (read_number(form.get(name, "")) for name in ("after_min", "beyond_sites"))
    return None if after is None and beyond is None else {"after_min": after, "beyond_sites": beyond, "to": "64"}
