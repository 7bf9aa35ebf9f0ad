"""Where a request came from."""

from starlette.requests import Request


def client_address(request: Request) -> str | None:
    """Return the sender's address, behind a trusted proxy the one that it names; None over a Unix socket."""
    return request.client.host if request.client else None
