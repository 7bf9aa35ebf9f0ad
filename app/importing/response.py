"""Present an import's result in the caller's language: as JSON, and as lines of text for reports and the terminal."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from app.core import i18n
from app.core.errors import Fault, Invalid
from app.core.pii import PERSONAL
from app.importing import common_errors
from app.importing.header_detection import COLUMNS, SOURCES
from app.importing.rows import SheetRow
from app.importing.store import ImportResult
from app.importing.verdicts import RowVerdict
from app.registry import regions, vantage_lists
from app.registry.vocabulary import CHOICES, MAX_NAME, YES_NO

COLUMN, ROW = {"id": "kolom", "en": "column"}, {"id": "baris", "en": "row"}
EMPTY, CHANGED = {"id": "(kosong)", "en": "(empty)"}, {"id": "diubah", "en": "changed"}


def to_json(result: ImportResult, *, language: str, upload: str | None) -> bytes:
    """Return the body of an ImportOut. `upload`: the id under which the file is kept."""
    return orjson.dumps(_content(result, language) | {"upload": upload})


def refusal(result: ImportResult, *, language: str) -> Invalid:
    """Return the problem for a file that was not written, with every fault and the body of an ImportOut."""
    problem = Invalid(*(replace(fault, row=row.number) for row in result.wrong_rows for fault in row.faults))
    problem.extra = _content(result, language)
    return problem


def _content(result: ImportResult, language: str) -> dict[str, Any]:
    file = result.file
    first = file.sheets[0]
    return {
        "dry_run": result.dry_run,
        "applied": result.applied,
        "counts": result.counts,
        "columns": {
            "sheet": first.name,
            "header_row": first.header.number,
            "recognised": first.header.texts,
            "ignored": [_fault(fault, language) for sheet in file.sheets for fault in sheet.header.ignored],
            "other_sheets": [{"sheet": sheet.name, "rows": sheet.rows} for sheet in file.unread],
        },
        "warnings": [_fault(fault, language) for fault in result.warnings],
        "common_errors": [
            _cell_fault(error.rows[0], error.fault, language) | {"rows": len(error.rows), "labels": error.labels}
            for error in common_errors.find(result.wrong_rows)
        ],
        "rows": [_row(row, verdict, language) for row, verdict in result.verdicts],
    }


def _row(row: SheetRow, verdict: RowVerdict, language: str) -> dict[str, Any]:
    site = row.draft.registered if row.draft is not None else None
    changes = {} if verdict is RowVerdict.ERROR else row.changes
    return {
        "sheet": row.sheet,
        "row": row.number,
        "verdict": verdict,
        "code": None if site is None else site.code,
        "site_id": None if site is None else site.id,
        "changes": {name: {"before": before, "after": after} for name, (before, after) in changes.items()},
        "errors": [_cell_fault(row, fault, language) for fault in row.faults],
        "warnings": [_cell_fault(row, fault, language) for fault in row.warnings],
        "cells": row.texts if verdict is RowVerdict.ERROR else {},
    }


def _fault(fault: Fault, language: str) -> dict[str, Any]:
    return {
        "field": fault.field,
        "row": fault.row,
        "code": fault.code,
        "message": i18n.translate(fault.message, fault.values, language=language),
        "suggestion": fault.suggestion and i18n.translate(fault.suggestion, fault.values, language=language),
    }


def _cell_fault(row: SheetRow, fault: Fault, language: str) -> dict[str, Any]:
    """Add the cell that the fault is about: its text, column and header."""
    column = row.source_column(fault.field)
    return _fault(fault, language) | {
        "row": row.number,
        "value": row.source_text(fault.field),
        "column": None if column is None else row.header.letter(column),
        "header": None if column is None else row.header.texts[column],
    }


def fault_line(fault: Fault, *, language: str) -> str:
    """Return message and suggestion in one line."""
    content = _fault(fault, language)
    return content["message"] if content["suggestion"] is None else f"{content['message']}. {content['suggestion']}"


def overview(result: ImportResult, *, language: str) -> Iterator[str]:
    """Yield what to know before reading the rows: how many are wrong, errors of several rows, and the warnings."""
    if result.wrong_rows:
        yield fault_line(_wrong_rows(result), language=language)
    for error in common_errors.find(result.wrong_rows):
        labels = ", ".join(error.labels) + (", …" if len(error.rows) > len(error.labels) else "")
        where = _position(error.rows[0], error.fault.field, language)
        yield f"{len(error.rows)} × {where}: {fault_line(error.fault, language=language)} [{ROW[language]} {labels}]"
    for fault in result.warnings:
        yield fault_line(fault, language=language)


def _wrong_rows(result: ImportResult) -> Fault:
    return Fault(
        "file",
        "wrong_rows",
        "{wrong} of {rows} rows are wrong",
        "Correct the marked cells in this file and import it again: rows that are registered by then change nothing"
        if result.applied
        else "Nothing was written: correct the marked cells in this file and import it again",
        values={"wrong": len(result.wrong_rows), "rows": len(result.verdicts)},
    )


def row_lines(row: SheetRow, verdict: RowVerdict, *, language: str) -> Iterator[tuple[str, str]]:
    """Yield (position, text) for each fault, warning and change of a row; for a new site, the village found."""
    for fault in (*row.faults, *row.warnings):
        yield _position(row, fault.field, language), fault_line(fault, language=language)
    if verdict is RowVerdict.CREATE and row.draft is not None:
        code = row.draft.values["village_code"]
        names = regions.names()
        yield _column_name("village_code", language), f"{code} {names[code]}, Kecamatan {names[code[:8]]}"
    if verdict is RowVerdict.UPDATE:
        for name, (before, after) in row.changes.items():
            yield _column_name(name, language), _change(name, before, after, row.names.get(name, {}), language)


def _change(field: str, before: Any, after: Any, names: Mapping[int, str], language: str) -> str:
    """Personal data are never shown, only that they change."""
    if field in PERSONAL:
        return CHANGED[language]
    if isinstance(before, int):
        before = names.get(before, before)
    if isinstance(after, int):
        after = names.get(after, after)
    return f"{_value(field, before, language)} → {_value(field, after, language)}"


def _value(field: str, value: Any, language: str) -> str:
    if value is None:
        return EMPTY[language]
    if isinstance(value, list):
        return vantage_lists.written(value)
    words: Mapping[Any, str] = YES_NO if isinstance(value, bool) else CHOICES.get(field, {})
    return words.get(value, str(value)) if language == "id" else str(value)


def _position(row: SheetRow, field: str, language: str) -> str:
    """Return the column as in the file, like kolom I (IP/Host); without one, the field's name."""
    if (column := row.source_column(field)) is not None:
        header = " ".join(row.header.texts[column].split())
        return f"{COLUMN[language]} {row.header.letter(column)} ({header[:MAX_NAME]})"
    return ROW[language] if field == "row" else _column_name(field, language)


def _column_name(field: str, language: str) -> str:
    column = COLUMNS.get(SOURCES.get(field, (field,))[0])
    return field if column is None or language == "en" else column.indonesian
