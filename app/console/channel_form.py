"""The form of a channel: what it asks of the API. Pure; what was typed into the URL is sent on and never kept."""

from collections.abc import Mapping
from typing import Any

from app.console.forms import Form

FIELDS = ["name", "office", "provider", "url", "secret", "language", "form", "fallback"]
URL_EXAMPLES = (
    ("Telegram", "tgram://TOKEN/CHAT"),
    ("SMTP", "mailtos://USER:PASSWORD@smtp.example.go.id?from=sinyal@example.go.id&to=jaga@example.go.id"),
    ("WhatsApp", "whatsapp://TOKEN@PHONE_ID/628125550101"),
    ("Matrix", "matrixs://USER:PASSWORD@matrix.example.go.id/#ROOM"),
    ("ntfy", "ntfys://ntfy.example.go.id/TOPIC"),
    ("Webhook", "https://hooks.example.go.id/sinyal-desa"),
)


def new_channel(form: Form) -> dict[str, Any]:
    """Return the body of a POST: only what was filled in."""
    texts = {name: form[name] for name in FIELDS if name != "fallback" and form.get(name)}
    return texts | _fallback(form) | {"default_rules": "default_rules" in form}


def changed_channel(channel: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """Return the body of a PATCH: what differs; an empty URL or secret stays as it is."""
    changes: dict[str, Any] = {name: form[name] for name in ("url", "secret") if form.get(name)}
    for name in ("name", "language", "form"):
        if name in form and form[name] != channel[name]:
            changes[name] = form[name]
    if "fallback" in form and read_id(form["fallback"]) != channel["fallback"]:
        changes["fallback"] = read_id(form["fallback"])
    return changes | ({"rotate_secret": True} if "rotate_secret" in form else {})


def read_id(typed: str) -> int | str | None:
    """Return the id; None for nothing, and the text itself where it is none: the API says so."""
    return int(typed) if typed.isdecimal() and len(typed) < 10 else typed or None


def _fallback(form: Form) -> dict[str, Any]:
    fallback = read_id(form.get("fallback", ""))
    return {} if fallback is None else {"fallback": fallback}
