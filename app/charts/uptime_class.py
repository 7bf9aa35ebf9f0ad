"""Classes of uptime, of which each has a colour and a height. They are for the eye: beside them stands the number."""

STEPS = ((99.5, "u5"), (98.0, "u4"), (95.0, "u3"), (90.0, "u2"))  # least uptime in percent
WORST, NO_EVIDENCE = "u1", "u0"


def uptime_class(uptime_pct: float | None) -> str:
    """Return `u5` (the best) to `u1`; `u0` where nothing was measured."""
    if uptime_pct is None:
        return NO_EVIDENCE
    return next((name for least, name in STEPS if uptime_pct >= least), WORST)
