"""The API without the middleware of connections: for callers in this process, which passed it already."""

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp

from app.api.middleware.retry_once import RetryOnce


def in_process(app: FastAPI) -> ASGIApp:
    """Return the app's routes under its handlers of problems; what those do not handle is raised."""
    handlers = {kind: handler for kind, handler in app.exception_handlers.items() if kind not in {500, Exception}}
    return RetryOnce(ExceptionMiddleware(AsyncExitStackMiddleware(app.router), handlers=handlers))
