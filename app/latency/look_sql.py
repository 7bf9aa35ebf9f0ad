"""The statements of counted looks: hours from what `look_counts` returns, days as sums of hours."""

from app.core.clock import WITA_SQL
from app.latency import rollup_sql
from app.latency.look_counts import LOOK_BOUNDS_MS

EVENING_FROM_H = 18  # WITA, until midnight

COLUMN_NAMES = ("looks", "lost", "within")
EVENING_COLUMN_NAMES = tuple(f"evening_{name}" for name in COLUMN_NAMES)

WITHIN = [f"within_{bound}_ms" for bound in LOOK_BOUNDS_MS]


def sum_arrays(array: str, condition: str = "true") -> str:
    """Return the sums of such arrays by bound; null for a bound that a row was not counted by."""
    sums = (
        f"CASE WHEN count({array}[{n}]) FILTER (WHERE {condition}) = count(*) FILTER (WHERE {condition}) "
        f"THEN coalesce(sum({array}[{n}]) FILTER (WHERE {condition}), 0) END"
        for n, _ in enumerate(LOOK_BOUNDS_MS, 1)
    )
    return f"ARRAY[{', '.join(sums)}]::bigint[]"


ARRAYS = ", ".join(f"cast(:{name} AS int[])" for name in ("looks", "lost", *WITHIN))
# An hour of which no reading is stored keeps its row.
COUNT_HOURS = rollup_sql.replace(
    "look_hour",
    "site_id, hour",
    COLUMN_NAMES,
    f"""
    SELECT site_id, hour, looks, lost, ARRAY[{", ".join(WITHIN)}] AS within
    FROM unnest(cast(:site_id AS int[]), cast(:hour AS timestamptz[]), {ARRAYS})
        AS c(site_id, hour, looks, lost, {", ".join(WITHIN)})""",
)
IS_EVENING = f"extract(hour FROM hour AT TIME ZONE {WITA_SQL}) >= {EVENING_FROM_H}"


def sums_of_hours() -> str:
    """Return what to select of `look_hour` for the columns of `look_day`."""
    parts = []
    for prefix, condition in (("", "true"), ("evening_", IS_EVENING)):
        parts += [f"coalesce(sum({n}) FILTER (WHERE {condition}), 0) AS {prefix}{n}" for n in ("looks", "lost")]
        parts.append(f"{sum_arrays('within', condition)} AS {prefix}within")
    return ", ".join(parts)


COUNT_DAY = rollup_sql.replace(
    "look_day",
    "site_id, day",
    COLUMN_NAMES + EVENING_COLUMN_NAMES,
    f"""
    SELECT site_id, cast(:day AS date) AS day, {sums_of_hours()}
    FROM look_hour WHERE site_id = ANY(cast(:sites AS int[])) AND hour >= :first AND hour < :last GROUP BY site_id""",
)
