"""Requests that their sender holds open: the connection's limits of time for a body do not fit them."""

from starlette.types import Scope

HOLD = "sinyal.hold"  # an ASGI extension of app/runtime/connections.py


def hold(scope: Scope) -> None:
    """Take over the limits of a request whose body has no end. Without effect on another server."""
    if (take_over := (scope.get("extensions") or {}).get(HOLD)) is not None:
        take_over()
