"""agents.jsonl: what every agent measured, tried to send, was answered and lost. A test's truth, written on request."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

NAME = "agents.jsonl"

Row = Mapping[str, Any]


class Journal:
    """Writes nothing without a folder."""

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else (folder / NAME).open("a", encoding="utf-8")

    def measured(self, site: str, row: Row, at: float) -> None:
        """`at` is when it truly was (seconds since 1970); the row says what the device says."""
        self._tell(
            {
                "what": "measured",
                "site": site,
                "boot": row["boot"],
                "seq": row["seq"],
                "at": round(at, 2),
                "clock": row["clock"],
                "received": row.get("received", len(row.get("rtt_ms", ()))),
            }
        )

    def tried(self, site: str, rows: Sequence[Row]) -> None:
        self._tell({"what": "tried", "site": site, "rows": _names(rows)})

    def acknowledged(self, site: str, rows: Sequence[Row], answer: Mapping[str, Any]) -> None:
        said = {key: answer.get(key) for key in ("accepted", "duplicates", "rejected")}
        self._tell({"what": "acknowledged", "site": site, "rows": _names(rows), **said})

    def lost(self, site: str, rows: Iterable[Row]) -> None:
        self._tell({"what": "lost", "site": site, "rows": _names(rows)})

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _tell(self, line: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")


def _names(rows: Iterable[Row]) -> list[list[Any]]:
    return [[row["boot"], row["seq"]] for row in rows]


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / NAME).read_text(encoding="utf-8").splitlines()]
