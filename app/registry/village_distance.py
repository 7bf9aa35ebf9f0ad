"""Compare a site's position with its village."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from math import asin, cos, radians, sin, sqrt
from typing import Any

from app.core.errors import Fault
from app.registry import regions
from app.registry.checks import CHECKS, FAR_KM, Check
from app.registry.models import Lifecycle, SiteKind

EARTH_KM = 6371


def compare(values: Mapping[str, Any]) -> tuple[list[Fault], list[Fault]]:
    """Return faults and warnings for a position far from its village.

    A fault if negating the latitude brings it near: a missing LS puts a site north of the equator unnoticed.
    """
    latitude, longitude = values["latitude"], values["longitude"]
    centre = _centres().get(values["village_code"])
    if latitude is None or longitude is None or centre is None:
        return [], []
    if (km := _distance_km((latitude, longitude), centre)) <= FAR_KM:
        return [], []
    texts = {"distance_km": round(km), "village": regions.names()[values["village_code"]]}
    if _distance_km((-latitude, longitude), centre) <= FAR_KM:
        fault = Fault(
            "latitude",
            "other_hemisphere",
            "The position is {distance_km} km from the centre of {village}",
            "Did you mean {near}?",
            values=texts | {"near": _written(-latitude)},
        )
        return [fault], []
    if values["kind"] is SiteKind.ACCESS_POINT and values["lifecycle"] is not Lifecycle.RETIRED:
        return [], [replace(CHECKS[Check.FAR_FROM_VILLAGE].fault, values=texts)]
    return [], []


@cache
def _centres() -> dict[str, tuple[float, float]]:
    """Latitude and longitude of every region, by code."""
    return {row["code"]: (row["latitude"], row["longitude"]) for row in regions.read_csv()}


def _distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance between two positions in degrees."""
    (latitude_a, longitude_a), (latitude_b, longitude_b) = (map(radians, position) for position in (a, b))
    haversine = (
        sin((latitude_a - latitude_b) / 2) ** 2
        + cos(latitude_a) * cos(latitude_b) * sin((longitude_a - longitude_b) / 2) ** 2
    )
    return 2 * EARTH_KM * asin(sqrt(haversine))


def _written(latitude: float) -> str:
    minutes, seconds = divmod(round(abs(latitude) * 3600), 60)
    return f"{minutes // 60}°{minutes % 60}'{seconds}\" {'LS' if latitude < 0 else 'LU'}"
