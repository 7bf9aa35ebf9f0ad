"""Builds the statement that reads a period from all tiers and merges it: a row n = 1, 2, … a part, row 0 the whole."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from app.aggregates.selection import SingleSite, SiteGroup
from app.core.clock import WITA, WITA_SQL
from app.core.periods import Period, Step
from app.latency import histogram_sql
from app.latency.histogram_sql import COLUMNS
from app.latency.models import RegionDay, RegionMonth, RollupDay, RollupHour
from app.latency.raw_counts import RawCounts
from app.latency.rollup_tiers import RollupProgress, Tier, TierRange, split_by_tier
from app.postgres.engine import Base

MEMBER = f"""
    SELECT site_id, since, until, (since AT TIME ZONE {WITA_SQL})::date AS first_day,
        (until AT TIME ZONE {WITA_SQL})::date AS until_day FROM ({{members}}) m WHERE since < until
"""
# Hours that wait to be counted again: left out of the rollups, their readings are counted instead.
STALE = """
    SELECT * FROM unnest(cast(:stale_sites AS int[]), cast(:stale_hours AS timestamptz[])) AS s(site_id, hour)
"""
SITE_TABLES: dict[Tier, type[Base]] = {Tier.HOUR: RollupHour, Tier.DAY: RollupDay}
REGION_TABLES: dict[Tier, type[Base]] = {Tier.HOUR: RollupHour, Tier.DAY: RegionDay, Tier.MONTH: RegionMonth}
# The rows in ranges of time, those of sites for a row of `member`. NOT IN: stale hours are hashed once for all members.
ROLLUP_ROWS: dict[type[Base], str] = {
    RollupHour: """{ranges} JOIN rollup_hour c ON c.site_id = member.site_id AND c.hour >= low AND c.hour < high
            AND c.hour >= since AND c.hour < until
        WHERE (c.site_id, c.hour) NOT IN (SELECT site_id, hour FROM stale)""",
    RollupDay: """{ranges} JOIN rollup_day c ON c.site_id = member.site_id AND c.day >= low AND c.day < high
            AND c.day >= first_day AND c.day < until_day""",
    RegionDay: """{ranges} JOIN region_day c ON c.region_code = :region AND c.day >= low AND c.day < high
            AND c.provider_id = :rollup_provider AND c.technology = :rollup_technology""",
    RegionMonth: """{ranges} JOIN region_month c ON c.region_code = :region AND c.month >= low AND c.month < high
            AND c.provider_id = :rollup_provider AND c.technology = :rollup_technology""",
}
ROLLUP_COLUMNS = COLUMNS.replace("upto", "upto::bigint[] AS upto")


class LatencyQuery:
    """`sql`, run with `parameters`, selects rows (n, figures); a period of one part has row 0 alone.

    Of a group, row 0 says too how many `sites` its figures come from.
    """

    def __init__(self, sites: SingleSite | SiteGroup, period: Period, step: Step, progress: RollupProgress) -> None:
        self.sites, self.step, self.parts = sites, Tier(step.value), list(period.split(step))
        # Selects of rows (n, COLUMNS), by how they go into the result:
        self.final: list[str] = []  # as they are
        self.merged: list[str] = []  # merged with all others of the same n
        self.shared: list[str] = []  # merged with all others of the same n, and into row 0
        self.measured: list[str] = []  # conditions, one of which a `member` meets that the whole has packets of
        self.parameters: dict[str, Any] = {
            **sites.parameters,
            "first": period.start,
            "last": period.end,
            "stale_sites": [],
            "stale_hours": [],
            "starts": [part.start for part in self.parts],
            "days": [part.start.astimezone(WITA).date() for part in self.parts],
        }
        tiers = [Tier.MONTH, Tier.DAY, Tier.HOUR] if sites.is_rolled_up else [Tier.DAY, Tier.HOUR]
        tiers_of_parts = tiers[tiers.index(self.step) :] if self.step in tiers else tiers
        whole = list(split_by_tier(period.start, period.end, tiers, progress))
        series = list(split_by_tier(period.start, period.end, tiers_of_parts, progress)) if self.has_series else []
        for tier in tiers:
            self._add_tier(tier, *([part for part in ranges if part.tier is tier] for ranges in (whole, series)))
        self._add_measured(whole)
        self.raw_ranges = [(part.start, part.end) for part in whole if part.tier is Tier.RAW]

    def add_raw(self, raw: RawCounts) -> None:
        """Add what was counted of `raw_ranges` and of the stale hours, which are left out of the rollups."""
        self.parameters |= {
            **raw.histograms.parameters(),
            "n": raw.histograms.cell.tolist(),
            "measured": raw.measured,
            "stale_sites": [site_id for site_id, _ in raw.stale],
            "stale_hours": [hour for _, hour in raw.stale],
        }
        self.shared.append(histogram_sql.histograms_of_parameters({"n": "int"}))
        self.measured.append("site_id = ANY(cast(:measured AS int[]))")

    @property
    def has_series(self) -> bool:
        return len(self.parts) > 1

    @property
    def sql(self) -> str:
        ctes = [f"member AS MATERIALIZED ({MEMBER.format(members=self.sites.members_sql)})", f"stale AS ({STALE})"]
        merged, shared, final = list(self.merged), list(self.shared), list(self.final)
        if shared:
            ctes.append(f"shared AS MATERIALIZED ({_merge(shared)})")
            numbers = ["0 AS n", "n"] if self.has_series else ["0 AS n"]
            merged += [f"SELECT {n}, {COLUMNS} FROM shared" for n in numbers]
        if merged:
            final.append(f"SELECT n, {COLUMNS} FROM ({_merge(merged)}) merged")
        sites = "" if isinstance(self.sites, SingleSite) else f", {self._sites}"
        figures = f"{histogram_sql.SUMMARY}{sites}"
        return f"WITH {', '.join(ctes)} SELECT n, {figures} FROM ({' UNION ALL '.join(final)}) final"

    @property
    def _sites(self) -> str:
        measured = " OR ".join(self.measured) or "false"
        return f"CASE WHEN n = 0 THEN (SELECT count(DISTINCT site_id) FROM member WHERE {measured}) END AS sites"

    def _add_tier(self, tier: Tier, whole: Sequence[TierRange], series: Sequence[TierRange]) -> None:
        """Read a tier for the series and for the whole: only once where both need the same ranges of it."""
        one_row_each = isinstance(self.sites, SingleSite) or (self.sites.is_rolled_up and tier is not Tier.HOUR)
        if tier is self.step and one_row_each:
            self._add_rollup(tier, series, "final", self.final)
            self._add_rollup(tier, whole, "whole", self.merged)
        elif whole == series:
            self._add_rollup(tier, whole, "shared", self.shared)
        else:
            self._add_rollup(tier, series, "series", self.merged)
            self._add_rollup(tier, whole, "whole", self.merged)

    def _add_rollup(self, tier: Tier, ranges: Sequence[TierRange], use: str, selects: list[str]) -> None:
        """Select the tier's rows of these ranges into `selects`; `use` makes the names of its parameters unique."""
        if not ranges:
            return
        table = (REGION_TABLES if self.sites.is_rolled_up else SITE_TABLES)[tier]
        starts = "cast(:starts AS timestamptz[])" if tier is Tier.HOUR else "cast(:days AS date[])"
        n = "0" if use == "whole" else f"width_bucket(c.{tier}, {starts})"
        members = "member CROSS JOIN " if table in SITE_TABLES.values() else ""
        rows = self._rows(table, tier, f"{tier}_{use}", ranges)
        selects.append(f"SELECT {n} AS n, {ROLLUP_COLUMNS} FROM {members}{rows}")

    def _rows(self, table: type[Base], tier: Tier, name: str, ranges: Sequence[TierRange]) -> str:
        """Return the FROM clause of the table's rows in these ranges; `name` is that of their parameters."""
        key_type = "timestamptz" if tier is Tier.HOUR else "date"
        self.parameters[f"{name}_low"] = [_key(part.start, tier) for part in ranges]
        self.parameters[f"{name}_high"] = [_key(part.end, tier) for part in ranges]
        bounds = f"cast(:{name}_low AS {key_type}[]), cast(:{name}_high AS {key_type}[])"
        return ROLLUP_ROWS[table].format(ranges=f"unnest({bounds}) AS ranges(low, high)")

    def _add_measured(self, whole: Sequence[TierRange]) -> None:
        """Find the sites of rolled-up ranges: days and months, of regions too, are merged from days of sites."""
        for tier, tiers in ((Tier.HOUR, {Tier.HOUR}), (Tier.DAY, {Tier.DAY, Tier.MONTH})):
            if ranges := [part for part in whole if part.tier in tiers]:
                rows = self._rows(SITE_TABLES[tier], tier, f"{tier}_measured", ranges)
                condition = "AND" if "WHERE" in rows else "WHERE"
                self.measured.append(f"EXISTS (SELECT FROM {rows} {condition} c.sent > 0)")


def _merge(selects: Sequence[str]) -> str:
    rows = histogram_sql.bucket_rows_of_histograms(f"({' UNION ALL '.join(selects)})", "n")
    return histogram_sql.histograms_of_bucket_rows(rows, "n")


def _key(moment: datetime, tier: Tier) -> datetime | date:
    return moment if tier is Tier.HOUR else moment.astimezone(WITA).date()
