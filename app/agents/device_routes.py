from typing import Any

from fastapi import APIRouter

from app.agents import device_status
from app.agents.schemas import DeviceOut
from app.registry import store as registry
from app.registry.params import SiteId
from app.web.deps import Reader, Session
from app.web.problem_details import problems

router = APIRouter(tags=["field"])


@router.get("/sites/{id}/device", response_model=DeviceOut, responses=problems(404))
async def get_device(session: Session, caller: Reader, id: SiteId) -> dict[str, Any]:
    """Get the status of a site's own device: its last push, its agent, its traffic, its rejected rows."""
    site, _ = await registry.get_site(session, id, caller=caller)
    return await device_status.read_device(session, site.id)
