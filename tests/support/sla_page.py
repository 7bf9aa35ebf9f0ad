"""Reads docs/sla.md and docs/sla.id.md: their tables, JSON blocks and numbers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

from app.core.clock import WITA
from app.settings import ROOT

MONTH = date(2026, 10, 1)
FILES = {"en": "sla.md", "id": "sla.id.md"}
STRETCHES = ("until", "from", "together")  # the columns of figures
BLOCK = re.compile(r"^```json (\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
CODE = re.compile(r"`([\w.]+)`")


@dataclass(frozen=True, slots=True)
class LedgerLine:
    line: str
    state: str
    last_ok_at: datetime | None
    started_at: datetime
    last_loss_at: datetime | None
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    line: str
    kind: str  # cause, maintenance or claim
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    line: str
    started_at: datetime
    ended_at: datetime
    seconds: int
    counts_as: str | None  # None: nothing of the contract's


@dataclass(frozen=True)
class SlaPage:
    language: str

    @cached_property
    def text(self) -> str:
        return (ROOT / "docs" / FILES[self.language]).read_text()

    @cached_property
    def blocks(self) -> dict[str, Any]:
        return {name: json.loads(block) for name, block in BLOCK.findall(self.text)}

    @cached_property
    def quotation(self) -> str:
        return " ".join(line.removeprefix("> ") for line in self.text.splitlines() if line.startswith("> "))

    @cached_property
    def ledger(self) -> list[LedgerLine]:
        return [LedgerLine(line, state, *map(_moment, moments)) for line, state, *moments in self._rows(0)]  # type: ignore[arg-type]

    @cached_property
    def records(self) -> list[Record]:
        kinds = {"d": "cause", "f": "maintenance", "h": "claim", "i": "claim"}
        return [Record(line, kinds[line], _at(start), _at(end)) for line, _, start, end, _ in self._rows(1)]

    @cached_property
    def counts(self) -> list[Count]:
        return [
            Count(line, _at(start), _at(end), self.whole(seconds), _code(counts_as))
            for line, start, end, seconds, counts_as, _ in self._rows(2)
        ]

    @cached_property
    def sums(self) -> dict[str, dict[str, int]]:
        """Return the seconds by name, for each of STRETCHES."""
        return {
            _code(name) or "": dict(zip(STRETCHES, map(self.whole, cells), strict=True))
            for name, *cells in self._rows(3)
        }

    @cached_property
    def percentages(self) -> dict[str, dict[str, float]]:
        return {
            _code(name) or "": dict(zip(STRETCHES, (float(cell.replace(",", ".")) for cell in cells), strict=True))
            for name, _, *cells in self._rows(4)
        }

    def whole(self, text: str) -> int:
        return int(text.replace(self._thousands, ""))

    def written(self, number: int) -> str:
        return f"{number:,}".replace(",", self._thousands)

    @property
    def _thousands(self) -> str:
        return "," if self.language == "en" else "."

    def _rows(self, number: int) -> Iterator[list[str]]:
        for row in TABLE.findall(self.text)[number].splitlines()[2:]:
            yield [cell.strip() for cell in row.strip("|").split("|")]


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(f"{MONTH.year}-{text}").replace(tzinfo=WITA) if text else None


def _at(text: str) -> datetime:
    moment = _moment(text)
    assert moment is not None
    return moment


def _code(text: str) -> str | None:
    found = CODE.search(text)
    return found[1] if found else None
