"""Path and query parameters that aggregate routes share."""

from typing import Annotated

from fastapi import Query

from app.profiles import Technology

ProviderFilter = Annotated[
    str | None,
    Query(min_length=1, max_length=100, description="only this provider's sites: id or slug", examples=["telkom-wms"]),
]
TechnologyFilter = Annotated[Technology | None, Query(description="only sites of this technology")]
