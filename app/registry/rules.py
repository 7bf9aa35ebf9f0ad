"""Validate a site's values beyond the type of each field: pure checks that return all faults."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from app.core.errors import Fault
from app.profiles import Technology
from app.registry.daily_hours import parse_daily_hours
from app.registry.models import Presence, SiteKind
from app.registry.regions import GRACE_DEG, LATITUDES, LONGITUDES
from probes.contract import ProbeKind
from probes.policy import AddressPolicy, canonical_host, is_hostname, is_local_name, parse_address
from probes.urls import host_of_url

Values = dict[str, Any]


def check(values: Values, *, policy: AddressPolicy) -> list[Fault]:
    return [
        *_host(values, policy),
        *_probe(values),
        *_urls(values, policy),
        *_position(values),
        *_presence(values),
        *_vantages(values),
    ]


def warnings(values: Values) -> list[Fault]:
    """Return faults to show as warnings: values that are allowed but probably wrong."""
    return [*_behind_carrier_nat(values), *_open_hours(values)]


def _behind_carrier_nat(values: Values) -> list[Fault]:
    if values["probe"] is ProbeKind.ICMP and values["technology"] in {Technology.LEO, Technology.CELLULAR}:
        return [
            Fault(
                "probe",
                "behind_carrier_nat",
                "{technology} sites are usually behind carrier NAT: a central ping reaches the carrier, or nothing",
                "Set probe=push: the site's agent reports by itself",
                values={"technology": values["technology"].value},
            )
        ]
    return []


def _open_hours(values: Values) -> list[Fault]:
    if values["presence"] is Presence.SOMETIMES and not parse_daily_hours(values["public_hours"]):
        return [
            Fault(
                "public_hours",
                "open_hours_unknown",
                "Present only at times, and no hours of the day can be read from the public hours: all of its silence "
                "counts as unknown",
                "Write them like 08.00-16.00",
            )
        ]
    return []


def _host(values: Values, policy: AddressPolicy) -> Iterator[Fault]:
    host, probe = values["host"], values["probe"]
    if host is None:
        if probe is not ProbeKind.PUSH:
            yield Fault(
                "host",
                "missing",
                "A site that is probed centrally needs a host",
                "Enter its IP address or DNS name, or use probe=push if it is behind carrier NAT",
            )
        return
    yield from (_not_needed(fault) if probe is ProbeKind.PUSH else fault for fault in _target("host", host, policy))
    if parse_address(host) and not values["host_static"] and probe in {ProbeKind.ICMP, ProbeKind.TCP}:
        yield Fault(
            "host",
            "address_not_static",
            "{given} is not a static address: another device may answer there later",
            "Use a dynamic DNS name that follows the site, or probe=push",
            values={"given": host},
        )


def _not_needed(fault: Fault) -> Fault:
    """Suggest to leave the host out: a push site is not probed."""
    advice = Fault(fault.field, fault.code, fault.message, "A site with probe=push needs no host: leave it out")
    return replace(advice, values=fault.values)


def _target(field: str, host: str, policy: AddressPolicy) -> Iterator[Fault]:
    address = parse_address(host)
    if address is not None:
        if denial := policy.denial(address):
            inside, network = denial
            yield Fault(
                field,
                "forbidden_host",
                "{given} is in {network}, which probes may not reach"
                if inside == address
                else "{given} contains {inside}, which is in {network}, which probes may not reach",
                "Use the site's public address, or ask the province to allow its network (probe.allow)",
                values={"given": host, "inside": inside, "network": network},
            )
    elif is_local_name(host):
        yield Fault(
            field,
            "forbidden_host",
            "{given} is a local name: it means another machine on each network",
            "Use the site's public address, or a public DNS name",
            values={"given": host},
        )
    elif not is_hostname(host):
        yield Fault(
            field,
            "bad_host",
            "{given} is neither an IP address nor a DNS name",
            "Write it like 198.51.100.20, 2001:db8::20 or desa.example.id",
            values={"given": host},
        )


def _probe(values: Values) -> Iterator[Fault]:
    if values["probe"] is ProbeKind.TCP and values["port"] is None:
        yield Fault("port", "missing", "probe=tcp needs a port", "Enter the TCP port that the site's device listens on")
    if values["probe"] is ProbeKind.HTTP and values["url"] is None:
        yield Fault(
            "url", "missing", "probe=http needs a url", "Enter the page's address, like https://desa.example.id/"
        )


def _urls(values: Values, policy: AddressPolicy) -> Iterator[Fault]:
    for field in ("url", "speed_url"):
        if values[field] is None:
            continue
        name = host_of_url(values[field])
        if name is None:
            yield Fault(
                field,
                "bad_url",
                "{given} is not a web address, or has blanks, a user name or a fragment (#)",
                "Write it like https://desa.example.id/",
                values={"given": values[field]},
            )
        elif field == "url" and values["host"] and canonical_host(name) != values["host"]:
            yield Fault(
                field,
                "other_host",
                "{given} is not on the site's host {host}",
                "Use the same host in both",
                values={"given": values[field], "host": values["host"]},
            )
        else:
            yield from _target(field, name, policy)


def _position(values: Values) -> Iterator[Fault]:
    latitude, longitude = values["latitude"], values["longitude"]
    if latitude is None and longitude is None:
        return
    if latitude is None or longitude is None:
        missing = "latitude" if latitude is None else "longitude"
        yield Fault(missing, "missing", "Latitude and longitude go together", "Give both, or neither")
    elif not in_kaltim(latitude, longitude):
        swapped = in_kaltim(longitude, latitude)
        field = "latitude" if swapped or not _within(latitude, LATITUDES) else "longitude"
        yield Fault(
            field,
            "outside_kaltim",
            "{latitude}, {longitude} is outside Kalimantan Timur",
            "They seem to be swapped: latitude {longitude}, longitude {latitude}"
            if swapped
            else "Latitude must be between -2.91 and 3.07, longitude between 113.33 and 119.54",
            values={"latitude": latitude, "longitude": longitude},
        )


def _presence(values: Values) -> Iterator[Fault]:
    """What we look for ourselves, and what others hang on, is to be there day and night."""
    reports = values["probe"] is ProbeKind.PUSH and values["kind"] is not SiteKind.NODE
    if values["presence"] is Presence.SOMETIMES and not reports:
        yield Fault(
            "presence",
            "presence_needs_reports",
            "Only an access point whose own device reports may be present at times",
            "Set probe=push, or presence=always",
        )


def _vantages(values: Values) -> Iterator[Fault]:
    if len(set(values["vantages"])) < len(values["vantages"]):
        yield Fault("vantages", "repeated", "A vantage is named twice", "Name each once, the primary first")


def in_kaltim(latitude: float, longitude: float) -> bool:
    return _within(latitude, LATITUDES) and _within(longitude, LONGITUDES)


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] - GRACE_DEG <= value <= bounds[1] + GRACE_DEG
