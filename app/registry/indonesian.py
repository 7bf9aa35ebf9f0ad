"""Indonesian words for values in files: those of the API stand in the JSON, and in files that are not Indonesian."""

from collections.abc import Mapping

from app.registry.models import Cause, State, UnknownReason
from app.registry.vocabulary import CHOICES
from probes.contract import VANTAGES

TECHNOLOGIES: Mapping[str, str] = {value.value: word for value, word in CHOICES["technology"].items()}
STATES: Mapping[str, str] = {
    State.UP: "normal",
    State.DEGRADED: "menurun",
    State.DOWN: "putus",
    State.UNREACHABLE: "induk putus",
    State.UNKNOWN: "tidak diketahui",
}
UNKNOWN_REASONS: Mapping[str, str] = {
    UnknownReason.NEVER_SEEN: "belum pernah terpantau",
    UnknownReason.SILENT: "tidak ada laporan",
    UnknownReason.BLIND: "pemantauan terhenti",
    UnknownReason.STOPPED: "pengukuran dihentikan",
    UnknownReason.CLAIMED: "putus yang disanggah perangkatnya",
}
CAUSES: Mapping[str, str] = {
    Cause.LINK: "jaringan akses",
    Cause.PROVIDER: "jaringan penyedia",
    Cause.POWER: "listrik padam",
    Cause.DEVICE: "kerusakan perangkat",
    Cause.UNPLUGGED: "dicabut",
    Cause.BILLING: "isolir (tagihan)",
    Cause.QUOTA: "kuota habis",
    Cause.WEATHER: "cuaca",
    Cause.VANDALISM: "perusakan atau pencurian",
    Cause.PLANNED: "pekerjaan terencana",
    Cause.MONITORING: "pemantauan",
    Cause.UNCLASSIFIED: "belum ditentukan",
}
EVIDENCE: Mapping[str, str] = {
    "central": "pengukuran pusat",
    "agent": "perangkat di lokasi",
    "silence": "laporan mandiri yang tidak datang",
    "claimed": "keterangan perangkat",
    **{vantage: f"pengukuran titik pantau {number}" for number, vantage in enumerate(VANTAGES) if number},
}
VERDICTS: Mapping[str, str] = {
    "met": "tercapai",
    "missed": "tidak tercapai",
    "undetermined": "belum dapat disimpulkan",
}
INCIDENT_KINDS: Mapping[str, str] = {"single": "tunggal", "shared": "massal"}
INCIDENT_STATUSES: Mapping[str, str] = {
    "open": "belum ditangani",
    "acknowledged": "sedang ditangani",
    "resolved": "pulih",
    "withdrawn": "dibatalkan",
}
HAPPENINGS: Mapping[str, str] = {
    "opened": "dibuka",
    "moved": "batas waktu atau dugaan penyebab berubah",
    "resolved": "pulih",
    "reopened": "dibuka kembali",
    "withdrawn": "dibatalkan",
    "joined": "titik akses bergabung",
    "left": "titik akses keluar",
    "changed": "diubah",
    "refuted": "disanggah perangkat",
}
WINDOW_STATUSES: Mapping[str, str] = {
    "planned": "direncanakan",
    "running": "sedang berlangsung",
    "past": "selesai",
    "cancelled": "dibatalkan",
}
