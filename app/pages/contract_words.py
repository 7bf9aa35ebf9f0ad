"""Words for what a contract's terms pay back, and for what came of it."""

from collections.abc import Mapping

CONTRACT_WORDS: Mapping[str, Mapping[str, str]] = {
    "fee_per": {"contract": "seluruh kontrak", "site": "setiap titik akses"},
    "restitution_kind": {
        "proportional": "sebanding waktu putus",
        "shortfall": "sebanding kekurangan dari target",
        "banded": "berjenjang menurut ketersediaan",
        "per_incident": "per putus layanan, menurut jam",
        "cliff": "sekaligus di bawah satu batas",
    },
    "restitution_unknown": {
        "unproven": "hanya yang terbukti dituntut",
        "as_good": "dihitung tersedia",
        "as_down": "dihitung putus",
        "pro_rata": "dihitung seperti yang diketahui",
    },
    "restitution_status": {
        "none": "tidak ada restitusi",
        "due": "restitusi",
        "not_provable": "tidak dapat dibuktikan",
        "no_fee": "biaya tidak diketahui",
        "no_rule": "tanpa aturan restitusi",
    },
}
ENGLISH_CONTRACT_WORDS: Mapping[str, Mapping[str, str]] = {
    "fee_per": {"contract": "the whole contract", "site": "each site"},
    "restitution_kind": {
        "proportional": "in proportion to downtime",
        "shortfall": "in proportion to what lacks of the target",
        "banded": "by bands of availability",
        "per_incident": "per outage, by the hour",
        "cliff": "all at once below a limit",
    },
    "restitution_unknown": {
        "unproven": "only what is proven is claimed",
        "as_good": "counts as available",
        "as_down": "counts as down",
        "pro_rata": "counts like what is known",
    },
    "restitution_status": {"none": "no restitution", "due": "restitution due", "no_fee": "no fee known"},
}
