from collections.abc import AsyncIterator, Callable

import pytest
from fastapi import FastAPI

from tests.access.people import Browser


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[Callable[..., Browser]]:
    """Opens browsers, at an address."""
    opened: list[Browser] = []

    def open_browser(**options: str) -> Browser:
        opened.append(Browser(app, **options))
        return opened[-1]

    yield open_browser
    for one in opened:
        await one.client.aclose()
