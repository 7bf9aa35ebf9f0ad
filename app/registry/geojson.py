"""Serialize regions as GeoJSON: districts with their boundaries, all others as a point."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson

from app.charts.outlines import Outlines, read_outlines
from app.registry.models import Region
from app.settings import CONFIG_DIR

GEOJSON_TYPE = "application/geo+json"
DISTRICTS = CONFIG_DIR / "regions" / "kaltim_districts.geojson"
ATTRIBUTION = (
    "Boundaries and points: github.com/cahyadsn/wilayah_boundaries, codes and names: github.com/cahyadsn/wilayah, "
    "Copyright (c) 2017-2025 Cahya DSN, MIT License. Indicative only: no legal boundaries, no village offices."
)


def collection(regions: Sequence[Region]) -> bytes:
    """Return a FeatureCollection with the attribution that the data's licence requires."""
    features = b",".join(map(_feature, regions))
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
    """Return each district's geometry by its code, as serialized JSON."""
    return {
        feature["properties"]["code"]: orjson.Fragment(orjson.dumps(feature["geometry"])) for feature in _features()
    }


@cache
def district_outlines() -> Outlines:
    """Return the districts' outlines for maps."""
    return read_outlines(_features())


def _features() -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = orjson.loads(DISTRICTS.read_bytes())["features"]
    return features
