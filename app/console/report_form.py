"""Forms about berita acara: what they ask of the API, and what they begin with. Pure."""

from collections.abc import Mapping
from typing import Any

from app.console.channel_form import read_id
from app.console.forms import Form

PARTIES: dict[str, tuple[str, ...]] = {
    "": ("place", "work_order", "package_id", "budget_account"),
    "ppk": ("name", "nip", "decree"),
    "provider_signatory": ("name", "office"),
    "acknowledged_by": ("name", "nip", "office"),
}
PARTY_FIELDS = [f"parties.{f'{of}.' if of else ''}{name}" for of, names in PARTIES.items() for name in names]
EDIT_FIELDS = [*PARTY_FIELDS, "objections_until"]
DRAFT_FIELDS = ["contract", "period", "objections_until"]
OBJECTION_FIELDS = ["site", "outage_started_at", "text", "evidence"]
DECISION_FIELDS = ["decision", "text"]


def values_of_parties(parties: Mapping[str, Any]) -> dict[str, str]:
    """Return what the form of the parties begins with, by the fields' names."""
    values: dict[str, str] = {}
    for of, names in PARTIES.items():
        written = parties[of] if of else parties
        for name in names:
            values[f"parties.{f'{of}.' if of else ''}{name}"] = written[name] or ""
    return values


def read_edit(form: Form, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a PATCH: what differs from the parties as the form showed them, and a later term."""
    parties: dict[str, Any] = {}
    for of, names in PARTIES.items():
        written = before[of] if of else before
        for name in names:
            typed = form.get(f"parties.{f'{of}.' if of else ''}{name}")
            if typed is not None and (typed or None) != written[name]:
                (parties.setdefault(of, {}) if of else parties)[name] = typed or None
    until = form.get("objections_until")
    return ({"parties": parties} if parties else {}) | ({"objections_until": until} if until else {})


def read_draft(form: Form, parties: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the body that drafts a report, with the parties of the one before it."""
    until = form.get("objections_until")
    return {
        "period": form.get("period", ""),
        **({"parties": parties} if parties else {}),
        **({"objections_until": until} if until else {}),
    }


def contract_of(form: Form) -> int | None:
    """Return the id of the chosen contract; None where none was."""
    chosen = read_id(form.get("contract", ""))
    return chosen if isinstance(chosen, int) else None


def read_objection(form: Form) -> dict[str, Any]:
    return {name: form.get(name) or None for name in OBJECTION_FIELDS} | {"text": form.get("text", "")}


def read_decision(form: Form) -> dict[str, Any]:
    return {name: form.get(name, "") for name in DECISION_FIELDS}


def read_correction(form: Form) -> dict[str, Any]:
    until = form.get("objections_until")
    return {"reason": form.get("reason", "")} | ({"objections_until": until} if until else {})
