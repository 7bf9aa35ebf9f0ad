"""What may be wrong with a source of telemetry. Pure."""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from app.core.errors import Fault
from app.telemetry.models import SnmpVersion
from app.telemetry.schemas import SnmpIn
from probes.policy import AddressPolicy, Forbidden, parse_address
from probes.urls import host_of_url


def of_host(host: str, policy: AddressPolicy, field: str) -> Iterator[Fault]:
    """Yield a fault for a host where nothing may be sent to; each address is checked again when it is."""
    try:
        policy.check_host(host)
    except Forbidden:
        yield Fault(
            field,
            "forbidden_address",
            "{given} is no address that may be asked",
            "Give a public address, or a name; a router behind it is asked by the site's agent",
            values={"given": host[:60]},
        )


def of_url(url: str, policy: AddressPolicy) -> Iterator[Fault]:
    """Yield faults of an account's address: its secret goes there, so only with TLS, or to this machine itself."""
    host, parts = host_of_url(url), urlsplit(url)
    if host is None or parts.query or url.endswith("/"):
        yield Fault("base_url", "bad_url", "This is no address of an API", "Write it like https://starlink.com/api")
        return
    is_here = parse_address(host) is not None and ip_address(host).is_loopback
    if parts.scheme != "https" and not is_here:
        yield Fault(
            "base_url", "needs_tls", "The account's secret is sent there: it needs https", "Begin it with https://"
        )
    yield from of_host(host, policy, "base_url")


def of_access(body: SnmpIn, kept: SnmpVersion | None) -> Iterator[Fault]:
    """Yield what the version needs and does not have; `kept`: the version whose secrets are sealed already."""
    given = {"community": body.community, "user": body.user, "auth_key": body.auth_key}
    needed = ("community",) if body.version is SnmpVersion.V2C else ("user", "auth_key")
    if not any(given.values()) and body.priv_key is None and kept is body.version:
        return
    for name in needed:
        if given[name] is None:
            yield Fault(
                name,
                "missing_access",
                "SNMP {version} needs {field}",
                "Ask whoever runs the router",
                values={"version": body.version.value, "field": name},
            )
