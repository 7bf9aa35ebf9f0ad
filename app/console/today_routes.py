"""*Hari ini*: what is broken now, since when, and who must act; its fragments move by themselves."""

from typing import Literal

from fastapi import Response
from markupsafe import Markup

from app.access.scope import PROVINCE
from app.charts.keys import dot_key, uptime_key
from app.charts.map_dots import Dot
from app.charts.maps import District, district_map, province_map
from app.console import today
from app.console.page import TEMPLATES, Console, ConsoleRequest, base_of, page_router
from app.console.scope_cache import ScopeCache, scope_of
from app.core.clock import utc_now
from app.pages.chart_words import chart_words
from app.pages.environment import render
from app.pages.formats import as_moment, percent
from app.registry import regions
from app.registry.geojson import district_outlines

router = page_router()

Period = Literal["24h", "7d"]


@router.get("")
async def show_today(console: Console, period: Period = "24h") -> Response:
    cache: ScopeCache = console.request.app.state.scope_cache
    scope = scope_of(console.caller)

    async def make() -> Markup:
        region = console.caller.region_code
        slow = await cache.for_minutes((*scope, period), lambda: today.read_slow(console.api, region, period))
        return _render(console, await today.read_live(console.api), slow, period)

    body = await cache.by_version(
        console.status_version, ("today", *scope, console.language, period, base_of(console.request)), make
    )
    return console.page("today.html", body=body, region=regions.names()[console.caller.region_code], period=period)


def _render(console: ConsoleRequest, live: today.Live, slow: today.Slow, period: str) -> Markup:
    """Return what is equal for all callers of a scope: nothing in it knows who reads it."""
    children = today.with_states(slow.children, live.summary)
    base, words = base_of(console.request), chart_words(console.language)
    html = render(
        TEMPLATES,
        "today_body.html",
        console.language,
        root=f"{base}/console",
        base=base,
        now=utc_now(),
        today=today,
        live=live,
        slow=slow,
        children=children,
        period=period,
        map=_map(console, live, slow, base),
        keys=dot_key(words) + (uptime_key(words) if console.caller.region_code == PROVINCE else Markup()),
    )
    return Markup(html)  # noqa: S704  # a template's, escaped


def _map(console: ConsoleRequest, live: today.Live, slow: today.Slow, base: str) -> Markup:
    words, code = chart_words(console.language), console.caller.region_code
    dots = [
        Dot(
            site["longitude"],
            site["latitude"],
            site["name"],
            site["state"],
            as_moment(site["since"]) if site["state"] in today.BROKEN else None,
            f"{base}/console/sites/{site['id']}",
        )
        for site in live.sites
        if site["latitude"] is not None and site["longitude"] is not None
    ]
    label = console.text("Map of the sites in {region}, by state", region=regions.names()[code])
    if code != PROVINCE:
        return district_map(district_outlines(), code[:5], dots, label=label, words=words)
    districts = [
        District(
            child["code"],
            child["name"].removeprefix("Kabupaten "),
            child["uptime_pct"],
            f"{child['name']}: {percent(child['uptime_pct'], console.language)}",
            f"{base}/console/regions/{child['code']}",
        )
        for child in slow.children
    ]
    return province_map(district_outlines(), districts, dots, label=label, words=words)
