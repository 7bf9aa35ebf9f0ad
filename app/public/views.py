"""What each page shows, from a snapshot: regions with their names, counts, percentages and days. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import dropwhile
from typing import Any

from app.access.scope import PROVINCE
from app.public.access_points import Village, count_states
from app.public.addresses import villages
from app.public.history import SHOWN_DAYS, WHOLE_DAYS, RegionDays
from app.public.service_seconds import DayVerdict, ServiceSeconds
from app.public.snapshot import PublicSnapshot
from app.registry import regions
from app.registry.models import State

MAX_FOUND = 50
KINDS_OF_PLACE = {"desa", "kelurahan", "kel", "kecamatan", "kec", "kabupaten", "kab", "village"}
NO_DAYS = RegionDays()


@dataclass(frozen=True, slots=True)
class DaysView:
    """A region with its days."""

    code: str
    name: str
    days: RegionDays
    first_day: date

    @property
    def last_30(self) -> dict[str, float | None]:
        return self.days.last_30.percentages

    @property
    def today(self) -> dict[str, float | None]:
        return self.days.today.percentages

    def list_days(self, count: int = WHOLE_DAYS) -> list[tuple[date, ServiceSeconds]]:
        """Return the last whole days, from the first one with service on, and today."""
        first, numbers = self.first_day.toordinal(), range(WHOLE_DAYS - count, WHOLE_DAYS + 1)
        days = [(date.fromordinal(first + number), self.days.on(number)) for number in numbers]
        return list(dropwhile(lambda day: not any(day[1]), days)) or days[-1:]


@dataclass(frozen=True, slots=True)
class RegionView(DaysView):
    """The province or a district; `counts`: its villages that have a published access point, by state."""

    counts: dict[State, int]

    @property
    def villages(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class VillageView(DaysView):
    type: str
    subdistrict: str
    village: Village | None

    @property
    def verdicts(self) -> dict[DayVerdict, int]:
        return self.days.verdicts

    @property
    def service_days(self) -> int:
        return SHOWN_DAYS - self.verdicts[DayVerdict.NO_SERVICE]


@cache
def region_rows() -> dict[str, dict[str, Any]]:
    return {row["code"]: row for row in regions.read_csv()}


def region_view(snapshot: PublicSnapshot, code: str) -> RegionView:
    """Return the province or a district."""
    within = [village for village in snapshot.villages.values() if village.code.startswith(code)]
    return _region_view(snapshot, code, within)


def _region_view(snapshot: PublicSnapshot, code: str, within: Iterable[Village]) -> RegionView:
    history, name = snapshot.history, region_rows()[code]["name"]
    return RegionView(code, name, history.of(code), history.day(0), count_states(within))


def district_views(snapshot: PublicSnapshot) -> list[RegionView]:
    by_district: dict[str, list[Village]] = defaultdict(list)
    for village in snapshot.villages.values():
        by_district[village.code[:5]].append(village)
    return [_region_view(snapshot, code, by_district[code]) for code in regions.children(PROVINCE)]


def village_view(snapshot: PublicSnapshot, code: str) -> VillageView:
    """A village without a published access point has no days either: they would tell of one that is gone or hidden."""
    row, village = region_rows()[code], snapshot.villages.get(code)
    days = NO_DAYS if village is None else snapshot.history.of(code)
    subdistrict = region_rows()[row["parent_code"]]["name"]
    return VillageView(code, row["name"], days, snapshot.history.day(0), row["type"], subdistrict, village)


def villages_by_subdistrict(snapshot: PublicSnapshot, district: str) -> list[tuple[str, list[VillageView]]]:
    return [
        (
            region_rows()[subdistrict]["name"],
            [village_view(snapshot, code) for code in villages() if code.startswith(f"{subdistrict}.")],
        )
        for subdistrict in regions.children(district)
    ]


@cache
def _place(code: str) -> str:
    """Return a village's name, kecamatan and district in one line, case folded."""
    rows = region_rows()
    return ", ".join(rows[of]["name"] for of in (code, rows[code]["parent_code"], code[:5])).casefold()


def find_villages(snapshot: PublicSnapshot, q: str, district: str = "") -> Sequence[VillageView]:
    """Return up to MAX_FOUND + 1 villages with every word of `q` in name, kecamatan or district, or with that code.

    Words for the kind of place ("desa", "kec.") are left out. Those whose name fits come first.
    """
    words = [word for word in re.findall(r"[^\s,;/]+", q.casefold()) if word.rstrip(".") not in KINDS_OF_PLACE]
    wanted = " ".join(words)
    if not wanted:
        return []
    found = []
    for code in villages():
        name, place = region_rows()[code]["name"].casefold(), _place(code)
        if code.startswith(district) and (all(word in place for word in words) or code.startswith(wanted)):
            found.append((not name.startswith(wanted), wanted not in name, words[0] not in name, code))
    return [village_view(snapshot, code) for *_, code in sorted(found)[: MAX_FOUND + 1]]
