"""`/docs`: the API to try out, without internet: Swagger UI out of the package that carries it."""

import base64
import hashlib
import importlib.util
import re
from pathlib import Path

from fastapi import Depends, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from app.web.deps import open_to_all
from app.web.security_headers import POLICY

OWN_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def install(app: FastAPI) -> None:
    carrier = importlib.util.find_spec("fastapi_swagger")
    assert carrier is not None
    assert carrier.origin is not None
    app.mount("/docs/assets", StaticFiles(directory=Path(carrier.origin).parent / "resources"), name="docs-assets")

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
        page.headers[POLICY] = policy(bytes(page.body).decode())
        return page


def policy(page: str) -> str:
    """What is served from here runs, and the one script within the page as it is; nothing else."""
    digests = [hashlib.sha256(script.encode()).digest() for script in OWN_SCRIPT.findall(page)]
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'self'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
