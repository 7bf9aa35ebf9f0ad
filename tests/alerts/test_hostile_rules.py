"""A rule as an adversary writes it: answered field by field."""

from typing import Any

from tests.conftest import Cast
from tests.support.alerts import AlertDesk

LONG = "6" * 100_000
HOSTILE: dict[str, list[Any]] = {
    "name": ["\0", "a\0b", "x" * 100_000, {}, [], 7, None],
    "office": ["\0", "64\0", "٦٤.٠٢", LONG, {"$gt": ""}, 64.02],
    "kinds": [["down"] * 1_000, ["\0"], ["ḋown"], "down", {"down": 1}, [None], [["down"]]],
    "region": ["\0", "64.02\0", "٦٤.٠٢", "64.02' OR '1'='1", "64.%", "64.02.", LONG, [], -1],
    "technologies": [["fiber"] * 1_000, ["\0"], [{}], "fiber"],
    "providers": [["telkom-wms"] * 1_000, ["\0"], ["x" * 100_000], ["%"], [None], [3]],
    "channels": [[1] * 1_000, [-1], [0], [2**63], [1.5], ["1' OR 1=1"], [None]],
    "least_s": [-1, 2**63, 1e308, float("1e308"), "∞", [], 0.5],
    "degraded_hours": [0, 169, 2**70, "6h"],
    "quiet_from": ["٢٢:00", "22:00:00.5", "25:00", "\0", 22, {}],
    "remind_at": ["24:00", "٠٨:00", "8", "\0"],
    "muted_until": ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "\0", 1e300, "٢٠٢٧-01-01", {}],
    "escalate": [{"after_min": 2**63}, {"after_min": 60, "to": "\0"}, {"after_min": 60, "to": LONG}, [], "64", 1],
}


async def test_no_field_of_a_rule_does_more_than_be_refused(cast: Cast, desk: AlertDesk) -> None:
    await desk.channel()
    for field, values in HOSTILE.items():
        for value in values:
            body = {"name": "Percobaan", "office": "64.02", "kinds": ["down"], "quiet_to": None, field: value}
            answer = await cast.ana.post("/rules/preview", body)
            assert answer.status_code == 422, (field, str(value)[:40], answer.status_code, answer.text[:300])
            assert len(answer.text) < 20_000, (field, str(value)[:40])
            assert any(field[:8] in fault["field"] for fault in answer.json()["errors"]), (field, value, answer.text)
