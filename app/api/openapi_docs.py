"""The OpenAPI document, and `/docs`: Swagger UI served from its package, so that it works without internet."""

import asyncio
import base64
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

from app.web.deps import open_to_all
from app.web.problem_details import ProblemOut, problems
from app.web.security_headers import POLICY

INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def install(app: FastAPI, *, prefix: str) -> None:
    """`prefix` is the path of the routes whose common problems are described."""
    package = importlib.util.find_spec("fastapi_swagger")
    assert package is not None
    assert package.origin is not None
    app.mount("/docs/assets", StaticFiles(directory=Path(package.origin).parent / "resources"), name="docs-assets")
    app.openapi = lambda: _document(FastAPI.openapi(app), prefix)  # type: ignore[method-assign]  # FastAPI's own way

    rendered = _RenderedDocument(app)

    @app.get("/openapi.json", include_in_schema=False, dependencies=[Depends(open_to_all)])
    async def openapi(request: Request) -> Response:
        return Response(await rendered.get(request.scope.get("root_path", "")), media_type="application/json")

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
    """Rendered once, beside the event loop: that takes most of a second."""

    def __init__(self, app: FastAPI) -> None:
        self._app, self._body, self._rendering = app, b"", asyncio.Lock()

    async def get(self, root_path: str) -> bytes:
        async with self._rendering:
            if not self._body:
                self._body = await asyncio.to_thread(self._render, root_path)
        return self._body

    def _render(self, root_path: str) -> bytes:
        servers = {"servers": [{"url": root_path}]} if root_path else {}
        return orjson.dumps(self._app.openapi() | servers)


def content_security_policy(page: str) -> str:
    """Allow scripts of this origin, and the inline script of the page by its digest."""
    digests = [hashlib.sha256(script.encode()).digest() for script in INLINE_SCRIPT.findall(page)]
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'self'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def _document(document: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Add the problems that any route may answer with; remove FastAPI's own 422 and the schema of unsound bodies."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["ProblemOut"] = problem
    for name in ("HTTPValidationError", "ValidationError", "MalformedBody"):
        schemas.pop(name, None)
    for path, operations in document["paths"].items():
        for operation in operations.values() if path.startswith(prefix) else ():
            common = problems(429, 431, 503, 504, *((400, 413) if "requestBody" in operation else ()))
            described = {str(status): response for status, response in common.items()} | operation["responses"]
            operation["responses"] = dict(sorted(described.items()))
    return document
