import re
from datetime import UTC, datetime
from importlib.resources import files
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.charts.keys import dot_key, uptime_key
from app.charts.map_dots import BAR, BOTTOM_FIRST, DIAMOND, SHAPES, SQUARE, Dot
from app.charts.maps import Choice, District, district_map, province_map, two_lines, whole
from app.charts.outlines import Point, distance_to_segment, douglas_peucker, fit, read_outlines, simplified
from app.registry.geojson import district_outlines
from app.registry.regions import read_csv
from tests.charts.drawing import WORDS, links, packed, parsed, texts, titles

REGIONS = read_csv()
VILLAGES = [row for row in REGIONS if row["level"] == "desa_kelurahan"]
SINCE = datetime(2026, 11, 24, 13, 31, tzinfo=UTC)
HOSTILE = '</title><script>alert("1")</script>‮&'
DISTRICTS = [
    District(row["code"], row["name"].split(" ", 1)[1], 99.0, row["name"], f"/console/regions/{row['code']}")
    for row in REGIONS
    if row["level"] == "kabupaten_kota"
]


def state_of(index: int) -> str:
    """Nine of ten are up, the others of all states."""
    return "up" if index % 10 else BOTTOM_FIRST[index // 10 % 5]


def dot(index: int, row: dict[str, float]) -> Dot:
    state = state_of(index)
    since, href = (None, None) if state == "up" else (SINCE, f"/console/sites/{index}")
    return Dot(row["longitude"], row["latitude"], str(row["name"]), state, since, href)


DOTS = [dot(index, row) for index, row in enumerate(VILLAGES)]


def moves(path: str) -> list[list[tuple[int, int]]]:
    """Return the absolute points of each ring of a path."""
    rings = []
    for x, y, steps in re.findall(r"M(\d+|-\d+) (-?\d+)l([^z]*)z", path):
        numbers = [int(number) for number in re.findall(r"-?\d+", steps)]
        ring = [(int(x), int(y))]
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            ring.append((ring[-1][0] + dx, ring[-1][1] + dy))
        rings.append(ring)
    return rings


def test_the_province_is_small_on_the_wire() -> None:
    bare = province_map(district_outlines(), DISTRICTS, label="Kalimantan Timur", words=WORDS)
    full = province_map(district_outlines(), DISTRICTS, DOTS, label="Kalimantan Timur", words=WORDS)
    root = parsed(full)
    assert len(bare) <= 10_000
    assert len(titles(root)) == 10 + 1038
    assert packed(full) <= 16_500
    assert packed(full) - packed(bare) <= 13_000
    assert root.attrib["role"] == "group"


def test_dots_lie_in_the_map_and_those_that_are_down_on_top() -> None:
    root = parsed(province_map(district_outlines(), DISTRICTS, DOTS, label="x", words=WORDS))
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    groups = [group for group in root.iter("g") if "dots" in group.attrib["class"]]
    assert [group.attrib["class"] for group in groups] == [f"dots s-{state}" for state in BOTTOM_FIRST]
    for path in (path.attrib["d"] for group in groups for path in group.iter("path")):
        x, y = map(int, re.findall(r"\d+", path)[:2])
        assert 0 <= x <= width
        assert 0 <= y <= height
    shapes = {re.sub(r"M\d+ \d+", "", next(group.iter("path")).attrib["d"]) for group in groups}
    assert len(shapes) == 4  # unknown is a hollow circle
    outside = Dot(0, 0, "Null Island", "down")
    assert "Null" not in province_map(district_outlines(), DISTRICTS, [outside], label="x", words=WORDS)


def test_a_state_has_the_shape_on_the_map_that_it_has_in_words_beside_it() -> None:
    badges = files("app.pages").joinpath("static/css/base.css").read_text()
    assert ".state.s-degraded::before { border-radius: 0; transform: rotate(45deg); }" in badges
    assert ".state.s-down::before { border-radius: 0; }" in badges
    assert ".state.s-unreachable::before { border-radius: 0; height: .25em; }" in badges
    assert (SHAPES["degraded"], SHAPES["down"], SHAPES["unreachable"]) == (DIAMOND, SQUARE, BAR)


def test_what_users_typed_stays_text() -> None:
    dots = [Dot(116.5, 0.1, HOSTILE, "down", SINCE, '/x"onclick="y'), Dot(116.6, 0.1, HOSTILE, "up")]
    districts = [District("64.02", HOSTILE, None, HOSTILE, '"><b>')]
    svg = province_map(district_outlines(), districts, dots, label=HOSTILE, words=WORDS)
    root = parsed(svg)
    assert "<script" not in svg
    assert root.attrib["aria-label"] == HOSTILE
    assert f"putus: \u2068{HOSTILE}\u2069, sejak 24 November 2026 21.31 WITA" in titles(root)
    assert f"normal: {HOSTILE}" in titles(root)
    assert links(root) == ['"><b>', '/x"onclick="y']
    assert not any(name.startswith("on") for part in root.iter() for name in part.attrib)
    choice = Choice(117.0, -0.4, HOSTILE, "?q=<&", chosen=True)
    picker = district_map(district_outlines(), "64.02", choices=[choice], label=HOSTILE, words=WORDS)
    assert (links(parsed(picker)), titles(parsed(picker))) == (["?q=<&"], [HOSTILE])


def test_a_district_without_evidence_is_hatched_and_named_with_a_dash() -> None:
    root = parsed(province_map(district_outlines(), [DISTRICTS[0]._replace(uptime_pct=None)], label="x", words=WORDS))
    area = next(path for path in root.iter("path") if path.get("class") == "u0")
    assert area.attrib["fill"] == "url(#no-evidence)"
    assert texts(root) == ["Paser–"]


def test_neighbours_share_their_border() -> None:
    paths = simplified(district_outlines(), whole(district_outlines()), 1.5, 4.0)
    edges = {
        code: {frozenset(edge) for ring in moves(path) for edge in zip(ring, ring[1:] + ring[:1], strict=True)}
        for code, path in paths.items()
    }
    for one, other in (
        ("64.02", "64.07"),
        ("64.02", "64.08"),
        ("64.03", "64.08"),
        ("64.07", "64.11"),
        ("64.02", "64.72"),
    ):
        assert len(edges[one] & edges[other]) >= 5, (one, other)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=60), st.floats(0.1, 50))
def test_a_simplified_line_keeps_its_ends_and_stays_near(line: list[Point], tolerance: float) -> None:
    simple = douglas_peucker(line, tolerance)
    assert (simple[0], simple[-1]) == (line[0], line[-1])
    for point in line:
        nearest = min(distance_to_segment(point, a, b) for a, b in pairwise(simple))
        assert nearest <= tolerance + 1e-6


@given(st.lists(st.tuples(st.floats(113, 120), st.floats(-3, 3)), min_size=1, max_size=40))
def test_all_points_fit_into_a_projection(points: list[Point]) -> None:
    projection = fit(points, width=800)
    assert all(projection.contains(projection.project(*point)) for point in points)


@pytest.mark.parametrize("code", [district.code for district in DISTRICTS])
def test_each_district_has_a_map_with_its_villages_to_choose_from(code: str) -> None:
    rows = [row for row in VILLAGES if row["code"].startswith(f"{code}.")]
    choices = [
        Choice(
            row["longitude"], row["latitude"], row["name"], f"?latitude={row['latitude']}&longitude={row['longitude']}"
        )
        for row in rows
    ]
    svg = district_map(district_outlines(), code, choices=choices, label=code, words=WORDS)
    root = parsed(svg)
    assert len(links(root)) == len(rows)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for circle in root.iter("circle"):
        assert 0 <= float(circle.attrib["cx"]) <= width
        assert 0 <= float(circle.attrib["cy"]) <= height
    assert packed(district_map(district_outlines(), code, label=code, words=WORDS)) <= 6_000


def test_a_part_of_a_district_is_drawn_around_its_points_and_no_further() -> None:
    points = [(row["longitude"], row["latitude"]) for row in VILLAGES if row["code"].startswith("64.02.05.")]
    svg = district_map(district_outlines(), "64.02", label="Loa Kulu", words=WORDS, zoom_to=points)
    width, height = map(float, parsed(svg).attrib["viewBox"].split()[2:])
    drawn = [point for path in parsed(svg).iter("path") for ring in moves(path.get("d", "")) for point in ring]
    assert drawn
    assert all(-11 <= x <= width + 11 and -11 <= y <= height + 11 for x, y in drawn)
    alone = parsed(district_map(district_outlines(), "64.02", label="x", words=WORDS, zoom_to=points[:1]))
    assert alone.attrib["viewBox"].startswith("0 0 800 ")


def test_a_code_without_an_outline_shows_the_province() -> None:
    root = parsed(district_map(district_outlines(), "64.99", label="x", words=WORDS))
    assert (
        root.attrib["viewBox"]
        == parsed(province_map(district_outlines(), [], label="x", words=WORDS)).attrib["viewBox"]
    )


def test_islands_too_small_to_be_seen_are_left_out_but_never_a_whole_district() -> None:
    def square(size: float, at: float) -> list[list[list[float]]]:
        return [[[at, 0], [at + size, 0], [at + size, size], [at, size], [at, 0]]]

    def feature(code: str, *squares: list[list[list[float]]]) -> dict[str, object]:
        return {"properties": {"code": code}, "geometry": {"type": "MultiPolygon", "coordinates": [*squares]}}

    outlines = read_outlines([feature("1", square(1, 0), square(0.001, 2)), feature("2", square(0.004, 3))])
    paths = simplified(outlines, whole(outlines), 0.1, 10.0)
    assert (paths["1"].count("M"), paths["2"].count("M")) == (1, 1)


def test_long_names_take_two_lines() -> None:
    assert two_lines("Penajam Paser Utara") == ["Penajam", "Paser Utara"]
    assert (two_lines("Berau"), two_lines("Kutai Kartanegara")) == (["Berau"], ["Kutai", "Kartanegara"])


def test_keys_say_what_colours_and_shapes_stand_for() -> None:
    classes = list(parsed(uptime_key(WORDS)).itertext())
    assert classes == ["≥ 99,5%", "≥ 98%", "≥ 95%", "≥ 90%", "< 90%", "belum cukup bukti"]
    assert list(parsed(dot_key(WORDS)).itertext()) == ["putus", "induk putus", "menurun", "normal", "tidak diketahui"]
