"""Find a row's village by its code, or by the names of village, subdistrict and district."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.access.scope import PROVINCE, Caller
from app.core.errors import Fault
from app.importing import region_names
from app.importing.cell_words import listed
from app.importing.near_names import NearNames
from app.importing.region_names import DISTRICT, SUBDISTRICT, VILLAGE, is_within, names_within, plain
from app.importing.rows import SheetRow
from app.registry import regions, village_faults
from app.registry.vocabulary import MAX_NAME

LEVELS = {"village": VILLAGE, "subdistrict": SUBDISTRICT, "district": DISTRICT}
MAX_KNOWN = 30  # regions listed in one message
MIN_SIMILARITY = 0.8  # below this, two names are not spellings of one
LOOK_UP = "Look it up: GET /api/v1/regions?level=desa_kelurahan&q=<name>"

Names = Mapping[str, str]  # of village, subdistrict and district, as the row has them; "" where blank


@dataclass(frozen=True, slots=True)
class VillageFinder:
    """Finds the villages of one import's rows."""

    caller: Caller
    aliases: Mapping[str, str]  # present codes by former ones
    near_names: NearNames

    def resolve(self, row: SheetRow) -> None:
        """Replace the row's code and names by the village's present code, or add a fault for each wrong cell."""
        names = {field: str(row.values.pop(field, ""))[:MAX_NAME] for field in LEVELS}
        code = row.values.get("village_code")
        if code is not None:
            code = row.values["village_code"] = self.aliases.get(code, code)
            if code not in regions.names():
                row.add_faults(self._unknown_code(code))
                del row.values["village_code"]  # explained: not to be checked again while locks are held
            elif len(code) == VILLAGE:
                _compare_names(row, code, names)
                if not self.caller.covers(code):
                    row.add_faults(self._outside_scope("village_code", code))
        elif names["village"]:
            self._resolve_names(row, names)

    def _resolve_names(self, row: SheetRow, names: Names) -> None:
        """Of several villages with one name, take that in the region that a heading above the row names."""
        within, faults = self._named_regions(names)
        row.add_faults(*faults)
        if faults:
            return
        codes = region_names.find(names["village"], VILLAGE, within=within)
        if len(codes) > 1 and row.heading is not None:
            codes = [code for code in codes if is_within(code, (row.heading,))] or codes
        if len(codes) == 1:
            row.values["village_code"] = codes[0]
        else:
            row.add_faults(_ambiguous(names["village"], codes) if codes else self._unknown_village(names, within))

    def _named_regions(self, names: Names) -> tuple[Sequence[str], list[Fault]]:
        """Return the codes of the smallest regions that the row names within the caller's, and a fault for each cell
        that names none.
        """
        within: Sequence[str] = (self.caller.region_code,)
        faults = []
        for field in ("district", "subdistrict"):
            codes = region_names.find(names[field], LEVELS[field], within=(PROVINCE,)) if names[field] else []
            common = [code for code in codes if is_within(code, within)]
            common += [region for region in within if is_within(region, codes)]
            if names[field] and not common:
                faults.append(self._wrong_region(field, names[field], codes, within))
            within = common or within
        return within, faults

    def _wrong_region(self, field: str, given: str, codes: Sequence[str], within: Sequence[str]) -> Fault:
        """`codes`: the regions of this name, none of them `within`."""
        if codes and within == (self.caller.region_code,):
            return self._outside_scope(field, given)
        spellings = _spellings(within[0], LEVELS[field])
        near = self.near_names.find(plain(given, LEVELS[field]), spellings, among=f"{field} {within[0]}")
        return Fault(
            field,
            f"unknown_{field}",
            "There is no kabupaten or kota {given} in {region}"
            if field == "district"
            else "There is no kecamatan {given} in {region}",
            "Did you mean {near}?"
            if near
            else "Those it has: {known}"
            if len(spellings) <= MAX_KNOWN
            else "Look it up: GET /api/v1/regions?level=kecamatan&q=<name>",
            values={
                "given": given,
                "region": regions.names()[within[0]],
                "near": listed(dict.fromkeys(spellings[name] for name in near)),
                "known": "; ".join(dict.fromkeys(spellings.values())),
            },
        )

    def _outside_scope(self, field: str, given: str) -> Fault:
        return Fault(
            field,
            "outside_scope",
            "{given} is outside your region {region}",
            "Check the code, or leave this row to the district responsible",
            values={"given": given, "region": self.caller.region_code},
        )

    def _unknown_code(self, code: str) -> Fault:
        """Suggest no village outside the caller's region."""
        fault = village_faults.unknown_village(code[:MAX_NAME])
        near = fault.values.get("near")
        return fault if near is None or self.caller.covers(near) else replace(fault, suggestion=LOOK_UP)

    def _unknown_village(self, names: Names, within: Sequence[str]) -> Fault:
        """Suggest the village of that name elsewhere in the caller's region, else similar names where the row says."""
        given, here = names["village"], ", ".join(regions.names()[code] for code in within)
        codes = region_names.find(given, VILLAGE, within=(self.caller.region_code,)) or self._near(given, within)
        return Fault(
            "village_code",
            "unknown_village_name",
            "There is no village named {given} in {region}",
            "Did you mean {near}?" if codes else "Enter its code in Kode desa/kelurahan (village_code)",
            values={"given": given, "region": here, "near": listed(map(_described, codes))},
        )

    def _near(self, given: str, within: Sequence[str]) -> list[str]:
        """Return villages with similar names in these regions, else in their district, else in the caller's region."""
        regions_upwards = dict.fromkeys((*within, within[0][:DISTRICT], self.caller.region_code))
        for region in filter(self.caller.covers, regions_upwards):
            named = names_within(region, VILLAGE)
            if near := self.near_names.find(plain(given, VILLAGE), named, among=region):
                return [code for name in near for code in named[name]]
        return []


def _spellings(parent: str, level: int) -> dict[str, str]:
    """Return the names of the regions of a level by each of their spellings, short names of districts included."""
    named = {name: regions.names()[code] for name, codes in names_within(parent, level).items() for code in codes}
    short = region_names.SHORT_DISTRICTS if level == DISTRICT else {}
    return named | {spelling: named[name] for spelling, name in short.items() if name in named}


def _compare_names(row: SheetRow, code: str, names: Names) -> None:
    """Add a fault where the name is another village's: then the code may be, too. A spelling variant is a warning."""
    for field, level in LEVELS.items():
        given, name = names[field], regions.names()[code[:level]]
        if given and code[:level] not in region_names.find(given, level, within=(code[:level],)):
            fault = Fault(
                "village_code",
                "other_name",
                "{code} is {name}, but the row has {given}",
                "Check the code",
                values={"code": code[:level], "name": name, "given": given},
            )
            if level == VILLAGE and _is_another(given, name):
                row.add_faults(fault)
            else:
                row.warnings.append(fault)
            return


def _is_another(given: str, registered: str) -> bool:
    """Whether a name is neither a spelling of the registered one nor the same with words added or left out."""
    if region_names.find(given, VILLAGE, within=(PROVINCE,)):
        return True
    name, registered = plain(given, VILLAGE), plain(registered, VILLAGE)
    words, registered_words = set(name.split()), set(registered.split())
    if words <= registered_words or registered_words <= words:
        return False
    return difflib.SequenceMatcher(None, name, registered).ratio() < MIN_SIMILARITY


def _ambiguous(given: str, codes: Sequence[str]) -> Fault:
    return Fault(
        "village_code",
        "ambiguous_village",
        "There are {count} villages named {given}",
        "Enter the code: {candidates}",
        values={"given": given, "count": len(codes), "candidates": listed(map(_described, codes))},
    )


def _described(code: str) -> str:
    return f"{code} ({regions.names()[code]}, {regions.names()[code[:8]]})"
