"""The columns of uptime in files."""

from app.aggregates.series_tables import PART
from app.availability.contract_columns import CONTRACT_COLUMNS, VERDICT_COUNTS
from app.core.tables import COUNT, MOMENT, PERCENT, SECONDS, Column
from app.registry.indonesian import CAUSES, VERDICTS


def _seconds(state: str, indonesian: str, english: str, arti: str = "", meaning: str = "") -> Column:
    return Column(f"seconds_{state}", indonesian, english, SECONDS, path=f"seconds.{state}", arti=arti, meaning=meaning)


STATE_COLUMNS = (
    _seconds("up", "Normal", "Up"),
    _seconds("degraded", "Menurun", "Degraded", "terlayani, tetapi lambat atau kehilangan paket", "slow or lossy"),
    _seconds("down", "Putus", "Down"),
    _seconds("unreachable", "Induk putus", "Unreachable", "putus di balik simpul yang putus", "behind a parent down"),
    _seconds(
        "unknown",
        "Tidak diketahui",
        "Unknown",
        "tidak terukur; tidak dihitung baik maupun buruk",
        "not measured; never inferred either way",
    ),
    _seconds("maintenance", "Pemeliharaan", "Maintenance"),
    _seconds(
        "inactive",
        "Di luar masa layanan",
        "Inactive",
        "sebelum aktif, direncanakan, dihentikan sementara, tidak digunakan lagi",
        "before activation, planned, suspended, retired",
    ),
    _seconds(
        "claimed",
        "Berdasarkan keterangan perangkat",
        "Claimed",
        "bagian dari waktu di atas yang hanya berdasar kiriman susulan perangkatnya",
        "part of the seconds above that rests on claims alone, which devices sent afterwards",
    ),
)
PERCENTAGES = (
    Column(
        "uptime_pct",
        "Ketersediaan",
        "Uptime",
        PERCENT,
        arti="(normal + menurun) / (normal + menurun + putus + induk putus), dibulatkan ke bawah",
        meaning="(up + degraded) / (up + degraded + down + unreachable), rounded down",
    ),
    Column(
        "coverage_pct",
        "Data terpantau",
        "Coverage",
        PERCENT,
        arti="bagian masa layanan yang terukur",
        meaning="share of the time in service that was measured",
    ),
    Column(
        "worst_pct",
        "Ketersediaan batas bawah",
        "Uptime at worst",
        PERCENT,
        arti="bila semua waktu yang tidak diketahui putus",
        meaning="if all unknown time had been down",
    ),
    Column(
        "best_pct",
        "Ketersediaan batas atas",
        "Uptime at best",
        PERCENT,
        arti="bila semua waktu yang tidak diketahui normal",
        meaning="if all unknown time had been up",
    ),
)
OUTAGES = Column(
    "outages",
    "Putus layanan",
    "Outages",
    COUNT,
    arti="banyaknya, dari kehilangan pertama sampai jawaban berikutnya",
    meaning="how many, from the first loss to the next answer",
)
LONGEST_OUTAGE = Column(
    "longest_outage_s",
    "Putus layanan terpanjang",
    "Longest outage",
    SECONDS,
    arti="di dalam masa ini",
    meaning="inside",
)
CAUSE_COLUMNS = tuple(
    Column(
        f"down_{cause}_s",
        f"Putus karena {word}",
        f"Down: {cause}",
        SECONDS,
        path=f"down_by_cause.{cause}",
        missing=0,
    )
    for cause, word in CAUSES.items()
)
FIGURES = (
    *STATE_COLUMNS,
    *PERCENTAGES,
    OUTAGES,
    LONGEST_OUTAGE,
    *CAUSE_COLUMNS,
    Column(
        "countable_down_s",
        "Putus menurut kontrak",
        "Down as the contract counts",
        SECONDS,
        arti="kosong tanpa kontrak",
        meaning="empty without a contract",
    ),
    Column(
        "sla_target_pct",
        "Target kontrak",
        "Contract target",
        PERCENT,
        arti="kosong tanpa kontrak, atau bila ada lebih dari satu target",
        meaning="empty without a contract, or when more than one target applied",
    ),
    Column(
        "sla_verdict",
        "Penilaian kontrak",
        "Contract verdict",
        words=VERDICTS,
        arti="belum dapat disimpulkan: waktu yang tidak diketahui menentukannya",
        meaning="undetermined: unknown time would decide it",
    ),
)
CORRECTION = (
    *PART,
    *FIGURES,
    Column("recorded_at", "Dicatat", "Recorded", MOMENT),
    Column("reason", "Alasan", "Reason"),
)
SITE_COLUMNS = (
    *PART,
    *FIGURES,
    Column(
        "closed_at",
        "Ditutup",
        "Closed",
        MOMENT,
        arti="bulan yang ditutup tidak berubah lagi; koreksi tercatat di sebelahnya",
        meaning="a closed month never changes; a correction stands beside it",
    ),
    *(column.under("contract", "Kontrak", "Contract") for column in CONTRACT_COLUMNS),
    *(column.under("correction", "Koreksi", "Correction", sparse=True) for column in CORRECTION),
)
GROUP_COLUMNS = (
    *PART,
    Column(
        "sites",
        "Titik akses",
        "Sites",
        COUNT,
        arti="yang dalam masa layanan pada suatu saat",
        meaning="that were in service at some time",
    ),
    *(column for column in FIGURES if not column.name.startswith("sla_")),
    *VERDICT_COUNTS,
)
