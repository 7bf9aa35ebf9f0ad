"""Indonesian words for the values of alerts in files: those of the API stand in the JSON."""

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
