"""What a report says of a row beside its verdict: what is wrong with it, what it changes, which village it found."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.core.pii import PERSONAL
from app.importing import response
from app.importing.headers import COLUMNS
from app.importing.sheets import SOURCES, Row
from app.importing.store import Verdict
from app.registry import regions
from app.registry.vocabulary import CHOICES, SHORT, TRUTH

COLUMN, ROW = {"id": "kolom", "en": "column"}, {"id": "baris", "en": "row"}
NOTHING, CHANGED = {"id": "(kosong)", "en": "(empty)"}, {"id": "diubah", "en": "changed"}


def of_row(row: Row, verdict: Verdict, *, spoken: str) -> Iterator[tuple[str, str]]:
    """Where, and what."""
    for fault in (*row.faults, *row.warnings):
        yield _place(row, fault.field, spoken), response.line(fault, spoken=spoken)
    if verdict is Verdict.CREATE and row.draft is not None:
        code = row.draft.values["village_code"]
        names = regions.names()
        yield _label("village_code", spoken), f"{code} {names[code]}, Kecamatan {names[code[:8]]}"
    if verdict is Verdict.UPDATE:
        yield from ((_label(name, spoken), _change(name, *said, spoken)) for name, said in row.changes.items())


def _change(name: str, before: Any, after: Any, spoken: str) -> str:
    """A contact's data are named, never shown."""
    if name in PERSONAL:
        return CHANGED[spoken]
    return f"{_word(name, before, spoken)} → {_word(name, after, spoken)}"


def _word(name: str, value: Any, spoken: str) -> str:
    if value is None:
        return NOTHING[spoken]
    words: Mapping[Any, str] = TRUTH if isinstance(value, bool) else CHOICES.get(name, {})
    return words.get(value, str(value)) if spoken == "id" else str(value)


def _place(row: Row, field: str, spoken: str) -> str:
    """Where it stands: kolom I (IP/Host). A field that the file has no column for is named."""
    if (name := row.column(field)) is not None:
        header = " ".join(row.header.texts[name].split())
        return f"{COLUMN[spoken]} {row.header.letter(name)} ({header[:SHORT]})"
    return ROW[spoken] if field == "row" else _label(field, spoken)


def _label(field: str, spoken: str) -> str:
    """What a field is called."""
    found = COLUMNS.get(SOURCES.get(field, (field,))[0])
    return field if found is None or spoken == "en" else found.indonesian
