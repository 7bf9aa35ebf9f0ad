"""What an audit entry changed, as rows a person can compare: field, before, after. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.pages import formats
from app.pages.words import CHOICE_WORDS, word
from app.registry import vantage_lists
from app.registry.spreadsheet_columns import SITE_COLUMNS

INDONESIAN: Mapping[str, str] = {column.field: column.indonesian for column in SITE_COLUMNS} | {
    "username": "Nama pengguna",
    "name": "Nama",
    "role": "Peran",
    "region_code": "Kode wilayah",
    "provider": "Penyedia",
    "disabled": "Dinonaktifkan",
    "owner": "Pemilik",
    "expires_at": "Kedaluwarsa",
    "status": "Status",
    "cause": "Penyebab",
    "assignee": "Penanggung jawab",
    "ticket_no": "Nomor tiket",
    "reported_at": "Dilaporkan",
    "title": "Judul",
    "started_at": "Mulai",
    "ended_at": "Selesai",
    "started_on": "Mulai",
    "ended_on": "Berakhir",
    "valid_from": "Berlaku dari",
    "valid_to": "Berlaku sampai",
    "number": "Nomor",
    "note": "Catatan",
    "reason": "Alasan",
    "filename": "Nama berkas",
    "sites": "Titik akses",
    "terms": "Ketentuan",
    "cancelled_at": "Dibatalkan",
    "cause_confirmed_by": "Penyebab ditetapkan oleh",
    "cause_confirmed_at": "Penyebab ditetapkan",
    "acknowledged_by": "Ditangani oleh",
    "acknowledged_at": "Ditangani",
    "note_id": "Nomor catatan",
    "audience": "Untuk penyedia",
    "kind": "Jenis",
    "device_token_id": "Nomor token agen",
    "device_token_ids": "Nomor token agen",
    "device_tokens": "Token agen",
    "enrolment_id": "Nomor pendaftaran perangkat",
    "codes": "Kode",
}
WORDS = {name: name for name in (*CHOICE_WORDS, "role", "cause")} | {"status": "incident_status"}  # by field
YES_NO = {"id": ("tidak", "ya"), "en": ("no", "yes")}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")
MAX_SHOWN = 2_000  # characters of a value; the file has it whole


@dataclass(frozen=True, slots=True)
class ChangedField:
    label: str
    before: str | None  # None: there was none
    after: str | None


def changed_fields(entry: Mapping[str, Any], language: str) -> list[ChangedField]:
    """Return the fields that differ, or all of what was created or removed, in the order of what they became."""
    before, after = entry["before"] or {}, entry["after"] or {}
    names = dict.fromkeys((*after, *before))
    return [
        ChangedField(label_of(name, language), *(_text(name, side.get(name), language) for side in (before, after)))
        for name in names
        if before.get(name) != after.get(name)
    ]


def label_of(field: str, language: str) -> str:
    if language == "id" and field in INDONESIAN:
        return INDONESIAN[field]
    return field.replace("_", " ").capitalize()


def _text(name: str, value: Any, language: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return YES_NO[language][value]
    if isinstance(value, str) and MOMENT.fullmatch(value):
        return formats.moment(value, language, seconds=True)
    if isinstance(value, str) and name in WORDS:
        return word(WORDS[name], value, language)
    if name == "vantages" and isinstance(value, list):
        return vantage_lists.written(value)
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} …"
