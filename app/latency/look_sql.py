"""SQL that counts looks within fixed round-trip times, exactly: from single readings, never from histograms.

1. A look's round-trip time is that of its middle packet, in order of arrival; a lost packet never arrives. So half of
   the packets sent or more have to be answered in time. What was lost by our own fault was never sent.
2. Of a site's looks in one minute the slowest counts, so that no device improves its share by looking more often.
3. A claim (a reading that its device reports afterwards, as answered) is no look. A late report of a loss is one.
"""

from collections.abc import Sequence

from app.core.clock import WITA_SQL
from app.judging.claims import LATE
from app.latency import histogram_sql

# Append only: stored arrays are in this order. A published method's limits have to be among them.
LOOK_BOUNDS_MS = (100, 150, 750)
EVENING_FROM_H = 18  # WITA, until midnight

COLUMN_NAMES = ("looks", "lost", "within")
EVENING_COLUMN_NAMES = tuple(f"evening_{name}" for name in COLUMN_NAMES)

IS_CLAIM = f"m.outcome = 'ok' AND m.reason IS NOT DISTINCT FROM '{LATE}'"
READINGS = f"""
    SELECT m.site_id, date_trunc('minute', m.slot) AS minute, m.outcome = 'ok' AS answered, NOT ({IS_CLAIM}) AS counts,
        {histogram_sql.READING_COLUMNS}
    FROM measurement m WHERE m.slot >= :first AND m.slot < :last AND m.site_id = ANY(cast(:sites AS int[]))
"""
# Three packets are the rule: what a sort would find is written out for them, which takes a fifth of the time.
MIDDLE_RTT = """CASE
    WHEN sent = 3 AND cardinality(rtt_us) = 3
        THEN greatest(least(rtt_us[1], rtt_us[2]), least(greatest(rtt_us[1], rtt_us[2]), rtt_us[3]))
    WHEN sent = 3 AND cardinality(rtt_us) = 2 THEN greatest(rtt_us[1], rtt_us[2])
    WHEN sent <= 2 AND cardinality(rtt_us) = 1 THEN rtt_us[1]
    ELSE (SELECT r FROM unnest(rtt_us) r WHERE r IS NOT NULL ORDER BY r OFFSET greatest(sent - 1, 0) / 2 LIMIT 1)
END"""
LOOKS = f"""
    SELECT site_id, minute, answered, counts AND sent > 0 AS counts,
        CASE WHEN counts AND sent > 0 THEN {MIDDLE_RTT} END AS rtt
    FROM ({READINGS}) reading
"""
# `rtt` is null where a look of the minute has none: it is beyond every bound.
MINUTES = f"""
    SELECT site_id, minute, bool_or(counts) AS counts, bool_or(answered) FILTER (WHERE counts) AS answered,
        CASE WHEN count(rtt) = count(*) FILTER (WHERE counts) THEN max(rtt) END AS rtt
    FROM ({LOOKS}) look GROUP BY site_id, minute
"""


def _replace(table: str, key: str, columns: Sequence[str], counted: str) -> str:
    names, new = ", ".join(columns), ", ".join(f"excluded.{name}" for name in columns)
    stored = ", ".join(f"{table}.{name}" for name in columns)
    return f"""
        INSERT INTO {table} ({key}, {names}) {counted}
        ON CONFLICT ({key}) DO UPDATE SET ({names}) = ROW({new}) WHERE ({stored}) IS DISTINCT FROM ({new})"""


def _within(condition: str) -> str:
    counts = (f"count(*) FILTER (WHERE counts AND {condition.format(us=1000 * bound)})" for bound in LOOK_BOUNDS_MS)
    return f"ARRAY[{', '.join(counts)}]::int[]"


def sum_arrays(array: str, condition: str = "true") -> str:
    """Return the sums of such arrays by bound; null for a bound that a row was not counted by."""
    sums = (
        f"CASE WHEN count({array}[{n}]) FILTER (WHERE {condition}) = count(*) FILTER (WHERE {condition}) "
        f"THEN coalesce(sum({array}[{n}]) FILTER (WHERE {condition}), 0) END"
        for n, _ in enumerate(LOOK_BOUNDS_MS, 1)
    )
    return f"ARRAY[{', '.join(sums)}]::bigint[]"


WITH_BLIND = f"WITH blinded AS MATERIALIZED ({histogram_sql.BLIND_RANGES}) "
HOURS = f"""
    SELECT site_id, date_trunc('hour', minute, 'UTC') AS hour, count(*) FILTER (WHERE counts) AS looks,
        count(*) FILTER (WHERE counts AND NOT answered) AS lost, {_within("rtt <= {us}")} AS within
    FROM ({MINUTES}) m GROUP BY 1, 2"""
# An hour of which no reading is stored keeps its row.
COUNT_HOURS = WITH_BLIND + _replace("look_hour", "site_id, hour", COLUMN_NAMES, HOURS)
IS_EVENING = f"extract(hour FROM hour AT TIME ZONE {WITA_SQL}) >= {EVENING_FROM_H}"


def sums_of_hours() -> str:
    """Return what to select of `look_hour` for the columns of `look_day`."""
    parts = []
    for prefix, condition in (("", "true"), ("evening_", IS_EVENING)):
        parts += [f"coalesce(sum({n}) FILTER (WHERE {condition}), 0) AS {prefix}{n}" for n in ("looks", "lost")]
        parts.append(f"{sum_arrays('within', condition)} AS {prefix}within")
    return ", ".join(parts)


COUNT_DAY = _replace(
    "look_day",
    "site_id, day",
    COLUMN_NAMES + EVENING_COLUMN_NAMES,
    f"""
    SELECT site_id, cast(:day AS date), {sums_of_hours()}
    FROM look_hour WHERE site_id = ANY(cast(:sites AS int[])) AND hour >= :first AND hour < :last GROUP BY site_id""",
)
