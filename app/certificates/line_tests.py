"""The speed tests of a site's 24 hours, each beside what its contract promised that day."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.certificates.method import METHOD
from app.compliance.shares import Share
from app.compliance.speed_results import PROMISED, TEST
from app.core.periods import Period

TESTS = text(f"""
    WITH promised AS ({PROMISED}), test AS ({TEST.format(condition="AND t.site_id = :site_id")})
    SELECT * FROM test ORDER BY planned_at
""")
OPEN = text("""
    SELECT EXISTS (SELECT FROM throughput_test WHERE site_id = :site_id AND status IN ('waiting', 'running')
        AND planned_at >= :start AND planned_at < :end)
""")
SAME_NAME = ("planned_at", "started_at", "mode", "status", "reason", "for_certificate")

TestRow = Any  # a row of TESTS


async def read_tests(session: AsyncSession, site_id: int, period: Period) -> Sequence[TestRow]:
    bounds = {"site_id": site_id, "start": period.start, "end": period.end, "evening": METHOD.evening_hours[0]}
    return (await session.execute(TESTS, bounds)).all()


async def has_open_tests(session: AsyncSession, site_id: int, period: Period) -> bool:
    """Whether a test of the period still waits or runs."""
    bounds = {"site_id": site_id, "start": period.start, "end": period.end}
    return bool(await session.scalar(OPEN, bounds))


def speed_share(tests: Sequence[TestRow], direction: str) -> Share:
    """Count the tests of `down` or `up` that had a speed to reach."""
    share = Share()
    for test in tests:
        rate, promised = getattr(test, direction), getattr(test, f"promised_{direction}")
        if not promised:
            continue
        if rate is not None:
            share.counted += 1
            share.passed += 100 * rate >= METHOD.speed_of_contract_pct * promised
        elif getattr(test, f"contested_{direction}"):
            share.contested += 1
    return share


def test_fields(test: TestRow) -> dict[str, Any]:
    """Return the fields of a CertificateTest."""
    return {name: getattr(test, name) for name in SAME_NAME} | {
        "down_mbps": _rounded(test.down),
        "up_mbps": _rounded(test.up),
        "contract_down_mbps": test.promised_down,
        "contract_up_mbps": test.promised_up,
    }


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 3)
