"""The URL of a database, which several machines may serve, as SQLAlchemy reads it."""

from urllib.parse import urlsplit

DRIVER = "postgresql+asyncpg"
DEFAULT_PORT = "5432"
SCHEMES = {"postgres", "postgresql", DRIVER}


def driver_url(value: str) -> str:
    """Return the URL as SQLAlchemy reads it: `user@a:1,b:2/name` becomes `user@/name?host=a:1&host=b:2`.

    Raises ValueError, without the URL: it holds a password.
    """
    scheme, colon, rest = value.partition("://")
    if not colon or scheme not in SCHEMES:
        raise ValueError("must begin with postgresql:// (PostgreSQL is the only database)")
    authority, slash, path = rest.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    if "," in hosts:
        listed = [with_port(host) for host in hosts.split(",")]
        query = "&".join(f"host={host}" for host in listed)
        path = f"{path}{'&' if '?' in path else '?'}{query}"
        hosts, slash = "", "/"
    else:
        _require_port(value)
    return f"{DRIVER}://{credentials}{at}{hosts}{slash}{path}"


def with_port(host: str) -> str:
    """SQLAlchemy knows no default port where several hosts are listed, and no IPv6 address."""
    if "[" in host:
        raise ValueError("lists an IPv6 address: of several hosts each is a name or an IPv4 address")
    _require_port(f"//{host}")
    return host if host.rpartition(":")[2].isdecimal() else f"{host}:{DEFAULT_PORT}"


def _require_port(url: str) -> None:
    try:
        is_valid = urlsplit(url).port != 0
    except ValueError:  # its own error would show what it took for the port: perhaps a part of the password
        is_valid = False
    if not is_valid:
        raise ValueError("has no valid port (special characters in the password are written as %40, %2F and so on)")
