"""Random histories of a site, as counting takes them: states, service, maintenance, claims, causes, and contracts."""

import itertools
from datetime import UTC, date, datetime, time
from decimal import Decimal

from hypothesis import strategies as st

from app.availability.counting import CountableHistory
from app.availability.policy import ContractPolicy, TermsKey
from app.core.clock import to_slot
from app.core.daily_window import DailyWindow
from app.registry.configuration import ConfigurationInForce
from app.registry.models import LinkRole, State
from tests.support.interval_maps import overlay

START = datetime(2026, 11, 24, tzinfo=UTC)

stretches = st.lists(st.tuples(st.sampled_from(list(State)), st.integers(1, 400)), min_size=1, max_size=20)
spans = st.lists(st.tuples(st.integers(-500, 3500), st.integers(-500, 3500)), max_size=6)  # some inverted, some empty
causes = st.lists(st.sampled_from(["power", "link"]), min_size=6, max_size=6)
CONFIGURATIONS = [
    ConfigurationInForce(True),
    ConfigurationInForce(False),
    ConfigurationInForce(True),
    ConfigurationInForce(True, 2),
    ConfigurationInForce(True),
    ConfigurationInForce(True, open_hours=(DailyWindow(8 * 60 + 5, 8 * 60 + 25),)),
]


def policies(link_role: LinkRole) -> st.SearchStrategy[list[ContractPolicy]]:
    """Terms of two contracts, in any order."""
    keys = st.builds(
        TermsKey,
        contract_id=st.sampled_from([1, 2] if link_role is LinkRole.PRIMARY else [3]),
        link_role=st.just(link_role),
        terms_on=st.sampled_from([date(2026, 11, 1), date(2026, 11, 24)]),
    )
    policy = st.builds(
        ContractPolicy,
        sla_target_pct=st.sampled_from([Decimal(95), Decimal("99.5")]),
        min_outage_s=st.integers(0, 600),
        excluded_causes=st.sampled_from([frozenset(), frozenset({"power"})]),
        excuses_parent=st.booleans(),
        service_from=st.sampled_from([None, time(8, 5)]),
        service_to=st.sampled_from([None, time(8, 20), time(7)]),
        degraded_counts=st.booleans(),
        terms=keys,
    )
    return st.lists(policy, min_size=6, max_size=6)


@st.composite
def histories(draw: st.DrawFn) -> CountableHistory:
    happened = [*draw(stretches), (State.UNKNOWN, 8000)]
    edges = list(itertools.accumulate((length for _, length in happened), initial=0))
    base = to_slot(START)

    def painted(values: list[object]) -> list[tuple[int, int, object]]:
        return overlay((base + a, base + b, value) for (a, b), value in zip(draw(spans), values, strict=False))

    return CountableHistory(
        states=[(base + a, base + b, s) for (s, _), a, b in zip(happened, edges, edges[1:], strict=False)],
        configurations=painted(CONFIGURATIONS),  # type: ignore[arg-type]
        maintenance=painted([True] * 6),  # type: ignore[arg-type]
        claims=painted([True] * 6),  # type: ignore[arg-type]
        causes=painted(draw(causes)),  # type: ignore[arg-type]
        policies=[painted(draw(policies(role))) for role in LinkRole],  # type: ignore[arg-type, misc]
    )


short_spans = st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 400)), max_size=4)  # start, length


@st.composite
def contracted_histories(draw: st.DrawFn) -> CountableHistory:
    """Histories in service and under contract but for some spans of each: most seconds count as something."""
    happened = [*draw(stretches), (State.UNKNOWN, 8000)]
    edges = list(itertools.accumulate((length for _, length in happened), initial=0))
    base = to_slot(START)

    def painted(values: list[object], whole: object = None) -> list[tuple[int, int, object]]:
        layers = [(base - 500, base + 17_000, whole)] if whole is not None else []
        spans = zip(draw(short_spans), values, strict=False)
        return overlay([*layers, *((base + a, base + a + length, value) for (a, length), value in spans)])

    return CountableHistory(
        states=[(base + a, base + b, s) for (s, _), a, b in zip(happened, edges, edges[1:], strict=False)],
        configurations=painted(CONFIGURATIONS[1:], CONFIGURATIONS[0]),  # type: ignore[arg-type]
        maintenance=painted([True] * 4),  # type: ignore[arg-type]
        claims=painted([True] * 4),  # type: ignore[arg-type]
        causes=painted(draw(causes)),  # type: ignore[arg-type]
        policies=[
            painted(draw(policies(role)), draw(policies(role))[0])  # type: ignore[arg-type, misc]
            for role in draw(st.sampled_from([[LinkRole.PRIMARY], list(LinkRole)]))
        ],
    )
