"""`/metrics/sites`: the status of each site in Prometheus' text format, formatted directly for speed.

100,000 sites are a million lines.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson

from app.registry import regions
from app.registry.models import State

HELP = {
    "sinyal_site_info": "Always 1; the names that belong to the codes, joined on (site)",
    "sinyal_site_state": "1 for the site's current state, 0 for the others",
    "sinyal_site_rtt_seconds": "Median round-trip time of the last reading, while the site is up or degraded",
    "sinyal_site_loss_ratio": "Share of packets lost in the last readings",
    "sinyal_site_last_seen_timestamp_seconds": "Unix time of the last answer",
    "sinyal_site_maintenance": "1 during maintenance",
    "sinyal_status_data_age_seconds": "Age of the worker's last heartbeat when this was rendered",
}
LABELS = '{site="%s",region="%s",district="%s",technology="%s",provider="%s",kind="%s"'  # without the closing brace
NAMES = ',name="%s",village="%s",subdistrict="%s",district_name="%s",provider_name="%s"} 1'
STATES = {  # every state, so that no series of a site ends
    is_in.value: "".join(
        f'sinyal_site_state%(labels)s,state="{state.value}"}} {int(state is is_in)}\n' for state in State
    )
    for is_in in State
}
SPECIAL = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
DISTRICT, SUBDISTRICT = len("64.02"), len("64.02.05")


def exposition(rows: Iterable[bytes], data_age_s: float | None, *, provider_names: Mapping[str, str]) -> bytes:
    """Format sites given as JSON rows of `/status`. `provider_names`: by slug."""
    families = {name: bytearray(f"# HELP {name} {what}\n# TYPE {name} gauge\n".encode()) for name, what in HELP.items()}
    for row in map(orjson.loads, rows):
        labels = _labels(row)
        families["sinyal_site_info"] += f"sinyal_site_info{labels}{_names(row, provider_names)}\n".encode()
        families["sinyal_site_state"] += (STATES[row["state"]] % {"labels": labels}).encode()
        for name, value in _values(row):
            if value is not None:
                families[name] += f"{name}{labels}}} {value!r}\n".encode()
    if data_age_s is not None:
        families["sinyal_status_data_age_seconds"] += f"sinyal_status_data_age_seconds {data_age_s!r}\n".encode()
    return b"".join(families.values())


def _labels(row: dict[str, Any]) -> str:
    village = row["village_code"]
    values = row["code"], village, village[:DISTRICT], row["technology"], row["provider"], row["kind"]
    return LABELS % _escaped(*values)


def _names(row: dict[str, Any], provider_names: Mapping[str, str]) -> str:
    """Return the names as labels of `sinyal_site_info` alone: no other series ends when something is renamed."""
    village, places = row["village_code"], regions.names()
    names = [places.get(code, code) for code in (village, village[:SUBDISTRICT], village[:DISTRICT])]
    return NAMES % _escaped(row["name"], *names, provider_names.get(row["provider"], row["provider"]))


def _escaped(*values: str) -> tuple[str, ...]:
    return tuple([value.translate(SPECIAL) for value in values])


def _values(row: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    rtt_ms, loss_pct, seen_at = row["rtt_ms"], row["loss_pct"], row["last_seen_at"]
    yield "sinyal_site_rtt_seconds", None if rtt_ms is None else round(rtt_ms / 1000, 6)
    yield "sinyal_site_loss_ratio", None if loss_pct is None else round(loss_pct / 100, 5)
    yield "sinyal_site_last_seen_timestamp_seconds", seen_at and datetime.fromisoformat(seen_at).timestamp()
    yield "sinyal_site_maintenance", int(row["maintenance"])
