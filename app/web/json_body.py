"""JSON bodies of routes: valid Unicode and bounded, before anything is done with what they hold."""

from collections.abc import Callable, Coroutine
from json import JSONDecodeError
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

MAX_VALUES = 2_000  # members and items in all; a site has 30 fields
MAX_COMMAS = 20_000  # those in texts included: a million values take long to parse only to be refused


class JsonRoute(APIRoute):
    """The route class of every route that takes a JSON body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly


class _StrictRequest(Request):
    async def json(self) -> Any:
        return parse(await self.body())


def parse(body: bytes) -> Any:
    """Parse a body: unlike the standard library without lone surrogates, NaN, and nesting deeper than 1,024.

    Raises JSONDecodeError; its message is the code of a fault (`app.core.validation`), or says what is wrong.
    """
    if body.count(b",") > MAX_COMMAS:
        raise JSONDecodeError("too_many_values", "", 0)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "surrogate" in error.msg:
            raise JSONDecodeError("string_unicode", "", error.pos) from None
        raise JSONDecodeError(error.msg, "", error.pos) from None  # without the document
    if _holds_more(value, MAX_VALUES):
        raise JSONDecodeError("too_many_values", "", 0)
    return value


def _holds_more(value: Any, limit: int) -> bool:
    containers = [value]
    while containers:
        container = containers.pop()
        if not isinstance(container, dict | list):
            continue
        limit -= len(container)
        if limit < 0:
            return True
        containers.extend(container.values() if isinstance(container, dict) else container)
    return False
