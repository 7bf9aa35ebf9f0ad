"""How a village's access point is entered into the registry: by its address, or as one that reports itself.

With agents, what sits behind carrier NAT (satellite and cellular links) is registered as such, without an address; the
others have an object to test their speed with. Without, all are pinged, and nothing more.
"""

from collections.abc import Mapping
from typing import Any

from simulator.script import Agents

SPEED_PORT = 8081
_BEHIND_NAT = ("cellular", "leo", "geo")
KEYS = ("probe", "host", "speed_url")

Fields = Mapping[str, Any]


def form(site: Fields, agents: Agents | None) -> dict[str, Any]:
    """`site` is a village as the network knows it, with its address; what comes is for `POST /sites`."""
    if agents is None:
        return dict(site)
    if agents.all or site["technology"] in _BEHIND_NAT:
        return {**site, "probe": "push", "host": None}
    return {**site, "speed_url": f"http://{site['host']}:{SPEED_PORT}/speed"}


def forms(site: Fields) -> list[dict[str, Any]]:
    """Every one that a start of the demo may have given it: what else a site says, a user made it say."""
    every = (form(site, says) for says in (None, Agents(), Agents(all=True)))
    return [{key: given.get(key) for key in KEYS} for given in every]
