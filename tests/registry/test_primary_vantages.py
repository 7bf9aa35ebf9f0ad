from hypothesis import given
from hypothesis import strategies as st

from app.registry.primary_vantages import PrimaryVantages
from probes.contract import AGENT, VANTAGES, Outcome, Reading
from probes.reading_block import ReadingBlock

FOREVER = 2**63 - 1

Configuration = tuple[int, int, int, int]  # site, start, end, primary


@st.composite
def configurations(draw: st.DrawFn) -> list[Configuration]:
    rows = list[Configuration]()
    for site_id in (3, 5, 8):
        bounds = sorted(draw(st.lists(st.integers(0, 20), max_size=4)))
        ends = [*bounds[1:], FOREVER][: len(bounds)]
        rows += [
            (site_id, start, end, draw(st.integers(0, 8)))
            for start, end in zip(bounds, ends, strict=True)
            if draw(st.booleans())
        ]
    return rows


READINGS = st.lists(
    st.builds(
        Reading,
        st.integers(1, 9),
        st.integers(0, 25),
        st.just(Outcome.OK),
        st.just(1),
        st.just((9,)),
        st.just(60),
        source=st.sampled_from([*VANTAGES, AGENT]),
    ),
    max_size=30,
)


def is_beside(reading: Reading, rows: list[Configuration]) -> bool:
    return reading.source in VANTAGES and any(
        site == reading.key and start <= reading.slot < end and reading.source != VANTAGES[primary]
        for site, start, end, primary in rows
    )


@given(configurations(), READINGS)
def test_looks_of_other_vantages_than_the_primary_of_their_time_are_left_out(
    rows: list[Configuration], readings: list[Reading]
) -> None:
    counted = PrimaryVantages(rows).counted(ReadingBlock.of(readings)).readings()
    assert list(counted) == [reading for reading in readings if not is_beside(reading, rows)]
