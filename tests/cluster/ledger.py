"""What the database holds afterwards, held against what was promised and against the truth."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.benchmarks.kills import PUSHING
from tests.cluster.cluster import INTERVAL_S
from tests.cluster.load import Acknowledged
from tests.cluster.villages import Outage, fetch

NOT_UP = """
    SELECT g.site_id, s.code, g.state, g.unknown_reason, g.started_at, coalesce(g.ended_at, now()) AS ended_at
    FROM state_segment g JOIN site s ON s.id = g.site_id
    WHERE g.state <> 'up' AND coalesce(g.unknown_reason, '') <> 'never_seen' AND coalesce(g.ended_at, now()) > $1
        AND s.id <= $2
    ORDER BY g.started_at
"""
REFERENCES = "SELECT service_no, count(*) FROM site WHERE service_no LIKE 'registrar%' GROUP BY 1"
PUSHED = "SELECT site_id, count(*) FROM measurement WHERE source = 'agent' GROUP BY 1"
STORED = (
    "SELECT site_id, slot, source FROM measurement WHERE slot >= now() - make_interval(secs => $1) AND site_id <= $2"
)
WAITING = "SELECT (SELECT count(*) FROM push_inbox) + (SELECT count(*) FROM prober_inbox WHERE refused_at IS NULL)"
STATES = "SELECT state, count(*) FROM site_status WHERE site_id <= $1 GROUP BY 1 ORDER BY 2 DESC"
UP = "SELECT count(*) FROM site_status s WHERE site_id <= $1 AND state <> 'up' AND NOT site_id = ANY($2::int[])"
Reading = tuple[int, datetime, str]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time that is not up, of a site."""

    code: str
    state: str
    reason: str | None
    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


async def not_up(url: str, since: datetime, sites: int) -> list[Stretch]:
    rows = await fetch(url, NOT_UP, since, sites)
    return [
        Stretch(row["code"], row["state"], row["unknown_reason"], row["started_at"], row["ended_at"]) for row in rows
    ]


async def stored(url: str, within_s: float, sites: int) -> set[Reading]:
    return {(row[0], row[1], row[2]) for row in await fetch(url, STORED, within_s, sites)}


def untrue(stretches: Iterable[Stretch], outages: Sequence[Outage], *, slack_s: float = INTERVAL_S) -> list[Stretch]:
    """Return what was down beyond the outages that there were, and a look's interval around them."""
    around = timedelta(seconds=slack_s + 2)
    by_code: dict[str, list[Outage]] = {}
    for outage in outages:
        by_code.setdefault(outage.code, []).append(outage)
    return [
        stretch
        for stretch in stretches
        if stretch.state in ("down", "unreachable")
        and not any(
            outage.start - around <= stretch.start and (outage.end is None or stretch.end <= outage.end + around)
            for outage in by_code.get(stretch.code, ())
        )
    ]


def unseen(stretches: Sequence[Stretch], outages: Iterable[Outage], until: datetime) -> tuple[int, list[Outage]]:
    """Return how many outages were over by then, and those of which nobody was told and no gap tells why."""
    over = [outage for outage in outages if outage.end is not None and outage.end < until]
    return len(over), [outage for outage in over if not any(_overlap(stretch, outage) for stretch in stretches)]


def _overlap(stretch: Stretch, outage: Outage) -> bool:
    ends = outage.end is None or stretch.start < outage.end
    return stretch.code == outage.code and ends and stretch.end > outage.start


def missing_and_doubled(
    acknowledged: Iterable[Acknowledged], counts: dict[str, int]
) -> tuple[list[Acknowledged], list[str]]:
    return (
        [entry for entry in acknowledged if not counts.get(entry.key)],
        [key for key, count in counts.items() if count > 1],
    )


def pushes_missing(acknowledged: Collection[str], tried: Collection[str], rows: Sequence[Any]) -> tuple[int, int]:
    """Return how many acknowledged pushes are not stored, and how many rows nobody sent. A key is site/number."""
    held = {row[0]: row[1] for row in rows}
    promised, sent = _by_site(acknowledged), _by_site(tried)
    return (
        sum(max(0, promised[site] - held.get(site, 0)) for site in range(1, PUSHING + 1)),
        sum(max(0, held.get(site, 0) - sent[site]) for site in range(1, PUSHING + 1)),
    )


def _by_site(keys: Iterable[str]) -> Counter[int]:
    return Counter(int(key.partition("/")[0]) for key in keys)
