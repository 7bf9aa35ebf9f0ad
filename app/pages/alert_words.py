"""Words for what alerts are: channels and their health, what rules ask for, and how notifications fare."""

from collections.abc import Mapping

NOTIFICATION_KINDS: Mapping[str, str] = {
    "onset": "gangguan baru",
    "update": "perkembangan",
    "recovery": "pulih",
    "held": "ringkasan yang ditahan",
    "flapping": "putus-nyambung",
    "daily_digest": "ringkasan harian",
    "weekly_digest": "ringkasan mingguan",
    "test": "pesan uji",
    "weekly_test": "pesan uji mingguan",
}
NOTIFICATION_STATES: Mapping[str, str] = {
    "queued": "menunggu dikirim",
    "accepted": "diterima",
    "bounced": "ditolak penerima",
    "dead": "tidak terkirim",
    "rerouted": "dialihkan ke saluran cadangan",
}
ALERT_WORDS: Mapping[str, Mapping[str, str]] = {
    "notification_kind": NOTIFICATION_KINDS,
    "notification_state": NOTIFICATION_STATES,
    "alert_kind": {
        "down": "titik akses putus (juga gangguan massal)",
        "shared": "gangguan massal saja",
        "recovered": "pulih, walaupun putusnya tidak diberitakan",
        "degraded": "menurun berjam-jam",
        "never_seen": "belum pernah terpantau",
        "coverage_lost": "tidak ada data",
        "budget_spent": "jatah data uji kecepatan habis",
        "contract_at_risk": "target kontrak bulan ini terancam",
        "service_unwell": "layanan pemantauan sendiri bermasalah",
        "escalated": "yang tidak ditangani kantor di bawahnya",
        "daily_digest": "ringkasan harian (07.30 WITA)",
        "weekly_digest": "ringkasan mingguan",
    },
    "channel_health": {
        "ok": "berfungsi",
        "failing": "gagal mengirim",
        "silent": "tidak ada yang diterima",
        "untested": "belum teruji",
        "paused": "dijeda",
    },
    "message_form": {"long": "panjang (surel, Telegram, WhatsApp)", "short": "pendek (SMS, 160 huruf)"},
    "hold_reason": {
        "grouping": "menunggu yang sepenyebab",
        "least_duration": "menunggu lama putus terpendek",
        "quiet_hours": "jam tenang",
        "muted": "aturan dibisukan",
        "maintenance": "pemeliharaan",
        "power_hours": "di luar jam listrik",
        "blind": "pemantauan kami sendiri terhenti",
    },
    "drop_reason": {
        "too_short": "terlalu singkat",
        "in_maintenance": "selama pemeliharaan",
        "outside_power_hours": "di luar jam listrik",
        "merged": "menjadi bagian gangguan massal",
        "withdrawn": "ternyata tidak putus",
        "flapping": "diberitakan sebagai putus-nyambung",
        "acknowledged": "sudah ditangani",
        "not_told": "putusnya tidak diberitakan",
        "channel_deleted": "saluran dihapus",
    },
}
ENGLISH_ALERT_WORDS: Mapping[str, Mapping[str, str]] = {
    "alert_kind": {
        "down": "sites that are down (shared incidents, too)",
        "shared": "shared incidents alone",
        "recovered": "recovered, though the outage was not announced",
        "degraded": "degraded for hours",
        "budget_spent": "data budget of speed tests spent",
        "contract_at_risk": "this month's contract target at risk",
        "service_unwell": "the monitoring service itself unwell",
        "escalated": "what offices below did not acknowledge",
        "daily_digest": "daily digest (07:30 WITA)",
    },
    "channel_health": {"ok": "works", "silent": "nothing accepted"},
    "message_form": {"long": "long (e-mail, Telegram, WhatsApp)", "short": "short (SMS, 160 letters)"},
    "hold_reason": {
        "grouping": "waits for others of the same cause",
        "least_duration": "waits for the least duration",
        "blind": "our own monitoring has stopped",
    },
    "drop_reason": {
        "merged": "part of a shared incident",
        "withdrawn": "no outage after all",
        "flapping": "announced as flapping",
        "acknowledged": "in hand",
        "not_told": "its onset was not announced",
    },
}
