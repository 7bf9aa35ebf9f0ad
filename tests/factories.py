"""Sites that most tests start with, created over the API as users create them."""

from typing import Any

from tests.conftest import Cast

VILLAGE, BERAU_VILLAGE = "64.02.05.2003", "64.03.01.2001"


def site(**changes: Any) -> dict[str, Any]:
    return {
        "village_code": VILLAGE,
        "technology": "fiber",
        "provider": "telkom-wms",
        "probe": "icmp",
        "host": "198.51.100.20",
        **changes,
    }


async def register(cast: Cast, **changes: Any) -> dict[str, Any]:
    answer = await cast.sari.post("/sites", site(**changes))
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]
