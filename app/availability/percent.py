def percent(part: int, whole: int) -> float | None:
    """Return 0 to 100 with three decimals, rounded down, so that 99.9999 is never shown as 100; None of nothing."""
    return None if whole == 0 else part * 100_000 // whole / 1000
