"""What an import found, in the caller's language."""

from dataclasses import replace
from typing import Any

from app.core import i18n
from app.core.errors import Fault, Invalid
from app.importing.sheets import Row
from app.importing.store import Outcome, Verdict


def present(outcome: Outcome, *, spoken: str) -> dict[str, Any]:
    book = outcome.book
    first = book.sheets[0]
    return {
        "dry_run": outcome.dry_run,
        "applied": outcome.applied,
        "counts": outcome.counts,
        "columns": {
            "sheet": first.name,
            "header_row": first.header.number,
            "recognised": first.header.texts,
            "ignored": [say(fault, spoken=spoken) for sheet in book.sheets for fault in sheet.header.ignored],
            "other_sheets": [{"sheet": unread.name, "rows": unread.rows} for unread in book.unread],
        },
        "warnings": [say(fault, spoken=spoken) for fault in book.warnings],
        "rows": [_row(row, verdict, spoken) for row, verdict in outcome.verdicts],
    }


def refusal(outcome: Outcome, *, spoken: str) -> Invalid:
    """Why nothing was written: every fault, and the verdicts beside them."""
    problem = Invalid(*(replace(fault, row=row.number) for row in outcome.wrong for fault in row.faults))
    problem.extra = present(outcome, spoken=spoken)
    return problem


def _row(row: Row, verdict: Verdict, spoken: str) -> dict[str, Any]:
    site = row.draft.site if row.draft is not None else None
    changes = {} if verdict is Verdict.ERROR else row.changes
    return {
        "sheet": row.sheet,
        "row": row.number,
        "verdict": verdict,
        "code": None if site is None else site.code,
        "site_id": None if site is None else site.id,
        "changes": {name: {"before": before, "after": after} for name, (before, after) in changes.items()},
        "errors": [say(fault, spoken=spoken, row=row) for fault in row.faults],
        "warnings": [say(fault, spoken=spoken, row=row) for fault in row.warnings],
    }


def line(fault: Fault, *, spoken: str) -> str:
    """What is wrong and what to do, in one line."""
    said = say(fault, spoken=spoken)
    return said["message"] if said["suggestion"] is None else f"{said['message']}. {said['suggestion']}"


def say(fault: Fault, *, spoken: str, row: Row | None = None) -> dict[str, Any]:
    said = {
        "field": fault.field,
        "row": fault.row if row is None else row.number,
        "code": fault.code,
        "message": i18n.translate(fault.message, fault.values, language=spoken),
        "suggestion": fault.suggestion and i18n.translate(fault.suggestion, fault.values, language=spoken),
    }
    if row is None:
        return said
    name = row.column(fault.field)
    where = (None, None) if name is None else (row.header.letter(name), row.header.texts[name])
    return said | {"value": row.value(fault.field), "column": where[0], "header": where[1]}
