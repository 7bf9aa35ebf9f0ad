from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from app.charts.position_picker import VillagePoint, picture, position_at, projection_of
from app.registry.geojson import district_outlines

VILLAGES = st.lists(
    st.builds(VillagePoint, st.floats(114, 119), st.floats(-2, 2.5), st.text(max_size=20), st.booleans()),
    min_size=1,
    max_size=30,
)


@given(VILLAGES)
def test_a_click_on_a_village_is_its_position(villages: list[VillagePoint]) -> None:
    projection = projection_of(villages)
    pixel_deg = 1 / (projection.scale * projection.squeeze)
    for village in villages:
        x, y = projection.project(village.longitude, village.latitude)
        longitude, latitude = position_at(villages, round(x), round(y))
        assert abs(longitude - village.longitude) <= pixel_deg
        assert abs(latitude - village.latitude) <= pixel_deg


def test_the_picture_is_an_image_of_its_own_with_escaped_names() -> None:
    villages = [VillagePoint(117.4, -0.36, "<script>", True), VillagePoint(117.5, -0.3, "Badak", False)]
    tree = etree.fromstring(str(picture(district_outlines(), villages, (117.45, -0.33))))
    assert [text.text for text in tree.iter("{*}text")] == ["<script>", "Badak"]
    assert not tree.xpath("//@style | //@class")
