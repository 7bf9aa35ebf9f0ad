"""Words for berita acara: their kinds and states, decisions on objections, and why seconds do not count."""

from collections.abc import Mapping

from app.registry.indonesian import CAUSES

REPORT_WORDS: Mapping[str, Mapping[str, str]] = {
    "report_kind": {"month": "berita acara", "correction": "koreksi", "recap": "rekapitulasi"},
    "report_status": {"draft": "draf", "issued": "terbit"},
    "decision": {"accepted": "diterima", "rejected": "ditolak", "partly": "diterima sebagian"},
    "left_out": {
        "maintenance": "pemeliharaan",
        "short": "lebih pendek dari batas kontrak",
        "parent": "induk putus",
        **CAUSES,
    },
}
ENGLISH_REPORT_WORDS: Mapping[str, Mapping[str, str]] = {
    "report_kind": {"month": "monthly report", "recap": "yearly recapitulation"},
    "decision": {"partly": "accepted in part"},
    "left_out": {"short": "shorter than the contract counts", "parent": "parent down", "planned": "planned works"},
}
