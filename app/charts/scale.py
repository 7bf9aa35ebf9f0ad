"""Round numbers for an axis that begins at zero."""

from math import ceil, floor, log10

SMALLEST = 1e-6
MANTISSAS = (1, 2, 2.5, 5, 10)


def nice_top(highest: float) -> float:
    """Return the next round number; 1 for next to nothing."""
    if highest < SMALLEST:
        return 1.0
    magnitude = 10.0 ** floor(log10(highest))
    return next((m * magnitude for m in MANTISSAS if m * magnitude >= highest), 10 * magnitude)


def grid_values(highest: float, count: int = 4) -> list[float]:
    """Return at most `count` round values above zero, the last at or above the highest."""
    step = nice_top(highest / count)
    return [step * (index + 1) for index in range(max(1, ceil(highest / step)))]
