"""Where a channel delivers to, judged by the text of its URL alone; the courier checks each address it connects to."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from app.alerts.services import SERVICES, WEBHOOK, Service
from app.core.errors import Fault, Invalid
from probes.policy import AddressPolicy, Forbidden
from probes.urls import host_of_url

MAX_OPTIONS = 20


@dataclass(frozen=True, slots=True)
class ChannelTarget:
    service: str  # webhook, or a schema of Apprise
    url: str
    hint: str  # the URL without what must stay secret


def parse_target(url: str, policy: AddressPolicy, *, field: str = "url") -> ChannelTarget:
    """Raises Invalid with one fault: no URL, a service or option that is not allowed, or a forbidden address."""
    schema, separator, rest = url.strip().partition("://")
    schema = schema.lower()
    if not schema or not separator or not rest.strip("/") or not url.isprintable() or " " in url.strip():
        raise _malformed(field, "https://hooks.example.go.id/…")
    if schema in {"http", "https"}:
        return _parse_webhook(url.strip(), policy, field)
    if schema not in SERVICES:
        raise Invalid(
            Fault(
                field,
                "unknown_service",
                "Alerts are not delivered by {given}",
                "Use one of: https, {services}",
                values={"given": schema[:40], "services": ", ".join(sorted(SERVICES))},
            )
        )
    return _parse_service(schema, rest, policy, field)


def _parse_webhook(url: str, policy: AddressPolicy, field: str) -> ChannelTarget:
    host = host_of_url(url)
    if host is None:
        raise _malformed(field, "https://hooks.example.go.id/…")
    _check_host(host, policy, field)
    parts = urlsplit(url)
    return ChannelTarget(WEBHOOK, url, f"{parts.scheme}://{parts.netloc}/…")


def _parse_service(schema: str, rest: str, policy: AddressPolicy, field: str) -> ChannelTarget:
    service = SERVICES[schema]
    place, _, query = rest.partition("?")
    if "#" in place or not _has_parts_of(service, place):
        raise _malformed(field, service.form)
    options = _parse_options(query, service, field)
    if not service.own_server:
        return ChannelTarget(schema, f"{schema}://{rest}", f"{schema}://…")
    host = _host_of(place)
    if host is None:
        raise _malformed(field, service.form)
    for server in (host, options.get("smtp")):
        if server is not None:
            _check_host(server, policy, field)
    return ChannelTarget(schema, f"{schema}://{rest}", f"{schema}://{host}/…")


def _has_parts_of(service: Service, place: str) -> bool:
    """Whether a user, a password and path segments stand where the service's form has some."""
    needed = service.form.partition("://")[2]
    (needed_user, needed_path), (user, path) = _user_and_path(needed), _user_and_path(place)
    has_user = all(user) if len(user) >= len(needed_user) else not needed_user
    return has_user and len(path) >= len(needed_path) and bool(path[0])


def _user_and_path(place: str) -> tuple[list[str], list[str]]:
    """Return user and password, as far as there are, and host and path segments."""
    authority, _, path = place.partition("/")
    user, at, host = authority.rpartition("@")
    segments = [segment for segment in path.split("/") if segment]
    return user.split(":") if at else [], [host, *segments]


def _host_of(place: str) -> str | None:
    """Return the host of a server, None if it or its port is malformed."""
    try:
        parts = urlsplit(f"//{place}")
        return parts.hostname if parts.port != 0 else None
    except ValueError:
        return None


def _parse_options(query: str, service: Service, field: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_OPTIONS)
    except ValueError:
        raise _malformed(field, service.form) from None
    for name, _ in pairs:
        is_mapping = service.mapping and name.startswith(":")
        if name.lower() not in service.options and not is_mapping:
            raise Invalid(
                Fault(
                    field,
                    "forbidden_option",
                    "The option {given} is not allowed here",
                    "Options of this service: {options}",
                    values={"given": name[:40], "options": ", ".join(sorted(service.options)) or "-"},
                )
            )
    return {name.lower(): unquote(value) for name, value in pairs}


def _check_host(host: str, policy: AddressPolicy, field: str) -> None:
    try:
        policy.check_host("127.0.0.1" if f".{host}".endswith(".localhost") else host)
    except Forbidden:
        raise Invalid(
            Fault(
                field,
                "forbidden_address",
                "Alerts are not delivered to {given}: it is private, reserved, this machine's own, or malformed",
                "Whoever runs this service can allow a network: SINYAL_ALERTS__ALLOW",
                values={"given": host[:253]},
            )
        ) from None


def _malformed(field: str, form: str) -> Invalid:
    return Invalid(
        Fault(
            field, "bad_url", "This is not the URL of a receiver", "Write it like {example}", values={"example": form}
        )
    )
