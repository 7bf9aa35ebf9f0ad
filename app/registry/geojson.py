"""Regions as GeoJSON: districts by their boundaries, all others by a point within them."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson

from app.registry.models import Region
from app.settings import CONFIG_DIR

GEOJSON_TYPE = "application/geo+json"
DISTRICTS = CONFIG_DIR / "regions" / "kaltim_districts.geojson"
ATTRIBUTION = (
    "Boundaries and points: github.com/cahyadsn/wilayah_boundaries, codes and names: github.com/cahyadsn/wilayah, "
    "Copyright (c) 2017-2025 Cahya DSN, MIT License. Indicative only: no legal boundaries, no village offices."
)


def collection(found: Sequence[Region]) -> bytes:
    features = b",".join(map(_feature, found))
    return b'{"type":"FeatureCollection","attribution":%b,"features":[%b]}' % (orjson.dumps(ATTRIBUTION), features)


def _feature(region: Region) -> bytes:
    properties = {"code": region.code, "name": region.name, "level": region.level, "parent": region.parent_code}
    return orjson.dumps(
        {
            "type": "Feature",
            "id": region.code,
            "geometry": boundaries().get(region.code, _point(region)),
            "properties": properties,
        }
    )


def _point(region: Region) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [region.longitude, region.latitude]}


@cache
def boundaries() -> dict[str, orjson.Fragment]:
    """By the district's code, as they are sent."""
    features = orjson.loads(DISTRICTS.read_bytes())["features"]
    return {one["properties"]["code"]: orjson.Fragment(orjson.dumps(one["geometry"])) for one in features}
