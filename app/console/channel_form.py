"""The form of a channel: what it asks of the API. Pure; what was typed into the URL is sent on and never kept."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.console.api_client import ApiProblem
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
PLACEHOLDERS_ID = {
    "ACCESS_TOKEN": "TOKEN_AKSES",
    "API_KEY": "KUNCI_API",
    "BOT_TOKEN": "TOKEN_BOT",
    "CHAT": "OBROLAN",
    "CHAT_ID": "ID_OBROLAN",
    "FROM_PHONE": "NOMOR_PENGIRIM",
    "ORGANIZATION": "ORGANISASI",
    "PASSWORD": "SANDI",
    "PHONE_ID": "ID_NOMOR",
    "RECIPIENT": "PENERIMA",
    "ROOM": "RUANG",
    "SECRET": "RAHASIA",
    "SENDER": "PENGIRIM",
    "SERVER": "PELADEN",
    "TOPIC": "TOPIK",
    "USER": "PENGGUNA",
}


def url_examples(language: str) -> list[tuple[str, str]]:
    """Return services, and how their URLs are written, with the parts to fill in by names of the language."""
    if language != "id":
        return list(URL_EXAMPLES)
    return [(service, _in_indonesian(example)) for service, example in URL_EXAMPLES]


def in_words_of(problem: ApiProblem, language: str) -> ApiProblem:
    """Name the parts of a URL that a suggestion shows in the language."""
    if language != "id":
        return problem
    errors = [{**error, "suggestion": _in_indonesian(error["suggestion"] or "") or None} for error in problem.errors]
    return replace(problem, errors=errors)


def _in_indonesian(example: str) -> str:
    return re.sub(r"\b[A-Z][A-Z_]+\b", lambda found: PLACEHOLDERS_ID.get(found[0], found[0]), example)


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
