"""The columns of what a contract counts, in files: of a ContractFigures and who it is of."""

from app.availability.contract_tally import MAINTENANCE, PARENT, SHORT
from app.core.tables import COUNT, MOMENT, PERCENT, SECONDS, SENTENCES, Column
from app.registry.indonesian import CAUSES, VERDICTS
from app.registry.vocabulary import CHOICES, YES_NO

LINK_ROLES = {role.value: word for role, word in CHOICES["link_role"].items()}
EXCLUDED = {MAINTENANCE: "pemeliharaan", SHORT: "lebih pendek dari batas kontrak", PARENT: "induk putus", **CAUSES}

EXCLUDED_COLUMNS = tuple(
    Column(
        f"excluded_{reason}_s",
        f"Dikecualikan: {word}",
        f"Excluded: {reason}",
        SECONDS,
        path=f"excluded.{reason}",
        missing=0,
        sparse=reason in CAUSES,
    )
    for reason, word in EXCLUDED.items()
)
COUNTED = (
    Column(
        "verdict",
        "Putusan",
        "Verdict",
        words=VERDICTS,
        arti="tercapai: batas bawah mencapai target; tidak tercapai: batas atas pun tidak; kosong tanpa masa layanan",
        meaning="met: the worst reaches the target; missed: not even the best does; empty without service",
    ),
    Column(
        "target_pct",
        "Target",
        "Target",
        PERCENT,
        sparse=True,
        arti="kosong bila berubah di dalam masa ini",
        meaning="empty if it changed within the period",
    ),
    Column(
        "required_pct",
        "Disyaratkan",
        "Required",
        PERCENT,
        arti="target, atau bila berubah, jumlah yang dituntut setiap bagian masa ini",
        meaning="the target or, where it changed, what each stretch needs, added up",
    ),
    Column(
        "missed_by_s",
        "Kurang dari target",
        "Missed by",
        SECONDS,
        arti="putus yang dihitung di luar yang dibolehkan target; 0 bila tidak terbukti meleset",
        meaning="counted down beyond what the target allows; 0 unless missed",
    ),
    Column(
        "availability_pct",
        "Ketersediaan menurut kontrak",
        "Availability by contract",
        PERCENT,
        arti="(masa layanan - dihitung putus - tidak diketahui) / (masa layanan - tidak diketahui), ke bawah",
        meaning="(in service - counted down - unknown) / (in service - unknown), rounded down",
    ),
    Column(
        "worst_pct",
        "Batas bawah",
        "At worst",
        PERCENT,
        arti="bila semua yang tidak diketahui putus",
        meaning="if all that is unknown had been down",
    ),
    Column(
        "best_pct",
        "Batas atas",
        "At best",
        PERCENT,
        arti="bila semua yang tidak diketahui baik",
        meaning="if all that is unknown had been good",
    ),
    Column(
        "service_s",
        "Masa layanan",
        "In service",
        SECONDS,
        arti="dalam masa dan jam layanan, penyebut persentase: baik, dihitung putus, dikecualikan, dan tidak diketahui",
        meaning="within service and its hours; what the percentages are of: good, counted down, excluded and unknown",
    ),
    Column("good_s", "Baik", "Good", SECONDS),
    Column("counted_down_s", "Dihitung putus", "Counted down", SECONDS),
    *EXCLUDED_COLUMNS,
    Column(
        "unknown_s",
        "Tidak diketahui",
        "Unknown",
        SECONDS,
        arti="tidak terukur, atau dibantah perangkatnya; tidak menguntungkan siapa pun",
        meaning="not measured, or contested by the site's device: in nobody's favour",
    ),
    Column(
        "claimed_s",
        "Berdasarkan keterangan perangkat",
        "Claimed",
        SECONDS,
        arti="bagian dari baik dan tidak diketahui",
        meaning="part of good and unknown",
    ),
)
CONTRACT_COLUMNS = (
    Column("link_role", "Jalur", "Link", words=LINK_ROLES),
    Column(
        "covered_from",
        "Tercakup sejak",
        "Covered from",
        MOMENT,
        path="covered.from_",
        arti="waktu titik akses berada di bawah kontrak ini",
        meaning="when the site was under this contract",
    ),
    Column("covered_to", "Tercakup sampai", "Covered to", MOMENT, path="covered.to"),
    Column("covered_seconds", "Tercakup", "Covered", SECONDS, path="covered.seconds"),
    Column("whole_period", "Seluruh masa", "Whole period", words=YES_NO),
    *COUNTED,
    Column("reason", "Penjelasan putusan", "Reason of the verdict", SENTENCES),
)
VERDICT_WORDS = {**VERDICTS, "no_contract": "tanpa kontrak", "no_service": "tanpa masa layanan"}
VERDICT_COUNTS = tuple(
    Column(
        f"verdicts_{kind}", f"Putusan: {word}", f"Verdicts: {kind.replace('_', ' ')}", COUNT, path=f"verdicts.{kind}"
    )
    for kind, word in VERDICT_WORDS.items()
)
