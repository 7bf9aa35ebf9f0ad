"""What *Hari ini* shows of a scope: read from the API, and put in the order in which an officer needs it. No HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.access.scope import PROVINCE
from app.console.aggregates import by_technology
from app.console.api_client import ApiClient
from app.console.choices import providers
from app.core.clock import midnight, today, utc_now
from app.registry import regions

Row = dict[str, Any]

BROKEN = ("down", "unreachable")
SHOWN = 8  # rows of a list whose whole is a link away
NEWEST = 5
DRAFTS = 100  # of reports that are looked through


@dataclass(frozen=True, slots=True)
class Live:
    """What moves with the status."""

    summary: Row
    sites: Sequence[Row]  # access points, as of GET /status
    urgent: Row  # incidents that last: those nobody handles first, of these the longest
    newest: Row  # of the same
    over: Row  # incidents of the last 24 hours that are over, the newest first

    @property
    def broken(self) -> list[Row]:
        """Return the sites that are down, the longest first."""
        return sorted((site for site in self.sites if site["state"] in BROKEN), key=lambda site: site["since"])

    @property
    def broken_in_maintenance(self) -> int:
        return sum(site["maintenance"] for site in self.broken)

    @property
    def known_pct(self) -> float | None:
        """Return the share of sites whose state is known now."""
        region = self.summary["region"]
        return 100 * (1 - region["states"]["unknown"] / region["sites"]) if region["sites"] else None

    @property
    def waiting(self) -> int:
        """Return how many incidents nobody handles yet; 1000: or more. So the next two."""
        return int(self.over["left_out"].get("open", 0))

    @property
    def handled(self) -> int:
        return int(self.over["left_out"].get("acknowledged", 0))

    @property
    def recovered(self) -> int:
        return int(self.urgent["left_out"].get("resolved", 0))

    @property
    def begun(self) -> list[Row]:
        """Return the newest of those that last and began within 24 hours."""
        return within_a_day(self.newest["items"], "started_at")


@dataclass(frozen=True, slots=True)
class Slow:
    """What hardly moves within minutes."""

    total: Row  # of the region
    children: Sequence[Row]
    technologies: Sequence[tuple[str, list[Row]]]  # providers like with like: ranked, then those measured too little
    maintenance: Sequence[Row]
    blind: Sequence[Row]
    provider_names: dict[str, str]  # by slug
    registered: Sequence[Row]  # within 24 hours, the newest first
    drafts: Sequence[Row]  # of reports, the newest DRAFTS; of a district none: it neither decides nor issues

    @property
    def undecided(self) -> int:
        """Return how many objections wait for a decision."""
        return sum(draft["undecided"] for draft in self.drafts)

    @property
    def issuable(self) -> int:
        """Return how many drafts nobody objects to any more: their term is over, or the provider agreed."""
        heard = [draft for draft in self.drafts if not draft["open_to_objections"] or draft["no_objections_at"]]
        return sum(not draft["undecided"] for draft in heard)


async def read_live(api: ApiClient) -> Live:
    status = await api.get("/status")
    lasting = {"status": "open,acknowledged", "period": "24h"}
    return Live(
        summary=await api.get("/status/summary"),
        sites=[site for site in status["sites"] if site["kind"] == "access_point"],
        urgent=await api.get("/incidents", **lasting, order="urgent", limit=SHOWN),
        newest=await api.get("/incidents", **lasting, limit=NEWEST),
        over=await api.get("/incidents", status="resolved", period="24h", limit=NEWEST),
    )


async def read_slow(api: ApiClient, region: str, period: str) -> Slow:
    day, next_day = midnight(today()), midnight(today() + timedelta(days=1))
    windows = await api.get("/maintenance", from_=day.isoformat(), to=next_day.isoformat())
    newest = await api.get("/sites", order="newest", limit=NEWEST)
    drafts = await api.get("/reports", status="draft", limit=DRAFTS) if region == PROVINCE else {"items": []}
    uptime = await api.get(f"/regions/{region}/children/uptime", period=period)
    return Slow(
        total=uptime["total"],
        children=uptime["items"],
        technologies=by_technology(await api.get("/ranking", by="provider", period=period)),
        maintenance=[window for window in windows["items"] if window["status"] != "cancelled"],
        blind=blinded((await api.get("/blind-ranges", period="24h"))["items"]),
        provider_names=dict(await providers(api)),
        registered=within_a_day(newest["items"], "created_at"),
        drafts=drafts["items"],
    )


def within_a_day(rows: Iterable[Row], name: str) -> list[Row]:
    """Return the rows whose moment `name` is not older than 24 hours."""
    since = utc_now() - timedelta(hours=24)
    return [row for row in rows if datetime.fromisoformat(row[name]) >= since]


def blinded(items: Iterable[Row]) -> list[Row]:
    """Return the ranges in which we could not see at all."""
    return [item for item in items if item["kind"] == "blind"]


def with_states(children: Sequence[Row], summary: Row) -> list[Row]:
    """Return the regions below with their uptime and their counts of now, without those that have no site."""
    counts = {child["code"]: child for child in summary["children"]}
    return [
        {**child, **{name: counts[child["code"]][name] for name in ("states", "maintenance")}}
        for child in children
        if child["code"] in counts and (counts[child["code"]]["sites"] or child["sites"])
    ]


def providers_of(incident: Row, names: dict[str, str]) -> str:
    """Return the names of the providers whose sites are out."""
    return ", ".join(sorted({names.get(site["provider"], site["provider"]) for site in incident["sites"]}))


def lasted_s(incident: Row) -> float:
    return elapsed_s(incident["started_at"], incident["ended_at"])


def elapsed_s(start: str, end: str | None = None) -> float:
    return ((datetime.fromisoformat(end) if end else utc_now()) - datetime.fromisoformat(start)).total_seconds()


def place_of(site: Row) -> str:
    """Return `kecamatan, district` of a site of the status."""
    names, code = regions.names(), site["village_code"]
    return ", ".join(names[part] for part in (code[:8], code[:5]) if part in names)
