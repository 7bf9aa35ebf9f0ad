"""Read what the simulator logged: truth.jsonl and agents.jsonl."""

import json
from pathlib import Path
from typing import Any

from simulator.journal import AGENTS, TRUTH


def read_truth(folder: Path) -> list[dict[str, Any]]:
    """Return every event once, by its last line, in the order of their starts."""
    events: dict[tuple[str, str, tuple[str, ...]], dict[str, Any]] = {}
    for line in (folder / TRUTH).read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        events[event["kind"], event["started_at"], tuple(event["sites"])] = event
    return list(events.values())


def read_agents(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / AGENTS).read_text(encoding="utf-8").splitlines()]
