from typing import Any

from fastapi import APIRouter

from app.field import heard
from app.field.device_schemas import DeviceOut
from app.http import Reader, Session
from app.problems import problems
from app.registry import store as registry
from app.registry.routes import SiteId

router = APIRouter(tags=["field"])


@router.get("/sites/{id}/device", response_model=DeviceOut, responses=problems(404))
async def get_device(session: Session, caller: Reader, id: SiteId) -> dict[str, Any]:
    """The site's own device: when it was heard, what it says of itself, what it costs, and what was wrong with it."""
    site, _ = await registry.get_site(session, id, caller=caller)
    return await heard.read_device(session, site.id)
