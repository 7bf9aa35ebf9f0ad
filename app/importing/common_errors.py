"""Group the errors that several rows share, like a provider's name that the registry does not know."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.errors import Fault
from app.importing.rows import SheetRow

MAX_GROUPS = 20
MAX_ROWS = 5  # named of each


@dataclass(frozen=True, slots=True)
class CommonError:
    fault: Fault  # that of the first row
    rows: list[SheetRow]

    @property
    def labels(self) -> list[str]:
        return [row.label for row in self.rows[:MAX_ROWS]]


def find(rows: Sequence[SheetRow]) -> list[CommonError]:
    """Return the errors that two or more rows have with the same text in the cell, those of most rows first."""
    groups: dict[tuple[str, str, str | None], CommonError] = {}
    for row in rows:
        for fault in row.faults:
            key = fault.field, fault.code, row.source_text(fault.field)
            groups.setdefault(key, CommonError(fault, [])).rows.append(row)
    shared = [group for group in groups.values() if len(group.rows) > 1]
    return sorted(shared, key=lambda group: -len(group.rows))[:MAX_GROUPS]
