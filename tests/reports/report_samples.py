"""Data sets of berita acara for tests of documents: of any size, with long names, with hostile texts."""

import copy
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from app.reports.paper_frame import PaperHeading
from app.reports.recap_schemas import RECAP_DATA, RecapData
from app.reports.schemas import REPORT_DATA, ReportData

HOSTILE = '#panic("x") $x^2$ *tebal* _miring_ <label> @acuan \\ `kode` [blok] {isi} // /* ~ -- \u202eterbalik 😀 日本'
LONG_NAME = "Persekutuan Perdata Penyedia Layanan Telekomunikasi Nusantara Sejahtera Mandiri Abadi " * 2
LONG_WORD = "Kampung" * 12
HEADING = PaperHeading(
    number="BA-2026-10-0007",
    is_issued=True,
    is_correction=False,
    sha256="5d41402abc4b2a76b9719d911017c592ae3f1b0c2f8f4f6a0f6b9a1d2c3e4f50",
    issued_at=datetime(2026, 11, 17, 1, 0, tzinfo=UTC),
    objections_until=datetime(2026, 11, 16, 16, 0, tzinfo=UTC),
    verify_code="7KQ2M9XD4TRA",
    verify_url="https://sinyal.example.id/verifikasi/7KQ2M9XD4TRA",
)


def report_data(sites: int = 5, *, text: str | None = None, **changed: Any) -> ReportData:
    """Return a data set; `text` in every field that somebody types."""
    data = copy.deepcopy(REPORT_DATA)
    [line], [outage] = data["sites"], data["outages"]
    data["sites"] = [_site(line, number, text) for number in range(sites)]
    data["outages"] = [
        {**outage, "site": site["code"], "ticket_no": text or outage["ticket_no"]} for site in data["sites"]
    ]
    if text is not None:
        data["contract"] |= {"number": text[:200], "provider_name": text[:200]}
        data["parties"] = _texts(data["parties"], text)
        data["objections"][0] |= {"text": text, "evidence": text, "decision_text": text}
        data["warnings"] = [{"code": "x", "id": text, "en": text}]
    data["totals"] |= {"sites": sites, "fee_idr": 4_500_000 * sites, "payable_idr": 4_471_841 * sites}
    for name in ("restitution_idr", "least_idr", "most_idr"):
        data["totals"][name] *= sites
    return ReportData.model_validate(data | changed)


def _site(line: dict[str, Any], number: int, text: str | None) -> dict[str, Any]:
    site = copy.deepcopy(line) | {"code": f"64.02.05.{2000 + number}-01"}
    if number % 5 == 1:
        site |= {
            "name": "Kantor Kepala Desa Muara Badak Ilir Sebelah Utara Jembatan",
            "service_no": "WMS-4721-88120-0001",
        }
    if number % 5 == 2:
        site |= {"worst_pct": 97.5, "best_pct": 99.4, "unknown_s": 40_000, "verdict": "undetermined"}
        site["restitution"] |= {"most_idr": 95_000, "status": "not_provable"}
    if number % 5 == 3:
        ends = ("2026-10-01T00:00:00+08:00", "2026-10-16T00:00:00+08:00", "2026-11-01T00:00:00+08:00")
        first, second = (
            {**site["stretches"][0], "from": start, "to": end, "terms_on": start[:10]} for start, end in pairwise(ends)
        )
        site |= {
            "stretches": [first, second],
            "target_pct": None,
            "verdict": "missed",
            "technology": "geo",
            "link_role": "backup",
        }
        site["notes"] = [{"id": "Berpindah ke penyedia ini pada 16 Oktober 2026.", "en": "Moved here."}]
    if text is not None:
        site |= dict.fromkeys(("name", "service_no", "village", "subdistrict", "district"), text)
    return site


def _texts(value: Any, text: str) -> Any:
    return {name: _texts(inner, text) for name, inner in value.items()} if isinstance(value, dict) else text[:200]


def recap_data(sites: int = 5, **fields: Any) -> RecapData:
    """Return the data set of a year with three months issued."""
    data = copy.deepcopy(RECAP_DATA)
    [month], [site] = data["months"], data["sites"]
    data["months"] = [{**month, "month": f"2026-{number:02}", "not_provable": number % 2} for number in (8, 9, 10)]
    data["sites"] = [{**site, "code": f"64.02.05.{2000 + number}-01"} for number in range(sites)]
    return RecapData.model_validate(data | fields)
