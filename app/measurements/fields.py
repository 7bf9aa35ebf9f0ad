"""A reading as responses show it."""

from typing import Any

from app.core.clock import from_slot
from probes.contract import Reading


def measurement_fields(reading: Reading, our_fault: str | None) -> dict[str, Any]:
    """Return the fields of a MeasurementOut; `our_fault`: why what it lost is our own fault."""
    return {
        "slot": from_slot(reading.slot),
        "source": reading.source,
        "outcome": reading.outcome,
        "sent": reading.sent,
        "received": len(reading.rtt_us),
        "rtt_ms": [rtt / 1000 for rtt in reading.rtt_us],
        "valid_s": reading.valid_s,
        "reason": reading.reason,
        "our_fault": our_fault,
    }
