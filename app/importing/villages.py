"""Which village a row means, by its code or by the names in it."""

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache

from app.access.scope import Caller
from app.core.errors import Fault
from app.importing.sheets import Row
from app.importing.vocabulary import listed
from app.registry import regions
from app.registry.models import Level
from app.registry.vocabulary import SHORT, fold

LEVELS = {"village": 13, "subdistrict": 8, "district": 5}  # how much of a code is each one's
KINDS = {
    13: {"desa", "ds", "kelurahan", "kel", "kampung", "kp"},
    8: {"kecamatan", "kec"},
    5: {"kabupaten", "kab", "kota"},
}
SHORTENED = {"sei": "sungai", "tj": "tanjung", "tg": "tanjung", "ma": "muara"}
ALIKE = 0.8  # names that are less alike than this are no spellings of one name
LOOK_UP = "Look it up: GET /api/v1/regions?level=desa_kelurahan&q=<name>"


def resolve(row: Row, aliases: Mapping[str, str], *, caller: Caller) -> None:
    """The village's code, from its code or its names; what cannot be one is blamed.

    `aliases`: present codes by former ones.
    """
    names = [str(row.said.pop(name, ""))[:SHORT] for name in LEVELS]
    code = row.said.get("village_code")
    if code is not None:
        code = row.said["village_code"] = aliases.get(code, code)
        if code not in regions.names():
            row.blame(_within(regions.explain_unknown_village(code[:SHORT]), caller))
            del row.said["village_code"]  # what takes long to explain is not looked up again
        if code in _villages():
            _compare_names(row, code, names)
    elif names[0]:
        found = _named(*map(_plain, names, LEVELS.values()), caller.region_code)
        if len(found) == 1:
            code = row.said["village_code"] = found[0]
        else:
            row.blame(_ambiguous(names[0], found) if found else _unknown_village(names[0], caller.region_code))
    if code in _villages() and not caller.covers(code):
        row.blame(
            Fault(
                "village_code",
                "outside_scope",
                "{given} lies outside your region {region}",
                "Leave the row to its district, or check the code",
                values={"given": code, "region": caller.region_code},
            )
        )


def _within(fault: Fault, caller: Caller) -> Fault:
    """Suggests no village of somebody else's."""
    near = fault.values.get("near")
    return fault if near is None or caller.covers(near) else replace(fault, suggestion=LOOK_UP)


@cache
def _villages() -> dict[str, str]:
    return {row["code"]: row["name"] for row in regions.read_csv() if row["level"] == Level.DESA_KELURAHAN}


def _compare_names(row: Row, code: str, names: Sequence[str]) -> None:
    """Where the names beside a code are another village's, the code may be, too."""
    for given, level in zip(names, LEVELS.values(), strict=True):
        name = regions.names()[code[:level]]
        said, right = _plain(given, level), _plain(name, level)
        if given and said != right:
            fault = Fault(
                "village_code",
                "other_name",
                "{code} is {name}, the row says {given}",
                "Check the code",
                values={"code": code[:level], "name": name, "given": given},
            )
            if level == LEVELS["village"] and _is_another(said, right):
                row.blame(fault)
            else:
                row.warnings.append(fault)
            return


def _is_another(said: str, right: str) -> bool:
    """Whether a village's name is more than another spelling of the right one, or the same with less or more to it."""
    if said in _by_name():
        return True
    words, rights = set(said.split()), set(right.split())
    return not (words <= rights or rights <= words) and difflib.SequenceMatcher(None, said, right).ratio() < ALIKE


@lru_cache(10_000)
def _plain(name: str, level: int) -> str:
    """A region's name without what kind of region it is."""
    words = [SHORTENED.get(word, word) for word in fold(name).split()]
    while len(words) > 1 and words[0] in KINDS[level]:
        del words[0]
    return " ".join(words)


@cache
def _by_name() -> dict[str, list[str]]:
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for code, name in _villages().items():
        by_name[_plain(name, LEVELS["village"])].append(code)
    return dict(by_name)


@lru_cache(10_000)
def _named(village: str, subdistrict: str, district: str, region: str) -> list[str]:
    """The villages of a name within a region; where the row says so, of one subdistrict and district."""

    def above(code: str, level: int) -> str:
        return _plain(regions.names()[code[:level]], level)

    return [
        code
        for code in _by_name().get(village, ())
        if (region == "64" or f"{code}.".startswith(f"{region}."))
        and subdistrict in {"", above(code, 8)}
        and district in {"", above(code, 5)}
    ]


def _ambiguous(given: str, found: Sequence[str]) -> Fault:
    return Fault(
        "village_code",
        "ambiguous_village",
        "There are {count} villages named {given}",
        "Give the code: {candidates}",
        values={"given": given[:60], "count": len(found), "candidates": listed(map(_place, found))},
    )


@lru_cache(10_000)
def _unknown_village(given: str, region: str) -> Fault:
    here = {name: codes for name, codes in _by_name().items() if _named(name, "", "", region)}
    near = difflib.get_close_matches(_plain(given, LEVELS["village"]), here, 3, cutoff=0.7)
    candidates = [_place(code) for name in near for code in _named(name, "", "", region)]
    return Fault(
        "village_code",
        "unknown_village_name",
        "There is no village named {given} where the row says, within your region",
        "Did you mean {near}?" if near else "Give its code: Kode desa/kelurahan (village_code)",
        values={"given": given[:60], "near": listed(candidates)},
    )


def _place(code: str) -> str:
    return f"{code} ({_villages()[code]}, {regions.names()[code[:8]]})"
