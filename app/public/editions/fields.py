"""Columns of the monthly datasets with their data standard: concept, definition, classification, measure, unit."""

from dataclasses import dataclass
from typing import Any

from app.core.tables import Text
from app.registry import indonesian

KEMENDAGRI = "Kode dan data wilayah administrasi pemerintahan (Kemendagri), bertitik"
TECHNOLOGIES = "fiber = serat optik; radio; cellular = seluler; leo = satelit orbit rendah; geo = satelit GEO (VSAT)"
UPSTREAM = "upstream"  # not a cause that anybody gave: what the access point hangs on was down
CAUSES = {**indonesian.CAUSES, UPSTREAM: "induk putus"}


@dataclass(frozen=True, slots=True)
class FieldKind:
    """`type`: of Table Schema; `measure`: ukuran; `unit`: satuan, empty where there is none."""

    type: str
    measure: str
    unit: str = ""


CODE, NAME = FieldKind("string", "kode"), FieldKind("string", "nama")
ACCESS_POINTS, DAYS = FieldKind("integer", "jumlah", "titik akses"), FieldKind("integer", "jumlah", "hari")
SECONDS, PERCENT = FieldKind("integer", "lama waktu", "detik"), FieldKind("number", "persentase", "persen")
MILLISECONDS, MBPS = FieldKind("number", "waktu", "milidetik"), FieldKind("number", "laju data", "megabit per detik")
OUTAGES, PACKETS, TESTS = (FieldKind("integer", "jumlah", unit) for unit in ("kejadian", "paket", "uji"))


@dataclass(frozen=True, slots=True)
class DataField:
    """`title`: the concept; `classification`: the code list of the values, empty where there is none."""

    name: str
    kind: FieldKind
    title: Text
    definition: Text
    classification: str = ""

    @property
    def standard(self) -> dict[str, str]:
        """Return the five parts of a data standard, by their Indonesian names."""
        return {
            "konsep": self.title.indonesian,
            "definisi": self.definition.indonesian,
            "klasifikasi": self.classification or "tidak ada",
            "ukuran": self.kind.measure,
            "satuan": self.kind.unit or "tidak ada",
        }

    @property
    def schema(self) -> dict[str, Any]:
        """Return the column as Table Schema has it, with the standard's parts beside its own properties."""
        english = {"title_en": self.title.english, "description_en": self.definition.english}
        own = {"title": self.title.indonesian, "description": self.definition.indonesian}
        return {"name": self.name, "type": self.kind.type, **own, **english, **self.standard}


MONTH = DataField(
    "month",
    FieldKind("yearmonth", "bulan"),
    Text("Bulan", "Month"),
    Text("Bulan kalender menurut WITA (UTC+8)", "Calendar month in WITA (UTC+8)"),
)
DISTRICT = (
    DataField(
        "district_code",
        CODE,
        Text("Kode kabupaten/kota", "District code"),
        Text("Kode wilayah kabupaten/kota", "Code of the kabupaten or kota"),
        KEMENDAGRI,
    ),
    DataField(
        "district",
        NAME,
        Text("Kabupaten/kota", "District"),
        Text("Nama kabupaten/kota", "Name of the kabupaten or kota"),
    ),
)
VILLAGE = (
    DataField(
        "village_code",
        CODE,
        Text("Kode desa/kelurahan", "Village code"),
        Text("Kode wilayah desa atau kelurahan", "Code of the desa or kelurahan"),
        KEMENDAGRI,
    ),
    DataField(
        "village", NAME, Text("Desa/kelurahan", "Village"), Text("Nama desa/kelurahan", "Name of the desa or kelurahan")
    ),
    DataField(
        "subdistrict_code",
        CODE,
        Text("Kode kecamatan", "Kecamatan code"),
        Text("Kode wilayah kecamatan", "Code of the kecamatan"),
        KEMENDAGRI,
    ),
    DataField("subdistrict", NAME, Text("Kecamatan", "Kecamatan"), Text("Nama kecamatan", "Name of the kecamatan")),
    *DISTRICT,
)
POINTS = DataField(
    "access_points",
    ACCESS_POINTS,
    Text("Titik akses", "Access points"),
    Text(
        "Titik akses internet gratis yang dalam masa layanan pada bulan itu dan diterbitkan",
        "Free access points that were in service within the month and are published",
    ),
)
TECHNOLOGY = DataField(
    "technology",
    CODE,
    Text("Teknologi", "Technology"),
    Text("Jenis sambungan titik akses", "How the access points were connected"),
    TECHNOLOGIES,
)
PROVIDER = (
    DataField(
        "provider",
        CODE,
        Text("Kode penyedia", "Provider"),
        Text("Nama pendek penyedia layanan", "Short name of the service provider"),
    ),
    DataField(
        "provider_name",
        NAME,
        Text("Penyedia", "Provider's name"),
        Text("Nama penyedia layanan", "Name of the service provider"),
    ),
)
CAUSE = DataField(
    "cause",
    CODE,
    Text("Penyebab", "Cause"),
    Text(
        "Penyebab putus layanan yang ditetapkan petugas; unclassified: belum ada yang menetapkan",
        "Cause of an outage as an officer gave it; unclassified: nobody has said yet",
    ),
    "; ".join(f"{cause} = {word}" for cause, word in CAUSES.items()),
)
AVAILABILITY = (
    DataField(
        "days",
        DAYS,
        Text("Hari dihitung", "Days"),
        Text("Hari dalam bulan itu yang dihitung", "Days of the month that are counted"),
    ),
    DataField(
        "good_s",
        SECONDS,
        Text("Waktu berjalan", "Good time"),
        Text("Jumlah waktu layanan normal atau menurun", "Sum of time up or degraded"),
    ),
    DataField(
        "bad_s",
        SECONDS,
        Text("Waktu putus", "Down time"),
        Text("Jumlah waktu layanan pasti putus, juga karena induknya", "Sum of time certainly down"),
    ),
    DataField(
        "unknown_s",
        SECONDS,
        Text("Waktu belum terpantau", "Unmonitored time"),
        Text("Jumlah masa layanan tanpa bukti", "Sum of service time without evidence"),
    ),
    DataField(
        "maintenance_s",
        SECONDS,
        Text("Waktu pemeliharaan", "Maintenance"),
        Text(
            "Jumlah waktu pemeliharaan terencana, di luar perhitungan persentase",
            "Sum of planned work, in no percentage",
        ),
    ),
    DataField(
        "uptime_pct",
        PERCENT,
        Text("Ketersediaan", "Uptime"),
        Text(
            "good_s / (good_s + bad_s), dibulatkan ke bawah; kosong bila tidak ada yang terpantau",
            "good_s / (good_s + bad_s), rounded down; empty where nothing was monitored",
        ),
    ),
    DataField(
        "coverage_pct",
        PERCENT,
        Text("Data terpantau", "Coverage"),
        Text("(good_s + bad_s) / (good_s + bad_s + unknown_s)", "(good_s + bad_s) / (good_s + bad_s + unknown_s)"),
    ),
    DataField(
        "worst_pct",
        PERCENT,
        Text("Ketersediaan batas bawah", "Uptime, lower bound"),
        Text("good_s / (good_s + bad_s + unknown_s)", "good_s / (good_s + bad_s + unknown_s)"),
    ),
    DataField(
        "best_pct",
        PERCENT,
        Text("Ketersediaan batas atas", "Uptime, upper bound"),
        Text(
            "(good_s + unknown_s) / (good_s + bad_s + unknown_s)", "(good_s + unknown_s) / (good_s + bad_s + unknown_s)"
        ),
    ),
)
DOWN = (
    DataField(
        "outages",
        OUTAGES,
        Text("Putus layanan", "Outages"),
        Text(
            "Putus layanan yang mulai pada bulan itu, menurut penyebabnya; yang seluruhnya karena induk tidak dihitung",
            "Outages that began within the month, by cause; those that a parent's outage explains wholly are none",
        ),
    ),
    DataField(
        "down_s",
        SECONDS,
        Text("Waktu putus menurut penyebab", "Down time by cause"),
        Text("Bagian dari bad_s karena penyebab ini", "Part of bad_s that is due to this cause"),
    ),
)
LATENCY = (
    DataField(
        "packets",
        PACKETS,
        Text("Paket terkirim", "Packets sent"),
        Text(
            "Paket uji terkirim, tanpa yang gagal karena pemantauan", "Test packets sent, without those that we failed"
        ),
    ),
    DataField(
        "loss_pct",
        PERCENT,
        Text("Kehilangan paket", "Packet loss"),
        Text("Bagian paket yang tidak dijawab, dibulatkan ke bawah", "Share of packets not answered, rounded down"),
    ),
    DataField(
        "p50_ms",
        MILLISECONDS,
        Text("Latensi persentil 50", "Latency, percentile 50"),
        Text("Median waktu bolak-balik, tepat hingga 2%", "Median round-trip time, within 2%"),
    ),
    DataField(
        "p95_ms",
        MILLISECONDS,
        Text("Latensi persentil 95", "Latency, percentile 95"),
        Text("95% paket terjawab lebih cepat, tepat hingga 2%", "95% of answered packets were faster, within 2%"),
    ),
)
SPEED = (
    DataField(
        "speed_tests",
        TESTS,
        Text("Uji kecepatan", "Speed tests"),
        Text("Uji kecepatan yang berhasil", "Speed tests with a result"),
    ),
    DataField(
        "down_mbps",
        MBPS,
        Text("Kecepatan unduh", "Download speed"),
        Text("Median dari median tiap titik akses", "Median of the access points' medians"),
    ),
    DataField(
        "up_mbps",
        MBPS,
        Text("Kecepatan unggah", "Upload speed"),
        Text("Median dari median tiap titik akses", "Median of the access points' medians"),
    ),
)
