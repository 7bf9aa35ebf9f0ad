from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.accounts import views
from app.registry.schemas import Text
from app.web.deps import Reader, Session
from app.web.json_body import JsonRoute
from app.web.pagination import Page
from app.web.params import RowId
from app.web.problem_details import problems

router = APIRouter(prefix="/me/views", tags=["access"], route_class=JsonRoute)

EXAMPLE: dict[str, Any] = {"name": "Putus di Muara Badak", "query": "region=64.02.05&state=down"}
NAME, QUERY = "what the view is called", "the parameters of `GET /sites`, as an address has them"


class ViewIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    name: Annotated[Text, Field(max_length=60, description=NAME)]
    query: Annotated[str, StringConstraints(max_length=1000, pattern=r"^[!-~]*$"), Field(description=QUERY)]


class ViewOut(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [{"id": 4, **EXAMPLE}]})

    id: int
    name: str = Field(description=NAME)
    query: str = Field(description=QUERY)


@router.get("", response_model=Page[ViewOut], responses=problems())
async def list_views(session: Session, caller: Reader) -> Any:
    """List your saved views.

    Filters of the list of sites, by name; at most 20.
    """
    return {"items": await views.list_views(session, caller=caller), "next_cursor": None}


@router.post("", response_model=ViewOut, status_code=201, responses=problems())
async def save_view(session: Session, caller: Reader, view: ViewIn) -> Any:
    """Save a view.

    In place of your own of that name. Idempotent.
    """
    return await views.save_view(session, view.name, view.query, caller=caller)


@router.delete("/{id}", status_code=204, responses=problems(404))
async def delete_view(session: Session, caller: Reader, id: RowId) -> None:
    """Delete a saved view.

    Idempotent.
    """
    await views.delete_view(session, id, caller=caller)
