"""Choose how new sites are probed in a sheet that does not say it: with a host by icmp, without by push."""

from collections import Counter as Tally
from collections.abc import Sequence

from app.core.errors import Fault
from app.importing.header_detection import label
from app.importing.rows import SheetRow
from app.profiles import Technology
from probes.contract import ProbeKind
from probes.policy import AddressPolicy, parse_address

BEHIND_NAT = frozenset({Technology.CELLULAR, Technology.LEO})  # as a rule: their providers assign private addresses


def apply(row: SheetRow, policy: AddressPolicy, default: ProbeKind | None) -> None:
    """Set the probe of a new site whose sheet has no column for it. `default`: the caller's choice, None for the rule.

    Behind a cellular or LEO provider's NAT an address that probes may not reach is no host: it is left out.
    """
    if "probe" in row.header.texts:
        return
    host_is_given = "host" in row.values or any(fault.field == "host" for fault in row.faults)
    if default is None and _is_behind_nat(row, policy):
        row.warnings.append(_left_out(row.values.pop("host")))
        host_is_given = False
    row.assumed_probe = default or (ProbeKind.ICMP if host_is_given else ProbeKind.PUSH)
    row.values["probe"] = row.assumed_probe.value


def _is_behind_nat(row: SheetRow, policy: AddressPolicy) -> bool:
    address = parse_address(str(row.values.get("host", "")))
    return address is not None and row.values.get("technology") in BEHIND_NAT and policy.denial(address) is not None


def _left_out(host: str) -> Fault:
    return Fault(
        "host",
        "private_host",
        "{given} is a private address behind the provider's NAT: it is left out, and the site reports by itself (push)",
        "If the site has a public address, enter that",
        values={"given": host},
    )


def warnings(rows: Sequence[SheetRow]) -> list[Fault]:
    """Return one warning for the new sites whose probe was assumed, with their numbers; none if there are none."""
    assumed = Tally(row.assumed_probe for row in rows if row.assumed_probe is not None)
    if not assumed:
        return []
    return [
        Fault(
            "probe",
            "assumed_probe",
            "There is no column {column}; new sites: {counts}",
            "If that is wrong, add the column, or choose default_probe=icmp or default_probe=push",
            values={
                "column": label("probe"),
                "counts": ", ".join(f"{count} {probe.value}" for probe, count in sorted(assumed.items())),
            },
        )
    ]
