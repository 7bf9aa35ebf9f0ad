"""The snapshot without a database: what was published stays, and every site is looked at when its evidence lapses."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.core.freshness import holds
from app.status.ageing import AgeingSchedule
from app.status.row import PublishedState, StatusEntry

T = datetime(2040, 1, 1, tzinfo=UTC)  # ahead of any clock that runs these tests


def at(second: float) -> datetime:
    return T + timedelta(seconds=second)


class Row(NamedTuple):
    id: int = 1
    code: str = "kutai-1"
    name: str = "Loa Duri Ilir"
    kind: str = "access_point"
    village_code: str = "64.02.05.2003"
    technology: str = "fiber"
    provider_id: int = 1
    provider: str = "telkom-wms"
    latitude: float | None = None
    longitude: float | None = None
    probe: str = "icmp"
    state: str = "up"
    unknown_reason: str | None = None
    since: datetime = T
    evidence_at: datetime = T
    valid_s: int = 60
    last_ok_at: datetime = T
    rtt_us: int | None = 9_000
    loss_pct: float | None = 0.0
    lost_from: list[int] | None = None
    incident_id: int | None = None
    acknowledged: bool = False


def published(entry: StatusEntry) -> PublishedState:
    assert entry.evidence_at is not None
    now = entry.evidence_at + timedelta(seconds=1)
    return entry.state_at(now, stale_reason="stopped", maintenance=False)


def shown(entry: StatusEntry) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads(entry.json)
    return {name: fields[name] for name in ("state", "rtt_ms", "last_seen_at")}


def test_what_is_published_stays_until_the_next_version_though_looks_have_moved_it() -> None:
    entry = StatusEntry.from_row(Row())
    entry.publish(published(entry))
    first = shown(entry)
    assert first == {"state": "up", "rtt_ms": 9.0, "last_seen_at": "2040-01-01T00:00:00Z"}
    assert entry.move(Row(evidence_at=at(60), last_ok_at=at(60), rtt_us=11_000))
    assert shown(entry) == first
    entry.publish(published(entry))
    assert entry.move(Row(evidence_at=at(120), last_ok_at=at(120), rtt_us=13_000))
    assert shown(entry)["rtt_ms"] == 11.0, "first asked for after it had moved on"
    assert not entry.move(Row(evidence_at=at(120), last_ok_at=at(120), rtt_us=13_000)), "nothing differs"
    replaced = StatusEntry.from_row(Row(name="Loa Duri", rtt_us=15_000))
    replaced.published_as(entry)
    assert shown(replaced)["rtt_ms"] == 11.0
    replaced.publish(published(replaced))
    assert orjson.loads(replaced.json)["name"] == "Loa Duri"


Looks = st.lists(st.tuples(st.integers(0, 300), st.integers(-120, 120), st.sampled_from([10, 60])), max_size=12)


@given(Looks)
def test_a_site_is_looked_at_in_every_second_in_which_its_evidence_begins_or_ceases_to_hold(
    looks: Sequence[tuple[int, int, int]],
) -> None:
    """Looks: (the second in which it is read, its evidence before or after that, how long it is valid)."""
    schedule, evidence = AgeingSchedule(), None
    schedule._next = int(T.timestamp())
    held = False
    for second in range(700):
        for _, offset, valid_s in (look for look in looks if look[0] == second):
            evidence = at(second + offset), valid_s
            schedule.add(1, *evidence)
            held = holds(*evidence, at(second))  # as published with it
        seen = 1 in schedule.take_due(at(second + 0.5))
        if evidence is None:
            continue
        if seen:
            schedule.add(1, *evidence)
            held = holds(*evidence, at(second + 0.5))
        assert held == holds(*evidence, at(second + 0.5))
