"""SQL over histograms: histogram rows are unfolded into bucket rows (the packets of one bucket) and folded again, which
is how they are merged. `histograms` counts them from readings.

All SQL is put together from constants of ours; values are bound by the caller.
"""

from collections.abc import Mapping

from app.latency.histograms import GAMMA, SUMS

COLUMN_NAMES = (*SUMS, "bucket", "upto")
COLUMNS = ", ".join(COLUMN_NAMES)
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

PARAMETERS = (*SUMS, "low", "high")


def histograms_of_parameters(keys: Mapping[str, str]) -> str:
    """Select rows (keys, COLUMNS) from `Histograms.parameters` and an array of each key; `keys` are their types.

    `upto` as bigint[].
    """
    arrays = [f"cast(:{name} AS {sql_type}[])" for name, sql_type in keys.items()]
    arrays += [f"cast(:counted_{name} AS bigint[])" for name in PARAMETERS]
    return f"""
        SELECT {", ".join(keys)}, sent, received, CASE WHEN received > 0 THEN rtt_sum END AS rtt_sum,
            CASE WHEN received > 0 THEN rtt_min::int END AS rtt_min,
            CASE WHEN received > 0 THEN rtt_max::int END AS rtt_max,
            CASE WHEN jitter_count > 0 THEN jitter_sum END AS jitter_sum, jitter_count,
            (cast(:counted_bucket AS smallint[]))[low:high] AS bucket,
            (cast(:counted_upto AS bigint[]))[low:high] AS upto
        FROM unnest({", ".join(arrays)}) AS c({", ".join((*keys, *PARAMETERS))})"""


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
