"""Words for berita acara and certificates: their kinds, states and results, decisions, and why seconds do not count."""

from collections.abc import Mapping

from app.registry.indonesian import CAUSES

REPORT_WORDS: Mapping[str, Mapping[str, str]] = {
    "report_kind": {"month": "berita acara", "correction": "koreksi", "recap": "rekapitulasi"},
    "report_status": {"draft": "draf", "issued": "terbit"},
    "decision": {"accepted": "diterima", "rejected": "ditolak", "partly": "diterima sebagian"},
    "certified_part": {
        "availability": "ketersediaan",
        "latency": "latensi",
        "download": "unduh",
        "upload": "unggah",
    },
    "certificate_result": {
        "meets": "memenuhi",
        "fails": "tidak memenuhi",
        "inconclusive": "belum dapat disimpulkan",
        "not_provable": "tidak dapat dibuktikan",
        "not_judged": "tidak dinilai",
    },
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
    "certificate_result": {"meets": "meets it", "fails": "fails it"},
    "left_out": {"short": "shorter than the contract counts", "parent": "parent down", "planned": "planned works"},
}
