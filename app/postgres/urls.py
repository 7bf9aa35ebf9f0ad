"""A database's URL as asyncpg itself and libpq's programs read it: each writes several hosts in its own way."""

from sqlalchemy.engine import URL, make_url

from app.core.database_url import with_port

PLACEHOLDER = "hosts.invalid"


def dsn(url: str) -> str:
    parsed = make_url(url).set(drivername="postgresql")
    if (ssl := parsed.query.get("ssl")) is not None:  # as SQLAlchemy calls it
        parsed = parsed.difference_update_query(["ssl"]).update_query_dict({"sslmode": ssl})
    if len(hosts := _listed_hosts(parsed)) < 2:
        return parsed.render_as_string(hide_password=False)
    bare = parsed.set(host=PLACEHOLDER, port=None).difference_update_query(["host"])
    return bare.render_as_string(hide_password=False).replace(PLACEHOLDER, ",".join(hosts), 1)


def hosts_and_ports(url: str) -> list[tuple[str, str]]:
    """Return each host with its port: a folder's path for a socket, an empty port where none is named."""
    parsed = make_url(url)
    listed = _listed_hosts(parsed)
    if not listed or listed[0].startswith("/"):
        port = str(parsed.port or parsed.query.get("port") or "")
        return [(host, port) for host in (listed or [parsed.host or ""])]
    return [(host, port) for host, _, port in (entry.rpartition(":") for entry in map(with_port, listed))]


def _listed_hosts(parsed: URL) -> list[str]:
    listed = parsed.query.get("host", ())
    return [listed] if isinstance(listed, str) else list(listed)
