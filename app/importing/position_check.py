"""A position beside the village that it is said to be in: far away, or right but for its sign."""

from dataclasses import replace
from functools import cache
from math import asin, cos, radians, sin, sqrt
from typing import Any

from app.core.errors import Fault
from app.importing.sheets import Row
from app.registry import regions
from app.registry.lint import FAR_KM, TOLD, Check
from app.registry.models import Lifecycle, SiteKind

EARTH_KM = 6371


def compare(row: Row, values: dict[str, Any]) -> None:
    """Where the row moves the site. A latitude without its LS goes north, and nobody sees it on a list."""
    latitude, longitude = values["latitude"], values["longitude"]
    middle = _middles().get(values["village_code"])
    if latitude is None or longitude is None or middle is None:
        return
    if (km := _distance_km((latitude, longitude), middle)) <= FAR_KM:
        return
    told = {"distance_km": round(km), "village": regions.names()[values["village_code"]]}
    if _distance_km((-latitude, longitude), middle) <= FAR_KM:
        row.blame(
            Fault(
                "latitude",
                "other_hemisphere",
                "It lies {distance_km} km from the middle of {village}",
                "Did you mean {near}?",
                values=told | {"near": _written(-latitude)},
            )
        )
    elif values["kind"] is SiteKind.ACCESS_POINT and values["lifecycle"] is not Lifecycle.RETIRED:
        row.warnings.append(replace(TOLD[Check.FAR_FROM_VILLAGE], values=told))


@cache
def _middles() -> dict[str, tuple[float, float]]:
    """Of every region, by its code."""
    return {row["code"]: (row["latitude"], row["longitude"]) for row in regions.read_csv()}


def _distance_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Over the earth, from degrees."""
    (north, east), (north_too, east_too) = (map(radians, place) for place in (one, other))
    half = sin((north - north_too) / 2) ** 2 + cos(north) * cos(north_too) * sin((east - east_too) / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(half))


def _written(latitude: float) -> str:
    minutes, seconds = divmod(round(abs(latitude) * 3600), 60)
    return f"{minutes // 60}°{minutes % 60}'{seconds}\" {'LS' if latitude < 0 else 'LU'}"
