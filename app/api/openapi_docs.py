"""The OpenAPI document, and `/docs`: Swagger UI served from its package, so that it works without internet."""

import asyncio
import base64
import gzip
import hashlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import orjson
from fastapi import Depends, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from app.api import openapi_document
from app.web.conditional import accepts_gzip, parse_etags
from app.web.deps import open_to_all
from app.web.security_headers import POLICY

TAGS = [
    {"name": name, "description": description}
    for name, description in (
        ("registry", "Sites, their providers and contracts; spreadsheets in and out; what may be wrong"),
        ("regions", "Kemendagri's regions, from the province to its villages"),
        ("dashboards", "The state of all sites now, polled or streamed"),
        ("one site", "One site's past: uptime, segments, latency, throughput, readings"),
        ("aggregates", "Uptime, latency and throughput of regions and providers; the ranking; the month's verdicts"),
        ("reviews", "Quarterly reviews with their decisions; the evidence for indicators of digital government"),
        ("operations", "Incidents, maintenance, and when the service itself could not see"),
        (
            "reports",
            "Berita acara: drafted, objected to, issued, corrected, the year's recapitulation; certificates of lines",
        ),
        ("alerts", "Who is told what, when and through which channel; and the proof that it was delivered"),
        ("access", "Accounts, sessions and API tokens; the audit log"),
        ("field", "Devices at the sites: agents, pushes, speed tests, diagnoses"),
        ("this service", "Whether the service runs"),
    )
]
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def install(app: FastAPI, *, prefix: str) -> None:
    """`prefix` is the path of the routes whose common problems are described."""
    package = importlib.util.find_spec("fastapi_swagger")
    assert package is not None
    assert package.origin is not None
    app.mount("/docs/assets", StaticFiles(directory=Path(package.origin).parent / "resources"), name="docs-assets")

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            openapi_document.complete(FastAPI.openapi(app), prefix=prefix)  # which keeps it as openapi_schema
        return app.openapi_schema  # type: ignore[return-value]

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way

    rendered = _RenderedDocument(app)

    @app.get("/openapi.json", include_in_schema=False, dependencies=[Depends(open_to_all)])
    async def openapi(request: Request) -> Response:
        return await rendered.respond(request)

    @app.get("/docs", include_in_schema=False, dependencies=[Depends(open_to_all)])
    async def docs(request: Request) -> HTMLResponse:
        def asset(name: str) -> str:
            return str(request.url_for("docs-assets", path=name))

        page = get_swagger_ui_html(
            openapi_url=str(request.url_for("openapi")),
            title="Sinyal Desa API",
            swagger_js_url=asset("swagger-ui-bundle.js"),
            swagger_css_url=asset("swagger-ui.css"),
            swagger_favicon_url=asset("favicon-32x32.png"),
            swagger_ui_parameters={"persistAuthorization": True},
        )
        page.headers[POLICY] = content_security_policy(bytes(page.body).decode())
        return page


class _RenderedDocument:
    """Rendered and compressed once, beside the event loop: that takes most of a second."""

    def __init__(self, app: FastAPI) -> None:
        self._app, self._rendering = app, asyncio.Lock()
        self._body = self._gzipped = b""
        self._tag = ""

    async def respond(self, request: Request) -> Response:
        """Return 304 if the client has it."""
        async with self._rendering:
            if not self._body:
                await asyncio.to_thread(self._render, request.scope.get("root_path", ""))
        takes_gzip = accepts_gzip(request.headers.get("accept-encoding", ""))
        tag = f"{self._tag}-gzip" if takes_gzip else self._tag
        headers = {"ETag": f'"{tag}"', "Vary": "Accept-Encoding"}
        if headers["ETag"] in parse_etags(request.headers.get("if-none-match")):
            return Response(status_code=304, headers=headers)
        if not takes_gzip:
            return Response(self._body, headers=headers, media_type="application/json")
        return Response(self._gzipped, headers=headers | {"Content-Encoding": "gzip"}, media_type="application/json")

    def _render(self, root_path: str) -> None:
        servers = [{"url": root_path or "/", "description": "this service"}]
        body = orjson.dumps(self._app.openapi() | {"servers": servers})
        self._tag = hashlib.blake2s(body, digest_size=8).hexdigest()
        self._gzipped, self._body = gzip.compress(body, mtime=0), body


def content_security_policy(page: str) -> str:
    """Allow scripts of this origin, and the inline script of the page by its digest."""
    digests = [hashlib.sha256(script.encode()).digest() for script in INLINE_SCRIPT.findall(page)]
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'self'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
