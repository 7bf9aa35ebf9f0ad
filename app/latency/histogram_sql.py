"""SQL over histograms: readings become bucket rows (the packets of one bucket), these are folded into a histogram row,
and histogram rows are unfolded into bucket rows again, which is how they are merged.

Bucket b holds the µs above GAMMA**(b-1) up to GAMMA**b: each is 4% wider than the last, and its centre is off by at
most (GAMMA-1)/(GAMMA+1) = 1.96%, so every percentile is within 2%.

All SQL is put together from constants of ours; values are bound by the caller.
"""

import math

from app.judging.blind_ranges import reading_ends_at_sql
from probes.contract import CENTRAL

GAMMA = 1.04
LN_GAMMA = math.log(GAMMA)

COLUMN_NAMES = (
    "sent",
    "received",
    "rtt_sum",
    "rtt_min",
    "rtt_max",
    "jitter_sum",
    "jitter_count",
    "bucket",
    "upto",
)
COLUMNS = ", ".join(COLUMN_NAMES)
BUCKET = f"ceil(ln((CASE WHEN rtt < 1 THEN 1 ELSE rtt END)::float8) / {LN_GAMMA!r}::float8)::smallint"
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

# By source, the blind ranges that may overlap a reading between :first and :last.
BLIND_RANGES = """
    SELECT source, range_agg(tstzrange(started_at, ended_at)) AS ranges FROM blind
    WHERE ended_at > :first AND started_at < cast(:last AS timestamptz) + interval '1 hour' GROUP BY source
"""
# Whether what a reading lost is our own fault: a blind range of its source overlaps it, or it is a suspect's lost look.
# Needs `measurement m` and BLIND_RANGES as `blinded`.
IS_OUR_FAULT = f"""(EXISTS (
    SELECT FROM blinded b WHERE b.source = m.source AND b.ranges && tstzrange(m.slot, {reading_ends_at_sql("m")})
) OR EXISTS (
    SELECT FROM suspect x WHERE x.site_id = m.site_id AND m.source = '{CENTRAL}' AND x.excused IS NOT FALSE
        AND m.slot >= x.started_at AND m.slot <= x.lost_at
))"""
# A reading without any answer is one packet without a round-trip time. A fault never counts; of what was lost by our
# own fault only the answered packets do.
READING_COLUMNS = f"""CASE WHEN m.outcome = 'fault' THEN 0 WHEN cardinality(m.rtt_us) >= m.sent THEN m.sent
        WHEN {IS_OUR_FAULT} THEN cardinality(m.rtt_us) ELSE m.sent END AS sent,
    CASE WHEN m.outcome = 'ok' AND cardinality(m.rtt_us) > 0 THEN m.rtt_us ELSE cast(ARRAY[NULL] AS int[])
    END AS rtt_us"""


def bucket_rows_of_readings(readings: str, keys: str) -> str:
    """Select bucket rows from rows (keys, sent, rtt_us) without empty arrays.

    `sent` is counted once a reading, at its last packet (the one without a next).
    """
    return f"""
        SELECT {keys}, {BUCKET} AS bucket_no, count(rtt) AS packets, sum(sent) FILTER (WHERE next IS NULL) AS sent,
            sum(rtt) AS rtt_sum, min(rtt) AS rtt_min, max(rtt) AS rtt_max, sum(abs(rtt - next)) AS jitter_sum,
            count(next) AS jitter_count
        FROM (SELECT {keys}, sent, unnest(rtt_us) AS rtt, unnest(rtt_us[2:]) AS next FROM {readings} r) packet
        GROUP BY {keys}, bucket_no"""


def bucket_rows_of_histograms(histograms: str, keys: str) -> str:
    """Select bucket rows from rows (keys, COLUMNS). A row's sums count once, at its first bucket (preceding = 0)."""
    once = "FILTER (WHERE preceding = 0)"
    return f"""
        SELECT {keys}, bucket_no, sum(cumulative - preceding) AS packets, sum(sent) {once} AS sent,
            sum(rtt_sum) {once} AS rtt_sum, min(rtt_min) {once} AS rtt_min, max(rtt_max) {once} AS rtt_max,
            sum(jitter_sum) {once} AS jitter_sum, sum(jitter_count) {once} AS jitter_count
        FROM (
            SELECT *, unnest(bucket) AS bucket_no, unnest(upto) AS cumulative, unnest(0 || upto) AS preceding
            FROM {histograms} r
        ) unfolded
        GROUP BY {keys}, bucket_no"""


def histograms_of_bucket_rows(bucket_rows: str, keys: str) -> str:
    """Select rows (keys, COLUMNS) from bucket rows."""
    return f"""
        SELECT {keys}, coalesce(sum(sent), 0)::bigint AS sent, coalesce(sum(packets), 0)::bigint AS received,
            sum(rtt_sum)::bigint AS rtt_sum, min(rtt_min) AS rtt_min, max(rtt_max) AS rtt_max,
            sum(jitter_sum)::bigint AS jitter_sum, coalesce(sum(jitter_count), 0)::bigint AS jitter_count,
            coalesce(
                array_agg(bucket_no ORDER BY bucket_no) FILTER (WHERE bucket_no IS NOT NULL),
                cast(ARRAY[] AS smallint[])
            ) AS bucket,
            coalesce(
                array_agg(cumulative ORDER BY bucket_no) FILTER (WHERE bucket_no IS NOT NULL),
                cast(ARRAY[] AS bigint[])
            ) AS upto
        FROM (
            SELECT *, (sum(packets) OVER (PARTITION BY {keys} ORDER BY bucket_no))::bigint AS cumulative
            FROM ({bucket_rows}) b
        ) s
        GROUP BY {keys}"""


def _value_at(rank: str) -> str:
    centre = f"2 / {GAMMA + 1!r}::float8 * {GAMMA!r}::float8 ^ bucket[width_bucket({rank}::bigint, upto) + 1]"
    return f"least(greatest({centre}, rtt_min), rtt_max)"


def _quantile(q: float) -> str:
    rank = f"({q}::float8 * (received - 1))"
    low, high = _value_at(f"floor({rank})"), _value_at(f"ceil({rank})")
    return f"CASE WHEN received > 0 THEN {low} + ({high} - {low}) * ({rank} - floor({rank})) END"


# The figures of a response row, in µs, from a row with COLUMNS (`upto` as bigint[]).
SUMMARY = "sent, received, rtt_sum, rtt_min, rtt_max, jitter_sum, jitter_count, " + ", ".join(
    f"{_quantile(q)} AS {name}" for name, q in QUANTILES.items()
)
