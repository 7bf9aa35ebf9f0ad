"""How words are compared, and the choices of a site's fields in Bahasa Indonesia, as GLOSSARY.md and the districts'
tables have them."""

import re
import unicodedata
from enum import StrEnum
from functools import cache, lru_cache

from app.profiles import Technology
from app.registry.models import Lifecycle, LinkRole, PowerSource, SiteKind, Venue
from probes.contract import ProbeKind

SHORT = 60  # what is longer is no name, and not worth remembering or comparing

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
# What districts write beside the API's own word and the template's.
ALSO: dict[StrEnum, tuple[str, ...]] = {
    SiteKind.ACCESS_POINT: ("akses point", "ap"),
    SiteKind.NODE: ("menara", "tower", "pop", "gerbang", "gateway", "bts"),
    Technology.FIBER: ("fibre", "fo", "fiber optik", "fiber optic", "fibre optic", "kabel optik", "ftth"),
    Technology.RADIO: ("radio link", "radiolink", "wireless", "nirkabel", "microwave"),
    Technology.CELLULAR: ("selular", "4g", "lte", "4g lte", "gsm", "seluler 4g", "modem 4g"),
    Technology.LEO: ("orbit rendah", "starlink", "satelit starlink", "satelit leo"),
    Technology.GEO: ("satelit geo", "vsat", "satelit vsat", "vsat geo", "v sat", "satelit v sat"),
    LinkRole.PRIMARY: ("jalur utama", "main"),
    LinkRole.BACKUP: ("jalur cadangan",),
    Venue.KANTOR_DESA: ("kantor kelurahan", "kantor lurah", "kantor kepala desa"),
    Venue.SEKOLAH: ("sd", "smp", "sma", "smk", "school"),
    Venue.PUSKESMAS: ("pustu", "puskesmas pembantu", "poskesdes"),
    Venue.BALAI: ("balai desa", "balai pertemuan", "balai pertemuan umum", "bpu"),
    Venue.LAINNYA: ("lain lain", "other"),
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
# The template's sheets beside the one that is filled in.
BESIDE = ("Contoh", "Petunjuk", "Wilayah", "Pilihan")
# The sheet that a report of an import has more than the file.
WARNINGS = {"id": "Peringatan impor", "en": "Import warnings"}
DICTIONARY = {"id": "Kamus data", "en": "Data dictionary"}  # the export's second sheet
TRUTH = {True: "ya", False: "tidak"}


def fold(text: str) -> str:
    """Lower case, without diacritics, punctuation and needless spaces: what is left when people mean the same."""
    return _remembered(text) if len(text) <= SHORT else _fold(text)


def _fold(text: str) -> str:
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return re.sub(r"[\W_]+", " ", plain.lower()).strip()


_remembered = lru_cache(20_000)(_fold)


@cache
def choices(field: str) -> dict[str, str]:
    """The API's value by every word for it."""
    return {
        fold(word): value.value
        for value, named in CHOICES[field].items()
        for word in (value.value, named, *ALSO.get(value, ()))
    }


def meant(field: str, given: str) -> str | None:
    """The API's value where somebody wrote another word for it."""
    return choices(field).get(fold(given)) if field in CHOICES else None
