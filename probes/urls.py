"""Web addresses that a probe may fetch, judged by their text alone."""

from urllib.parse import urlsplit

ODD = frozenset(' \\#<>"{}|^`')  # blanks, fragments, and what no URL holds unescaped


def host_of_url(text: str | None) -> str | None:
    """Return the host of an http or https URL; None for any other text.

    A URL with a user name, a fragment or a control character is none: parts of it would be read as something else by
    what sends the request, or by who receives it.
    """
    if not text or not text.isprintable() or ODD & set(text):
        return None
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    return host if parts.scheme in {"http", "https"} and "@" not in parts.netloc and host else None
