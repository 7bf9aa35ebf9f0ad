"""`/metrics/sites`: the status of each site in Prometheus' text format.

Written as text right away: for a hundred thousand sites that is a million lines.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import orjson

from app.registry.models import State

WHAT = {
    "sinyal_site_state": "1 for the state that the site is in, 0 for the others",
    "sinyal_site_rtt_seconds": "Median round trip of the last reading, while the site answers",
    "sinyal_site_loss_ratio": "Packets lost, of those of the last readings",
    "sinyal_site_last_seen_timestamp_seconds": "The last answer",
    "sinyal_site_maintenance": "1 while announced work is under way",
    "sinyal_status_data_age_seconds": "How old the worker's last sign of life was when this was written",
}
LABELS = '{site="%s",region="%s",district="%s",technology="%s",provider="%s",kind="%s"'  # } is for who uses them
STATES = {  # every state, so that no series of a site ends by itself
    is_in.value: "".join(
        f'sinyal_site_state%(labels)s,state="{state.value}"}} {int(state is is_in)}\n' for state in State
    )
    for is_in in State
}
SPECIAL = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
DISTRICT = len("64.02")


def text(rows: Iterable[bytes], data_age_s: float | None) -> bytes:
    """Of rows as they stand in `/status`."""
    families = {name: bytearray(f"# HELP {name} {what}\n# TYPE {name} gauge\n".encode()) for name, what in WHAT.items()}
    for row in map(orjson.loads, rows):
        labels = _labels(row)
        families["sinyal_site_state"] += (STATES[row["state"]] % {"labels": labels}).encode()
        for name, value in _figures(row):
            if value is not None:
                families[name] += f"{name}{labels}}} {value!r}\n".encode()
    if data_age_s is not None:
        families["sinyal_status_data_age_seconds"] += f"sinyal_status_data_age_seconds {data_age_s!r}\n".encode()
    return b"".join(families.values())


def _labels(row: dict[str, Any]) -> str:
    village = row["village_code"]
    values = row["code"], village, village[:DISTRICT], row["technology"], row["provider"], row["kind"]
    return LABELS % tuple([value.translate(SPECIAL) for value in values])


def _figures(row: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    rtt_ms, loss_pct, seen_at = row["rtt_ms"], row["loss_pct"], row["last_seen_at"]
    yield "sinyal_site_rtt_seconds", None if rtt_ms is None else round(rtt_ms / 1000, 6)
    yield "sinyal_site_loss_ratio", None if loss_pct is None else round(loss_pct / 100, 5)
    yield "sinyal_site_last_seen_timestamp_seconds", seen_at and datetime.fromisoformat(seen_at).timestamp()
    yield "sinyal_site_maintenance", int(row["maintenance"])
