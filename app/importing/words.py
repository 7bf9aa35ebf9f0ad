"""How words are compared, and the words that districts write for what the API names in English."""

import re
import unicodedata
from functools import cache, lru_cache

SHORT = 60  # what is longer is no name, and not worth remembering or comparing
BLANK = frozenset({"", "n a", "na", "tidak ada", "none", "null", "nihil", "kosong", "belum ada"})  # folded

YES = frozenset({"ya", "y", "yes", "true", "benar", "1", "ada", "tetap", "statis", "static"})
NO = frozenset({"tidak", "tdk", "t", "n", "no", "false", "salah", "0", "bukan", "dinamis", "dynamic"})

# The first word of each is what the template and our messages say (GLOSSARY.md).
CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "kind": {
        "access_point": ("titik akses", "akses point", "ap"),
        "node": ("simpul", "menara", "tower", "pop", "gerbang", "gateway", "bts"),
    },
    "technology": {
        "fiber": ("serat optik", "fibre", "fo", "fiber optik", "fiber optic", "fibre optic", "kabel optik", "ftth"),
        "radio": ("radio", "radio link", "radiolink", "wireless", "nirkabel", "microwave"),
        "cellular": ("seluler", "selular", "4g", "lte", "4g lte", "gsm", "seluler 4g", "modem 4g"),
        "leo": ("satelit orbit rendah", "orbit rendah", "starlink", "satelit starlink", "satelit leo"),
        "geo": ("satelit GEO (VSAT)", "satelit geo", "vsat", "satelit vsat", "vsat geo"),
    },
    "link_role": {
        "primary": ("utama", "jalur utama", "main"),
        "backup": ("cadangan", "jalur cadangan"),
    },
    "venue": {
        "kantor_desa": ("kantor desa", "kantor kelurahan", "kantor lurah", "kantor kepala desa"),
        "sekolah": ("sekolah", "sd", "smp", "sma", "smk", "school"),
        "puskesmas": ("puskesmas", "pustu", "puskesmas pembantu", "poskesdes"),
        "balai": ("balai", "balai desa", "balai pertemuan", "balai pertemuan umum", "bpu"),
        "lainnya": ("lainnya", "lain lain", "other"),
    },
    "power_source": {
        "pln": ("PLN", "listrik pln"),
        "pln_limited": ("PLN terbatas",),
        "genset": ("genset", "generator", "diesel"),
        "solar": ("surya", "plts", "tenaga surya", "panel surya"),
        "none": ("tidak ada", "tidak ada listrik"),
    },
    "probe": {
        "icmp": ("icmp", "ping"),
        "tcp": ("tcp",),
        "http": ("http", "https", "web"),
        "push": ("push", "laporan mandiri"),
    },
    "lifecycle": {
        "planned": ("direncanakan", "rencana"),
        "active": ("aktif", "beroperasi"),
        "suspended": ("dihentikan sementara", "berhenti sementara"),
        "retired": ("tidak digunakan lagi", "dibongkar"),
    },
}


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
        fold(word): value for value, words in CHOICES.get(field, {}).items() for word in (value, *words)
    }  # fmt: skip


@cache
def expected(field: str) -> str:
    """The choices as a message lists them: serat optik (fiber), radio, …"""
    named = ((words[0], value) for value, words in CHOICES[field].items())
    return ", ".join(word if fold(word) == fold(value) else f"{word} ({value})" for word, value in named)
