"""Resolve the names in a row to ids, and find the registered site that it describes."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.core.errors import Fault
from app.importing.cell_words import listed
from app.importing.known_sites import KnownSite, KnownSites
from app.importing.registry_index import RegistryIndex
from app.importing.rows import SheetRow
from app.registry.models import Lifecycle, Site, SiteKind
from app.registry.vocabulary import CHOICES, fold


def resolve_names(row: SheetRow, index: RegistryIndex) -> None:
    """Replace village, provider and contract names by codes and ids, or add faults."""
    index.villages.resolve(row)
    index.providers.resolve(row)
    if (number := row.values.pop("contract", None)) is not None:
        if (contract_id := index.contracts.get(fold(number))) is not None:
            row.values["contract_id"] = contract_id
        else:
            row.add_faults(_unknown_contract(number))


def resolve_parent(row: SheetRow, site: Site | None, index: RegistryIndex) -> None:
    """Replace the parent's code by its id. The site's present parent is left as it is: it may be out of scope."""
    code = row.values.pop("parent", None)
    if code is None or (site is not None and site.parent_id is not None and index.parents[site.parent_id] == code):
        return
    if (parent_id := index.nodes.get(code)) is not None:
        row.values["parent_id"] = parent_id
    else:
        row.add_faults(_unknown_node(code))


def _unknown_node(code: str) -> Fault:
    return Fault(
        "parent_id",
        "unknown_parent",
        "There is no node {given} within your scope",
        "Enter the code of a registered node; import new nodes first",
        values={"given": code[:60]},
    )


def leave_coming_contract(row: SheetRow, site: Site | None, index: RegistryIndex) -> None:
    """Take a contract out of the row that the site will be under from that very day on: it changes nothing."""
    contract_id, start = row.values.get("contract_id"), row.values.get("contract_from")
    if site is not None and (site.id, contract_id, start) in index.coming:
        del row.values["contract_id"], row.values["contract_from"]


def _unknown_contract(number: str) -> Fault:
    return Fault(
        "contract_id",
        "unknown_contract",
        "There is no contract {given}",
        "Enter the number of a registered contract",
        values={"given": number[:60]},
    )


def find_site(row: SheetRow, known: KnownSites) -> KnownSite | None:
    """Return the site that the row describes, or None for a new one; an unclear match adds a fault.

    1. By code. 2. By village and service number. 3. By village and provider, if that is one site in use;
    a site with another service number is another site, one without any may be the row's.
    """
    values = row.values
    if (code := values.get("code")) is not None:
        if (site := known.by_code.get(code)) is None:
            row.add_faults(_unknown_site(str(code)))
        return site
    kind = str(values.get("kind", SiteKind.ACCESS_POINT))  # an access point never matches the tower it depends on
    village, number, provider = values.get("village_code", ""), values.get("service_no"), values.get("provider")
    if number is not None:
        numbered = known.by_number.get((village, kind, fold(number)), ())
        same = [site for site in numbered if provider in {None, site.provider}]
        if same:
            return _single(row, same)
    if provider is None:
        return None
    unnumbered = known.unnumbered.get((village, kind, provider), ())
    of_provider = known.by_provider.get((village, kind, provider), ())
    site = _single(row, unnumbered if number is not None else unnumbered or of_provider)
    if site is not None and number is None and site.service_no is None and _may_be_another(site, values):
        row.add_faults(_would_replace(site))
    return site


def _may_be_another(site: KnownSite, values: Mapping[str, Any]) -> bool:
    """Whether a row without service number seems to describe another installation, like a second access point."""
    differing = {
        name
        for name in ("technology", "venue", "link_role", "host", "name")
        if values.get(name)
        and (current := getattr(site, name)) is not None
        and fold(str(values[name])) != fold(str(current))
    }
    return bool(differing & {"technology", "venue", "link_role"}) or differing >= {"host", "name"}


def _unknown_site(code: str) -> Fault:
    return Fault(
        "code",
        "unknown_site",
        "There is no site {given} within your scope",
        "Leave the code empty to register a new site",
        values={"given": code[:60]},
    )


def _would_replace(site: KnownSite) -> Fault:
    words = (CHOICES["technology"][site.technology], site.venue and CHOICES["venue"][site.venue], site.host, site.name)
    return Fault(
        "code",
        "may_be_another_site",
        "This row would replace {code} ({described})",
        "Same site? Enter its code: {code}. New site? Enter its Nomor layanan (service_no)",
        values={"code": site.code, "described": ", ".join(filter(None, words))},
    )


def _single(row: SheetRow, sites: Sequence[KnownSite]) -> KnownSite | None:
    """Return the only site in use, else the first retired one; several in use add a fault and return None."""
    in_use = [site for site in sites if site.lifecycle is not Lifecycle.RETIRED] or list(sites)
    if len(in_use) > 1:
        row.add_faults(
            Fault(
                "code",
                "ambiguous_site",
                "The row matches {count} sites",
                "Enter the code: {candidates}",
                values={"count": len(in_use), "candidates": listed(f"{site.code} ({site.name})" for site in in_use)},
            )
        )
        return None
    if in_use and in_use[0].lifecycle is Lifecycle.RETIRED and "lifecycle" not in row.values:
        row.warnings.append(
            Fault(
                "lifecycle",
                "retired",
                "{code} is retired and is not monitored",
                "Write aktif in Tahap layanan (lifecycle) if it is used again",
                values={"code": in_use[0].code},
            )
        )
    return in_use[0] if in_use else None
