"""A tally as it is answered, and as it is stored when a month is closed."""

from typing import Any

from app.availability.tally import Tally
from app.core.periods import Period


def row(period: Period, tally: Tally) -> dict[str, Any]:
    return {
        "start": period.start,
        "end": period.end,
        "seconds": tally.seconds,
        **tally.percentages,
        "outages": tally.outages,
        "longest_outage_s": tally.longest_outage_s,
        "down_by_cause": tally.down_by_cause,
        "countable_down_s": tally.countable_down_s if tally.contracted else None,
        "sla_target_pct": None if tally.target is None else float(tally.target),
        "sla_verdict": tally.verdict,
    }
