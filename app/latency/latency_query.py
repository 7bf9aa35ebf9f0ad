"""One statement that reads a period's pieces and merges them: a row for each part (n = 1, 2, …), one for all (0)."""

from collections.abc import Sequence
from typing import Any

from app.aggregates.selection import OneSite, Selection
from app.core.clock import WITA, WITA_SQL
from app.core.periods import Period, Step
from app.latency import histogram_sql
from app.latency.histogram_sql import COLUMNS
from app.latency.models import RegionDay, RegionMonth, RollupDay, RollupHour
from app.latency.rollup_tiers import Counted, Piece, Tier, ceil, floor, pieces
from app.postgres.engine import Base

MEMBER = f"""
    SELECT site_id, since, until, (since AT TIME ZONE {WITA_SQL})::date AS first_day,
        (until AT TIME ZONE {WITA_SQL})::date AS until_day FROM ({{members}}) m WHERE since < until
"""
# Hours that wait to be counted again: left out of what is counted, and read one by one.
STALE = f"""
    SELECT site_id, hour FROM stale_hour WHERE hour >= :whole_from AND hour < :whole_to
        AND (hour AT TIME ZONE {WITA_SQL})::date = ANY(cast(:stale_days AS date[]))
"""
OF_SITES: dict[Tier, type[Base]] = {Tier.HOUR: RollupHour, Tier.DAY: RollupDay}
OF_REGION: dict[Tier, type[Base]] = {Tier.HOUR: RollupHour, Tier.DAY: RegionDay, Tier.MONTH: RegionMonth}
COUNTED: dict[type[Base], str] = {
    RollupHour: """member JOIN {span} ON true
        JOIN rollup_hour c ON c.site_id = member.site_id AND c.hour >= low AND c.hour < high
            AND c.hour >= since AND c.hour < until
        WHERE NOT EXISTS (SELECT FROM stale WHERE stale.site_id = c.site_id AND stale.hour = c.hour)""",
    RollupDay: """member JOIN {span} ON true
        JOIN rollup_day c ON c.site_id = member.site_id AND c.day >= low AND c.day < high
            AND c.day >= first_day AND c.day < until_day""",
    RegionDay: """{span} JOIN region_day c ON c.region_code = :region AND c.day >= low AND c.day < high
            AND c.provider_id = :cell_provider AND c.technology = :cell_technology""",
    RegionMonth: """{span} JOIN region_month c ON c.region_code = :region AND c.month >= low AND c.month < high
            AND c.provider_id = :cell_provider AND c.technology = :cell_technology""",
}
FIGURES = COLUMNS.replace("upto", "upto::bigint[] AS upto")
READINGS = f"""
    SELECT width_bucket(m.slot, cast(:starts AS timestamptz[])) AS n, {histogram_sql.READ}
    FROM {{hours}} JOIN measurement m ON m.site_id = member.site_id AND m.slot >= {{low}} AND m.slot < {{high}}
    WHERE m.slot >= :first AND m.slot < :last AND m.slot >= since AND m.slot < until
"""


class Composed:
    """`sql` with `values` answers rows (n, what is shown of a row); with one part, that is row 0."""

    def __init__(self, of: OneSite | Selection, period: Period, step: Step, counted: Counted) -> None:
        self.of, self.step, self.parts = of, Tier(step.value), list(period.cut(step))
        self.alone: list[str] = []  # selects that give one row for each of their n
        self.shared: list[str] = []  # selects whose rows go into a part and into the whole
        self.merged: list[str] = []
        self.readings: list[str] = []
        self.values: dict[str, Any] = {
            **of.values,
            "first": period.start,
            "last": period.end,
            "stale_days": sorted(counted.stale),
            "starts": [part.start for part in self.parts],
            "days": [part.start.astimezone(WITA).date() for part in self.parts],
            "whole_from": ceil(period.start, Tier.HOUR),
            "whole_to": floor(min(period.end, counted.hours), Tier.HOUR),
        }
        tiers = [Tier.MONTH, Tier.DAY, Tier.HOUR] if of.by_region else [Tier.DAY, Tier.HOUR]
        within = tiers[tiers.index(self.step) :] if self.step in tiers else tiers
        whole = list(pieces(period.start, period.end, tiers, counted))
        series = list(pieces(period.start, period.end, within, counted)) if self.several else []
        for tier in tiers:
            self._count(tier, *([piece for piece in found if piece.tier is tier] for found in (whole, series)))
        for piece in whole:
            if piece.tier is Tier.RAW:
                self._read(piece)
        if counted.stale:
            hours = "stale JOIN member ON member.site_id = stale.site_id"
            self.readings.append(READINGS.format(hours=hours, low="stale.hour", high="stale.hour + interval '1 hour'"))

    @property
    def several(self) -> bool:
        return len(self.parts) > 1

    @property
    def sql(self) -> str:
        ctes = [f"member AS MATERIALIZED ({MEMBER.format(members=self.of.members)})", f"stale AS ({STALE})"]
        parts, shared, alone = list(self.merged), list(self.shared), list(self.alone)
        if self.readings:
            ctes.append(
                f"blinded AS MATERIALIZED ({histogram_sql.BLINDED}), reading AS ({' UNION ALL '.join(self.readings)})"
            )
            ctes.append(
                f"live AS MATERIALIZED ({histogram_sql.stacked(histogram_sql.of_readings('reading', 'n'), 'n')})"
            )
            shared.append(f"SELECT n, {COLUMNS} FROM live")
        if shared:
            ctes.append(f"shared AS MATERIALIZED ({_merged(' UNION ALL '.join(shared))})")
            parts += [f"SELECT {n}, {COLUMNS} FROM shared" for n in (["0 AS n", "n"] if self.several else ["0 AS n"])]
        if parts:
            alone.append(f"SELECT n, {COLUMNS} FROM ({_merged(' UNION ALL '.join(parts))}) merged")
        return f"WITH {', '.join(ctes)} SELECT n, {histogram_sql.SHOWN} FROM ({' UNION ALL '.join(alone)}) answer"

    def _count(self, tier: Tier, whole: Sequence[Piece], series: Sequence[Piece]) -> None:
        one_row = isinstance(self.of, OneSite) or (self.of.by_region and tier is not Tier.HOUR)
        if tier is self.step and one_row:
            self._select(tier, series, "alone", self.alone)
            self._select(tier, whole, "whole", self.merged)
        elif whole == series:
            self._select(tier, whole, "shared", self.shared)
        else:
            self._select(tier, series, "series", self.merged)
            self._select(tier, whole, "whole", self.merged)

    def _select(self, tier: Tier, found: Sequence[Piece], kind: str, into: list[str]) -> None:
        if not found:
            return
        table = (OF_REGION if self.of.by_region else OF_SITES)[tier]
        name, sort = f"{tier}_{kind}", "timestamptz" if tier is Tier.HOUR else "date"
        self.values[f"{name}_low"] = [_key(piece.start, tier) for piece in found]
        self.values[f"{name}_high"] = [_key(piece.end, tier) for piece in found]
        starts = "cast(:starts AS timestamptz[])" if tier is Tier.HOUR else "cast(:days AS date[])"
        n = "0" if kind == "whole" else f"width_bucket(c.{tier}, {starts})"
        span = f"unnest(cast(:{name}_low AS {sort}[]), cast(:{name}_high AS {sort}[])) AS span(low, high)"
        into.append(f"SELECT {n} AS n, {FIGURES} FROM {COUNTED[table].format(span=span)}")

    def _read(self, piece: Piece) -> None:
        low, high = f"raw{len(self.readings)}_low", f"raw{len(self.readings)}_high"
        self.values |= {low: piece.start, high: piece.end}
        self.readings.append(READINGS.format(hours="member", low=f":{low}", high=f":{high}"))


def _merged(rows: str) -> str:
    return histogram_sql.stacked(histogram_sql.of_histograms(f"({rows})", "n"), "n")


def _key(moment: Any, tier: Tier) -> Any:
    return moment if tier is Tier.HOUR else moment.astimezone(WITA).date()
