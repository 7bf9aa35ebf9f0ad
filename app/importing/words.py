"""The words that districts write for what the API names in English."""

from collections.abc import Iterable
from enum import StrEnum
from functools import cache

from app.profiles import Technology
from app.registry.models import Lifecycle, LinkRole, PowerSource, SiteKind, Venue
from app.registry.words import CHOICES, fold
from probes.contract import Kind

LISTED = 5  # candidates that a message names

BLANK = frozenset({"", "n a", "na", "tidak ada", "none", "null", "nihil", "kosong", "belum ada"})  # folded

YES = frozenset({"ya", "y", "yes", "true", "benar", "1", "ada", "tetap", "statis", "static"})
NO = frozenset({"tidak", "tdk", "t", "n", "no", "false", "salah", "0", "bukan", "dinamis", "dynamic"})

# What districts write beside the API's own word and the template's (app/registry/words.py).
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
    Kind.ICMP: ("ping",),
    Kind.HTTP: ("https", "web"),
    Lifecycle.PLANNED: ("rencana",),
    Lifecycle.ACTIVE: ("beroperasi",),
    Lifecycle.SUSPENDED: ("berhenti sementara",),
    Lifecycle.RETIRED: ("dibongkar",),
}


@cache
def choices(field: str) -> dict[str, str]:
    """The API's value by every word for it."""
    return {
        fold(word): value.value
        for value, named in CHOICES[field].items() for word in (value.value, named, *ALSO.get(value, ()))
    }  # fmt: skip


@cache
def expected(field: str) -> str:
    """The choices as a message lists them: serat optik (fiber), radio, …"""
    named = ((word, value.value) for value, word in CHOICES[field].items())
    return ", ".join(word if fold(word) == fold(value) else f"{word} ({value})" for word, value in named)


def listed(candidates: Iterable[str]) -> str:
    every = list(candidates)
    return "; ".join(every[:LISTED]) + ("; …" if len(every) > LISTED else "")
