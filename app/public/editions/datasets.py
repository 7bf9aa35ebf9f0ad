"""The datasets of a month: which there are, with which columns and of what they tell."""

from dataclasses import dataclass

from app.core.tables import Text
from app.public.editions import fields
from app.public.editions.fields import DataField


@dataclass(frozen=True, slots=True)
class Dataset:
    """`key`: columns that tell rows apart; `has_places`: a row is a village, which a map shows at its centroid."""

    name: str
    title: Text
    about: Text
    columns: tuple[DataField, ...]
    key: tuple[str, ...]
    of_villages: bool = True
    has_places: bool = False

    @property
    def formats(self) -> tuple[str, ...]:
        return ("csv", "json", "geojson") if self.has_places else ("csv", "json")


DATASETS = (
    Dataset(
        "ketersediaan-desa",
        Text("Ketersediaan internet gratis menurut desa", "Uptime of the free internet by village"),
        Text(
            "Lama layanan berjalan, putus, dan belum terpantau di tiap desa, dengan persentase dan kedua batasnya",
            "How long the service worked, was down and unmonitored in each village, with percentages and their bounds",
        ),
        (fields.MONTH, *fields.VILLAGE, fields.POINTS, *fields.AVAILABILITY),
        ("month", "village_code"),
        has_places=True,
    ),
    Dataset(
        "gangguan-desa",
        Text("Putus layanan menurut desa dan penyebab", "Outages by village and cause"),
        Text(
            "Berapa kali dan berapa lama layanan putus di tiap desa, menurut penyebab yang ditetapkan",
            "How often and how long the service was down in each village, by the cause that was given",
        ),
        (fields.MONTH, *fields.VILLAGE, fields.CAUSE, *fields.DOWN),
        ("month", "village_code", "cause"),
    ),
    Dataset(
        "latensi-kecepatan-desa",
        Text("Latensi dan kecepatan terukur menurut desa", "Latency and measured speed by village"),
        Text(
            "Waktu bolak-balik, kehilangan paket, dan hasil uji kecepatan di tiap desa",
            "Round-trip times, packet loss and results of speed tests in each village",
        ),
        (fields.MONTH, *fields.VILLAGE, *fields.LATENCY, *fields.SPEED),
        ("month", "village_code"),
        has_places=True,
    ),
    Dataset(
        "ketersediaan-kabupaten",
        Text("Ketersediaan internet gratis menurut kabupaten/kota", "Uptime of the free internet by district"),
        Text(
            "Jumlah detik semua titik akses yang diterbitkan di tiap kabupaten/kota, bukan rata-rata persentase",
            "Seconds of all published access points of each district added up: no average of percentages",
        ),
        (fields.MONTH, *fields.DISTRICT, fields.POINTS, *fields.AVAILABILITY),
        ("month", "district_code"),
        of_villages=False,
    ),
    Dataset(
        "penyedia-teknologi",
        Text("Mutu layanan menurut penyedia dan teknologi", "Service by provider and technology"),
        Text(
            "Ketersediaan, latensi, dan kecepatan tiap penyedia untuk tiap teknologi. Bandingkan hanya dalam teknologi "
            "yang sama: satelit tidak dapat secepat serat optik",
            "Uptime, latency and speed of each provider for each technology. Compare within a technology alone: a "
            "satellite cannot be as fast as fibre",
        ),
        (
            fields.MONTH,
            *fields.PROVIDER,
            fields.TECHNOLOGY,
            fields.POINTS,
            *fields.AVAILABILITY,
            *fields.LATENCY,
            *fields.SPEED,
        ),
        ("month", "provider", "technology"),
        of_villages=False,
    ),
)
