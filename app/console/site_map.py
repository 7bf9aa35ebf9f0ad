"""The map of a site's form: an image that sends where it was clicked, with and without JavaScript."""

import base64
from collections.abc import Mapping, Sequence

from app.charts import position_picker
from app.charts.position_picker import VillagePoint
from app.registry.geojson import district_outlines

X, Y = "map.x", "map.y"  # what an image named `map` sends
LARGEST = 4  # digits of a coordinate


def is_clicked(form: Mapping[str, str]) -> bool:
    """Whether the map was clicked: Enter in a field sends it, too, at 0, 0."""
    given = form.get(X, ""), form.get(Y, "")
    return all(text.isascii() and text.isdecimal() and len(text) <= LARGEST for text in given) and given != ("0", "0")


def clicked_position(form: Mapping[str, str], villages: Sequence[VillagePoint]) -> dict[str, str]:
    """Return latitude and longitude as texts; {} without a click."""
    if not villages or not is_clicked(form):
        return {}
    longitude, latitude = position_picker.position_at(villages, int(form[X]), int(form[Y]))
    return {"latitude": str(latitude), "longitude": str(longitude)}


def image(texts: Mapping[str, str], villages: Sequence[VillagePoint]) -> dict[str, object] | None:
    """Return the image's address and size; None without villages to show."""
    if not villages:
        return None
    try:
        position = float(texts.get("longitude", "")), float(texts.get("latitude", ""))
    except ValueError:
        position = None
    drawn = position_picker.picture(district_outlines(), villages, position)
    size = position_picker.projection_of(villages)
    content = base64.b64encode(str(drawn).encode()).decode()
    return {"src": f"data:image/svg+xml;base64,{content}", "width": position_picker.WIDTH, "height": round(size.height)}
