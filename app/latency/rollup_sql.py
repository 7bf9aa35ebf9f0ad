"""The rollup's statements. Counted rows replace those of the same key; a row that would not change is not written."""

from collections.abc import Sequence

from sqlalchemy import text

from app.aggregates.selection import CODE_LENGTHS, ROLLED_UP_CODE_LENGTHS
from app.latency import histogram_sql
from app.latency.histogram_sql import COLUMN_NAMES, COLUMNS
from app.registry.models import Level

# Bucket rows are grouped in memory; each statement is planned for its own range, partitions and number of sites.
PLANNER_SETTINGS = text(
    "SELECT set_config('work_mem', '64MB', true), set_config('plan_cache_mode', 'force_custom_plan', true)"
)
LOCK_WATERMARK = text("SELECT upto, site_id FROM rollup_watermark WHERE stage = :stage FOR UPDATE")
READ_CLOSED = text("SELECT upto FROM rollup_watermark WHERE stage = 'closed'")
CLOSE = text("UPDATE rollup_watermark SET upto = :upto WHERE stage = 'closed'")
SET_WATERMARK = text("UPDATE rollup_watermark SET upto = :upto, site_id = :site_id WHERE stage = :stage")
NEXT_SITES = text("SELECT id FROM site WHERE id > :after ORDER BY id LIMIT :limit")
TAKE_STALE = text("""
    DELETE FROM stale_hour
    WHERE (site_id, hour) IN (SELECT site_id, hour FROM stale_hour ORDER BY hour, site_id LIMIT :limit)
    RETURNING site_id, hour
""")
REGIONS_OF_SITES = text(f"""
    SELECT DISTINCT left(c.village_code, length)
    FROM site_configuration c, unnest(ARRAY{list(ROLLED_UP_CODE_LENGTHS)}) AS length
    WHERE c.site_id = ANY(:sites) AND c.kind = 'access_point' ORDER BY 1
""")


def replace(table: str, key: str, columns: Sequence[str], counted: str) -> str:
    names, new = ", ".join(columns), ", ".join(f"excluded.{name}" for name in columns)
    stored = ", ".join(f"{table}.{name}" for name in columns)
    return f"""
        INSERT INTO {table} ({key}, {names}) SELECT {key}, {names} FROM ({counted}) counted
        ON CONFLICT ({key}) DO UPDATE SET ({names}) = ROW({new}) WHERE ({stored}) IS DISTINCT FROM ({new})"""


HOURS_OF_DAY = f"""
    SELECT h.site_id, cast(:day AS date) AS day, {COLUMNS}
    FROM unnest(cast(:sites AS int[])) AS s(id) JOIN rollup_hour h ON h.site_id = s.id
    WHERE h.hour >= :first AND h.hour < :last
"""
DAY_BUCKET_ROWS = histogram_sql.bucket_rows_of_histograms(f"({HOURS_OF_DAY})", "site_id, day")
DAYS = histogram_sql.histograms_of_bucket_rows(DAY_BUCKET_ROWS, "site_id, day")
ROLL_UP_DAY = text(replace("rollup_day", "site_id, day", COLUMN_NAMES, DAYS))

# A site belongs where its configuration at the day's end says. First each kecamatan's providers and technologies are
# merged, then these into all regions above, and into the rows that mean all providers or all technologies.
SITE_DAYS = f"""
    SELECT left(c.village_code, {CODE_LENGTHS[Level.KECAMATAN]}) AS kecamatan, c.provider_id, c.technology, {COLUMNS}
    FROM rollup_day d
    JOIN site_configuration c ON c.site_id = d.site_id AND c.started_at < :last AND coalesce(c.ended_at >= :last, true)
    WHERE d.day = :day AND c.kind = 'access_point'
"""
SUMS = """sum(packets) AS packets, sum(sent) AS sent, sum(rtt_sum) AS rtt_sum, min(rtt_min) AS rtt_min,
    max(rtt_max) AS rtt_max, sum(jitter_sum) AS jitter_sum, sum(jitter_count) AS jitter_count"""
REGION_BUCKET_ROWS = f"""
    SELECT region_code, coalesce(provider_id, 0) AS provider_id, coalesce(technology, 'all') AS technology,
        bucket_no, {SUMS}
    FROM ({histogram_sql.bucket_rows_of_histograms(f"({SITE_DAYS})", "kecamatan, provider_id, technology")}) k,
        LATERAL (
            SELECT left(kecamatan, length) AS region_code FROM unnest(ARRAY{list(ROLLED_UP_CODE_LENGTHS)}) AS length
        ) region
    WHERE region_code = ANY(:regions)
    GROUP BY region_code, bucket_no, CUBE (provider_id, technology)
"""
REGION_KEY = "region_code, provider_id, technology"
CLEAR_REGION_DAY = text("""
    DELETE FROM region_day WHERE day = :day AND region_code = ANY(:regions)
""")
ROLL_UP_REGION_DAY = text(f"""
    INSERT INTO region_day ({REGION_KEY}, day, {COLUMNS}) SELECT {REGION_KEY}, :day, {COLUMNS}
    FROM ({histogram_sql.histograms_of_bucket_rows(REGION_BUCKET_ROWS, REGION_KEY)}) counted
""")

REGION_DAYS = f"""
    SELECT {REGION_KEY}, {COLUMNS} FROM region_day
    WHERE day >= :month AND day < :next AND region_code = ANY(:regions)
"""
MONTH_BUCKET_ROWS = histogram_sql.bucket_rows_of_histograms(f"({REGION_DAYS})", REGION_KEY)
CLEAR_REGION_MONTH = text("""
    DELETE FROM region_month WHERE month = :month AND region_code = ANY(:regions)
""")
ROLL_UP_REGION_MONTH = text(f"""
    INSERT INTO region_month ({REGION_KEY}, month, {COLUMNS}) SELECT {REGION_KEY}, :month, {COLUMNS}
    FROM ({histogram_sql.histograms_of_bucket_rows(MONTH_BUCKET_ROWS, REGION_KEY)}) counted
""")
