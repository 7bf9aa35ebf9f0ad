"""Choose how new sites are probed in a sheet that does not say it: with a host by icmp, without by push."""

from collections import Counter as Tally
from collections.abc import Sequence
from typing import Any

from app.core.errors import Fault
from app.importing.cell_words import listed
from app.importing.header_detection import label
from app.importing.rows import SheetRow
from app.profiles import Technology
from app.registry.models import Site
from probes.contract import ProbeKind
from probes.policy import AddressPolicy, parse_address

BEHIND_NAT = frozenset({Technology.CELLULAR, Technology.LEO})  # as a rule: their providers assign private addresses


def apply(row: SheetRow, site: Site | None, policy: AddressPolicy, default: ProbeKind | None) -> None:
    """Set the probe of a new site (`site` is None) whose sheet has no column for it.

    `default`: the caller's choice, None for the rule. Of a site that reports by itself an address that probes may not
    reach, like its modem's, is no host: it is left out.
    """
    if "probe" in row.header.texts:
        return
    host_is_given = "host" in row.values or any(fault.field == "host" for fault in row.faults)
    if _is_unreachable(row.values.get("host"), policy) and _reports_by_itself(row, site, default):
        row.warnings.append(_left_out(row.values.pop("host")))
        host_is_given = False
    if site is None:
        row.assumed_probe = default or (ProbeKind.ICMP if host_is_given else ProbeKind.PUSH)
        row.values["probe"] = row.assumed_probe.value


def _is_unreachable(host: Any, policy: AddressPolicy) -> bool:
    address = parse_address(str(host))
    return address is not None and policy.denial(address) is not None


def _reports_by_itself(row: SheetRow, site: Site | None, default: ProbeKind | None) -> bool:
    if site is not None:
        return site.probe is ProbeKind.PUSH
    return row.values.get("technology") in BEHIND_NAT if default is None else default is ProbeKind.PUSH


def _left_out(host: str) -> Fault:
    return Fault(
        "host",
        "private_host",
        "{given} cannot be reached from outside: it is left out, and the site reports by itself (push)",
        "If the site has a public address, enter that",
        values={"given": host},
    )


def warnings(rows: Sequence[SheetRow]) -> list[Fault]:
    """Return one warning for the new sites whose probe was assumed, with their numbers; none if there are none."""
    assumed = Tally(row.assumed_probe for row in rows if row.assumed_probe is not None)
    if not assumed:
        return []
    sheets = dict.fromkeys(row.sheet for row in rows if row.assumed_probe is not None and row.sheet is not None)
    return [
        Fault(
            "probe",
            "assumed_probe",
            "There is no column {column}{sheets}; new sites: {counts}",
            "If that is wrong, add the column, or choose default_probe=icmp or default_probe=push",
            values={
                "column": label("probe"),
                "sheets": f" ({listed(sheets)})" if sheets else "",
                "counts": ", ".join(f"{count} {probe.value}" for probe, count in sorted(assumed.items())),
            },
        )
    ]
