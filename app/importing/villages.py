"""Find a row's village by its code, or by the names of village, subdistrict and district."""

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache

from app.access.scope import Caller
from app.core.errors import Fault
from app.importing.cell_words import listed
from app.importing.rows import SheetRow
from app.registry import regions, village_faults
from app.registry.models import Level
from app.registry.vocabulary import MAX_NAME, fold

LEVELS = {"village": 13, "subdistrict": 8, "district": 5}  # length of each level's code
REGION_TYPES = {
    13: {"desa", "ds", "kelurahan", "kel", "kampung", "kp"},
    8: {"kecamatan", "kec"},
    5: {"kabupaten", "kab", "kota"},
}
ABBREVIATIONS = {"sei": "sungai", "tj": "tanjung", "tg": "tanjung", "ma": "muara"}
MIN_SIMILARITY = 0.8  # below this, two names are not spellings of one
LOOK_UP = "Look it up: GET /api/v1/regions?level=desa_kelurahan&q=<name>"


def resolve(row: SheetRow, aliases: Mapping[str, str], *, caller: Caller) -> None:
    """Replace the row's code and names by the village's present code, or add a fault.

    `aliases`: present codes by former ones.
    """
    names = [str(row.values.pop(name, ""))[:MAX_NAME] for name in LEVELS]
    code = row.values.get("village_code")
    if code is not None:
        code = row.values["village_code"] = aliases.get(code, code)
        if code not in regions.names():
            row.add_faults(_without_foreign_village(village_faults.unknown_village(code[:MAX_NAME]), caller))
            del row.values["village_code"]  # the slow explanation is not to be repeated while locks are held
        if code in _villages():
            _compare_names(row, code, names)
    elif names[0]:
        codes = _find_by_name(*map(_plain, names, LEVELS.values()), caller.region_code)
        if len(codes) == 1:
            code = row.values["village_code"] = codes[0]
        else:
            row.add_faults(_ambiguous(names[0], codes) if codes else _unknown_village(names[0], caller.region_code))
    if code in _villages() and not caller.covers(code):
        row.add_faults(
            Fault(
                "village_code",
                "outside_scope",
                "{given} is outside your region {region}",
                "Check the code, or leave this row to the district responsible",
                values={"given": code, "region": caller.region_code},
            )
        )


def _without_foreign_village(fault: Fault, caller: Caller) -> Fault:
    """Suggest no village outside the caller's region."""
    near = fault.values.get("near")
    return fault if near is None or caller.covers(near) else replace(fault, suggestion=LOOK_UP)


@cache
def _villages() -> dict[str, str]:
    return {row["code"]: row["name"] for row in regions.read_csv() if row["level"] == Level.DESA_KELURAHAN}


def _compare_names(row: SheetRow, code: str, names: Sequence[str]) -> None:
    """Add a fault where the name is another village's: then the code may be, too. A spelling variant is a warning."""
    for given, level in zip(names, LEVELS.values(), strict=True):
        name = regions.names()[code[:level]]
        plain, registered = _plain(given, level), _plain(name, level)
        if given and plain != registered:
            fault = Fault(
                "village_code",
                "other_name",
                "{code} is {name}, but the row has {given}",
                "Check the code",
                values={"code": code[:level], "name": name, "given": given},
            )
            if level == LEVELS["village"] and _is_another(plain, registered):
                row.add_faults(fault)
            else:
                row.warnings.append(fault)
            return


def _is_another(name: str, registered: str) -> bool:
    """Whether a name is neither a spelling of the registered one nor the same with words added or left out."""
    if name in _codes_by_name():
        return True
    words, registered_words = set(name.split()), set(registered.split())
    if words <= registered_words or registered_words <= words:
        return False
    return difflib.SequenceMatcher(None, name, registered).ratio() < MIN_SIMILARITY


@lru_cache(10_000)
def _plain(name: str, level: int) -> str:
    """Return a region's folded name without its type and abbreviations."""
    words = [ABBREVIATIONS.get(word, word) for word in fold(name).split()]
    while len(words) > 1 and words[0] in REGION_TYPES[level]:
        del words[0]
    return " ".join(words)


@cache
def _codes_by_name() -> dict[str, list[str]]:
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for code, name in _villages().items():
        by_name[_plain(name, LEVELS["village"])].append(code)
    return dict(by_name)


@lru_cache(10_000)
def _find_by_name(village: str, subdistrict: str, district: str, region: str) -> list[str]:
    """Return codes of villages with this name in a region and, unless blank, in the subdistrict and district."""

    def above(code: str, level: int) -> str:
        return _plain(regions.names()[code[:level]], level)

    return [
        code
        for code in _codes_by_name().get(village, ())
        if (region == "64" or f"{code}.".startswith(f"{region}."))
        and subdistrict in {"", above(code, 8)}
        and district in {"", above(code, 5)}
    ]


def _ambiguous(given: str, codes: Sequence[str]) -> Fault:
    return Fault(
        "village_code",
        "ambiguous_village",
        "There are {count} villages named {given}",
        "Enter the code: {candidates}",
        values={"given": given[:60], "count": len(codes), "candidates": listed(map(_described, codes))},
    )


@lru_cache(10_000)
def _unknown_village(given: str, region: str) -> Fault:
    in_region = {name: codes for name, codes in _codes_by_name().items() if _find_by_name(name, "", "", region)}
    near = difflib.get_close_matches(_plain(given, LEVELS["village"]), in_region, 3, cutoff=0.7)
    candidates = [_described(code) for name in near for code in _find_by_name(name, "", "", region)]
    return Fault(
        "village_code",
        "unknown_village_name",
        "No village named {given} was found in your region, in the subdistrict and district of this row",
        "Did you mean {near}?" if near else "Enter its code in Kode desa/kelurahan (village_code)",
        values={"given": given[:60], "near": listed(candidates)},
    )


def _described(code: str) -> str:
    return f"{code} ({_villages()[code]}, {regions.names()[code[:8]]})"
