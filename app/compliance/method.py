"""The published methods, by version: immutable. A change of any number is a new version; docs/metode.md says it all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from app.profiles import Technology


@dataclass(frozen=True, slots=True)
class Method:
    """The numbers of a version. `least_…`: fewer leave a part undetermined, never passed."""

    version: str
    published_on: date
    speed_of_contract_pct: int  # a test has to reach this much of the contract's speed
    tests_pct: int  # of the tests that have to
    looks_pct: int  # of the looks that have to be within the limit
    limit_ms: Mapping[Technology, int]
    least_tests: int  # of a row and direction
    least_tests_of_site: int  # for a site to count as tested
    least_looks: int
    least_looks_of_site: int
    least_sites_pct: int  # of a row's sites that have to be measured
    evening_hours: tuple[int, int] = (18, 24)  # WITA
    sample_of: tuple[tuple[int, int, int], ...] = field(default=())  # up to so many sites: at least, percent

    def sample_size(self, sites: int) -> int:
        """Return how many of so many sites are drawn."""
        for up_to, least, pct in self.sample_of:
            if sites <= up_to:
                return min(sites, max(least, -(-sites * pct // 100)))
        return min(sites, LARGEST_SAMPLE)


LARGEST_SAMPLE = 50
METODE_V1 = Method(
    version="Metode v1",
    published_on=date(2026, 12, 1),
    speed_of_contract_pct=80,
    tests_pct=80,
    looks_pct=95,
    limit_ms=MappingProxyType(
        {
            Technology.FIBER: 100,
            Technology.RADIO: 100,
            Technology.LEO: 100,
            Technology.CELLULAR: 150,
            Technology.GEO: 750,
        }
    ),
    least_tests=30,
    least_tests_of_site=5,
    least_looks=1000,
    least_looks_of_site=500,
    least_sites_pct=80,
    sample_of=((50, 5, 0), (500, 5, 10)),
)
METHODS = (METODE_V1,)  # append only
