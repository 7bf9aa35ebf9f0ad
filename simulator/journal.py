"""What truly happened on the simulated network: events in truth.jsonl, the agents' work in agents.jsonl."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

TRUTH, AGENTS = "truth.jsonl", "agents.jsonl"

Row = Mapping[str, Any]


class TruthLog:
    """A line when an event begins, and the completed line when it ends."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / TRUTH).open("a", encoding="utf-8")

    def record(self, kind: str, sites: tuple[str, ...], started_at: datetime, ended_at: datetime | None) -> None:
        """An event that the simulator did not live to end keeps its `ended_at` null."""
        line = {"kind": kind, "sites": sites, "started_at": _iso(started_at), "ended_at": _iso(ended_at)}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class AgentLog:
    """A line for what every agent measured, tried to send, was answered and lost; without a folder none."""

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else (folder / AGENTS).open("a", encoding="utf-8")

    def measured(self, site: str, row: Row, at: float) -> None:
        """`at` is the true time (seconds since 1970); the row holds the device's own."""
        self._write(
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
        self._write({"what": "tried", "site": site, "rows": _row_ids(rows)})

    def acknowledged(self, site: str, rows: Sequence[Row], response: Mapping[str, Any]) -> None:
        counts = {key: response.get(key) for key in ("accepted", "duplicates", "rejected")}
        self._write({"what": "acknowledged", "site": site, "rows": _row_ids(rows), **counts})

    def lost(self, site: str, rows: Iterable[Row]) -> None:
        self._write({"what": "lost", "site": site, "rows": _row_ids(rows)})

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")


def _row_ids(rows: Iterable[Row]) -> list[list[Any]]:
    return [[row["boot"], row["seq"]] for row in rows]


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds")
