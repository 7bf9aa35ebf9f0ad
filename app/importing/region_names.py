"""Compare the names of regions as people write them, and find those that a heading names.

By rules, never by likeness: without the region's type and spaces; abbreviations in full, Roman numerals as numbers.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache, lru_cache

from app.access.scope import PROVINCE, covers
from app.registry import regions
from app.registry.vocabulary import fold

VILLAGE, SUBDISTRICT, DISTRICT = 13, 8, 5  # lengths of the levels' codes
TYPES = {
    VILLAGE: {"desa", "ds", "kelurahan", "kel", "kampung", "kp"},
    SUBDISTRICT: {"kecamatan", "kec"},
    DISTRICT: {"kabupaten", "kab", "kota", "kotamadya"},
}
ABBREVIATIONS = {
    **dict.fromkeys(("sei", "sg"), "sungai"),
    **dict.fromkeys(("tj", "tg", "tjg"), "tanjung"),
    "ma": "muara",
    "p": "pulau",
    "gn": "gunung",
    "lg": "long",
    "tlk": "teluk",
    "bkt": "bukit",
    "sbr": "seberang",
    "brt": "barat",
    "utr": "utara",
    "slt": "selatan",
}
ROMAN_NUMERALS = {
    roman: str(number) for number, roman in enumerate(["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"], 1)
}
SHORT_DISTRICTS = {
    "kukar": "kutai kartanegara",
    "kutim": "kutai timur",
    "kubar": "kutai barat",
    "mahulu": "mahakam ulu",
    "ppu": "penajam paser utara",
    "penajam": "penajam paser utara",
    "pasir": "paser",  # its name until 2007
}
REPEATED = re.compile(r"([a-z]{2,})2$")  # sanga2


@lru_cache(20_000)
def plain(name: str, level: int) -> str:
    """Return a region's name in lower case without its type, with abbreviations, repetitions and numerals resolved."""
    words = [ABBREVIATIONS.get(word, REPEATED.sub(r"\1 \1", word)) for word in fold(name).split()]
    while len(words) > 1 and words[0] in TYPES[level]:
        del words[0]
    text = " ".join(words[:1] + [ROMAN_NUMERALS.get(word, word) for word in words[1:]])
    return SHORT_DISTRICTS.get(text, text) if level == DISTRICT else text


def find(name: str, level: int, *, within: Sequence[str]) -> list[str]:
    """Return the codes of a level's regions with this name below any of the regions given.

    Spaces do not count. A name that is unknown with its brackets is looked up without them.
    """
    codes = _codes(level).get(_key(name, level)) or _codes(level).get(_key(name.partition("(")[0], level), [])
    return [code for code in codes if is_within(code, within)]


def is_within(code: str, within: Sequence[str]) -> bool:
    return any(region == PROVINCE or covers(region, code) for region in within)


@cache
def names_within(region: str, level: int) -> dict[str, list[str]]:
    """Return codes by plain name of a level's regions below a region."""
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for code, name in regions.names().items():
        if len(code) == level and is_within(code, (region,)):
            by_name[plain(name, level)].append(code)
    return dict(by_name)


def in_heading(text: str) -> str | None:
    """Return the code of the subdistrict, else of the district, that a title names; None if it names none.

    Only after its type: a letterhead's address names places, too.
    """
    folded = f" {fold(text)} "
    districts = _named_in(folded, DISTRICT, within=(PROVINCE,))
    subdistricts = _named_in(folded, SUBDISTRICT, within=districts or (PROVINCE,))
    return next(iter((*subdistricts, *districts)), None)


def in_sheet_name(text: str) -> str | None:
    """Return the code of the subdistrict whose name a sheet has, with or without its type."""
    return next(iter(find(text, SUBDISTRICT, within=(PROVINCE,))), None) or in_heading(text)


def _named_in(folded: str, level: int, *, within: Sequence[str]) -> list[str]:
    """Return the codes of regions that stand after their type, those with the longest name first."""
    types = "|".join(sorted(TYPES[level]))
    return [
        code
        for following in re.findall(rf"(?= (?:{types}) (.{{1,60}}))", folded)
        for code in _longest_start(following.split(), level)
        if is_within(code, within)
    ]


def _longest_start(words: Sequence[str], level: int) -> list[str]:
    """Return the codes of the regions whose name the words begin with."""
    for count in range(min(4, len(words)), 0, -1):
        if codes := _codes(level).get(_key(" ".join(words[:count]), level)):
            return codes
    return []


def _key(name: str, level: int) -> str:
    return plain(name, level).replace(" ", "")


@cache
def _codes(level: int) -> dict[str, list[str]]:
    """Return the codes of a level's regions by the key of their name."""
    by_key: defaultdict[str, list[str]] = defaultdict(list)
    for code, name in regions.names().items():
        if len(code) == level:
            by_key[_key(name, level)].append(code)
    return dict(by_key)
