"""SQL of histograms: readings become bars (packets of one bucket), bars stack to a histogram, histograms fall apart
into bars again and so merge by adding. Every text is put together from our own words; values are bound by the caller.
"""

from app.judging.blind_ranges import reading_ends_at_sql
from app.latency.histogram import GAMMA, LN_GAMMA

FIGURES = (
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
COLUMNS = ", ".join(FIGURES)
BUCKET = f"ceil(ln((CASE WHEN rtt < 1 THEN 1 ELSE rtt END)::float8) / {LN_GAMMA!r}::float8)::smallint"
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

# Per source, when it could not look, of all that may touch a look between :first and :last.
BLINDED = """
    SELECT source, range_agg(tstzrange(started_at, ended_at)) AS ranges FROM blind
    WHERE ended_at > :first AND started_at < cast(:last AS timestamptz) + interval '1 hour' GROUP BY source
"""
# A fault never counts; a timeout counts unless a blind range of its source touches the look. Needs m and BLINDED.
COUNTS = f"""(m.outcome = 'ok' OR m.outcome = 'timeout' AND NOT EXISTS (
    SELECT FROM blinded b WHERE b.source = m.source AND b.ranges && tstzrange(
        m.slot, {reading_ends_at_sql("m")})))"""
# What was not answered is one packet without a time.
READ = f"""CASE WHEN {COUNTS} THEN m.sent ELSE 0 END AS sent,
    CASE WHEN m.outcome = 'ok' AND cardinality(m.rtt_us) > 0 THEN m.rtt_us ELSE cast(ARRAY[NULL] AS int[])
    END AS rtt_us"""


def of_readings(readings: str, keys: str) -> str:
    """Bars of rows (keys, sent, rtt_us), no array empty. Its last packet (next is null) stands for a whole reading."""
    return f"""
        SELECT {keys}, {BUCKET} AS bar, count(rtt) AS packets, sum(sent) FILTER (WHERE next IS NULL) AS sent,
            sum(rtt) AS rtt_sum, min(rtt) AS rtt_min, max(rtt) AS rtt_max, sum(abs(rtt - next)) AS jitter_sum,
            count(next) AS jitter_count
        FROM (SELECT {keys}, sent, unnest(rtt_us) AS rtt, unnest(rtt_us[2:]) AS next FROM {readings} r) packet
        GROUP BY {keys}, bar"""


def of_histograms(rows: str, keys: str) -> str:
    """Bars of rows (keys, COLUMNS). The one line that nothing lies below (before = 0) stands for the whole row."""
    once = "FILTER (WHERE before = 0)"
    return f"""
        SELECT {keys}, bar, sum(through - before) AS packets, sum(sent) {once} AS sent, sum(rtt_sum) {once} AS rtt_sum,
            min(rtt_min) {once} AS rtt_min, max(rtt_max) {once} AS rtt_max, sum(jitter_sum) {once} AS jitter_sum,
            sum(jitter_count) {once} AS jitter_count
        FROM (SELECT *, unnest(bucket) AS bar, unnest(upto) AS through, unnest(0 || upto) AS before FROM {rows} r) line
        GROUP BY {keys}, bar"""


def stacked(bars: str, keys: str) -> str:
    """Rows (keys, COLUMNS) of bars."""
    return f"""
        SELECT {keys}, coalesce(sum(sent), 0)::bigint AS sent, coalesce(sum(packets), 0)::bigint AS received,
            sum(rtt_sum)::bigint AS rtt_sum, min(rtt_min) AS rtt_min, max(rtt_max) AS rtt_max,
            sum(jitter_sum)::bigint AS jitter_sum, coalesce(sum(jitter_count), 0)::bigint AS jitter_count,
            coalesce(array_agg(bar ORDER BY bar) FILTER (WHERE bar IS NOT NULL), cast(ARRAY[] AS smallint[])) AS bucket,
            coalesce(array_agg(through ORDER BY bar) FILTER (WHERE bar IS NOT NULL), cast(ARRAY[] AS bigint[])) AS upto
        FROM (SELECT *, (sum(packets) OVER (PARTITION BY {keys} ORDER BY bar))::bigint AS through FROM ({bars}) b) s
        GROUP BY {keys}"""


def _at(rank: str) -> str:
    centre = f"2 / {GAMMA + 1!r}::float8 * {GAMMA!r}::float8 ^ bucket[width_bucket({rank}::bigint, upto) + 1]"
    return f"least(greatest({centre}, rtt_min), rtt_max)"


def _quantile(q: float) -> str:
    place = f"({q}::float8 * (received - 1))"
    low, high = _at(f"floor({place})"), _at(f"ceil({place})")
    return f"CASE WHEN received > 0 THEN {low} + ({high} - {low}) * ({place} - floor({place})) END"


# Of rows with COLUMNS, upto as bigint[]: what an answer is made of, in µs.
SHOWN = "sent, received, rtt_sum, rtt_min, rtt_max, jitter_sum, jitter_count, " + ", ".join(
    f"{_quantile(q)} AS {name}" for name, q in QUANTILES.items()
)
