"""What holds for every page of the console, found by walking the routes."""

import re
from collections.abc import Callable

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from tests.access.route_catalog import asks_the_api
from tests.conftest import Cast
from tests.support.console import Visitor


async def test_no_page_is_shown_without_a_session_not_even_to_a_token(
    app: FastAPI, visitor: Callable[[], Visitor], cast: Cast
) -> None:
    routes = [route for route in iter_route_contexts(app.routes) if asks_the_api(route)]
    assert routes
    for route in routes:
        path = re.sub(r"\{[^}]+\}", "1", str(route.path))
        for method in route.methods or ():
            for client in (visitor().client, cast.sari.client):
                answer = await client.request(method, path)
                to_sign_in = answer.status_code == 303 and "/console/sign-in?next=" in answer.headers["location"]
                assert to_sign_in or (answer.status_code, "Masuk" in answer.text) == (401, True), f"{method} {path}"
