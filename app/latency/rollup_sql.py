"""The rollup's statements. Counted rows replace those of their key; a row that would stay the same is left alone."""

from sqlalchemy import text

from app.judging.blind_ranges import reading_ends_at_sql
from app.latency import histogram_sql
from app.latency.histogram_sql import COLUMNS, FIGURES

# The bars of a step are grouped in memory; each is planned for its own span, partitions and number of sites.
ROOM = text("SELECT set_config('work_mem', '64MB', true), set_config('plan_cache_mode', 'force_custom_plan', true)")
REACHED = text("SELECT upto, site_id FROM rollup_watermark WHERE stage = :stage FOR UPDATE")
CLOSED = text("SELECT upto FROM rollup_watermark WHERE stage = 'closed'")
CLOSE = text("UPDATE rollup_watermark SET upto = :upto WHERE stage = 'closed'")
ADVANCE = text("UPDATE rollup_watermark SET upto = :upto, site_id = :site_id WHERE stage = :stage")
NEXT_SITES = text("SELECT id FROM site WHERE id > :after ORDER BY id LIMIT :limit")
TAKE_STALE = text("""
    DELETE FROM stale_hour
    WHERE (site_id, hour) IN (SELECT site_id, hour FROM stale_hour ORDER BY hour, site_id LIMIT :limit)
    RETURNING site_id, hour
""")
REOPEN = text(f"""
    WITH closed AS (SELECT upto FROM rollup_watermark WHERE stage = 'closed' FOR SHARE)
    INSERT INTO stale_hour (site_id, hour)
    SELECT DISTINCT m.site_id, date_trunc('hour', m.slot, 'UTC') FROM measurement m
    WHERE m.outcome = 'timeout' AND m.slot > cast(:start AS timestamptz) - interval '1 hour' AND m.slot < :end
        AND {reading_ends_at_sql("m")} > :start
        AND m.slot < (SELECT upto FROM closed)
        AND (cast(:sites AS int[]) IS NULL OR m.site_id = ANY(:sites))
    ORDER BY 1, 2 ON CONFLICT DO NOTHING RETURNING site_id
""")
REGIONS = text("""
    SELECT DISTINCT left(c.village_code, length)
    FROM site s JOIN site_configuration c ON c.site_id = s.id, unnest(ARRAY[2, 5, 8]) AS length
    WHERE s.id = ANY(:sites) AND s.kind = 'access_point' ORDER BY 1
""")


def _replace(table: str, key: str, counted: str) -> str:
    fresh = ", ".join(f"excluded.{name}" for name in FIGURES)
    known = ", ".join(f"{table}.{name}" for name in FIGURES)
    return f"""
        INSERT INTO {table} ({key}, {COLUMNS}) SELECT {key}, {COLUMNS} FROM ({counted}) counted
        ON CONFLICT ({key}) DO UPDATE SET ({COLUMNS}) = ROW({fresh}) WHERE ({known}) IS DISTINCT FROM ({fresh})"""


def _hours(readings: str) -> str:
    """Where readings are gone nothing is counted, so what was counted of them stays."""
    counted = histogram_sql.stacked(histogram_sql.of_readings(f"({readings})", "site_id, hour"), "site_id, hour")
    return f"WITH blinded AS MATERIALIZED ({histogram_sql.BLINDED}) {_replace('rollup_hour', 'site_id, hour', counted)}"


ROLL_HOUR = text(
    _hours(f"""
    SELECT m.site_id, cast(:first AS timestamptz) AS hour, {histogram_sql.READ} FROM measurement m
    WHERE m.slot >= :first AND m.slot < :last AND m.site_id > :after AND m.site_id <= :upto
""")
)
RECOUNT_HOURS = text(
    _hours(f"""
    SELECT m.site_id, stale.hour, {histogram_sql.READ}
    FROM unnest(cast(:sites AS int[]), cast(:hours AS timestamptz[])) AS stale(site_id, hour)
    JOIN measurement m ON m.site_id = stale.site_id AND m.slot >= stale.hour AND m.slot < stale.hour + interval '1 hour'
    WHERE m.slot >= :first AND m.slot < :last
""")
)

DAY_OF_SITE = f"""
    SELECT h.site_id, cast(:day AS date) AS day, {COLUMNS}
    FROM unnest(cast(:sites AS int[])) AS s(id) JOIN rollup_hour h ON h.site_id = s.id
    WHERE h.hour >= :first AND h.hour < :last
"""
DAY_BARS = histogram_sql.of_histograms(f"({DAY_OF_SITE})", "site_id, day")
ROLL_DAY = text(_replace("rollup_day", "site_id, day", histogram_sql.stacked(DAY_BARS, "site_id, day")))

# A site belongs where its set-up at the day's end says. First each kecamatan's providers and technologies are merged,
# then what is merged goes to all regions above, and to the cells that mean all providers or all technologies.
OF_DAY = f"""
    SELECT left(c.village_code, 8) AS kecamatan, c.provider_id, c.technology, {COLUMNS}
    FROM site s JOIN rollup_day d ON d.site_id = s.id AND d.day = :day
    JOIN site_configuration c ON c.site_id = s.id AND c.started_at < :last AND coalesce(c.ended_at >= :last, true)
    WHERE s.kind = 'access_point'
"""
SUMS = """sum(packets) AS packets, sum(sent) AS sent, sum(rtt_sum) AS rtt_sum, min(rtt_min) AS rtt_min,
    max(rtt_max) AS rtt_max, sum(jitter_sum) AS jitter_sum, sum(jitter_count) AS jitter_count"""
REGION_BARS = f"""
    SELECT region_code, coalesce(provider_id, 0) AS provider_id, coalesce(technology, 'all') AS technology, bar, {SUMS}
    FROM ({histogram_sql.of_histograms(f"({OF_DAY})", "kecamatan, provider_id, technology")}) k,
        LATERAL (VALUES (kecamatan), (left(kecamatan, 5)), (left(kecamatan, 2))) AS region(region_code)
    WHERE region_code = ANY(:regions)
    GROUP BY region_code, bar, CUBE (provider_id, technology)
"""
CELL = "region_code, provider_id, technology"
CLEAR_REGION_DAY = text("""
    DELETE FROM region_day WHERE day = :day AND region_code = ANY(:regions)
""")
ROLL_REGION_DAY = text(f"""
    INSERT INTO region_day ({CELL}, day, {COLUMNS}) SELECT {CELL}, :day, {COLUMNS}
    FROM ({histogram_sql.stacked(REGION_BARS, CELL)}) counted
""")

OF_MONTH = f"""
    SELECT {CELL}, {COLUMNS} FROM region_day
    WHERE day >= :month AND day < :next AND region_code = ANY(:regions)
"""
CLEAR_REGION_MONTH = text("""
    DELETE FROM region_month WHERE month = :month AND region_code = ANY(:regions)
""")
ROLL_REGION_MONTH = text(f"""
    INSERT INTO region_month ({CELL}, month, {COLUMNS}) SELECT {CELL}, :month, {COLUMNS}
    FROM ({histogram_sql.stacked(histogram_sql.of_histograms(f"({OF_MONTH})", CELL), CELL)}) counted
""")
