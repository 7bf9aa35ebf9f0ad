"""truth.jsonl: what really happened, a line when an event begins and the completed line when it ends."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

NAME = "truth.jsonl"


class Truth:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / NAME).open("a", encoding="utf-8")

    def tell(self, kind: str, sites: tuple[str, ...], started_at: datetime, ended_at: datetime | None) -> None:
        """Nothing is told ahead: an event the simulator did not live to end keeps its `ended_at` null."""
        line = {"kind": kind, "sites": sites, "started_at": _iso(started_at), "ended_at": _iso(ended_at)}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read(folder: Path) -> list[dict[str, Any]]:
    """Every event once, the latest known of it, in order of beginning."""
    events: dict[tuple[str, str, tuple[str, ...]], dict[str, Any]] = {}
    for line in (folder / NAME).read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        events[event["kind"], event["started_at"], tuple(event["sites"])] = event
    return list(events.values())


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds")
