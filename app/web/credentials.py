"""What a request presents to sign in with, read from its headers: not looked up yet."""

from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import cookie_parser
from starlette.types import Scope

from app.access.api_tokens import digest
from app.access.models import CredentialKind
from app.access.stream_tickets import Credential

COOKIE = "sinyal_session"


def find_credential(scope: Scope) -> Credential | None:
    """Return the bearer token of a request, else the session of its cookie, else None."""
    cookies = ""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, token = get_authorization_scheme_param(value.decode("latin-1"))
            if token and scheme.lower() == "bearer":
                return Credential(CredentialKind.TOKEN, digest(token))
        elif name == b"cookie":
            cookies = f"{cookies}; {value.decode('latin-1')}"
    secret = cookie_parser(cookies).get(COOKIE) if cookies else None
    return Credential(CredentialKind.SESSION, digest(secret)) if secret else None
