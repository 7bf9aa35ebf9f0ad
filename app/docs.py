"""`/docs`: the API to try out, without internet: Swagger UI out of the package that carries it."""

import importlib.util
from pathlib import Path

from fastapi import Depends, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from app.http import open_to_all


def install(app: FastAPI) -> None:
    carrier = importlib.util.find_spec("fastapi_swagger")
    assert carrier is not None
    assert carrier.origin is not None
    app.mount("/docs/assets", StaticFiles(directory=Path(carrier.origin).parent / "resources"), name="docs-assets")

    @app.get("/docs", include_in_schema=False, dependencies=[Depends(open_to_all)])
    async def docs(request: Request) -> HTMLResponse:
        def asset(name: str) -> str:
            return str(request.url_for("docs-assets", path=name))

        return get_swagger_ui_html(
            openapi_url=str(request.url_for("openapi")),
            title="Sinyal Desa API",
            swagger_js_url=asset("swagger-ui-bundle.js"),
            swagger_css_url=asset("swagger-ui.css"),
            swagger_favicon_url=asset("favicon-32x32.png"),
            swagger_ui_parameters={"persistAuthorization": True},
        )
