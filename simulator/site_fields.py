"""How a village's access point is registered: as a pinged address, or as a push site.

With agents, sites behind carrier NAT (satellite and cellular links) are registered as push sites without an address;
the others get an object to test their speed with. Without agents all are pinged, and nothing more.
"""

from collections.abc import Mapping
from typing import Any

from simulator.script import AgentBehaviour

SPEED_PORT = 8081
_BEHIND_NAT = ("cellular", "leo", "geo")
KEYS = ("probe", "host", "speed_url")

Fields = Mapping[str, Any]


def registry_fields(site: Fields, agents: AgentBehaviour | None) -> dict[str, Any]:
    """Return the fields for `POST /sites`; `site` is a village of the simulated network, with its address."""
    if agents is None:
        return dict(site)
    if agents.all or site["technology"] in _BEHIND_NAT:
        return {**site, "probe": "push", "host": None}
    return {**site, "speed_url": f"http://{site['host']}:{SPEED_PORT}/speed"}


def possible_fields(site: Fields) -> list[dict[str, Any]]:
    """Return every combination that a start of the demo may have registered; any other was set by a user."""
    every = (registry_fields(site, agents) for agents in (None, AgentBehaviour(), AgentBehaviour(all=True)))
    return [{key: fields.get(key) for key in KEYS} for fields in every]
