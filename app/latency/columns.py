"""The columns of latency in files."""

from app.aggregates.series_tables import PART
from app.core.tables import COUNT, MILLISECONDS, PERCENT, Column

SITE_COLUMNS = (
    *PART,
    Column(
        "samples", "Paket terjawab", "Answered packets", COUNT, arti="paket yang terjawab", meaning="answered packets"
    ),
    Column(
        "loss_pct",
        "Kehilangan paket",
        "Packet loss",
        PERCENT,
        arti="bagian paket yang hilang, tanpa yang hilang karena pemantauan sendiri",
        meaning="share of packets sent that were lost, without those lost by our own fault",
    ),
    Column("min_ms", "Latensi terendah", "Lowest latency", MILLISECONDS),
    Column("mean_ms", "Latensi rata-rata", "Mean latency", MILLISECONDS),
    Column(
        "p50_ms",
        "Latensi persentil 50",
        "Latency, percentile 50",
        MILLISECONDS,
        arti="separuh paket lebih cepat; persentil tepat hingga 2%",
        meaning="half of the packets were faster; percentiles are within 2% of the exact ones",
    ),
    Column("p95_ms", "Latensi persentil 95", "Latency, percentile 95", MILLISECONDS),
    Column("p99_ms", "Latensi persentil 99", "Latency, percentile 99", MILLISECONDS),
    Column("max_ms", "Latensi tertinggi", "Highest latency", MILLISECONDS),
    Column(
        "jitter_ms",
        "Jitter",
        "Jitter",
        MILLISECONDS,
        arti="rata-rata selisih antara paket yang berurutan",
        meaning="mean absolute difference between consecutive packets",
    ),
)
GROUP_COLUMNS = (
    *SITE_COLUMNS,
    Column(
        "sites",
        "Titik akses",
        "Sites",
        COUNT,
        arti="titik akses pemilik paket ini; hanya pada jumlah",
        meaning="access points whose packets these are; in the total only",
    ),
)
