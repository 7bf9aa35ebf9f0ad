"""Compare words loosely, and read the choices of a site's fields from the Indonesian words that districts write."""

import re
import unicodedata
from enum import StrEnum
from functools import cache, lru_cache

from app.profiles import Technology
from app.registry.models import Lifecycle, LinkRole, PowerSource, Presence, SiteKind, Venue
from probes.contract import ProbeKind

MAX_NAME = 60  # longer texts are no names: neither cached nor compared
MAX_FOLDED = 1000  # characters of a text: normalising takes quadratic time in a run of combining marks

CHOICES: dict[str, dict[StrEnum, str]] = {
    "kind": {SiteKind.ACCESS_POINT: "titik akses", SiteKind.NODE: "simpul"},
    "technology": {
        Technology.FIBER: "serat optik",
        Technology.RADIO: "radio",
        Technology.CELLULAR: "seluler",
        Technology.LEO: "satelit orbit rendah",
        Technology.GEO: "satelit GEO (VSAT)",
    },
    "link_role": {LinkRole.PRIMARY: "utama", LinkRole.BACKUP: "cadangan"},
    "venue": {
        Venue.KANTOR_DESA: "kantor desa",
        Venue.SEKOLAH: "sekolah",
        Venue.PUSKESMAS: "puskesmas",
        Venue.BALAI: "balai",
        Venue.LAINNYA: "lainnya",
    },
    "probe": {ProbeKind.ICMP: "icmp", ProbeKind.TCP: "tcp", ProbeKind.HTTP: "http", ProbeKind.PUSH: "laporan mandiri"},
    "presence": {Presence.ALWAYS: "selalu", Presence.SOMETIMES: "kadang-kadang"},
    "power_source": {
        PowerSource.PLN: "PLN",
        PowerSource.PLN_LIMITED: "PLN terbatas",
        PowerSource.GENSET: "genset",
        PowerSource.SOLAR: "surya",
        PowerSource.NONE: "tidak ada",
    },
    "lifecycle": {
        Lifecycle.PLANNED: "direncanakan",
        Lifecycle.ACTIVE: "aktif",
        Lifecycle.SUSPENDED: "dihentikan sementara",
        Lifecycle.RETIRED: "tidak digunakan lagi",
    },
}
# Further words that districts write, beside the API's value and the template's word.
SYNONYMS: dict[StrEnum, tuple[str, ...]] = {
    SiteKind.ACCESS_POINT: ("akses point", "ap"),
    SiteKind.NODE: ("menara", "tower", "pop", "gerbang", "gateway", "bts"),
    Technology.FIBER: (
        "fibre",
        "fo",
        "fiber optik",
        "fiber optic",
        "fibre optic",
        "kabel optik",
        "ftth",
        "fttx",
        "gpon",
        "kabel fo",
        "kabel fiber optik",
        "serat optik fo",
        "fiber optik fo",
    ),
    Technology.RADIO: (
        "radio link",
        "radiolink",
        "wireless",
        "nirkabel",
        "microwave",
        "radio p2p",
        "p2p",
        "ptp",
        "point to point",
    ),
    Technology.CELLULAR: ("selular", "4g", "lte", "4g lte", "gsm", "seluler 4g", "modem 4g", "gsm 4g", "4g gsm"),
    Technology.LEO: ("orbit rendah", "starlink", "satelit starlink", "satelit leo"),
    Technology.GEO: ("satelit geo", "vsat", "satelit vsat", "vsat geo", "v sat", "satelit v sat"),
    LinkRole.PRIMARY: ("jalur utama", "main"),
    LinkRole.BACKUP: ("jalur cadangan",),
    Venue.KANTOR_DESA: ("kantor kelurahan", "kantor lurah", "kantor kepala desa"),
    Venue.SEKOLAH: ("sd", "sdn", "smp", "smpn", "sma", "sman", "smk", "smkn", "mts", "madrasah", "school"),
    Venue.PUSKESMAS: ("pustu", "puskesmas pembantu", "poskesdes"),
    Venue.BALAI: ("balai desa", "balai pertemuan", "balai pertemuan umum", "bpu"),
    Venue.LAINNYA: ("lain lain", "other"),
    Presence.ALWAYS: ("selalu menyala", "24 jam"),
    Presence.SOMETIMES: ("kadang", "kadang kadang menyala", "jam kerja"),
    PowerSource.PLN: ("listrik pln",),
    PowerSource.GENSET: ("generator", "diesel"),
    PowerSource.SOLAR: ("plts", "tenaga surya", "panel surya"),
    PowerSource.NONE: ("tidak ada listrik",),
    ProbeKind.ICMP: ("ping",),
    ProbeKind.HTTP: ("https", "web"),
    Lifecycle.PLANNED: ("rencana",),
    Lifecycle.ACTIVE: ("beroperasi",),
    Lifecycle.SUSPENDED: ("berhenti sementara",),
    Lifecycle.RETIRED: ("dibongkar",),
}
# The template's sheets other than the one to fill in.
TEMPLATE_SHEETS = ("Contoh", "Petunjuk", "Wilayah", "Pilihan")
# Added to the file by an import's report.
WARNINGS_SHEET = {"id": "Peringatan impor", "en": "Import warnings"}
YES_NO = {True: "ya", False: "tidak"}


def fold(text: str) -> str:
    """Return lower case without diacritics, punctuation and repeated spaces, for comparison."""
    return _cached_fold(text) if len(text) <= MAX_NAME else _fold(text[:MAX_FOLDED])


def _fold(text: str) -> str:
    plain = text
    if not text.isascii():
        plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return re.sub(r"[\W_]+", " ", plain.lower()).strip()


_cached_fold = lru_cache(20_000)(_fold)


@cache
def choices(field: str) -> dict[str, str]:
    """Return the API's value by each folded word for it."""
    return {
        fold(word): value.value
        for value, indonesian in CHOICES[field].items()
        for word in (value.value, indonesian, *SYNONYMS.get(value, ()))
    }


def find_choice(field: str, text: str) -> str | None:
    """Return the API's value for a word; None for an unknown word, or a field without choices."""
    return choices(field).get(fold(text)) if field in CHOICES else None
