"""Values of a site that are allowed but probably wrong."""

from collections.abc import Mapping
from typing import Any

from app.core.errors import Fault
from app.registry import rules, village_distance


def find(values: Mapping[str, Any]) -> list[Fault]:
    """Return a fault for each: of how it is probed, and of its distance from its village."""
    return [*rules.warnings(dict(values)), *(fault for faults in village_distance.compare(values) for fault in faults)]
